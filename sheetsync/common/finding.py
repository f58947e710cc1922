"""One line of a diagnosis: its state, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

FindingState: TypeAlias = Literal["ok", "note", "problem", "skipped"]


Answer: TypeAlias = tuple[FindingState, str, str]  # what one check found: a `Finding` without its name


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `sheetsync doctor`. `todo` is what to do about it, "" where nothing is or `said` has it already."""

    name: str
    state: FindingState
    said: str
    todo: str = ""
