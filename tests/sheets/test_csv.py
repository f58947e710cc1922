"""A CSV file keeps every byte that was not written, and every edit of people who have it open."""

from __future__ import annotations

import csv
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.table import AddColumns, AddRow, CellUpdate, Change, Table
from sheetsync.sheets.csv.sheet import CsvSheet
from sheetsync.sheets.csv.text import Document, quote_field, sniff_delimiter, split_records, unquote_field

TYPED = st.text('ab,;\t"\r\n \ufeff\x0b\u2028é', max_size=30)
DELIMITER = st.sampled_from(",;\t")
MANY = settings(max_examples=500, deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


def write_and_read(path: Path, before: bytes, *changes: Change) -> bytes:
    """Write to a file with this content; return what it holds then."""
    path.write_bytes(before)
    sheet = CsvSheet(path)
    sheet.write(sheet.read(), changes)
    return path.read_bytes()


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def set_cell(row: int, column: int, value: str | float) -> CellUpdate:
    return CellUpdate("rows", row, column, value)


# --- text ---


@MANY
@given(TYPED | st.text(max_size=30), DELIMITER)
def test_a_text_taken_apart_joins_to_the_same_text(text: str, delimiter: str) -> None:
    records = split_records(text, delimiter)
    assert "".join(delimiter.join(record.fields) + record.end for record in records) == text


@MANY
@given(TYPED)
def test_a_document_nobody_changed_has_the_same_bytes(text: str) -> None:
    assert Document.parse(text).encode() == text.encode()


@MANY
@given(TYPED, DELIMITER)
def test_fields_say_what_the_csv_module_reads(text: str, delimiter: str) -> None:
    expected = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert [list(record.values) for record in split_records(text, delimiter)] == expected


@MANY
@given(TYPED, DELIMITER)
def test_a_quoted_text_is_one_field_that_says_it(text: str, delimiter: str) -> None:
    field = quote_field(text, delimiter)
    assert unquote_field(field) == text
    assert [record.fields for record in split_records(f"{field}{delimiter}x", delimiter)] == [[field, "x"]]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b,c\n1;2;3;4;5", ","),
        ("a;b;c\n1,2,3,4,5", ";"),
        ("a\tb\n", "\t"),
        ('"x,y,z",a;b;c', ";"),
        ('"x;y\nz;;;",a\n', ","),
        ("a,b;c", ","),
        ("a;b,c;d", ";"),
        ("image\n", "default"),
        ("", "default"),
        ("\na;b", "default"),
    ],
)
def test_the_delimiter_is_the_most_frequent_one_of_the_header_outside_quotes(text: str, delimiter: str) -> None:
    assert sniff_delimiter(text, "default") == delimiter


# --- bytes ---

MIXED = (
    b'\xef\xbb\xbf"image" ,label,"note"\r\n'
    b'"a.png",iv,"say ""hi"""\n'
    b"\n"
    b'b"b.png,"x"y,\xc3\xa9,,\r'
    b'"two\nlines",v\r\n'
    b"last.png,vi,open"
)


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (set_cell(2, 1, "v"), b'"a.png",iv,', b'"a.png",v,'),
        (set_cell(2, 2, "plain"), b'"say ""hi"""', b"plain"),
        (set_cell(3, 1, "new"), b"\n\nb", b"\n,new\nb"),
        (set_cell(4, 1, 'q"'), b'"x"y', b'"q"""'),
        (set_cell(5, 4, "far"), b'lines",v\r\n', b'lines",v,,,far\r\n'),
        (set_cell(6, 2, "shut"), b"open", b"shut"),
        (set_cell(6, 0, "1,2"), b"last.png", b'"1,2"'),
        (set_cell(8, 0, "x"), b"open", b"open\r\n\r\nx\r\n"),
        (AddRow("rows", ("new.png", 0.5, 3)), b"open", b"open\r\nnew.png,0.5,3\r\n"),
        (AddColumns("rows", ("status", "a;b")), b'"note"\r\n', b'"note",,,status,"a;b"\r\n'),
    ],
)
def test_only_the_bytes_of_the_cells_written_change(path: Path, change: Change, old: bytes, new: bytes) -> None:
    assert MIXED.count(old) == 1
    assert write_and_read(path, MIXED, change) == MIXED.replace(old, new)
    assert names(path.parent) == ["labels.csv"]


def test_a_row_after_a_final_line_end_needs_no_other(path: Path) -> None:
    assert write_and_read(path, b"a,b\n1,2\n", AddRow("rows", ("3",))) == b"a,b\n1,2\n3\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_new_rows_end_as_the_header_does(path: Path, end: bytes) -> None:
    assert write_and_read(path, b"a,b" + end, AddRow("rows", ("1",))) == b"a,b" + end + b"1" + end


def test_where_semicolons_separate_the_comma_is_the_decimal_sign(path: Path) -> None:
    changes = (set_cell(2, 1, 0.5), set_cell(2, 2, "v1.5"), set_cell(2, 3, "a,b"))
    assert write_and_read(path, b"a;b;c;d\nx", *changes) == b"a;b;c;d\nx;0,5;v1.5;a,b"


def test_a_tab_separated_file_stays_one(path: Path) -> None:
    assert write_and_read(path, b"a\tb\nx\ty\n", set_cell(2, 1, "1,5\t")) == b'a\tb\nx\t"1,5\t"\n'


@given(st.lists(st.text(';,\t"ab', min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_new_header_never_changes_the_delimiter(added: list[str]) -> None:
    document = Document.parse("a;b\n1;2\n")
    document.apply(AddColumns("rows", tuple(added)))
    assert Document.parse(document.encode().decode()).delimiter == ";"


def test_a_write_of_what_is_there_already_does_not_touch_the_file(path: Path) -> None:
    path.write_bytes(b"a,b\n1,2\n")
    os.utime(path, (1, 1))
    sheet = CsvSheet(path)
    sheet.write(sheet.read(), [set_cell(2, 1, "2")])
    assert path.stat().st_mtime == 1


def test_writing_a_score_does_not_touch_the_rows(path: Path) -> None:
    path.write_bytes(b"a,b\n1,2")
    before = path.stat()
    sheet = CsvSheet(path)
    sheet.write(sheet.read(), [AddColumns("scores", ("when",))])
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert names(path.parent) == ["labels.csv", "labels.scores.csv"]


def test_a_new_scores_file_is_written_in_the_manner_of_the_rows(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfa;b\r\n1;2\r\n")
    path.chmod(0o640)
    sheet = CsvSheet(path)
    sheet.write(sheet.read(), [AddColumns("scores", ("when", "score")), AddRow("scores", ("now", 0.5))])
    scores = path.with_name("labels.scores.csv")
    assert scores.read_bytes() == b"\xef\xbb\xbfwhen;score\r\nnow;0,5\r\n"
    assert scores.stat().st_mode & 0o777 == 0o640


def test_what_no_csv_can_hold_does_not_break_the_file(path: Path) -> None:
    assert write_and_read(path, b"a\n", set_cell(2, 0, "nul \0 half \ud800")) == b"a\nnul ? half ?\n"
    assert CsvSheet(path).read().rows.rows == (("nul ? half ?",),)


# --- files that cannot be used ---


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"image,label\na,b\nc,\xe9t\xe9\n", "byte 19, line 3"),
        (b"image\r\n\xff\r\n", "byte 8, line 2"),
        ("\ufeffimage,label\n".encode("utf-16-le"), "byte 1, line 1"),
        ("\ufeffimage,label\n".encode("utf-16-be"), "byte 1, line 1"),
        ("image,label\n".encode("utf-16-le"), "byte 2, line 1"),
        (b"image\rx\r\0", "byte 9, line 3"),
    ],
)
def test_a_file_that_is_not_utf8_is_refused_with_the_place(path: Path, data: bytes, place: str) -> None:
    path.write_bytes(data)
    with pytest.raises(SheetError, match=rf"labels\.csv is not UTF-8 text \({place}\): save it as \"CSV UTF-8\""):
        CsvSheet(path).read()


def test_an_unreadable_scores_file_is_named(path: Path) -> None:
    path.write_bytes(b"a\n")
    path.with_name("labels.scores.csv").write_bytes(b"\xff")
    with pytest.raises(SheetError, match=r"labels\.scores\.csv is not UTF-8"):
        CsvSheet(path).read()


def test_a_quote_that_never_closes_is_refused_as_it_would_swallow_rows(path: Path) -> None:
    path.write_bytes(b'image,label\na.png,"iv\nb.png,v\nc.png,x\n')
    with pytest.raises(SheetError, match="row 2: a quote is opened here and never closed"):
        CsvSheet(path).read()


def test_a_missing_file_or_a_folder_in_its_place_is_said_with_what_to_do(path: Path) -> None:
    with pytest.raises(SheetError, match=r"labels\.csv cannot be read: No such file.*check `sheet`"):
        CsvSheet(path).read()
    path.mkdir()
    with pytest.raises(SheetError, match=r"labels\.csv cannot be read: Is a directory"):
        CsvSheet(path).read()


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_reads_as_an_empty_table_and_can_be_filled(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert CsvSheet(path).read().rows == Table()
    assert write_and_read(path, content, AddColumns("rows", ("image",))) == content + b"image\n"


# --- replacing the file ---


def test_the_rights_of_the_file_stay(path: Path) -> None:
    path.write_bytes(b"a\n1\n")
    path.chmod(0o604)
    sheet = CsvSheet(path)
    sheet.write(sheet.read(), [set_cell(2, 0, "2")])
    assert path.stat().st_mode & 0o7777 == 0o604


def test_a_symlink_stays_one_and_its_target_is_written(tmp_path: Path) -> None:
    real, link = tmp_path / "shared" / "real.csv", tmp_path / "labels.csv"
    real.parent.mkdir()
    real.write_bytes(b"a\n1\n")
    real.with_name(".real.csv.abc.sheetsync").write_bytes(b"a leftover stands beside the target, as on its disk")
    link.symlink_to("shared/real.csv")
    sheet = CsvSheet(link)
    sheet.write(sheet.read(), [set_cell(2, 0, "2"), AddColumns("scores", ("when",))])
    assert link.is_symlink()
    assert real.read_bytes() == b"a\n2\n"
    assert names(tmp_path) == ["labels.csv", "labels.scores.csv", "shared"]
    assert names(real.parent) == ["real.csv"]


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(path: Path) -> None:
    for name in (".labels.csv.abc.sheetsync", ".labels.csv.swp", ".other.csv.abc.sheetsync"):
        path.with_name(name).write_bytes(b"half")
    write_and_read(path, b"a\n1\n", set_cell(2, 0, "2"))
    assert names(path.parent) == [".labels.csv.swp", ".other.csv.abc.sheetsync", "labels.csv"]


def test_a_folder_that_cannot_be_written_to_leaves_the_file(path: Path) -> None:
    path.with_name(".labels.csv.x.sheetsync").mkdir()  # a leftover that cannot be unlinked; root may do all else
    with pytest.raises(SheetError, match=r"labels\.csv cannot be written: .*try again"):
        write_and_read(path, b"a\n1\n", set_cell(2, 0, "2"))
    assert path.read_bytes() == b"a\n1\n"


def run(script: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


FULL = """
import resource, sys
from pathlib import Path
from sheetsync.rows.table import AddRow, CellUpdate
from sheetsync.sheets.csv.sheet import CsvSheet
sheet = CsvSheet(Path(sys.argv[1]))
book = sheet.read()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    sheet.write(book, [CellUpdate("rows", 2, 0, "small"), AddRow("scores", ("x" * 2000,))])
except Exception as error:
    print(type(error).__name__, error)
"""


def test_no_space_left_leaves_both_files_and_no_other(path: Path) -> None:
    path.write_bytes(b"a\n1\n")
    with run(FULL, str(path)) as process:
        output = process.communicate()[0]
    assert output.startswith("SheetError")
    assert "labels.scores.csv cannot be written: File too large" in output
    assert path.read_bytes() == b"a\n1\n"
    assert names(path.parent) == ["labels.csv"]


LOOP = """
import sys
from pathlib import Path
from sheetsync.rows.table import CellUpdate
from sheetsync.sheets.csv.sheet import CsvSheet
sheet = CsvSheet(Path(sys.argv[1]))
for number in range(10**9):
    sheet.write(sheet.read(), [CellUpdate("rows", row, 0, f"{number:06}") for row in range(2, 3002)])
    if number == 0:
        print("ready", flush=True)
"""


def test_killed_at_any_moment_the_file_is_whole(path: Path) -> None:
    path.write_bytes(b"n,label\n" + b"000000,iv\n" * 3000)
    wait = random.Random(1)
    for _ in range(6):
        with run(LOOP, str(path)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(wait.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        rows = CsvSheet(path).read().rows.rows
        assert len(rows) == 3000
        assert len(set(rows)) == 1
    sheet = CsvSheet(path)
    sheet.write(sheet.read(), [set_cell(2, 0, "x")])
    assert names(path.parent) == ["labels.csv"]


# --- people at work ---


class Editor(threading.Thread):
    """A program in which somebody relabels one row after the other. It holds the file in memory, and saves
    it as editors do: beside, then renamed. `lost` gets the saves that are gone when one looks again."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.labels, self.lost = path, [f"old{number}" for number in range(300)], list[str]()
        self.save()

    def run(self) -> None:
        wait = random.Random(2)
        for number in range(len(self.labels)):
            self.labels[number] = f"new{number}"
            self.save()
            time.sleep(wait.uniform(0.002, 0.004))
            if not self.sees_what_it_saved():
                self.lost.append(self.labels[number])

    def save(self) -> None:
        beside = self.path.with_name("editor.tmp")
        beside.write_text("label,status\n" + "".join(f"{label},\n" for label in self.labels))
        beside.replace(self.path)

    def sees_what_it_saved(self) -> bool:
        for _ in range(50):
            if [row[0] for row in CsvSheet(self.path).read().rows.rows] == self.labels:
                return True
            time.sleep(0.01)  # a save taken for a moment out of the place it came to is put back
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux swaps two files in one step")
def test_every_edit_of_people_survives_writes_that_never_stop(path: Path) -> None:
    editor, sheet, refused, done = Editor(path), CsvSheet(path), 0, 0
    editor.start()
    while editor.is_alive():
        try:
            sheet.write(sheet.read(), [set_cell(row, 1, f"{done}") for row in range(2, 30)])
            done += 1
        except SheetChanged:
            refused += 1
    editor.join()
    assert editor.lost == []
    assert sheet.read().rows.cell(301, 0) == "new299"
    assert done > 10
    assert refused > 0
    assert names(path.parent) == ["labels.csv"]


def test_a_table_without_ragged_rows_stays_one_when_columns_are_added(path: Path) -> None:
    path.write_bytes(b"a,b\n1,2\n3\n\n4,5\n")
    sheet = CsvSheet(path)
    sheet.write(sheet.read(), [AddColumns("rows", ("c", "d"))])
    assert path.read_bytes() == b"a,b,c,d\n1,2,,\n3\n\n4,5,,\n"
