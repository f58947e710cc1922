"""From the cells of a sheet to rows: which are usable, and what is wrong with the others.

Everything a model sees depends on the set of rows alone, never on their order, so that sorting a sheet
changes nothing: where two rows disagree about one image, neither wins.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit

from sheetsync.errors import SheetError
from sheetsync.records import MACHINE_COLUMNS, SKIP, SPLITS, Issue, Row, Snapshot, Table

FORMULA = re.compile(r'=\s*(?:IMAGE|HYPERLINK)\s*\(\s*"((?:[^"]|"")*)"\s*[,;)]', re.IGNORECASE)
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
LABEL_BYTES = 200  # file systems take 255 bytes for a folder name
URL_CHARS = 8000
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, halves of a character
BLANK = ("Zs", "Zl", "Zp", "Cf")  # Unicode categories: blanks, and what has no width at all


@dataclass(frozen=True, slots=True)
class Columns:
    """The headers to look for. `image` may have several names, the first found counts.

    `machine` maps the columns sheetsync fills (`records.MACHINE_COLUMNS`) to what they are called here.
    """

    image: tuple[str, ...] = ("image", "image_url", "url")
    label: str = "label"
    split: str = "split"
    tags: tuple[str, ...] = ()
    machine: Mapping[str, str] = field(default_factory=lambda: {name: name for name in MACHINE_COLUMNS})


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns stand in one reading, counted from 0; None or absent where there is none."""

    image: int
    label: int
    split: int | None
    tags: Mapping[str, int]
    machine: Mapping[str, int]


# --- the header -----------------------------------------------------------------------------------


def layout(table: Table, columns: Columns) -> Layout:
    """Find the columns by their headers, ignoring case and surrounding blanks.

    Raises `SheetError` for an empty sheet, a missing column, or one of ours that occurs twice.
    """
    places = _places(table.header)
    image = next((place for name in columns.image if (place := _place(places, name)) is not None), None)
    label = _place(places, columns.label)
    tags = {tag: _place(places, tag) for tag in columns.tags}
    _require(table, {" or ".join(columns.image): image, columns.label: label, **tags})
    assert image is not None  # noqa: S101  # just required
    assert label is not None  # noqa: S101
    machine = {name: _place(places, header) for name, header in columns.machine.items()}
    return Layout(image, label, _place(places, columns.split), _found(tags), _found(machine))


def _places(header: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(header):
        places[_header(name)].append(place)
    return places


def _header(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()


def _place(places: Mapping[str, list[int]], name: str) -> int | None:
    found = places.get(_header(name), [])
    if len(found) > 1:
        where = " and ".join(column_letter(place) for place in found)
        raise SheetError(f"the header '{name}' occurs twice, in columns {where}: rename one of them")
    return found[0] if found else None


def _require(table: Table, wanted: Mapping[str, int | None]) -> None:
    missing = [name for name, place in wanted.items() if place is None]
    if not any(cell.strip() for cell in table.header):
        raise SheetError(f"the sheet is empty: its first row must hold the headers {', '.join(wanted)}")
    if missing:
        found = ", ".join(_shown(cell.strip()) for cell in table.header if cell.strip())
        raise SheetError(
            f"no column is called {', nor '.join(missing)} (found: {found}): rename a header in row 1, "
            "or name yours under [columns] in sheetsync.toml"
        )


def _found(places: Mapping[str, int | None]) -> dict[str, int]:
    return {name: place for name, place in places.items() if place is not None}


def column_letter(column: int) -> str:
    """The letters a spreadsheet shows for a column counted from 0.

    >>> column_letter(0), column_letter(25), column_letter(26)
    ('A', 'Z', 'AA')
    """
    letters = ""
    while column >= 0:
        column, rest = divmod(column, 26)
        letters = chr(ord("A") + rest) + letters
        column -= 1
    return letters


# --- one cell -------------------------------------------------------------------------------------


def image_key(url: str) -> str:
    """The identity of an image row: 20 hex characters of the SHA-256 of its normalised URL."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def read_image(cell: str, *, local: bool) -> str:
    """The normalised URL in an image cell, or a relative path where `local` allows one.

    Raises `ValueError` with a sentence for an annotator.

    >>> read_image('=IMAGE("HTTP://Example.org/a b.png#top")', local=False)
    'http://example.org/a%20b.png'
    """
    given = _unformula(unicodedata.normalize("NFC", cell.strip()))
    if not given:
        raise ValueError("no image: put its URL here (a picture inserted into the cell has no URL to read)")
    if len(given) > URL_CHARS:
        raise ValueError(f"not an image URL (longer than {URL_CHARS} characters): {_shown(given)}")
    if UNSEEN.search(given):
        raise ValueError(f"not an image URL (a line break or another unseen character is in it): {_shown(given)}")
    if SCHEME.match(given) or not local:
        return _normal_url(given)
    return _normal_path(given)


def _unformula(given: str) -> str:
    if not given.startswith("="):
        return given
    match = FORMULA.match(given)
    if match is None:
        raise ValueError('not an image: only =IMAGE("…") and =HYPERLINK("…") with the URL in quotes can be read')
    return match[1].replace('""', '"').strip()


def _normal_url(given: str) -> str:
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        raise ValueError(f"not an image URL: {_shown(given)}") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an image URL (it must begin with http:// or https://): {_shown(given)}")
    if parts.username is not None:
        raise ValueError("a URL here must not hold a user name or password")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme.lower()]
    netloc = host if port in (None, default) else f"{host}:{port}"
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?[]|^{}") for part in (parts.path or "/", parts.query))
    return urlunsplit((parts.scheme.lower(), netloc, path, query, ""))


def _normal_path(given: str) -> str:
    parts = [part for part in given.replace("\\", "/").split("/") if part != "."]
    if not any(parts[:1]) or ".." in parts or parts[0].startswith("~"):
        raise ValueError(f"a path must stay inside the folder of the sheet: {_shown(given)}")
    return "/".join(part for part in parts if part)


def read_label(cell: str) -> str:
    """The label in a cell, "" where there is none.

    Raises `ValueError` with a sentence for an annotator when it cannot be the name of a folder.
    """
    label = unicodedata.normalize("NFC", cell.strip())
    if len(label.encode("utf-8", "surrogatepass")) > LABEL_BYTES:
        raise ValueError(f"label cannot be used: longer than {LABEL_BYTES} bytes")
    if label.startswith("."):
        raise ValueError(f"label cannot be used: {_shown(label)} begins with a dot")
    if UNSEEN.search(label):
        raise ValueError(f"label cannot be used: {_shown(label)} holds a line break or another unseen character")
    if slash := re.search(r"[/\\]", label):
        raise ValueError(f"label cannot be used: {_shown(label)} holds {_shown(slash[0])}")
    return label


def read_split(cell: str) -> str:
    """The split in a cell, "" where there is none.

    Raises `ValueError` with a sentence for an annotator when it is none of ours.
    """
    split = cell.strip().casefold()
    if split not in ("", *SPLITS, SKIP):
        raise ValueError(f"unknown split {_shown(cell.strip())}: use train, val, test or skip, or leave it empty")
    return split


def _shown(given: str) -> str:
    clean = "".join(char if char.isprintable() else "�" for char in given)
    return f"“{clean[:80]}…”" if len(clean) > 80 else f"“{clean}”"


# --- all rows -------------------------------------------------------------------------------------


def parse(table: Table, columns: Columns, *, local: bool = False) -> Snapshot:
    """What a reading says: usable rows, one a key, and an `Issue` for every row with something wrong.

    `local` allows relative paths as images. Raises `SheetError` when the header is not usable.
    """
    where = layout(table, columns)
    read = [_read_row(number, cells, where, local) for number, cells in enumerate(table.rows, start=2)]
    rows = [row for row in read if isinstance(row, Row)]
    issues = [issue for issue in read if isinstance(issue, Issue)]
    same_image: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        same_image[row.key].append(row)
    merged = {key: _merge(group) for key, group in same_image.items()}
    used = [row for row in merged.values() if isinstance(row, Row)]
    issues += [Issue(row.number, why) for key, why in merged.items() if isinstance(why, str) for row in same_image[key]]
    issues += _warnings(used, same_image)
    return Snapshot(
        tuple(sorted(used, key=lambda row: row.key)),
        tuple(sorted(issues, key=lambda issue: issue.number)),
        {row.number: row.key for row in rows},
    )


def is_blank(cells: Sequence[str], where: Layout) -> bool:
    """Whether people left this row empty; what the machine wrote there does not count."""
    machine = set(where.machine.values())
    return not any(cell.strip() for place, cell in enumerate(cells) if place not in machine)


def _read_row(number: int, cells: Sequence[str], where: Layout, local: bool) -> Row | Issue | None:
    def cell(place: int | None) -> str:
        return cells[place] if place is not None and place < len(cells) else ""

    if is_blank(cells, where):
        return None
    try:
        url = read_image(cell(where.image), local=local)
        label, split = read_label(cell(where.label)), read_split(cell(where.split))
    except ValueError as error:
        return Issue(number, str(error))
    tags = {tag: cell(place).strip() for tag, place in where.tags.items()}
    return Row(number, image_key(url), url, label, split, tags)


def _merge(group: Sequence[Row]) -> Row | str:
    """The one row that all rows of an image make together, or what they disagree about."""
    first = group[0]
    labels, splits = ({getattr(row, name) for row in group} - {""} for name in ("label", "split"))
    if len(labels) > 1:
        return f"this image has several labels: {', '.join(sorted(labels))}"
    if len(splits) > 1:
        return f"this image is in several splits: {', '.join(sorted(splits))}"
    tags = {tag: _agreed(row.tags[tag] for row in group) for tag in first.tags}
    return Row(first.number, first.key, first.url, "".join(labels), "".join(splits), tags)


def _agreed(values: Iterable[str]) -> str:
    given = set(values) - {""}
    return given.pop() if len(given) == 1 else ""


def _warnings(used: Sequence[Row], same_image: Mapping[str, Sequence[Row]]) -> list[Issue]:
    counts = Counter(row.label for row in used if row.label and row.split != SKIP)
    unusual = _unusual_labels(counts)
    issues = []
    for row in used:
        group = same_image[row.key]
        words = [unusual[row.label]] if row.label in unusual and row.split != SKIP else []
        words += [f"this image is in {len(group)} rows"] if len(group) > 1 else []
        issues += [Issue(each.number, "; ".join(words), warning=True) for each in group if words]
    return issues


def _unusual_labels(counts: Mapping[str, int]) -> dict[str, str]:
    """What to say of a label that is probably a slip of the hand."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        alike["".join(char for char in label if unicodedata.category(char) not in BLANK).casefold()].append(label)
    words = {label: f"only one image has the label “{label}”" for label, count in counts.items() if count == 1}
    for usual, *others in alike.values():
        for label in others:
            words[label] = f"label “{label}” differs from “{usual}” only in case or blanks"
    return words
