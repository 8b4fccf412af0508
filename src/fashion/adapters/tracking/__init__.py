"""MLflow: runs that are watched live, the registry of versions, and the ledger of its aliases."""

from fashion.adapters.tracking.address import Registry, check
from fashion.adapters.tracking.changes import Aliases, Change, Decision, Ledger, author
from fashion.adapters.tracking.descriptions import FlowRun, link_flow_run
from fashion.adapters.tracking.files import (
    Champion,
    Contract,
    artifact_page,
    fetch_folder,
    find_folder,
    find_missing,
    keep_version,
    log_folder,
    open_version,
)
from fashion.adapters.tracking.ledger import read_ledger, record, settle
from fashion.adapters.tracking.place import check_place
from fashion.adapters.tracking.runs import LiveRun, find_run, is_run_id, live_run, read_run, recreate_run
from fashion.adapters.tracking.versions import (
    CHALLENGER,
    CHAMPION,
    Package,
    Version,
    describe_version,
    find_version,
    get_version,
    list_versions,
    log_version,
    tag_version,
    version_with_alias,
)

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "Aliases",
    "Champion",
    "Change",
    "Contract",
    "Decision",
    "FlowRun",
    "Ledger",
    "LiveRun",
    "Package",
    "Registry",
    "Version",
    "artifact_page",
    "author",
    "check",
    "check_place",
    "describe_version",
    "fetch_folder",
    "find_folder",
    "find_missing",
    "find_run",
    "find_version",
    "get_version",
    "is_run_id",
    "keep_version",
    "link_flow_run",
    "list_versions",
    "live_run",
    "log_folder",
    "log_version",
    "open_version",
    "read_ledger",
    "read_run",
    "record",
    "recreate_run",
    "settle",
    "tag_version",
    "version_with_alias",
]
