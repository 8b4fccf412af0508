"""Optuna: searches that are kept, in a file or in PostgreSQL, so that one goes on where it was stopped."""

from fashion.adapters.studies.storage import Place, forget_study, open_study, study_names
from fashion.adapters.studies.study import ABOUT, COMPLETE, FAILED, PRUNED, RUNNING, Study, Trial

__all__ = [
    "ABOUT",
    "COMPLETE",
    "FAILED",
    "PRUNED",
    "RUNNING",
    "Place",
    "Study",
    "Trial",
    "forget_study",
    "open_study",
    "study_names",
]
