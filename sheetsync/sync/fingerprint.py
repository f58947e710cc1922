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
    """A file with the fingerprint of the last up-to-date pass and the name of its version.

    Without it, a pass reviews every image. With it, an up-to-date pass need not read every run to count versions.
    """

    file: Path

    def matches(self, digest: str) -> bool:
        """Return True if the last pass saw the same."""
        return self._load()[0] == digest

    def version(self) -> str:
        """Return the name of the version that was saved, "" where there was none."""
        return self._load()[1]

    def save(self, digest: str, version: str) -> None:
        """Note that nothing is left to do while the fingerprint stays this one."""
        if self._load() != (digest, version):
            write_atomic(self.file, f"{digest}\n{version}\n")

    def _load(self) -> tuple[str, str]:
        try:
            digest, _, version = self.file.read_text(encoding="utf-8").partition("\n")
        except (OSError, UnicodeDecodeError):
            return "", ""
        return digest, version.strip()


def fingerprint(facts: Iterable[object]) -> str:
    """Return the SHA-256, 64 hex characters, of the `repr` of each fact and of the version of sheetsync.

    >>> fingerprint([1, "a"]) == fingerprint([1, "a"]), fingerprint([1, "a"]) == fingerprint(["1", "a"])
    (True, False)
    """
    found = hashlib.sha256(__version__.encode())
    for fact in facts:
        found.update(f"\n{fact!r}".encode("utf-8", "backslashreplace"))
    return found.hexdigest()
