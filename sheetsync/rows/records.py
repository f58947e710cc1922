"""The values that pass from stage to stage. All are frozen; nothing here reads or writes anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """A usable row: one image. `label` "" = not labelled yet, `split` "" = assign from the image."""

    number: int
    key: str
    url: str
    label: str = ""
    split: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Issue:
    """What is wrong with a row, in words for an annotator. A warning leaves the row in use."""

    number: int
    problem: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a sheet said at one moment. `rows` has one row a key; `keys` gives the key of every row number."""

    rows: tuple[Row, ...] = ()
    issues: tuple[Issue, ...] = ()
    keys: Mapping[int, str] = field(default_factory=dict)
