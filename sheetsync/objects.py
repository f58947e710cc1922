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
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from sheetsync.arrivals import Arrivals
from sheetsync.pictures import Picture
from sheetsync.records import Arrival

TEMPORARY = ".tmp-"
SHOWN = ".shown"


@dataclass(frozen=True, slots=True)
class Objects:
    """A content-addressed store in a folder."""

    root: Path

    @property
    def arrivals(self) -> Arrivals:
        """What every address gave."""
        return Arrivals(self.root / "arrivals.tsv")

    def path(self, digest: str, suffix: str) -> Path:
        """Where bytes are kept as they came."""
        return self.root / digest[:2] / f"{digest}{suffix}"

    def shown(self, arrival: Arrival) -> Path:
        """The file that the mirror shows."""
        return self.path(arrival.digest, f"{SHOWN if arrival.original else ''}{arrival.suffix}")

    def holds(self, arrival: Arrival) -> bool:
        """Whether an object is there and whole: a power cut can leave less than was written."""
        path = self.path(arrival.digest, arrival.original or arrival.suffix)
        return self.shown(arrival).exists() and path.exists() and file_digest(path) == arrival.digest

    def keep(self, file: BinaryIO, picture: Picture) -> str:
        """Take the bytes of a picture into the store, and how it is shown; gives their digest."""
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]  # type: ignore[arg-type]  # any readable file
        if picture.shown:
            self._write(self.path(digest, SHOWN + picture.shown_suffix), BytesIO(picture.shown))
        target = self.path(digest, picture.suffix)
        if not (target.exists() and file_digest(target) == digest):
            self._write(target, file)
        return digest

    def _write(self, target: Path, file: BinaryIO) -> None:
        """Under a name that promises this content it is never less than whole."""
        target.parent.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=self.root)
        try:
            with os.fdopen(handle, "wb") as out:
                file.seek(0)
                shutil.copyfileobj(file, out, 1 << 20)
                out.flush()
                os.fsync(out)
                os.fchmod(handle, 0o444)  # the mirror links to it: an editor that saves in place must not reach it
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

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
    try:
        os.link(source, target)
    except OSError:
        _replace(source, target)


def _replace(source: Path, target: Path) -> None:
    temporary = target.parent / f"{TEMPORARY}{target.name}"
    temporary.unlink(missing_ok=True)
    with _gone_if_it_fails(temporary):
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
            temporary.chmod(0o444)  # as the object is
        temporary.replace(target)
    temporary.unlink(missing_ok=True)  # renaming one hard link of a file onto another does nothing


def write_text(path: Path, text: str) -> None:
    """Replace a file others may read: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{path.name}"
    with _gone_if_it_fails(temporary):
        temporary.write_text(text, encoding="utf-8", newline="")
        temporary.replace(path)


@contextmanager
def _gone_if_it_fails(temporary: Path) -> Iterator[None]:
    """A full disk is not to stay full of what did not fit."""
    try:
        yield
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
