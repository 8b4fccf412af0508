"""`fashion doctor`: checks of what around the project could keep it from working.

The checks in `services` import MLflow and use the network; all others are instantaneous.
"""
