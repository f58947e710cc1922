"""sheetsync: an image dataset kept in a spreadsheet.

    import sheetsync

    project = sheetsync.open_project("flowers")
    project.sync()
    project.rows().sort_values("review_rank").head(10)

docs/python.md shows every call. Importing this package imports nothing heavy; each part comes when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sheetsync.errors import (
    Busy,
    ConfigError,
    MirrorError,
    NotFound,
    SheetChanged,
    SheetError,
    SheetsyncError,
    Shrunk,
    TrainingError,
)
from sheetsync.version import __version__

if TYPE_CHECKING:
    from sheetsync.api import OpenProject, Run, create_project, open_project
    from sheetsync.common.finding import Finding
    from sheetsync.project.gc import Garbage
    from sheetsync.sync.pipeline import Preview
    from sheetsync.sync.report import Report
    from sheetsync.versions.records import History

__all__ = [
    "Busy",
    "ConfigError",
    "Finding",
    "Garbage",
    "History",
    "MirrorError",
    "NotFound",
    "OpenProject",
    "Preview",
    "Report",
    "Run",
    "SheetChanged",
    "SheetError",
    "SheetsyncError",
    "Shrunk",
    "TrainingError",
    "__version__",
    "create_project",
    "open_project",
]
_MODULES = {  # imported when a name of theirs is asked for
    "Finding": "sheetsync.common.finding",
    "Garbage": "sheetsync.project.gc",
    "History": "sheetsync.versions.records",
    "Preview": "sheetsync.sync.pipeline",
    "Report": "sheetsync.sync.report",
} | dict.fromkeys(("OpenProject", "Run", "create_project", "open_project"), "sheetsync.api")


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'sheetsync' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
