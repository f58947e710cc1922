"""A CSV file as a `Sheet`: atomic writes that leave every other cell as it was, to the byte."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.header import ColumnHeaders
from sheetsync.rows.table import Book, Calls, Change, Tab
from sheetsync.sheets.csv.text import Document


@dataclass(frozen=True, slots=True)
class _Reading:
    """The last reading, kept so that an unchanged file is not parsed again."""

    data: Mapping[Tab, bytes]
    documents: Mapping[Tab, Document]
    book: Book


class CsvSheet:
    """A CSV file as a sheet; its scores stand beside it, `labels.scores.csv` beside `labels.csv`.

    UTF-8 with or without a BOM; comma, semicolon or tab. Only the cells written change: quoting, line ends,
    ragged rows and blank lines stay. The file is replaced atomically, so a reader sees the old or the new.
    """

    def __init__(self, path: Path) -> None:
        self._paths: dict[Tab, Path] = {"rows": path, "scores": path.with_name(f"{path.stem}.scores{path.suffix}")}
        self._reads = self._writes = 0
        self._last: _Reading | None = None

    @property
    def name(self) -> str:
        """The path of the file."""
        return str(self._paths["rows"])

    identity = name

    @property
    def calls(self) -> Calls:
        """How often the file was read and written so far."""
        return Calls(self._reads, self._writes)

    def read(self) -> Book:
        """Read both files; see `Sheet.read`."""
        self._reads += 1
        data = self._load()
        if self._last is None or self._last.data != data:
            documents = self._parse(data)
            book = Book(documents["rows"].table(), documents["scores"].table(), _version(data))
            self._last = _Reading(data, documents, book)
        return self._last.book

    def write(self, book: Book, changes: Sequence[Change]) -> None:
        """Carry changes out; see `Sheet.write`. Raises `SheetChanged` when a byte differs from the reading."""
        if not changes:
            return
        self._writes += 1
        before = self._load()
        self._require_unchanged(_version(before) == book.version)
        last, self._last = self._last, None  # its documents are changed below
        documents = last.documents if last and last.data == before else self._parse(before)
        for change in changes:
            documents[change.tab].apply(change)
        touched = {change.tab for change in changes}
        self._replace(before, {tab: document.encode() for tab, document in documents.items() if tab in touched})

    def formatter(self, columns: ColumnHeaders, memory: Path) -> None:
        """Return None: a CSV file has no formatting."""

    def _load(self) -> dict[Tab, bytes]:
        rows, scores = self._paths["rows"], self._paths["scores"]
        return {"rows": _read_bytes(rows), "scores": _read_bytes(scores) if scores.exists() else b""}

    def _parse(self, data: Mapping[Tab, bytes]) -> dict[Tab, Document]:
        rows = _parse_document(self._paths["rows"], data["rows"])
        return {"rows": rows, "scores": _parse_document(self._paths["scores"], data["scores"], like=rows)}

    def _replace(self, before: Mapping[Tab, bytes], after: Mapping[Tab, bytes]) -> None:
        """Put new files in place, rows first. Raises `SheetChanged`, with no change, if people save meanwhile."""
        with ExitStack() as stack:
            ready = {
                tab: stack.enter_context(_temporary(self._paths[tab], content, self._paths["rows"]))
                for tab, content in after.items()
                if content != before[tab]
            }
            self._require_unchanged(self._load() == before)
            for tab, temporary in ready.items():
                self._require_unchanged(_replace_if_unchanged(temporary, self._paths[tab], before[tab]))

    def _require_unchanged(self, unchanged: bool) -> None:
        if not unchanged:
            raise SheetChanged(f"{self.name} was changed after it was read: read it again")


def _version(data: Mapping[Tab, bytes]) -> str:
    return "-".join(hashlib.sha256(data[tab]).hexdigest() for tab in ("rows", "scores"))


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = 'check `sheet` in sheetsync.toml and the rights of the file, or save the sheet there as "CSV UTF-8"'
        raise SheetError(f"{path} cannot be read: {error.strerror}; {hint}") from error


def _parse_document(path: Path, data: bytes, like: Document | None = None) -> Document:
    try:
        # A NUL is not text either, and a sign of UTF-16: replaced by a byte that UTF-8 never has, it is the same error.
        document = Document.parse(data.replace(b"\0", b"\xff").decode(), like)
    except UnicodeDecodeError as error:
        line = len(re.split(rb"\r\n|\r|\n", data[: error.start]))
        hint = 'save it as "CSV UTF-8" in the spreadsheet program'
        raise SheetError(f"{path} is not UTF-8 text (byte {error.start + 1}, line {line}): {hint}") from error
    if document.has_unclosed_quote():
        hint = "so the rows below cannot be told apart; close or remove it"
        raise SheetError(f"{path}, row {len(document.records)}: a quote is opened here and never closed, {hint}")
    return document


@contextmanager
def _temporary(path: Path, content: bytes, like: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`, with the permissions of `path` or else of `like`; remove it afterwards."""
    target = Path(os.path.realpath(path))  # so that a symlink stays one
    try:
        for leftover in target.parent.iterdir():  # of a process that was killed
            if leftover.name.startswith(f".{target.name}.") and leftover.suffix == ".sheetsync":
                leftover.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(".sheetsync", f".{target.name}.", target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            _copy_owner_and_mode(target if target.exists() else like, Path(name))
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        hint = "check the rights of its folder and the space left, then try again"
        raise SheetError(f"{path} cannot be written: {error.strerror}; it is as it was; {hint}") from error


def _copy_owner_and_mode(source: Path, target: Path) -> None:
    status = source.stat()
    with suppress(PermissionError):  # only root may give a file away
        os.chown(target, status.st_uid, status.st_gid)
    target.chmod(status.st_mode & 0o7777)


def _replace_if_unchanged(temporary: Path, path: Path, before: bytes) -> bool:
    """Replace a file that holds `before` (compare-and-swap); return False, with no change, if it no longer does."""
    target, after = Path(os.path.realpath(path)), temporary.read_bytes()
    if not _swap_files(temporary, target):
        temporary.replace(target)
    # Checking before the rename leaves a gap in which somebody may save; checking what was swapped out leaves none.
    elif temporary.read_bytes() != before:
        _swap_files(temporary, target)
        if temporary.read_bytes() != after:  # saved again in between: the newest save is the one to keep
            _swap_files(temporary, target)
        return False
    return True


def _swap_files(one: Path, other: Path) -> bool:
    """Swap two files atomically; False where the system cannot, or one is missing."""
    import ctypes

    at_fdcwd, rename_exchange = -100, 2  # see renameat2(2)
    rename = getattr(ctypes.CDLL(None), "renameat2", lambda *_: -1)
    return bool(rename(at_fdcwd, os.fsencode(one), at_fdcwd, os.fsencode(other), rename_exchange) == 0)
