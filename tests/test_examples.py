"""The values that pass from stage to stage, and the examples in the docstrings."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sheetsync
from sheetsync.dataset.records import Entry
from sheetsync.rows.cells import read_label
from sheetsync.rows.schema import UNLABELLED
from sheetsync.rows.table import format_value, shows_value
from tests.helpers.support import table

KEY, DIGEST = "0123456789abcdef0123", "0123456789abcdef" * 2
ENTRY = Entry(KEY, DIGEST, "train", "iv", ".png")


def with_examples() -> list[str]:
    """Names of the modules whose docstrings hold an example."""
    names = [each.name for each in pkgutil.walk_packages(sheetsync.__path__, "sheetsync.")]
    origins = {name: spec.origin for name in names if (spec := importlib.util.find_spec(name))}
    return [name for name, origin in origins.items() if origin and ">>>" in Path(origin).read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", with_examples())
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted > 0
    assert done.failed == 0


def test_there_are_examples_to_try() -> None:
    assert {"sheetsync.dataset.records", "sheetsync.rows.cells"} <= set(with_examples())


# --- entries --------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=()), max_size=12), st.sampled_from(["train", "val", "test"]))
def test_an_entry_is_told_by_its_path(cell: str, split: str) -> None:
    try:
        label = read_label(cell)
    except ValueError:
        return
    entry = Entry(KEY, DIGEST, split if label else UNLABELLED, label, ".png")
    assert Entry.from_path(entry.path) == entry


def test_paths_are_readable() -> None:
    assert ENTRY.path == f"train/iv/{KEY}-{DIGEST}.png"
    assert Entry(KEY, DIGEST, UNLABELLED, "", ".jpg").path == f"unlabelled/{KEY}-{DIGEST}.jpg"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "metadata.csv",
        f"{KEY}-{DIGEST}.png",
        f"train/{KEY}-{DIGEST}.png",
        f"unlabelled/iv/{KEY}-{DIGEST}.png",
        f"other/iv/{KEY}-{DIGEST}.png",
        f"train/iv/deep/{KEY}-{DIGEST}.png",
        f"train//{KEY}-{DIGEST}.png",
        f"x/train/iv/{KEY}-{DIGEST}.png",
        f"train/iv/{KEY[1:]}-{DIGEST}.png",
        f"train/iv/{KEY}-{DIGEST[1:]}.png",
        f"train/iv/{KEY.upper()}-{DIGEST}.png",
        f"train/iv/{KEY}-{DIGEST}",
        f"train/iv/{KEY}-{DIGEST}.png\n",
        f"train/iv/{KEY}-{DIGEST}.png.part",
    ],
)
def test_a_file_that_no_row_asked_for_is_no_entry(path: str) -> None:
    assert Entry.from_path(path) is None


@given(st.text(st.sampled_from("/.aé\n%2Fb") | st.characters(), max_size=20), st.sampled_from(["train", UNLABELLED]))
def test_whatever_is_an_entry_has_that_path(name: str, split: str) -> None:
    path = f"{split}/{name}/{KEY}-{DIGEST}.png"
    entry = Entry.from_path(path)
    assert entry is None or entry.path == path


@pytest.mark.parametrize(("name", "label"), [("a%2fb", "a/b"), ("con", "con"), ("50%", "50%"), ("e\u0301", "é")])
def test_a_folder_of_another_version_or_system_is_read_and_known_as_such(name: str, label: str) -> None:
    entry = Entry.from_path(f"train/{name}/{KEY}-{DIGEST}.png")
    assert entry == Entry(KEY, DIGEST, "train", label, ".png", "" if name == "50%" else name)


# --- tables and cells -----------------------------------------------------------------------------


def test_a_cell_that_is_not_there_is_empty() -> None:
    rows = table(("a",), ("b", "c", "d"), header=("x", "y"))
    assert [rows.cell(1, 1), rows.cell(2, 0), rows.cell(3, 2)] == ["y", "a", "d"]
    assert [rows.cell(*place) for place in ((1, 2), (2, 1), (3, 3), (4, 0), (0, 0))] == [""] * 5


@given(st.floats(0, 1).map(lambda value: round(value, 4)) | st.integers(0, 10**6))
def test_a_number_is_recognised_with_dot_and_with_comma(value: float) -> None:
    assert shows_value(format_value(value), value)
    assert shows_value(format_value(value).replace(".", ","), value)
    assert not shows_value(format_value(value), value + 0.0001)
    assert not shows_value("", value)


@given(st.text(max_size=8), st.text(max_size=8))
def test_a_text_is_recognised_as_it_is_and_behind_the_mark_that_keeps_it_text(one: str, other: str) -> None:
    assert shows_value(one, one)
    assert shows_value(f"'{one}", one)
    assert shows_value(other, one) == (other in (one, f"'{one}"))


@pytest.mark.parametrize("cell", ["", "x", "nan", "inf", "1.000,5", "50%"])
def test_what_is_no_number_is_not_the_same_as_one(cell: str) -> None:
    assert not shows_value(cell, 0.5)
