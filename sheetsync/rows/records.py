"""Rows of a sheet and issues with them, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """A usable row: one image. `label` "" = not labelled yet, `split` "" = to be assigned from the image."""

    number: int
    key: str
    url: str
    label: str = ""
    split: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Issue:
    """A problem of a row, in words for an annotator. A row with a mere warning is used."""

    number: int
    problem: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The parsed rows of one reading. `rows` has one row per key; `keys` maps every row number to its key."""

    rows: tuple[Row, ...] = ()
    issues: tuple[Issue, ...] = ()
    keys: Mapping[int, str] = field(default_factory=dict)
