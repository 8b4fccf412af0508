"""SQLAlchemy: the prediction log, in SQLite or PostgreSQL. One row a prediction; labels arrive later."""

from fashion.adapters.predictions.log import PredictionLog, new_id
from fashion.adapters.predictions.rows import Record, Window

__all__ = ["PredictionLog", "Record", "Window", "new_id"]
