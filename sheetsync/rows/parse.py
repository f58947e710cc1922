"""Parse the cells of a sheet into usable rows, and say what is wrong with the others.

What a model sees depends on the set of rows alone, never on their order, so that sorting a sheet
changes nothing: where two rows disagree about one image, neither is used.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
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
    """Parse a reading into usable rows, one per key, and an `Issue` for every row with something wrong.

    `local` allows relative paths as images. Raises `SheetError` when the header is not usable.
    """
    layout = find_columns(table, columns)
    width = layout.width
    whole = (cells + ("",) * (width - len(cells)) for cells in table.rows)
    read = [_read_row(number, cells, layout, local) for number, cells in enumerate(whole, start=2)]
    rows = [row for row in read if isinstance(row, Row)]
    issues = [issue for issue in read if isinstance(issue, Issue)]
    same_image: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        same_image[row.key].append(row)
    merged = {key: _merge(group) for key, group in same_image.items()}
    used = [row for row in merged.values() if isinstance(row, Row)]
    issues += [Issue(row.number, why) for key, why in merged.items() if isinstance(why, str) for row in same_image[key]]
    ellipses = (row for row in rows if "…" in row.label)
    shortened = {row.number for row in ellipses if read_full_label(table.cell(row.number, layout.label)) != row.label}
    issues += _warnings(used, same_image, shortened)
    return Snapshot(
        tuple(sorted(used, key=lambda row: row.key)),
        tuple(sorted(issues, key=lambda issue: issue.number)),
        {row.number: row.key for row in rows},
    )


def common_labels(snapshot: Snapshot) -> list[str]:
    """Return the labels worth offering, sorted: those of several images, or, where there are none, all.

    A label that occurs once is often a typo.
    """
    counts = Counter(row.label for row in snapshot.rows if row.label)
    return sorted(label for label, count in counts.items() if count > 1) or sorted(counts)


def _read_row(number: int, cells: Sequence[str], layout: ColumnLayout, local: bool) -> Row | Issue | None:
    if cells[layout.image].strip() in ("", "FALSE") and is_blank_row(cells, layout):
        return None
    try:
        url, key = _read_image_and_key(cells[layout.image], local)
        label, split = read_label(cells[layout.label]), read_split("" if layout.split is None else cells[layout.split])
    except ValueError as error:
        return Issue(number, str(error))
    tags = {tag: cells[column].strip() for tag, column in layout.tags.items()}
    return Row(number, key, url, label, split, tags)


@lru_cache(1 << 18)  # a pass that writes parses the same cells three times
def _read_image_and_key(cell: str, local: bool) -> tuple[str, str]:
    url = read_image(cell, local=local)
    return url, image_key(url)


def _merge(group: Sequence[Row]) -> Row | str:
    """Merge all rows of one image; or say what they disagree about."""
    first = group[0]
    if len(group) == 1:
        return first
    labels, splits = ({getattr(row, name) for row in group} - {""} for name in ("label", "split"))
    if len(labels) > 1:
        return f"this image has several labels: {join_names(labels, ', ')}"
    if len(splits) > 1:
        return f"this image is in several splits: {join_names(splits, ', ')}"
    values = {tag: {row.tags[tag] for row in group} - {""} for tag in first.tags}
    tags = {tag: found.pop() if len(found) == 1 else "" for tag, found in values.items()}
    return Row(first.number, first.key, first.url, "".join(labels), "".join(splits), tags)


def _warnings(used: Sequence[Row], same_image: Mapping[str, Sequence[Row]], shortened: Container[int]) -> list[Issue]:
    counts = Counter(row.label for row in used if row.label and row.split != SKIP)
    unusual = _unusual_labels(counts)
    issues = []
    for row in used:
        group = same_image[row.key]
        if len(group) == 1 and row.label not in unusual and not shortened:
            continue
        odd = [unusual[row.label]] if row.label in unusual and row.split != SKIP else []
        long = [f"label too long for a folder: cut short here, to end in “{row.label[-9:]}”"]
        rows = [f"this image is in {len(group)} rows"] if len(group) > 1 else []
        warnings = {each.number: (long if each.number in shortened else odd) + rows for each in group}
        issues += [Issue(number, "; ".join(words), warning=True) for number, words in warnings.items() if words]
    return issues


def _unusual_labels(counts: Mapping[str, int]) -> dict[str, str]:
    """Return a warning for each label that is probably a typo, label -> warning."""
    alike: dict[str, list[str]] = defaultdict(list)  # by the label without case and blanks, the most frequent first
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        visible = "".join(char for char in label if unicodedata.category(char) not in BLANK_CATEGORIES)
        alike[visible.casefold()].append(label)
    words = {label: f"only one image has the label “{label}”" for label, count in counts.items() if count == 1}
    for usual, *others in alike.values():
        for label in others:
            words[label] = f"label “{label}” differs from “{usual}” only in case or blanks"
    return words
