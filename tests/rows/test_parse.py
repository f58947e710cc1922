"""From cells to rows: what is read, what is refused, and in which words."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sheetsync.common.text import quote_inline
from sheetsync.dataset.plan import SplitFractions, target_entry
from sheetsync.dataset.records import Entry
from sheetsync.errors import SheetError
from sheetsync.rows.cells import image_key, read_image, read_label, read_split
from sheetsync.rows.folder_names import folder_name
from sheetsync.rows.header import ColumnHeaders, find_columns
from sheetsync.rows.parse import parse_rows
from sheetsync.rows.records import Snapshot
from sheetsync.rows.schema import MACHINE_COLUMNS, SKIP
from sheetsync.rows.table import Table
from tests.helpers.support import table

A, B, C = (f"http://pics.example/{name}.png" for name in "abc")
COLUMNS = ColumnHeaders(tags=("light",))
HEADER = ("image", "label", "split", "light", "who", *MACHINE_COLUMNS)
ANY = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates and control characters too
IMAGES = ["", A, B, f'=IMAGE("{A}")', "HTTP://PICS.example:80/a.png#x", ".", "..", "./", "../x", "/x", "~/x", "x/y"]
STARTS = ["", "http://", "http://a:b@", "https://h/", '=IMAGE("', "x/", "data:", "http://["]
CELLS = st.sampled_from([*IMAGES, "i", "iv", " iv ", "IV", "i\u200bv", "train", "val", SKIP]) | ANY
IMAGE_CELLS = st.sampled_from(IMAGES) | st.builds(str.__add__, st.sampled_from(STARTS), ANY)
LABEL_CELLS = st.sampled_from(["", "i", "iv", " iv ", "IV", "..", "a/b", "\N{GRINNING FACE}"]) | ANY
SPLIT_CELLS = st.sampled_from(["", "train", " Val", "test", SKIP, "tarin"])
ROWS = st.one_of(
    st.tuples(IMAGE_CELLS, LABEL_CELLS, SPLIT_CELLS, st.sampled_from(["", "sun", "lamp"])),
    st.lists(CELLS, max_size=14).map(tuple),
)
TABLES = st.lists(ROWS, max_size=6).map(lambda rows: Table(HEADER, tuple(rows)))


def problems(*rows: Sequence[str], local: bool = False) -> list[str]:
    return [issue.problem for issue in parse_rows(table(*rows), ColumnHeaders(), local=local).issues]


def without_numbers(snapshot: Snapshot, source: Table) -> tuple[object, ...]:
    """Return a snapshot with the content of each row in place of its number."""
    rows = [(row.key, row.url, row.label, row.split, row.tags) for row in snapshot.rows]
    issues = sorted((source.rows[issue.number - 2], issue.problem, issue.warning) for issue in snapshot.issues)
    return rows, issues, sorted((source.rows[number - 2], key) for number, key in snapshot.keys.items())


# --- all rows -------------------------------------------------------------------------------------


@given(TABLES.flatmap(lambda one: st.tuples(st.just(one), st.permutations(one.rows))), st.booleans())
def test_sorting_the_rows_changes_nothing_a_model_sees_and_no_word_of_a_problem(
    case: tuple[Table, list[tuple[str, ...]]], local: bool
) -> None:
    before, after = case[0], Table(HEADER, tuple(case[1]))
    told = [without_numbers(parse_rows(one, COLUMNS, local=local), one) for one in (before, after)]
    assert told[0] == told[1]


@given(TABLES, st.booleans())
def test_every_row_that_people_filled_is_used_or_has_a_problem(given_table: Table, local: bool) -> None:
    snapshot = parse_rows(given_table, COLUMNS, local=local)
    used = {row.key for row in snapshot.rows}
    refused = {issue.number for issue in snapshot.issues if not issue.warning}
    for number, cells in enumerate(given_table.rows, start=2):
        filled = any(cell.strip() for place, cell in enumerate(cells) if place not in range(5, 12))
        assert filled == ((number in refused) ^ (snapshot.keys.get(number) in used))


@given(TABLES, st.booleans())
def test_no_row_has_two_problems_and_no_image_two_rows(given_table: Table, local: bool) -> None:
    snapshot = parse_rows(given_table, COLUMNS, local=local)
    numbers, keys = [issue.number for issue in snapshot.issues], [row.key for row in snapshot.rows]
    assert numbers == sorted(set(numbers))
    assert keys == sorted(set(keys))


@given(st.lists(CELLS | st.sampled_from(HEADER), max_size=8), st.lists(st.lists(CELLS, max_size=9), max_size=4))
def test_no_header_and_no_cell_breaks_the_reading(header: list[str], rows: list[list[str]]) -> None:
    with suppress(SheetError):
        parse_rows(table(*rows, header=header), COLUMNS, local=True)


@given(st.lists(CELLS, max_size=8))
def test_an_error_about_the_header_can_be_shown_on_a_terminal(header: list[str]) -> None:
    with pytest.raises(SheetError) as caught:
        parse_rows(table(header=header), COLUMNS)
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in str(caught.value))


@given(TABLES, st.booleans())
def test_no_image_reaches_outside_the_mirror_or_the_folder_of_the_sheet(given_table: Table, local: bool) -> None:
    for row in parse_rows(given_table, COLUMNS, local=local).rows:
        if urlsplit(row.url).scheme in ("http", "https"):
            assert "@" not in urlsplit(row.url).netloc
        else:
            assert local
            assert not PurePosixPath(row.url).is_absolute()
            assert ".." not in PurePosixPath(row.url).parts
        if row.split != SKIP:
            entry = target_entry(row, "0" * 32, ".png", SplitFractions())
            assert Entry.from_path(entry.path) == entry
            folders = [*PurePosixPath(entry.path).parts[:-1]]
            assert folders == [entry.split, *([folder_name(row.label)] if row.label else [])]
            assert not folders[-1].startswith(".")


@given(TABLES, st.booleans())
def test_a_problem_can_be_shown_in_a_cell_and_on_a_terminal(given_table: Table, local: bool) -> None:
    for issue in parse_rows(given_table, COLUMNS, local=local).issues:
        assert issue.problem == issue.problem.strip() != ""
        assert len(issue.problem) < 1000
        assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in issue.problem)


def test_a_huge_cell_is_a_problem_like_any_other() -> None:
    rows = [("x" * 10_000, "i"), (f"http://h/{'x' * 10_000}", "i"), (A, "y" * 10_000), (B, "i", "z" * 10_000)]
    assert [len(words) < 250 for words in problems(*rows)] == [True] * 4


def test_blank_rows_are_no_rows_even_when_the_machine_wrote_there() -> None:
    rows = [(), ("", "", " "), ("", "", "", "", "", "ok", "iv", "0.5"), (A, "i")]
    snapshot = parse_rows(Table(HEADER, tuple(rows)), COLUMNS)
    assert (snapshot.keys, [issue.number for issue in snapshot.issues]) == ({5: image_key(A)}, [5])


def test_rows_that_disagree_about_a_label_are_all_left_out() -> None:
    snapshot = parse_rows(table((A, "iv"), (A, "vi"), (A,), (B, "i"), (C, "i")), ColumnHeaders())
    assert {row.url for row in snapshot.rows} == {B, C}
    said = [(issue.number, issue.problem, issue.warning) for issue in snapshot.issues]
    assert said == [(number, "this image has several labels: iv, vi", False) for number in (2, 3, 4)]


def test_rows_that_disagree_about_a_split_are_all_left_out() -> None:
    snapshot = parse_rows(table((A, "i", "val"), (A, "i", "train"), (B, "i")), ColumnHeaders())
    assert [row.url for row in snapshot.rows] == [B]
    assert {issue.problem for issue in snapshot.issues if not issue.warning} == {
        "this image is in several splits: train, val"
    }


def test_rows_of_one_image_complete_each_other() -> None:
    snapshot = parse_rows(table((A,), (A, "i"), (A, "", "test"), (B, "i")), ColumnHeaders())
    row = next(row for row in snapshot.rows if row.url == A)
    assert (row.label, row.split) == ("i", "test")
    assert [(issue.problem, issue.warning) for issue in snapshot.issues] == [("this image is in 3 rows", True)] * 3


def test_a_tag_on_which_the_rows_of_an_image_disagree_is_none() -> None:
    rows = [(A, "i", "", "sun"), (A, "i", "", "lamp"), (B, "i", "", "sun"), (B, "i")]
    tags = {row.url: row.tags for row in parse_rows(table(*rows, header=HEADER), COLUMNS).rows}
    assert tags == {A: {"light": ""}, B: {"light": "sun"}}


def test_a_label_seen_once_is_probably_a_slip() -> None:
    assert problems((A, "i"), (B, "i"), (C, "ii")) == ["only one image has the label “ii”"]


def test_an_image_in_two_rows_gives_its_label_once() -> None:
    words = "only one image has the label “i”; this image is in 2 rows"
    assert problems((A, "i"), (A, "i")) == [words, words]


@pytest.mark.parametrize("slip", ["IV", "i v", "i\u00a0v", "i\u200bv", "\ufeffiv"])
def test_a_label_that_differs_only_in_case_or_blanks_is_probably_a_slip(slip: str) -> None:
    said = problems((A, "iv"), (B, "iv"), (C, slip))
    assert said == [f"label “{slip}” differs from “iv” only in case or blanks"]


def test_the_less_frequent_of_two_like_labels_is_the_slip_wherever_it_stands() -> None:
    assert problems((A, "IV"), (B, "iv"), (C, "iv")) == ["label “IV” differs from “iv” only in case or blanks"]


def test_a_row_left_out_gets_no_word_about_its_label_and_counts_for_none() -> None:
    assert problems((A, "i"), (B, "i", SKIP)) == ["only one image has the label “i”"]
    assert problems((A, "i"), (B, "i"), (C, "ii", SKIP)) == []


# --- the header -----------------------------------------------------------------------------------


@given(st.permutations(["Image", " LABEL ", "split", "light", "who", "who", "", "Status"]))
def test_columns_are_found_in_any_order_whatever_their_case_and_blanks(header: list[str]) -> None:
    where = find_columns(table(header=header), COLUMNS)
    found = (where.image, where.label, where.split, where.tags["light"], where.machine["status"])
    assert [header[place] for place in found if place is not None] == ["Image", " LABEL ", "split", "light", "Status"]
    assert list(where.machine) == ["status"]


def test_a_header_is_found_however_its_accents_are_encoded() -> None:
    header = [unicodedata.normalize("NFD", "Größe"), "image"]
    assert find_columns(table(header=header), ColumnHeaders(label=unicodedata.normalize("NFC", "größe"))).label == 0


@pytest.mark.parametrize(("header", "place"), [(("url", "label", "image"), 2), (("url", "image_url", "label"), 1)])
def test_of_several_image_columns_the_first_name_counts(header: Sequence[str], place: int) -> None:
    assert find_columns(table(header=header), ColumnHeaders()).image == place


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ((), "the sheet is empty: its first row must hold the headers image or image_url or url, label, light"),
        (("", " "), "the sheet is empty: its first row must hold the headers image or image_url or url, label, light"),
        (("url", "class", "light"), "no column is called label (found: “url”, “class”, “light”): rename a"),
        (("a", "b"), "no column is called image or image_url or url, nor label, nor light (found: “a”, “b”)"),
        (("image", "label", "b", "Label ", "light"), "the header 'label' occurs twice, in columns B and D: rename one"),
        (("image", "label", "light", "status", "STATUS"), "the header 'status' occurs twice, in columns D and E"),
        (("image", "label", "light", "split", "split"), "the header 'split' occurs twice, in columns D and E"),
        (("image", *"abcdefghijklmnopqrstuvwxyz", "image"), "occurs twice, in columns A and AB"),
    ],
)
def test_an_unusable_header_says_what_was_found_and_what_to_do(header: Sequence[str], words: str) -> None:
    with pytest.raises(SheetError) as caught:
        parse_rows(table((A, "i"), header=header), COLUMNS)
    assert words in str(caught.value)


def test_columns_of_the_teams_own_may_share_a_name() -> None:
    assert parse_rows(table((A, "i", "x", "y"), header=("image", "label", "who", "who")), ColumnHeaders()).rows


def test_columns_are_found_under_names_of_the_teams_own() -> None:
    columns = ColumnHeaders(("Bild",), "Klasse", "Teil", (), {"status": "Zustand"})
    where = find_columns(table(header=("zustand", "teil", "klasse", "bild")), columns)
    assert (where.image, where.label, where.split, where.machine) == (3, 2, 1, {"status": 0})


# --- the image ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        f" {A}\t",
        "HTTP://Pics.EXAMPLE/a.png",
        "http://pics.example:80/a.png",
        f"{A}#top",
        f'=IMAGE("{A}")',
        f'=image( "{A}" ; 4; 50; 50)',
        f'= IMAGE ("{A}", 1)',
        f'=HYPERLINK("{A}"; "see here")',
        f'=HYPERLINK("{A}"," says ""i""")',
    ],
)
def test_one_address_is_one_image_however_it_is_written(cell: str) -> None:
    assert read_image(cell, local=False) == A


@pytest.mark.parametrize(
    ("cell", "url"),
    [
        ("http://h/a b.png?q=a b", "http://h/a%20b.png?q=a%20b"),
        ("http://h/a%20b%2Fc.png?q=%26", "http://h/a%20b%2Fc.png?q=%26"),
        ("http://h/a+b.png?a=1&b=2;c", "http://h/a+b.png?a=1&b=2;c"),
        ("http://h/100%.png", "http://h/100%.png"),
        ("http://h/ä.png", "http://h/%C3%A4.png"),
        ("http://h/a\u0308.png", "http://h/a%CC%88.png"),
        ("http://h", "http://h/"),
        ("https://h:443/x", "https://h/x"),
        ("https://h:80/x", "https://h:80/x"),
        ("http://h:8080/x", "http://h:8080/x"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("http://[2001:DB8::1]:8080/x", "http://[2001:db8::1]:8080/x"),
        ("http://BÜCHER.example/x", "http://bücher.example/x"),
        ("http://h//x/../y", "http://h//x/../y"),
        ('=IMAGE("http://h/a""b")', "http://h/a%22b"),
    ],
)
def test_an_address_is_brought_to_one_spelling_and_asks_for_the_same(cell: str, url: str) -> None:
    assert read_image(cell, local=False) == url


def test_different_addresses_are_different_images() -> None:
    other = ["https://h/x", "http://h:81/x", "http://h/x?", "http://h/X", "http://h/x/", "http://h/x?a", "http://g/x"]
    keys = {image_key(read_image(cell, local=False)) for cell in ["http://h/x", *other]}
    assert len(keys) == len(other)  # an empty query is none


@given(st.text("hA1.-_/%:@!$&'()*+,;=~?#[]|^{} \"\\ä", max_size=12), st.text("hA1/%:@?#&;= .", max_size=6))
def test_an_address_that_needs_no_change_is_read_as_any_other(host: str, path: str) -> None:
    """Most URLs match a quick pattern and are not parsed; a scheme in capitals has any of them parsed."""
    for address in (f"://h{host}/{path}", f"://{host}{path}", f"://h.example/{host}{path}"):
        said = []
        for scheme in ("http", "HTTP"):
            try:
                said.append(read_image(scheme + address, local=False))
            except ValueError as error:
                said.append(str(error).replace("HTTP://", "http://"))
        assert said[0] == said[1]


@given(IMAGE_CELLS)
def test_reading_an_address_again_changes_nothing(cell: str) -> None:
    try:
        url = read_image(cell, local=False)
    except ValueError:
        return
    assert read_image(url, local=False) == url
    assert read_image(url, local=True) == url


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("", "no image: put its URL here (a picture inserted into the cell has no URL to read)"),
        ('=IMAGE(" ")', "no image: put its URL here"),
        ("=A1", 'not an image: only =IMAGE("…") and =HYPERLINK("…") with the URL in quotes can be read'),
        (f'=IMAGE("{A}"&B1)', "not an image: only =IMAGE"),
        ("=IMAGE(A1)", "not an image: only =IMAGE"),
        (f'=IF(A1, IMAGE("{A}"))', "not an image: only =IMAGE"),
        ("cat", "not an image URL (it must begin with http:// or https://): “cat”"),
        ("www.example.org/cat.png", "it must begin with http:// or https://"),
        ("//h/x.png", "it must begin with http:// or https://"),
        ("http:///x.png", "not an image URL"),
        ("http:x.png", "not an image URL"),
        ("javascript:alert(1)", "it must begin with http:// or https://"),
        ("file:///etc/passwd", "it must begin with http:// or https://"),
        ("data:image/png;base64", "it must begin with http:// or https://"),
        ("data:,", "it must begin with http:// or https://"),
        (f"data:,{'x' * 50_000}", "not an image URL (longer than 50000 characters): “data:,xxx"),
        ("data:,a\0b", "not an image URL (an unseen character is in it)"),
        ("s3://bucket", "not an image URL (in a bucket it is like s3://bucket/folder/image.png)"),
        ("s3://bucket/", "in a bucket it is like"),
        ("gs://bucket/../other/x", "in a bucket it is like"),
        ("gs:///x", "in a bucket it is like"),
        ("s3://me@bucket/x", "in a bucket it is like"),
        ("az://bucket/x", "it must begin with http:// or https://"),
        ("http://one\\.two/x", "not an image URL: “http://one\\.two/x”"),
        ("http://127%2e0.0.1/x", "not an image URL: “http://127%2e0.0.1/x”"),
        ("ftp://h/x.png", "it must begin with http:// or https://"),
        ("http://ada:secret@h/x", "a URL here must not hold a user name or password"),
        ("http://ada@h/x", "a URL here must not hold a user name or password"),
        ("http://@h/x", "a URL here must not hold a user name or password"),
        ("http://h:0x50/", "not an image URL: “http://h:0x50/”"),
        ("http://h:65536/", "not an image URL: “http://h:65536/”"),
        ("http://[::1/x", "not an image URL: “http://[::1/x”"),
        ("http://h℀.example/", "not an image URL: “http://h℀.example/”"),
        (f"{A}\n{B}", f"not an image URL (a line break or another unseen character is in it): “{A}�{B}”"),
        ("http://h/\0", "a line break or another unseen character is in it"),
        ("http://h/\ud800", "a line break or another unseen character is in it"),
        (f"http://h/{'x' * 8000}", "not an image URL (longer than 8000 characters): “http://h/xxx"),
    ],
)
def test_what_is_no_address_is_refused_in_words_for_an_annotator(cell: str, words: str) -> None:
    for local in (False, True):
        if local and not (":" in cell or cell.startswith("=") or not cell):
            continue  # it is the path of a file then
        with pytest.raises(ValueError, match=r"^(no|not an) image|^a URL here") as caught:
            read_image(cell, local=local)
        assert words in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "path"),
    [
        ("pics/a b.png", "pics/a b.png"),
        ("./pics//a.png", "pics/a.png"),
        ("pics\\a.png", "pics/a.png"),
        ("pics/./ä.png", "pics/ä.png"),
        ("..a/b..", "..a/b.."),
        ("12:30.png", "12:30.png"),
        ('=HYPERLINK("pics/a.png")', "pics/a.png"),
    ],
)
def test_a_path_beside_the_sheet_is_an_image_where_the_sheet_is_a_file(cell: str, path: str) -> None:
    assert read_image(cell, local=True) == path
    with pytest.raises(ValueError, match="must begin with http"):
        read_image(cell, local=False)


@pytest.mark.parametrize(
    "cell", ["/x", "//h/x", "\\x", "..", "../x", "x/../../y", "x\\..\\y", "~/x", "~ada/x", ".//x", "C:\\x", "c:/x"]
)
def test_a_path_that_leads_elsewhere_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="a path must stay inside the folder of images"):
        read_image(cell, local=True)
    with pytest.raises(ValueError, match="must begin with http"):
        read_image(cell, local=False)


@pytest.mark.parametrize("cell", [".", "./", "./.", ".\\."])
def test_the_folder_of_the_sheet_is_no_image(cell: str) -> None:
    assert problems((cell, "i"), local=True)


# --- the label and the split ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        (" iv\t", "iv"),
        (" \u00a0\t", ""),
        ("e\u0301", "é"),
        ("con", "con"),
        ("-", "-"),
        ("=1+1", "=1+1"),
        ("a  b", "a  b"),
        ("\N{GRINNING FACE}", "\N{GRINNING FACE}"),
        ("x" * 200, "x" * 200),
        ("x..", "x.."),
        (" .hidden", ".hidden"),
        ("..", ".."),
        ("a/b\\", "a/b\\"),
    ],
)
def test_a_label_is_what_people_wrote(cell: str, label: str) -> None:
    assert read_label(cell) == label


@pytest.mark.parametrize("cell", ["i\nv", "i\0", "\ud800"])
def test_a_label_with_something_unseen_in_it_is_refused_in_words_for_an_annotator(cell: str) -> None:
    words = f"label cannot be used: {quote_inline(cell)} holds a line break or another unseen character"
    assert problems((A, cell)) == [words]


@pytest.mark.parametrize("cell", ["x" * 300, "é" * 101, "/" * 67, "🙂" * 50_000])
def test_a_label_too_long_for_a_folder_is_used_in_a_short_form_that_can_be_picked(cell: str) -> None:
    short = read_label(cell)
    assert cell.startswith(short[:-9])
    assert len(folder_name(short).encode()) <= 200
    assert read_label(short) == short
    assert read_label(cell + "y") != short
    said = f"label too long for a folder: cut short here, to end in “{short[-9:]}”"
    assert problems((A, cell), (B, short)) == [said]


@pytest.mark.parametrize(("cell", "split"), [(" ", ""), ("Train ", "train"), ("TEST", "test"), ("Skip", SKIP)])
def test_a_split_is_read_whatever_its_case_and_blanks(cell: str, split: str) -> None:
    assert read_split(cell) == split


@pytest.mark.parametrize("cell", ["tarin", "unlabelled", "validation", "train val"])
def test_an_unknown_split_is_refused_with_the_ones_there_are(cell: str) -> None:
    said = f"unknown split “{cell}”: use train, val, test or skip, or leave it empty"
    assert problems((A, "i", f" {cell}")) == [said]


def test_a_row_with_nothing_but_a_box_nobody_ticked_is_empty() -> None:
    sheet = table(("", "", "", "FALSE"), ("", "", "", "TRUE"), header=("image", "label", "split", "checked"))
    assert [issue.number for issue in parse_rows(sheet, ColumnHeaders()).issues] == [3]


def test_many_labels_of_one_image_are_counted_where_a_cell_could_not_hold_them() -> None:
    sheet = table(*(("http://h/a.png", f"l{number:03d}", "") for number in range(500)))
    problems = {issue.problem for issue in parse_rows(sheet, ColumnHeaders()).issues}
    assert problems == {"this image has several labels: l000, l001, l002, l003, l004 and 495 more"}


def test_a_heap_of_accents_is_no_label_and_no_header_and_costs_no_time() -> None:
    """To normalise a million of them would take half an hour."""
    heap = "a" + "\u0301" * 500_000 + "\u0316" * 500_000
    given = table((A, heap), (B, "a" + "\u0301" * 30), header=("image", "label", heap))
    said = parse_rows(given, ColumnHeaders())
    assert [row.label for row in said.rows] == ["á" + "\u0301" * 29]
    assert said.issues[0].problem.startswith("label cannot be used: “a")
    assert said.issues[0].problem.endswith("” has a letter with over 30 accents")
