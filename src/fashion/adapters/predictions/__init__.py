"""SQLAlchemy and Alembic: the prediction log, in SQLite or PostgreSQL. One row a prediction; labels arrive later."""

from fashion.adapters.predictions.apart import BATCH, id_of, write_apart
from fashion.adapters.predictions.collecting import Collection, Turn, collecting, last_collection
from fashion.adapters.predictions.history import JudgedWindow, WindowHistory
from fashion.adapters.predictions.log import PredictionLog, new_id
from fashion.adapters.predictions.overview import Use, read_use
from fashion.adapters.predictions.pictures import read_pictures
from fashion.adapters.predictions.retention import (
    KEPT_FOR_LABELS,
    Forgotten,
    Retention,
    count_waiting,
    forget,
    forget_pictures,
    mark_collected,
)
from fashion.adapters.predictions.rows import NO_LABEL, Label, Labelled, Record
from fashion.adapters.predictions.tables import Model, ModelVersion
from fashion.adapters.predictions.wanted import Wanted, read_survey, read_wanted, read_wanted_picture
from fashion.adapters.predictions.window import Window

__all__ = [
    "BATCH",
    "KEPT_FOR_LABELS",
    "NO_LABEL",
    "Collection",
    "Forgotten",
    "JudgedWindow",
    "Label",
    "Labelled",
    "Model",
    "ModelVersion",
    "PredictionLog",
    "Record",
    "Retention",
    "Turn",
    "Use",
    "Wanted",
    "Window",
    "WindowHistory",
    "collecting",
    "count_waiting",
    "forget",
    "forget_pictures",
    "id_of",
    "last_collection",
    "mark_collected",
    "new_id",
    "read_pictures",
    "read_survey",
    "read_use",
    "read_wanted",
    "read_wanted_picture",
    "write_apart",
]
