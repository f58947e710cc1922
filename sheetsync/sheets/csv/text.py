"""Lossless CSV parser: records that join to exactly the text they came from, so that writing a cell changes only it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from sheetsync.rows.table import AddColumns, AddRow, CellUpdate, Change, Table, Value, format_value

DELIMITERS = (",", ";", "\t")
BOM = "\ufeff"

_QUOTED = re.compile(r'"((?:[^"]++|"")*+)("?)(.*)', re.DOTALL)
_PLAIN = re.compile(r'([^"\r\n]*+)(\r\n|\r|\n|\Z)')  # a line without a quote is a record
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(slots=True)
class Record:
    """One row as in the file: its fields with their quotes, and the line end after them."""

    fields: list[str]
    end: str

    @property
    def values(self) -> tuple[str, ...]:
        """The fields as `csv.reader` returns them; none for a blank line."""
        if '"' in "".join(self.fields):
            return tuple([unquote_field(field) if field.startswith('"') else field for field in self.fields])
        return () if self.fields == [""] else tuple(self.fields)


@dataclass(slots=True)
class Document:
    """A CSV text as records that join to exactly that text, and the format in which to write more of them."""

    records: list[Record]
    delimiter: str = ","
    end: str = "\n"
    bom: str = ""

    @classmethod
    def parse(cls, content: str, like: Document | None = None) -> Document:
        """Parse a text; what of its format it does not show (an empty one shows nothing) is as in `like`."""
        like = like or cls([])
        bom = BOM if content.startswith(BOM) else ""
        body = content[len(bom) :]
        delimiter = sniff_delimiter(body, like.delimiter)
        records = split_records(body, delimiter)
        end = records[0].end if records and records[0].end else like.end
        return cls(records, delimiter, end, bom if content else like.bom)

    def encode(self) -> bytes:
        """Return the bytes of the file. What no CSV can hold (a NUL, half a character) becomes a question mark."""
        body = "".join(self.delimiter.join(record.fields) + record.end for record in self.records)
        return (self.bom + body).replace("\0", "?").encode(errors="replace")

    def table(self) -> Table:
        """Return the cells, without quotes."""
        rows = tuple(record.values for record in self.records)
        return Table(rows[0], rows[1:]) if rows else Table()

    def has_unclosed_quote(self) -> bool:
        """True if a quote in the last record is never closed: that record has swallowed all rows below it."""
        last = _QUOTED.match(self.records[-1].fields[-1]) if self.records else None
        return last is not None and not last[2]

    def apply(self, change: Change) -> None:
        """Carry one change out."""
        match change:
            case CellUpdate(_, row, column, value):
                self._set(row, column, value)
            case AddColumns(_, names):
                self._add_columns(names)
            case AddRow(_, values):
                self._extend_to(row := len(self.records) + 1)
                for column, value in enumerate(values):
                    self._set(row, column, value)

    def _add_columns(self, names: Sequence[str]) -> None:
        self._extend_to(1)
        header, *rows = self.records
        header_width = len(header.values)
        width = max(len(record.values) for record in self.records)
        for record in rows:
            if len(record.values) == header_width == width:  # a table without ragged rows stays one
                record.fields += [""] * len(names)
        for column, name in enumerate(names, width):
            self._set(1, column, name)

    def _set(self, row: int, column: int, value: Value) -> None:
        self._extend_to(row)
        fields = self.records[row - 1].fields
        fields += [""] * (column + 1 - len(fields))
        written = format_cell(value)
        if self.delimiter == ";" and isinstance(value, float):
            written = written.replace(".", ",")  # in such files, the comma is the decimal sign
        # The delimiter is found again from the header, so no other one may stand there unquoted.
        fields[column] = quote_field(written, "".join(DELIMITERS) if row == 1 else self.delimiter)

    def _extend_to(self, row: int) -> None:
        while len(self.records) < row:
            if self.records and not self.records[-1].end:
                self.records[-1].end = self.end
            self.records.append(Record([""], self.end))


def split_records(content: str, delimiter: str) -> list[Record]:
    """Split a text into records. Joining their fields and line ends returns the same text, whatever it is."""
    records: list[Record] = []
    start = 0
    while start < len(content):
        line = _PLAIN.match(content, start)
        record = Record(line[1].split(delimiter), line[2]) if line else _parse_record(content, start, delimiter)
        records.append(record)
        start = line.end() if line else start + sum(map(len, record.fields)) + len(record.fields) - 1 + len(record.end)
    return records


def _parse_record(content: str, start: int, delimiter: str) -> Record:
    """Parse the record at `start`, which holds a quote."""
    fields = []
    for field, end in _fields(content, delimiter, start):
        fields.append(field)
        if end != delimiter:
            break
    return Record(fields, end)


def sniff_delimiter(content: str, default: str) -> str:
    """Return the delimiter that is most frequent in the header, outside quotes."""
    ends = (end for _, end in _fields(content, "".join(DELIMITERS)))
    found = list(takewhile(DELIMITERS.__contains__, ends))
    return max(DELIMITERS, key=found.count) if found else default


def _fields(content: str, delimiters: str, start: int = 0) -> Iterator[tuple[str, str]]:
    """Yield each field with its quotes, and what ends it: a delimiter, a line end, or "" for the end of the text."""
    pattern = rf'((?:"(?:[^"]++|"")*+"?)?[^{delimiters}\r\n]*+)([{delimiters}]|\r\n|\r|\n|\Z)'
    end = "\n"
    for match in re.compile(pattern).finditer(content, start):
        if match.start() == len(content) and end not in tuple(delimiters):
            return
        field, end = match.groups()
        yield field, end


def unquote_field(field: str) -> str:
    """Remove the quotes of a field, as `csv.reader` does, stray quotes included."""
    quoted = _QUOTED.match(field)
    return quoted[1].replace('""', '"') + quoted[3] if quoted else field


def quote_field(value: str, delimiters: str) -> str:
    """Put quotes around a value if it needs them as a field."""
    return '"' + value.replace('"', '""') + '"' if set(value) & {'"', "\r", "\n", *delimiters} else value


def format_cell(value: Value) -> str:
    """Format a value as the text of a cell, with an apostrophe where it would be a formula (CSV injection).

    >>> format_cell("=1+1"), format_cell("-5"), format_cell(-0.5)
    ("'=1+1", '-5', '-0.5')
    """
    risky = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    return f"'{value}" if risky and not _NUMBER.fullmatch(str(value)) else format_value(value)
