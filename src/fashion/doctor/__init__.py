"""What around the project keeps it from working: `fashion doctor`.

The checks of this package's `services` import MLflow and ask over the network; those of the others take no time at all.
"""
