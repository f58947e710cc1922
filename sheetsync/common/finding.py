"""One line of a diagnosis: its state, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

FindingState: TypeAlias = Literal["ok", "note", "problem", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `sheetsync doctor`. `name` is that of its check, "" until the check is done.

    `said` is what was found, `todo` what to do about it: "" if nothing, or if `said` says it already.
    """

    name: str
    state: FindingState
    said: str
    todo: str = ""


def ok(said: str) -> Finding:
    """Return a finding that all is well."""
    return Finding("", "ok", said)


def note(said: str, todo: str = "") -> Finding:
    """Return a finding that is worth knowing, and stops nothing."""
    return Finding("", "note", said, todo)


def problem(said: str, todo: str = "") -> Finding:
    """Return a finding that a pass will fail at."""
    return Finding("", "problem", said, todo)
