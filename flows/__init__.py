"""What depends on the world: time, services, decisions, retries. Prefect is imported here and nowhere else."""
