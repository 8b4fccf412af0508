"""SQLAlchemy: the prediction log, in SQLite or PostgreSQL. One row a prediction; labels arrive later."""

from fashion.adapters.predictions.history import JudgedWindow, WindowHistory
from fashion.adapters.predictions.log import PredictionLog, new_id
from fashion.adapters.predictions.rows import Labelled, Record, Window
from fashion.adapters.predictions.tables import ModelVersion

__all__ = ["JudgedWindow", "Labelled", "ModelVersion", "PredictionLog", "Record", "Window", "WindowHistory", "new_id"]
