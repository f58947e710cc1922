"""What one pass saw and did."""

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
    """What one pass saw and did; `sheetsync sync --json` prints it.

    `rows` counts rows whose image can be used. `restored` images came from the store without a request; `checked_at`
    addresses were asked whether they still give the same, and `changed_at` ones did not.
    `cells` counts cells written, those of new columns and rows too. `untrained` says why nothing could be
    trained, "" when a run stands behind this revision. `version` is the name of this revision, such as v13, and
    `step` what a pass that trained can say of it and the version before.
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
