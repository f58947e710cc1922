"""The report of one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sheetsync.images.records import Failure
from sheetsync.rows.records import Issue
from sheetsync.rows.table import Calls
from sheetsync.versions.records import Step


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one pass: what it found and did. `sheetsync sync --json` prints every field.

    `rows` counts rows whose image can be used. `restored` images came from the store without a request; `asked`
    addresses were asked whether their image has changed, and that of `changed` ones had.
    `cells` counts cells written, those of new columns and rows too. `untrained` says why nothing could be
    trained, "" if there is a run of this revision. `version` is the name of this revision, such as v13, and
    `step` compares it with the version before, in a pass that trained.
    """

    sheet: str
    rows: int
    issues: tuple[Issue, ...]
    failures: tuple[Failure, ...]
    downloaded: int
    restored: int
    moved: int
    deleted: int
    images: Mapping[str, int]
    trained: bool
    untrained: str
    revision: str
    run: str
    score: Mapping[str, Any]
    cells: int
    calls: Calls
    seconds: Mapping[str, float]
    version: str = ""
    step: Step | None = None
    asked: int = 0
    changed: int = 0
