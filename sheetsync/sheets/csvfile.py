"""A sheet in a CSV file. What is not written stays as it was, to the byte."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from sheetsync.errors import SheetChanged, SheetError
from sheetsync.records import AddColumns, AddRow, Book, Calls, CellUpdate, Change, Tab, Table, Value, text

DELIMITERS = (",", ";", "\t")
BOM = "\ufeff"

_QUOTED = re.compile(r'"((?:[^"]++|"")*+)("?)(.*)', re.DOTALL)
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


class CsvSheet:
    """A CSV file as a sheet; its scores stand beside it, `labels.scores.csv` beside `labels.csv`.

    UTF-8 with or without BOM; comma, semicolon or tab. Only the cells written change: quoting, line ends,
    ragged rows and blank lines stay. The file is replaced in one step, so a reader sees the old or the new.
    """

    def __init__(self, path: Path) -> None:
        self._paths: dict[Tab, Path] = {"rows": path, "scores": path.with_name(f"{path.stem}.scores{path.suffix}")}
        self._reads = self._writes = 0

    @property
    def name(self) -> str:
        """The path of the file."""
        return str(self._paths["rows"])

    @property
    def calls(self) -> Calls:
        """How often the file was read and written so far."""
        return Calls(self._reads, self._writes)

    def read(self) -> Book:
        """Both files as they are now; see `Sheet.read`."""
        self._reads += 1
        data = self._load()
        documents = self._parse(data)
        return Book(documents["rows"].table(), documents["scores"].table(), _version(data))

    def write(self, book: Book, changes: Sequence[Change]) -> None:
        """Carry changes out; see `Sheet.write`. Raises `SheetChanged` when a byte differs from the reading."""
        if not changes:
            return
        self._writes += 1
        before = self._load()
        self._stop_unless(_version(before) == book.version)
        documents = self._parse(before)
        for change in changes:
            documents[change.tab].apply(change)
        touched = {change.tab for change in changes}
        self._replace(before, {tab: document.encode() for tab, document in documents.items() if tab in touched})

    def _load(self) -> dict[Tab, bytes]:
        rows, scores = self._paths["rows"], self._paths["scores"]
        return {"rows": _bytes(rows), "scores": _bytes(scores) if scores.exists() else b""}

    def _parse(self, data: Mapping[Tab, bytes]) -> dict[Tab, Document]:
        rows = _document(self._paths["rows"], data["rows"])
        return {"rows": rows, "scores": _document(self._paths["scores"], data["scores"], like=rows)}

    def _replace(self, before: Mapping[Tab, bytes], after: Mapping[Tab, bytes]) -> None:
        """Put new files in place, rows first: when people save just then, nothing at all was written."""
        with ExitStack() as stack:
            ready = {
                tab: stack.enter_context(_temporary(self._paths[tab], content, self._paths["rows"]))
                for tab, content in after.items()
                if content != before[tab]
            }
            self._stop_unless(self._load() == before)
            for tab, temporary in ready.items():
                self._stop_unless(_put(temporary, self._paths[tab], before[tab]))

    def _stop_unless(self, unchanged: bool) -> None:
        if not unchanged:
            raise SheetChanged(f"{self.name} was changed after it was read: read it again")


@dataclass(slots=True)
class Record:
    """One row as it stands in the file: its fields with their quotes, and the line end after them."""

    fields: list[str]
    end: str

    @property
    def values(self) -> tuple[str, ...]:
        """The fields as `csv.reader` gives them; none for a blank line."""
        return () if self.fields == [""] else tuple(map(unquote, self.fields))


@dataclass(slots=True)
class Document:
    """A CSV text in pieces that join to exactly that text, and the manner in which to write more of it."""

    records: list[Record]
    delimiter: str = ","
    end: str = "\n"
    bom: str = ""

    @classmethod
    def parse(cls, content: str, like: Document | None = None) -> Document:
        """Take a text apart; what it does not show itself (an empty one shows nothing) is as in `like`."""
        like = like or cls([])
        bom = BOM if content.startswith(BOM) else ""
        body = content[len(bom) :]
        delimiter = sniff(body, like.delimiter)
        records = parse(body, delimiter)
        end = records[0].end if records and records[0].end else like.end
        return cls(records, delimiter, end, bom if content else like.bom)

    def encode(self) -> bytes:
        """The bytes of the file. What no CSV can hold (a NUL, half a character) becomes a question mark."""
        body = "".join(self.delimiter.join(record.fields) + record.end for record in self.records)
        return (self.bom + body).replace("\0", "?").encode(errors="replace")

    def table(self) -> Table:
        """What the text says, without how it says it."""
        rows = tuple(record.values for record in self.records)
        return Table(rows[0], rows[1:]) if rows else Table()

    def apply(self, change: Change) -> None:
        """Carry one change out."""
        match change:
            case CellUpdate(_, row, column, value):
                self._set(row, column, value)
            case AddColumns(_, names):
                width = max((len(record.values) for record in self.records), default=0)
                for column, name in enumerate(names, width):
                    self._set(1, column, name)
            case AddRow(_, values):
                self._reach(row := len(self.records) + 1)
                for column, value in enumerate(values):
                    self._set(row, column, value)

    def _set(self, row: int, column: int, value: Value) -> None:
        self._reach(row)
        fields = self.records[row - 1].fields
        fields += [""] * (column + 1 - len(fields))
        shown = literal(value)
        if self.delimiter == ";" and isinstance(value, float):
            shown = shown.replace(".", ",")  # who separates by semicolon has the comma as decimal sign
        # The delimiter is found again by looking at the header, so no other one may stand there unquoted.
        fields[column] = quote(shown, "".join(DELIMITERS) if row == 1 else self.delimiter)

    def _reach(self, row: int) -> None:
        while len(self.records) < row:
            if self.records and not self.records[-1].end:
                self.records[-1].end = self.end
            self.records.append(Record([""], self.end))


def parse(content: str, delimiter: str) -> list[Record]:
    """Cut a text into records. Joining their fields and line ends gives the text again, whatever it is."""
    records: list[Record] = []
    fields: list[str] = []
    for field, end in _fields(content, delimiter):
        fields.append(field)
        if end != delimiter:
            records.append(Record(fields, end))
            fields = []
    return records


def sniff(content: str, default: str) -> str:
    """The delimiter found most often in the header, outside quotes."""
    ends = (end for _, end in _fields(content, "".join(DELIMITERS)))
    found = list(takewhile(DELIMITERS.__contains__, ends))
    return max(DELIMITERS, key=found.count) if found else default


def _fields(content: str, delimiters: str) -> Iterator[tuple[str, str]]:
    """Each field as it stands there, and what ends it: a delimiter, a line end, or "" for the end of the text."""
    pattern = rf'((?:"(?:[^"]++|"")*+"?)?[^{delimiters}\r\n]*+)([{delimiters}]|\r\n|\r|\n|\Z)'
    end = "\n"
    for match in re.finditer(pattern, content):
        if match.start() == len(content) and end not in tuple(delimiters):
            return
        field, end = match.groups()
        yield field, end


def unquote(field: str) -> str:
    """What a field says: `csv.reader` reads it the same way, stray quotes included."""
    quoted = _QUOTED.match(field)
    return quoted[1].replace('""', '"') + quoted[3] if quoted else field


def quote(value: str, delimiters: str) -> str:
    """A field that says `value`, in quotes where it needs them."""
    return '"' + value.replace('"', '""') + '"' if set(value) & {'"', "\r", "\n", *delimiters} else value


def literal(value: Value) -> str:
    """A value as the text of a cell that no spreadsheet program takes for a formula.

    >>> literal("=1+1"), literal("-5"), literal(-0.5)
    ("'=1+1", '-5', '-0.5')
    """
    risky = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    return f"'{value}" if risky and not _NUMBER.fullmatch(str(value)) else text(value)


def _version(data: Mapping[Tab, bytes]) -> str:
    return "-".join(hashlib.sha256(data[tab]).hexdigest() for tab in ("rows", "scores"))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = 'check `sheet` in sheetsync.toml and the rights of the file, or save the sheet there as "CSV UTF-8"'
        raise SheetError(f"{path} cannot be read: {error.strerror}; {hint}") from error


def _document(path: Path, data: bytes, like: Document | None = None) -> Document:
    try:
        # A NUL is no text either, and the sign of UTF-16, so it gets the same answer.
        document = Document.parse(data.replace(b"\0", b"\xff").decode(), like)
    except UnicodeDecodeError as error:
        line = len(re.split(rb"\r\n|\r|\n", data[: error.start]))
        hint = 'save it as "CSV UTF-8" in the spreadsheet program'
        raise SheetError(f"{path} is not UTF-8 text (byte {error.start + 1}, line {line}): {hint}") from error
    last = _QUOTED.match(document.records[-1].fields[-1]) if document.records else None
    if last and not last[2]:
        hint = "so the rows below cannot be told apart; close or remove it"
        raise SheetError(f"{path}, row {len(document.records)}: a quote is opened here and never closed, {hint}")
    return document


@contextmanager
def _temporary(path: Path, content: bytes, like: Path) -> Iterator[Path]:
    """A file with this content in the folder of `path`, with its rights or those of `like`; gone afterwards."""
    target = Path(os.path.realpath(path))  # so that a symlink stays one
    try:
        _sweep(target)
        handle, name = tempfile.mkstemp(".sheetsync", f".{target.name}.", target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            _copy_rights(target if target.exists() else like, Path(name))
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        hint = "check the rights of its folder and the space left, then try again"
        raise SheetError(f"{path} cannot be written: {error.strerror}; it is as it was; {hint}") from error


def _sweep(target: Path) -> None:
    """Remove what a killed process left beside a file."""
    for leftover in target.parent.iterdir():
        if leftover.name.startswith(f".{target.name}.") and leftover.suffix == ".sheetsync":
            leftover.unlink(missing_ok=True)


def _copy_rights(source: Path, target: Path) -> None:
    status = source.stat()
    with suppress(PermissionError):  # only root may give a file away
        os.chown(target, status.st_uid, status.st_gid)
    target.chmod(status.st_mode & 0o7777)


def _put(temporary: Path, path: Path, before: bytes) -> bool:
    """Put a file in the place of one that holds `before`; False, with no change, if it no longer does."""
    target = Path(os.path.realpath(path))
    if not _exchange(temporary, target):
        temporary.replace(target)
    # A look beforehand leaves a gap in which somebody may save; what came out in exchange leaves none.
    elif temporary.read_bytes() != before:
        _exchange(temporary, target)
        return False
    return True


def _exchange(one: Path, other: Path) -> bool:
    """Swap two files in one step; False where the system (or a missing file) does not let us."""
    import ctypes

    here, swap = -100, 2  # AT_FDCWD and RENAME_EXCHANGE, see renameat2(2)
    rename = getattr(ctypes.CDLL(None), "renameat2", lambda *_: -1)
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0)
