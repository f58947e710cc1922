"""Fingerprint of the last pass that left nothing to do: an equal one skips reviewing every image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sheetsync.common.atomic import write_atomic
from sheetsync.version import __version__


@dataclass(frozen=True, slots=True)
class FingerprintFile:
    """A file with the fingerprint of all that a pass depends on. Without it, a pass reviews every image."""

    file: Path

    def matches(self, digest: str) -> bool:
        """Return True if the last pass saw the same."""
        try:
            return self.file.read_text(encoding="utf-8") == f"{digest}\n"
        except (OSError, UnicodeDecodeError):
            return False

    def save(self, digest: str) -> None:
        """Note that nothing is left to do while the fingerprint stays this one."""
        if not self.matches(digest):
            write_atomic(self.file, f"{digest}\n")


def fingerprint(facts: Iterable[object]) -> str:
    """Return the SHA-256, 64 hex characters, of the `repr` of each fact and of the version of sheetsync.

    >>> fingerprint([1, "a"]) == fingerprint([1, "a"]), fingerprint([1, "a"]) == fingerprint(["1", "a"])
    (True, False)
    """
    found = hashlib.sha256(__version__.encode())
    for fact in facts:
        found.update(f"\n{fact!r}".encode("utf-8", "backslashreplace"))
    return found.hexdigest()
