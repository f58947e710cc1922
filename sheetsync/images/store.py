"""Images, each content once, under `.sheetsync/objects/`; and which address gave which content.

Objects are never changed, so the mirror can be hard links into them, and an image whose row comes back
needs no second download.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import BinaryIO

from sheetsync.common.atomic import TEMPORARY, remove_on_failure, sync_files, write_atomic
from sheetsync.images.decode.decode import Picture
from sheetsync.images.fetch_log import FetchLog, format_record
from sheetsync.images.records import FetchRecord

RENDERED = ".shown"


_NUMBERS = count()
SPARE = 1000  # lines of the log of addresses that may count no more, beside as many as do count


@dataclass(frozen=True, slots=True)
class Staged:
    """A digest, and files that were written for it: their names, and where they belong."""

    digest: str
    written: tuple[tuple[str, Path], ...]


@dataclass(frozen=True, slots=True)
class ImageStore:
    """A content-addressed store in a folder."""

    root: Path

    @property
    def fetch_log(self) -> FetchLog:
        """What every address gave."""
        return FetchLog(self.root / "arrivals.tsv")

    @property
    def failed(self) -> Path:
        """The file of downloads that failed, for a `RetrySchedule`."""
        return self.root / "failed.json"

    def path(self, digest: str, suffix: str) -> Path:
        """Where bytes are kept as they came."""
        return self.root / digest[:2] / f"{digest}{suffix}"

    def rendered_path(self, arrival: FetchRecord) -> Path:
        """The file that the mirror shows."""
        return self.path(arrival.digest, f"{RENDERED if arrival.original_suffix else ''}{arrival.suffix}")

    def is_intact(self, arrival: FetchRecord) -> bool:
        """Whether an object is there and whole: a power cut can leave less than was written."""
        path = self.path(arrival.digest, arrival.original_suffix or arrival.suffix)
        return self.rendered_path(arrival).exists() and path.exists() and file_digest(path) == arrival.digest

    def stage(self, file: BinaryIO, picture: Picture) -> Staged:
        """Write the bytes of a picture, and how it is shown, so that `commit` can put them in their place."""
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]  # type: ignore[arg-type]  # any readable file
        written = []
        shown = self.path(digest, RENDERED + picture.rendered_suffix)
        if picture.rendered and not _holds(shown, picture.rendered):  # the mirror may link to it
            written.append(self._write(BytesIO(picture.rendered), shown))
        target = self.path(digest, picture.suffix)
        if not (target.exists() and file_digest(target) == digest):
            written.append(self._write(file, target))
        return Staged(digest, tuple(written))

    def commit(self, staged: Iterable[Staged]) -> None:
        """Put what was staged in its place, all of it at once: a disk is as long about many files as about one.

        Under a name that promises a content there is never less, not even after a power cut.
        """
        written = [each for one in staged for each in one.written]
        try:
            sync_files([name for name, _ in written], self.root)
            for name, target in written:
                _move(name, target)
        except BaseException:
            for name, _ in written:
                Path(name).unlink(missing_ok=True)
            raise

    def _write(self, file: BinaryIO, target: Path) -> tuple[str, Path]:
        name = f"{self.root}/{TEMPORARY}{os.getpid()}-{next(_NUMBERS)}"
        # Nobody may write: the mirror links to it, and an editor that saves in place must not reach it.
        handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444)
        try:
            with open(handle, "wb") as out:  # noqa: PTH123  # a handle has no path
                file.seek(0)
                shutil.copyfileobj(file, out, 1 << 20)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return name, target

    def rewrite_log(self, arrivals: Iterable[FetchRecord]) -> None:
        """Write the log of addresses anew, with these alone. Only under the lock."""
        write_atomic(self.fetch_log.file, "".join(sorted(map(format_record, arrivals))), synced=True)

    def compact_log(self) -> dict[str, FetchRecord]:
        """What every address gave; the log is written anew where most of it counts no more. Only under the lock."""
        known, lines = self.fetch_log.latest_and_count()
        if lines > 2 * len(known) + SPARE:
            with suppress(OSError):  # no pass is to fail for it: without room the log stays as it is
                self.rewrite_log(known.values())
        return known

    def remove_temporary(self) -> None:
        """Remove what a killed pass left half written. Only under the lock."""
        for leftover in self.root.glob(f"{TEMPORARY}*"):
            leftover.unlink(missing_ok=True)


def _holds(path: Path, content: bytes) -> bool:
    return path.exists() and path.stat().st_size == len(content) and path.read_bytes() == content


def file_digest(path: Path) -> str:
    """The first 32 hex characters of the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _move(name: str, target: Path) -> None:
    try:
        os.replace(name, target)  # noqa: PTH105  # so often that a path for it is felt
    except FileNotFoundError:
        target.parent.mkdir(exist_ok=True)
        os.replace(name, target)  # noqa: PTH105


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`; a copy where the file system has no hard links. Replaces it."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True)
        _replace(source, target)
    except OSError:
        _replace(source, target)


def _replace(source: Path, target: Path) -> None:
    temporary = target.parent / f"{TEMPORARY}{target.name}"
    temporary.unlink(missing_ok=True)
    with remove_on_failure(temporary):
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
            temporary.chmod(0o444)  # as the object is
        temporary.replace(target)
    temporary.unlink(missing_ok=True)  # renaming one hard link of a file onto another does nothing
