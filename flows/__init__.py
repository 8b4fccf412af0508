"""What depends on the world: time, services, decisions, retries. Prefect is imported here and nowhere else."""

import os

# Prefect reports its first import from a terminal to its makers, before an entry point could apply the rest of .env.
os.environ.setdefault("DO_NOT_TRACK", "true")
