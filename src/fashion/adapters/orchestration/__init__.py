"""Prefect's REST API, without Prefect, which is imported in flows/ alone: a run that asks, and the runs there were."""

from fashion.adapters.orchestration.approval import await_end, find_paused_run, resume
from fashion.adapters.orchestration.runs import FlowRun, has_worker, read_runs
from fashion.adapters.orchestration.server import Run, approval_tag, unknown_here

__all__ = [
    "FlowRun",
    "Run",
    "approval_tag",
    "await_end",
    "find_paused_run",
    "has_worker",
    "read_runs",
    "resume",
    "unknown_here",
]
