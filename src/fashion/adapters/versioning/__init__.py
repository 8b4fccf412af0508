"""DVC: bringing stages up to date, and which data this is. What uses it as a library is in `pinning`."""

from fashion.adapters.versioning.commands import OnLine, push, remake, reproduce
from fashion.adapters.versioning.records import (
    PIN,
    LockedStage,
    Pin,
    data_version,
    folder_md5,
    locked_pin,
    pinned_files,
    read_lock,
    read_pin,
)

__all__ = [
    "PIN",
    "LockedStage",
    "OnLine",
    "Pin",
    "data_version",
    "folder_md5",
    "locked_pin",
    "pinned_files",
    "push",
    "read_lock",
    "read_pin",
    "remake",
    "reproduce",
]
