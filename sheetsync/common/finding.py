"""One line of a diagnosis: its state, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

FindingState: TypeAlias = Literal["ok", "note", "problem", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `sheetsync doctor`. `name` is that of its check, "" until the check is done.

    `todo` is what to do about it, "" where there is nothing to do or `said` has it already.
    """

    name: str
    state: FindingState
    said: str
    todo: str = ""


def ok(said: str) -> Finding:
    """A finding that all is well."""
    return Finding("", "ok", said)


def note(said: str, todo: str = "") -> Finding:
    """A finding that is worth knowing, and stops nothing."""
    return Finding("", "note", said, todo)


def problem(said: str, todo: str = "") -> Finding:
    """A finding that a pass will fail at."""
    return Finding("", "problem", said, todo)
