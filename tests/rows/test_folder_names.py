"""Folder names of labels: any label, on any file system, and back."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sheetsync.rows.cells import read_label
from sheetsync.rows.folder_names import (
    MAX_NAME_BYTES,
    casefold_name,
    disambiguate,
    folder_name,
    label_of,
    shorten_label,
)

ODD = ["..", ".", ".5", "a/b", "a\\b", "con", "COM1.txt", "aux .x", "=1+1", "%2F", "%", "50%", "%%41", "a.",
       "unlabelled", "train", "é", "🙂", "שלום", "a:\u0301b", "?*|\"<>", "~", "conin$", "lpt²", "com10",
       "x" * 200]  # fmt: skip
ALIKE = ["Cat", "cat", "CAT", "cAt", "ß", "ss", "SS", "ſ", "s", "K", "k", "\u212a", "İ", "i\u0307", "I", "ı", "con",
         "CON", "Con", "%43at", ":\u0301", "%3Á", "ﬀ", "ff", "ΑΣ", "ας", "ασ", ".A", ".a"]  # fmt: skip


def readable(text: str) -> bool:
    try:
        return bool(read_label(text))
    except ValueError:
        return False


labels = (st.sampled_from(ODD + ALIKE) | st.text(st.sampled_from("./%2fF:cCoOnN İß\u0301ſK") | st.characters())).filter(
    readable
).map(read_label)  # fmt: skip


@given(labels, st.integers(0, 99))
def test_a_label_is_told_by_its_folder(label: str, twin: int) -> None:
    assert label_of(folder_name(label, twin)) == label


@given(labels, st.integers(0, 99))
def test_a_folder_can_be_made_on_every_system(label: str, twin: int) -> None:
    name = folder_name(label, twin)
    assert not set(name) & set('/\\<>:"|?*\0')
    assert not name.startswith(".")
    assert name[-1] not in ". "
    assert not re.fullmatch(r"(con|prn|aux|nul|(com|lpt)[0-9])", name.split(".")[0].strip(), re.IGNORECASE)
    assert unicodedata.is_normalized("NFC", name)
    assert len(folder_name(label).encode()) <= MAX_NAME_BYTES


@pytest.mark.parametrize("label", ["iv", "größer als", "it's 100%", "a.b", "x" * 200, "=1+1", "-", "com10", "🙂"])
def test_a_plain_label_is_its_own_folder(label: str) -> None:
    assert folder_name(label) == label


def test_every_odd_label_is_a_folder_that_is_listed_by_its_name(tmp_path: Path) -> None:
    for label in ODD:
        (tmp_path / folder_name(label)).mkdir()
    assert {label_of(path.name) for path in tmp_path.iterdir()} == set(ODD)


@given(st.lists(labels) | st.lists(st.text("aAbB", min_size=1, max_size=5)))
def test_no_two_labels_share_a_folder_where_case_does_not_count(some: list[str]) -> None:
    apart = disambiguate(some)
    names = {label: apart.get(label, folder_name(label)) for label in some}
    assert len({casefold_name(name) for name in names.values()}) == len(names)
    assert all(label_of(name) == label for label, name in names.items())


def test_of_labels_that_differ_only_in_case_the_first_keeps_its_folder_wherever_it_stands() -> None:
    assert (
        disambiguate(["cat", "Cat", "dog", "CAT"])
        == disambiguate(["CAT", "dog", "Cat", "cat"])
        == {"Cat": "%43at", "cat": "c%61t"}
    )
    assert disambiguate(["Cat", "dog"]) == {}


def test_of_thousands_of_labels_that_differ_only_in_case_each_folder_still_fits() -> None:
    some = [f"{number:b}".rjust(200, "0").replace("0", "a").replace("1", "A") for number in range(5000)]
    assert max(map(len, disambiguate(some).values())) < 255


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_a_long_label_gets_a_short_form_that_stays(label: str) -> None:
    label = unicodedata.normalize("NFC", label.strip())
    short = shorten_label(label)
    assert shorten_label(short) == short
    assert len(folder_name(short).encode()) <= MAX_NAME_BYTES
    assert unicodedata.is_normalized("NFC", short)
