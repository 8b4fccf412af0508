"""The processes that flows need: Prefect's server and worker, MLflow, and one training at a time."""
