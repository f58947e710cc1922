"""From the cells of a sheet to rows: which are usable, and what is wrong with the others.

Everything a model sees depends on the set of rows alone, never on their order, so that sorting a sheet
changes nothing: where two rows disagree about one image, neither wins.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import lru_cache

from sheetsync.common.memo import cache_last
from sheetsync.common.text import join_names
from sheetsync.rows.cells import image_key, read_full_label, read_image, read_label, read_split
from sheetsync.rows.header import BLANK_CATEGORIES, ColumnHeaders, ColumnLayout, find_columns, is_blank_row
from sheetsync.rows.records import Issue, Row, Snapshot
from sheetsync.rows.schema import SKIP
from sheetsync.rows.table import Table


@cache_last
def parse_rows(table: Table, columns: ColumnHeaders, *, local: bool = False) -> Snapshot:
    """What a reading says: usable rows, one a key, and an `Issue` for every row with something wrong.

    `local` allows relative paths as images. Raises `SheetError` when the header is not usable.
    """
    where = find_columns(table, columns)
    width = where.width
    whole = (cells + ("",) * (width - len(cells)) for cells in table.rows)
    read = [_read_row(number, cells, where, local) for number, cells in enumerate(whole, start=2)]
    rows = [row for row in read if isinstance(row, Row)]
    issues = [issue for issue in read if isinstance(issue, Issue)]
    same_image: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        same_image[row.key].append(row)
    merged = {key: _merge(group) for key, group in same_image.items()}
    used = [row for row in merged.values() if isinstance(row, Row)]
    issues += [Issue(row.number, why) for key, why in merged.items() if isinstance(why, str) for row in same_image[key]]
    issues += _warnings(used, same_image, _shortened(rows, table, where))
    return Snapshot(
        tuple(sorted(used, key=lambda row: row.key)),
        tuple(sorted(issues, key=lambda issue: issue.number)),
        {row.number: row.key for row in rows},
    )


def common_labels(snapshot: Snapshot) -> list[str]:
    """The labels worth offering, sorted: those of several images, since one of its own is often a slip of the hand."""
    counts = Counter(row.label for row in snapshot.rows if row.label)
    return sorted(label for label, count in counts.items() if count > 1) or sorted(counts)


def _read_row(number: int, cells: Sequence[str], where: ColumnLayout, local: bool) -> Row | Issue | None:
    if cells[where.image].strip() in ("", "FALSE") and is_blank_row(cells, where):
        return None
    try:
        url, key = _image(cells[where.image], local)
        label, split = read_label(cells[where.label]), read_split("" if where.split is None else cells[where.split])
    except ValueError as error:
        return Issue(number, str(error))
    tags = {tag: cells[place].strip() for tag, place in where.tags.items()}
    return Row(number, key, url, label, split, tags)


@lru_cache(1 << 18)  # a pass that writes reads the same cells three times
def _image(cell: str, local: bool) -> tuple[str, str]:
    url = read_image(cell, local=local)
    return url, image_key(url)


def _merge(group: Sequence[Row]) -> Row | str:
    """The one row that all rows of an image make together, or what they disagree about."""
    first = group[0]
    if len(group) == 1:
        return first
    labels, splits = ({getattr(row, name) for row in group} - {""} for name in ("label", "split"))
    if len(labels) > 1:
        return f"this image has several labels: {join_names(labels, ', ')}"
    if len(splits) > 1:
        return f"this image is in several splits: {join_names(splits, ', ')}"
    tags = {tag: _agreed(row.tags[tag] for row in group) for tag in first.tags}
    return Row(first.number, first.key, first.url, "".join(labels), "".join(splits), tags)


def _agreed(values: Iterable[str]) -> str:
    given = set(values) - {""}
    return given.pop() if len(given) == 1 else ""


def _shortened(rows: Iterable[Row], table: Table, where: ColumnLayout) -> set[int]:
    """The numbers of the rows whose label is longer in the sheet."""
    ends = (row for row in rows if "…" in row.label)
    return {row.number for row in ends if read_full_label(table.cell(row.number, where.label)) != row.label}


def _warnings(used: Sequence[Row], same_image: Mapping[str, Sequence[Row]], shortened: Container[int]) -> list[Issue]:
    counts = Counter(row.label for row in used if row.label and row.split != SKIP)
    unusual = _unusual_labels(counts)
    issues = []
    for row in used:
        group = same_image[row.key]
        if len(group) == 1 and row.label not in unusual and not shortened:
            continue
        slip = [unusual[row.label]] if row.label in unusual and row.split != SKIP else []
        long = [f"label too long for a folder: cut short here, to end in “{row.label[-9:]}”"]
        rows = [f"this image is in {len(group)} rows"] if len(group) > 1 else []
        said = {each.number: (long if each.number in shortened else slip) + rows for each in group}
        issues += [Issue(number, "; ".join(words), warning=True) for number, words in said.items() if words]
    return issues


def _unusual_labels(counts: Mapping[str, int]) -> dict[str, str]:
    """What to say of a label that is probably a slip of the hand."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        alike["".join(char for char in label if unicodedata.category(char) not in BLANK_CATEGORIES).casefold()].append(
            label
        )
    words = {label: f"only one image has the label “{label}”" for label, count in counts.items() if count == 1}
    for usual, *others in alike.values():
        for label in others:
            words[label] = f"label “{label}” differs from “{usual}” only in case or blanks"
    return words
