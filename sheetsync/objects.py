"""Images, each content once, under `.sheetsync/objects/`; and which address gave which content.

Objects are never changed, so the mirror can be hard links into them, and an image whose row comes back
needs no second download.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sheetsync.records import Arrival

TEMPORARY = ".tmp-"


@dataclass(frozen=True, slots=True)
class Objects:
    """A content-addressed store in a folder."""

    root: Path

    def path(self, digest: str, suffix: str) -> Path:
        """Where an object is kept."""
        return self.root / digest[:2] / f"{digest}{suffix}"

    def holds(self, arrival: Arrival) -> bool:
        """Whether an object is there and whole: a power cut can leave less than was written."""
        path = self.path(arrival.digest, arrival.suffix)
        return path.exists() and file_digest(path) == arrival.digest

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A new empty file in the store's folder, gone afterwards unless `keep` took it."""
        self.root.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=self.root)
        os.close(handle)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def keep(self, key: str, temporary: Path, suffix: str) -> Arrival:
        """Move a whole file into the store and remember which row's address gave it."""
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
            os.fsync(file)  # its name will promise this content
        target = self.path(digest, suffix)
        target.parent.mkdir(exist_ok=True)
        temporary.chmod(0o444)  # the mirror links to it: an editor that saves in place must not reach it
        temporary.replace(target)
        return Arrival(key, digest, suffix)

    def remember(self, arrival: Arrival) -> None:
        """Note which content an address gave. A line cut short by a crash is not read back."""
        with (self.root / "arrivals.tsv").open("a", encoding="utf-8") as log:
            log.write(f"{arrival.key}\t{arrival.digest}\t{arrival.suffix}\n")

    def known(self) -> dict[str, Arrival]:
        """The latest content that every address ever gave, where it is still kept."""
        arrivals: dict[str, Arrival] = {}
        with suppress(FileNotFoundError):
            for line in (self.root / "arrivals.tsv").read_text(encoding="utf-8").splitlines(keepends=True):
                parts = line.rstrip("\n").split("\t")
                if line.endswith("\n") and len(parts) == 3:
                    arrivals[parts[0]] = Arrival(*parts)
        return arrivals

    def sweep(self) -> None:
        """Remove what a killed pass left half written. Only under the lock."""
        for leftover in self.root.glob(f"{TEMPORARY}*"):
            leftover.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """The first 32 hex characters of the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`; a copy where the file system has no hard links. Replaces it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f"{TEMPORARY}{target.name}"
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)
    temporary.unlink(missing_ok=True)  # renaming one hard link of a file onto another does nothing


def write_text(path: Path, text: str) -> None:
    """Replace a file others may read: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{path.name}"
    temporary.write_text(text, encoding="utf-8", newline="")
    temporary.replace(path)
