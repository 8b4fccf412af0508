"""SQLAlchemy: the prediction log, in SQLite or PostgreSQL. One row a prediction; labels arrive later."""

from fashion.adapters.predictions.log import PredictionLog, new_id
from fashion.adapters.predictions.rows import Labelled, Record, Window

__all__ = ["Labelled", "PredictionLog", "Record", "Window", "new_id"]
