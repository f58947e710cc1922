"""Content-addressed store of images, under `.sheetsync/objects/`, with a log of which address had which content.

Objects are never changed, so the dataset can consist of hard links to them, and an image whose row comes back
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

RENDERED = ".shown"  # follows the digest in the name of a rendering's file
MAX_STALE_LINES = 1000  # outdated lines that the fetch log may have, on top of as many as are current
_temporary_numbers = count()


@dataclass(frozen=True, slots=True)
class Staged:
    """A digest, and the temporary files written for it: pairs of a file's name and its target."""

    digest: str
    written: tuple[tuple[str, Path], ...]


@dataclass(frozen=True, slots=True)
class ImageStore:
    """A content-addressed store in a folder."""

    root: Path

    @property
    def fetch_log(self) -> FetchLog:
        """The log of which address had which content."""
        return FetchLog(self.root / "arrivals.tsv")

    @property
    def failed(self) -> Path:
        """The file of downloads that failed, for a `RetrySchedule`."""
        return self.root / "failed.json"

    def path(self, digest: str, suffix: str) -> Path:
        """Return the path of an image's original bytes."""
        return self.root / digest[:2] / f"{digest}{suffix}"

    def rendered_path(self, record: FetchRecord) -> Path:
        """Return the path of the file that the dataset shows: a rendering, or the original."""
        return self.path(record.digest, f"{RENDERED if record.original_suffix else ''}{record.suffix}")

    def is_intact(self, record: FetchRecord) -> bool:
        """Return True if an image is in the store, and whole: a power cut can leave a file shorter than it was."""
        path = self.path(record.digest, record.original_suffix or record.suffix)
        return self.rendered_path(record).exists() and path.exists() and file_digest(path) == record.digest

    def find_intact(self, digests: Iterable[str]) -> dict[str, Path]:
        """Find the file that the dataset shows for each digest. One that is missing or broken is left out."""
        wanted = set(digests)
        shown_rendered = {each.digest for each in self.fetch_log.latest().values() if each.original_suffix}
        rendered: dict[str, Path] = {}
        original: dict[str, Path] = {}
        for path in sorted(self.root.glob("[0-9a-f][0-9a-f]/*")):
            digest, _, rest = path.name.partition(".")
            if digest in wanted:
                (rendered if f".{rest}".startswith(f"{RENDERED}.") else original).setdefault(digest, path)
        whole = {digest for digest, path in original.items() if file_digest(path) == digest}
        return {digest: rendered.get(digest, original[digest]) for digest in whole - (shown_rendered - rendered.keys())}

    def stage(self, file: BinaryIO, picture: Picture) -> Staged:
        """Write a picture and its rendering to temporary files, for `commit`; what the store has is left out."""
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]  # type: ignore[arg-type]  # any readable file
        written = []
        rendered = self.path(digest, RENDERED + picture.rendered_suffix)
        # An equal rendering is kept as it is: the dataset may link to it.
        if picture.rendered and not (rendered.exists() and rendered.read_bytes() == picture.rendered):
            written.append(self._write(BytesIO(picture.rendered), rendered))
        target = self.path(digest, picture.suffix)
        if not (target.exists() and file_digest(target) == digest):
            written.append(self._write(file, target))
        return Staged(digest, tuple(written))

    def commit(self, staged: Iterable[Staged]) -> None:
        """Rename staged files to their targets after a sync, all at once: a disk syncs many as quickly as one.

        A file whose name states a digest therefore always has that content, even after a power cut.
        """
        written = [pair for each in staged for pair in each.written]
        try:
            sync_files([name for name, _ in written], self.root)
            for name, target in written:
                _move(name, target)
        except BaseException:
            for name, _ in written:
                Path(name).unlink(missing_ok=True)
            raise

    def _write(self, file: BinaryIO, target: Path) -> tuple[str, Path]:
        name = f"{self.root}/{TEMPORARY}{os.getpid()}-{next(_temporary_numbers)}"
        # Read-only: the dataset links to it, and an editor that saves in place must not change it.
        handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444)
        try:
            with open(handle, "wb") as out:  # noqa: PTH123  # a handle has no path
                file.seek(0)
                shutil.copyfileobj(file, out, 1 << 20)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return name, target

    def rewrite_log(self, records: Iterable[FetchRecord]) -> None:
        """Replace the fetch log by one with these records alone. Only under the project lock."""
        write_atomic(self.fetch_log.file, "".join(sorted(map(format_record, records))), synced=True)

    def compact_log(self) -> dict[str, FetchRecord]:
        """Return the last record of every address; rewrite the log where most of it is outdated.

        Only under the project lock.
        """
        latest, lines = self.fetch_log.latest_and_count()
        if lines > 2 * len(latest) + MAX_STALE_LINES:
            with suppress(OSError):  # a full disk fails no pass for this: the log stays as it is
                self.rewrite_log(latest.values())
        return latest

    def remove_temporary(self) -> None:
        """Remove the temporary files of a killed pass. Only under the project lock."""
        for leftover in self.root.glob(f"{TEMPORARY}*"):
            leftover.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """Return the first 32 hex characters of the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _move(name: str, target: Path) -> None:
    try:
        os.replace(name, target)  # noqa: PTH105  # called so often that making a Path takes noticeable time
    except FileNotFoundError:
        target.parent.mkdir(exist_ok=True)
        os.replace(name, target)  # noqa: PTH105


def link(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy where the file system has none. Replaces an existing file."""
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
