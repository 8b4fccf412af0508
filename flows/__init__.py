"""What depends on the world: time, services, decisions, retries. Prefect is imported here and nowhere else."""

import gc
import os
import sys

from fashion.importing import explain_absence

if explanation := explain_absence("prefect"):
    sys.exit(f"error: {explanation}")

# Prefect reports its first import from a terminal to its makers, before an entry point could apply the defaults.
os.environ.setdefault("DO_NOT_TRACK", "true")

# Importing Prefect makes some hundred thousand objects that live as long as the process. As often as the collector
# looks at them by default, that is a seventh of the time that a flow, a worker or a server takes to start.
gc.set_threshold(20_000, 10, 10)
