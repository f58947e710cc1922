"""What a pass saw when nothing was left to do: whoever sees the same need not look at every image again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sheetsync import __version__
from sheetsync.common.atomic import write_atomic


@dataclass(frozen=True, slots=True)
class FingerprintFile:
    """A file with the mark of all that a pass depends on. Without it, a pass looks again."""

    file: Path

    def matches(self, mark: str) -> bool:
        """Whether this is what was seen the last time."""
        try:
            return self.file.read_text(encoding="utf-8") == f"{mark}\n"
        except (OSError, UnicodeDecodeError):
            return False

    def save(self, mark: str) -> None:
        """Note that nothing is left to do for what has this mark."""
        if not self.matches(mark):
            write_atomic(self.file, f"{mark}\n")


def fingerprint(facts: Iterable[object]) -> str:
    """64 hex characters that differ where facts do, or the version of sheetsync. `repr` shows all of a fact.

    >>> fingerprint([1, "a"]) == fingerprint([1, "a"]), fingerprint([1, "a"]) == fingerprint(["1", "a"])
    (True, False)
    """
    found = hashlib.sha256(__version__.encode())
    for fact in facts:
        found.update(f"\n{fact!r}".encode("utf-8", "backslashreplace"))
    return found.hexdigest()
