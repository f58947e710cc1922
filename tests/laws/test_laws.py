"""The laws sheetsync keeps, against every kind of sheet, while people edit between any two calls."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sheetsync.errors import SheetError, Shrunk, TrainingError
from sheetsync.project.config import TrainingSettings
from sheetsync.rows.header import ColumnHeaders
from sheetsync.rows.table import Book, Calls, Change, Table
from sheetsync.sheets import Sheet
from sheetsync.sheets.csv.sheet import CsvSheet
from sheetsync.sheets.memory import MemorySheet
from tests.helpers.support import (
    CLASSES,
    MACHINE,
    QuickTrainer,
    Web,
    a_pass,
    hasty_words,
    human_cells,
    machine_cells,
    png,
    project,
    quick_words,
    tree,
)

HEADER = ["who", "image", "label", "split"]
GOOD = {f"http://pics.example/{n}.png": png(n % 12) for n in range(16)}  # some contents stand at two addresses
BROKEN = {"http://pics.example/text": b"this is text", "http://pics.example/cut.png": png(3)[:-30]}
DEAD = "http://pics.example/gone.png"
IMAGES = [*GOOD, *GOOD, *BROKEN, DEAD, "", "ftp://pics.example/1.png", *(f'=IMAGE("{url}")' for url in list(GOOD)[:4])]
LABELS = [*CLASSES, *CLASSES, "", " iv ", "a/b", "Iv"]
SPLITS = ["", "", "", "train", "val", "test", "skip", "tarin"]

row_values = st.tuples(
    st.sampled_from(["Ada", "Bob"]), st.sampled_from(IMAGES), st.sampled_from(LABELS), st.sampled_from(SPLITS)
)


# A pass reads; reads again, writes and reads what is provisional; then the same with what the model says: 0 to 6, and
# goes on like this while people disturb it.
calls = st.sampled_from([None, None, None, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8])


class Shared:
    """A sheet and the people in it: their edits go to the same place the program reads, by another way."""

    def grid(self) -> list[list[str]]:
        raise NotImplementedError

    def put(self, grid: list[list[str]]) -> None:
        raise NotImplementedError

    def open(self) -> Sheet:
        raise NotImplementedError

    def rotate(self, shift: int) -> None:
        """Move the first columns to the end."""
        self.put([cells[shift:] + cells[:shift] for cells in _full(self.grid())])

    def close(self) -> None:
        pass


class InMemory(Shared):
    checks = True

    def __init__(self, folder: Path) -> None:
        self.sheet = MemorySheet(Table(tuple(HEADER)), checks=self.checks)

    def grid(self) -> list[list[str]]:
        rows = self.sheet.book().rows
        return [list(rows.header), *map(list, rows.rows)]

    def put(self, grid: list[list[str]]) -> None:
        for _ in range(len(self.sheet.book().rows.rows)):
            self.sheet.delete(2)
        header = self.grid()[0]
        for old, new in zip(header, grid[0], strict=True):
            if old != new:
                self.sheet.rename(old, f"{new} (new)")
        for new in grid[0]:
            if f"{new} (new)" in self.grid()[0]:
                self.sheet.rename(f"{new} (new)", new)
        for cells in grid[1:]:
            self.sheet.append(cells)

    def open(self) -> Sheet:
        return self.sheet


class Unchecked(InMemory):
    """Like an online sheet: a write goes to row numbers that may have moved."""

    checks = False


class InFile(Shared):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "labels.csv"
        self.put([HEADER])

    def grid(self) -> list[list[str]]:
        return list(csv.reader(io.StringIO(self.path.read_text(), newline="")))

    def put(self, grid: list[list[str]]) -> None:
        with self.path.open("w", newline="") as file:
            csv.writer(file).writerows(grid)

    def open(self) -> Sheet:
        return CsvSheet(self.path)


class Observed:
    """A sheet watched from outside: people act before its calls, and a write that touches their cells is caught."""

    def __init__(self, shared: Shared, acts: list[tuple[int, Any]]) -> None:
        self._shared, self._sheet, self._acts, self._call = shared, shared.open(), acts, 0
        self.violations: list[str] = []

    @property
    def name(self) -> str:
        return self._sheet.name

    @property
    def identity(self) -> str:
        return self._sheet.identity

    @property
    def calls(self) -> Calls:
        return self._sheet.calls

    def finish(self) -> None:
        pass

    def read(self) -> Book:
        self._people()
        return self._sheet.read()

    def write(self, book: Book, changes: list[Change]) -> None:
        self._people()
        before = human_cells(_as_table(self._shared.grid()))
        try:
            self._sheet.write(book, changes)
        finally:
            after = human_cells(_as_table(self._shared.grid()))
            if before != after:
                self.violations.append(f"{before} became {after}")

    def formatter(self, columns: ColumnHeaders, memory: Path) -> None:
        """Nothing watches formatting here."""

    def _people(self) -> None:
        for call, act in self._acts:
            if call == self._call:
                act()
        self._call += 1


def _full(grid: list[list[str]]) -> list[list[str]]:
    return [cells + [""] * (len(grid[0]) - len(cells)) for cells in grid]


def _as_table(grid: list[list[str]]) -> Table:
    return Table(tuple(grid[0]), tuple(map(tuple, grid[1:])))


class Laws(RuleBasedStateMachine):
    """People edit, sort, insert, delete and scribble; passes run in between, and edits fall into passes too."""

    shared_type: ClassVar[type[Shared]]
    observed: ClassVar[Any] = Observed
    idle_reads = 1

    @initialize(
        rows=st.lists(row_values, min_size=4, max_size=12),
        choice=st.sampled_from(["finish", "restart"]),
        seeds=st.sampled_from([1, 1, 3]),
    )
    def start(self, rows: list[tuple[str, ...]], choice: Literal["finish", "restart"], seeds: int) -> None:
        """Where a training may be stopped, the sheet is looked at in each epoch, and edits fall there too."""
        self.folder = Path(tempfile.mkdtemp())
        self.shared = self.shared_type(self.folder)
        self.web, self.trainer = Web(GOOD | BROKEN), QuickTrainer()
        self.project = project(
            self.folder, training=TrainingSettings(when_edited=choice, seeds=seeds), every_minutes=0.01
        )
        self.waiting: list[Any] = []
        base = [["Ada", url, CLASSES[n % 2], "train"] for n, url in enumerate(list(GOOD)[:4])]
        self.shared.put([HEADER, *base, *map(list, rows)])
        self.sync()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.shared.close()
            shutil.rmtree(self.folder)

    # --- people -----------------------------------------------------------------------------------

    def act(self, edit: Any, during: int | None) -> None:
        """Do an edit now, or let it fall right before that call of the next pass."""
        if during is None:
            self._edit(edit)
        else:
            self.waiting.append((during, lambda: self._edit(edit)))

    def _edit(self, edit: Any) -> None:
        header, *rows = _full(self.shared.grid())
        self.shared.put(edit(header, rows))

    @rule(values=row_values, place=st.integers(0, 20), during=calls)
    def insert(self, values: tuple[str, ...], place: int, during: int | None) -> None:
        def edit(header: list[str], rows: list[list[str]]) -> list[list[str]]:
            new = dict(zip(HEADER, values, strict=True))
            rows.insert(min(place, len(rows)), [new.get(name, "") for name in header])
            return [header, *rows]

        self.act(edit, during)

    @rule(place=st.integers(0, 20), during=calls)
    def delete(self, place: int, during: int | None) -> None:
        def edit(header: list[str], rows: list[list[str]]) -> list[list[str]]:
            return [header, *(cells for n, cells in enumerate(rows) if n != place or len(rows) < 5)]

        self.act(edit, during)

    @rule(column=st.sampled_from([*HEADER, "confidence", "review_rank"]), back=st.booleans(), during=calls)
    def sort(self, column: str, back: bool, during: int | None) -> None:
        def edit(header: list[str], rows: list[list[str]]) -> list[list[str]]:
            place = header.index(column) if column in header else 0
            return [header, *sorted(rows, key=lambda cells: cells[place], reverse=back)]

        self.act(edit, during)

    @rule(
        place=st.integers(0, 20),
        values=row_values,
        column=st.sampled_from(HEADER),
        during=calls,
    )
    def retype(self, place: int, values: tuple[str, ...], column: str, during: int | None) -> None:
        def edit(header: list[str], rows: list[list[str]]) -> list[list[str]]:
            if rows:
                rows[place % len(rows)][header.index(column)] = values[HEADER.index(column)]
            return [header, *rows]

        self.act(edit, during)

    @rule(place=st.integers(0, 20), column=st.sampled_from(MACHINE), during=calls)
    def scribble(self, place: int, column: str, during: int | None) -> None:
        def edit(header: list[str], rows: list[list[str]]) -> list[list[str]]:
            if rows and column in header:
                rows[place % len(rows)][header.index(column)] = "mine!"
            return [header, *rows]

        self.act(edit, during)

    @rule(during=calls, shift=st.integers(1, 12))
    def move_columns(self, during: int | None, shift: int) -> None:
        if during is None:
            self.shared.rotate(shift)
        else:
            self.waiting.append((during, lambda: self.shared.rotate(shift)))

    # --- the program ------------------------------------------------------------------------------

    @rule()
    def sync(self) -> None:
        sheet, quiet = self.observed(self.shared, [*self.waiting]), not self.waiting
        self.waiting.clear()
        try:
            a_pass(self.project, sheet, self.web, self.trainer).run(allow_shrink=True)
        finally:
            sheet.finish()
            assert sheet.violations == [], "law 1: a human cell was written"
        self.every_value_is_on_its_own_row(quiet)
        if quiet:
            self.the_folder_says_what_the_sheet_says()

    @precondition(lambda self: not self.waiting)
    @rule(values=row_values)
    def a_training_fails(self, values: tuple[str, ...]) -> None:
        """What is provisional stays then, and says so on every row on which it stands."""
        self.insert(values, place=0, during=None)
        self.trainer.error, trained = TrainingError("training failed: no memory"), len(self.trainer.trained)
        with suppress(TrainingError):
            a_pass(self.project, self.shared.open(), self.web, self.trainer).run(allow_shrink=True)
            self.trainer.error = None
        failed, self.trainer.error = bool(self.trainer.error), None
        assert len(self.trainer.trained) == trained
        self.every_value_is_on_its_own_row(quiet=not failed, provisional=failed)

    def every_value_is_on_its_own_row(self, quiet: bool, *, provisional: bool = False) -> None:
        """Law 2, by an oracle that looks only at what people see: the image cell and what stands beside it."""
        table = _as_table(self.shared.grid())
        place = table.header.index("image")
        for number, said in enumerate(machine_cells(table), start=2):
            content = GOOD.get(table.cell(number, place).removeprefix('=IMAGE("').removesuffix('")'))
            words = hasty_words if provisional else quick_words
            expected = ("", "") if content is None else words(content)
            found = (said["prediction"], said["confidence"])
            assert found in (expected, ("", "")), f"law 2: row {number}"
            assert ("predictions are provisional" in said["status"]) == (provisional and found != ("", ""))
            if quiet and self.trained_now() and said["used_split"] not in ("", "skip"):
                assert found == expected, f"row {number} has no prediction"

    def trained_now(self) -> bool:
        classes = {path.split("/")[1] for path in tree(self.folder / "dataset") if path.startswith("train/")}
        return len(classes) > 1

    @rule()
    def sync_twice(self) -> None:
        self.waiting.clear()
        self.sync()
        before = (self.shared.grid(), tree(self.folder / "dataset"), len(self.trainer.trained))
        asked, calls = len(self.web.asked), self.shared.open().calls
        report = a_pass(self.project, self.shared.open(), self.web, self.trainer).run()
        assert before == (self.shared.grid(), tree(self.folder / "dataset"), len(self.trainer.trained)), "law 4"
        assert len(self.web.asked) == asked, "law 4: not even what failed is asked for again, so soon"
        assert (report.downloaded, report.restored, report.moved, report.cells) == (0, 0, 0, 0), "law 4"
        assert (report.calls.reads - calls.reads, report.calls.writes - calls.writes) == (self.idle_reads, 0), "law 4"

    def the_folder_says_what_the_sheet_says(self) -> None:
        """Law 3."""
        found = sorted(
            (path.rpartition("/")[0], content)
            for path, content in tree(self.folder / "dataset").items()
            if path != "metadata.csv"
        )
        assert found == expected_tree(_full(self.shared.grid()))

    @precondition(lambda self: bool(self.trainer.trained) and not self.waiting)
    @rule(column=st.sampled_from(HEADER), back=st.booleans())
    def sorting_wakes_nobody(self, column: str, back: bool) -> None:
        """Law 5."""
        self.sync()
        trained = len(self.trainer.trained)
        self.sort(column=column, back=back, during=None)
        self.scribble(place=1, column="prediction", during=None)
        self.sync()
        assert len(self.trainer.trained) == trained, "law 5"


def expected_tree(grid: list[list[str]]) -> list[tuple[str, bytes]]:
    """What the folder should hold, told from the sheet by other means than the planner's."""
    header, *rows = grid
    people = [dict(zip(header, cells, strict=False)) for cells in rows]
    said: dict[str, list[tuple[str, str]]] = {}
    for row in people:
        url = row["image"].removeprefix('=IMAGE("').removesuffix('")')
        if row["split"] != "tarin" and url.startswith("http:"):
            said.setdefault(url, []).append((row["label"].strip(), row["split"]))
    agreed = {}
    for url, pairs in said.items():
        labels, splits = ({pair[n] for pair in pairs if pair[n]} for n in (0, 1))
        if len(labels) < 2 and len(splits) < 2 and splits != {"skip"}:
            agreed[url] = "".join(labels), "".join(splits)
    names = {"a/b": "a%2Fb"}
    if {"Iv", "iv"} <= {label for label, _ in agreed.values()}:
        names["iv"] = "%69v"
    files = []
    for url in agreed.keys() & GOOD.keys():
        label, split = agreed[url]
        digest = hashlib.sha256(GOOD[url]).hexdigest()
        split = split or ("val" if int(digest[:8], 16) < 0.2 * 2**32 else "train")
        files.append((f"{split}/{names.get(label, label)}" if label else "unlabelled", GOOD[url]))
    return sorted(files)


class MemoryLaws(Laws):
    shared_type = InMemory


class UncheckedLaws(Laws):
    shared_type = Unchecked


class CsvLaws(Laws):
    shared_type = InFile


MODEST = settings(
    max_examples=60, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
MemoryLaws.TestCase.settings = UncheckedLaws.TestCase.settings = CsvLaws.TestCase.settings = MODEST
TestMemoryLaws = MemoryLaws.TestCase
TestUncheckedLaws = UncheckedLaws.TestCase
TestCsvLaws = CsvLaws.TestCase


# --- laws that need a scene of their own ----------------------------------------------------------

ROWS = [["Ada", url, CLASSES[n % 2], ""] for n, url in enumerate(GOOD)]


@pytest.fixture(params=[InMemory, Unchecked, InFile])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Shared:
    made: Shared = request.param(tmp_path)
    made.put([HEADER, *map(list, ROWS)])
    return made


def test_one_broken_image_stops_no_other_and_its_row_says_why(shared: Shared, tmp_path: Path) -> None:
    shared.put([HEADER, *map(list, ROWS), ["Bob", DEAD, "i", ""], ["Bob", "http://pics.example/cut.png", "i", ""]])
    report = a_pass(project(tmp_path), shared.open(), Web(GOOD | BROKEN), QuickTrainer()).run()
    cells = machine_cells(_as_table(shared.grid()))
    assert report.downloaded == len(ROWS)
    assert report.trained
    tried = "tried once, last 1970-01-01 00:00, next after 1970-01-01 00:10 UTC"
    assert cells[-2]["status"] == f"the server answers 404 (Not Found); {tried}"
    assert cells[-1]["status"].startswith("broken image: ")
    assert (cells[-1]["prediction"], cells[-1]["used_split"]) == ("", "")


def test_a_failed_image_is_tried_again_on_a_later_pass(shared: Shared, tmp_path: Path) -> None:
    web, trainer = Web(GOOD), QuickTrainer()
    url, content = web.popitem()
    assert len(a_pass(project(tmp_path), shared.open(), web, trainer).run().failures) == 1
    web[url] = content
    asked = len(web.asked)
    assert len(a_pass(project(tmp_path), shared.open(), web, trainer, now=599).run().failures) == 1
    assert len(web.asked) == asked, "not yet"
    report = a_pass(project(tmp_path), shared.open(), web, trainer, now=600).run()
    assert (report.failures, report.downloaded) == ((), 1)
    assert {said["status"][:2] for said in machine_cells(_as_table(shared.grid()))} == {"ok"}


@pytest.mark.parametrize("off", [{"backbone": False}, {}])
def test_a_failed_training_writes_nothing_and_the_next_pass_goes_on(
    shared: Shared, tmp_path: Path, off: dict[str, bool]
) -> None:
    """Where there are no provisional predictions, because they fail too or nobody wants them."""
    before = shared.grid()
    web, trainer = Web(GOOD), QuickTrainer(error=TrainingError("training failed: no memory"), **off)
    where = project(tmp_path, training=TrainingSettings(provisional=bool(off)))
    with pytest.raises(TrainingError):
        a_pass(where, shared.open(), web, trainer).run()
    assert shared.grid() == before
    assert trainer.foretold == []
    trainer.error = None
    report = a_pass(where, shared.open(), web, trainer).run()
    assert (report.trained, report.downloaded) == (True, 0)


def test_provisional_predictions_are_in_the_sheet_until_the_model_is_trained(shared: Shared, tmp_path: Path) -> None:
    broken = {"http://pics.example/cut.png": BROKEN["http://pics.example/cut.png"]}
    web, trainer = Web(GOOD | broken), QuickTrainer(error=TrainingError("training failed: no memory"))
    others = [["Bob", *broken, "i", ""], ["Bob", ROWS[0][1], "", "skip"], ["Bob", list(GOOD)[3], "i", ""]]
    shared.put([HEADER, *map(list, ROWS[1:3]), *map(list, ROWS[4:]), *others])
    with pytest.raises(TrainingError):
        a_pass(project(tmp_path), shared.open(), web, trainer).run()
    said = machine_cells(_as_table(shared.grid()))
    *good, cut, skipped, _ = said
    twins = "ok, the same image is at 2 addresses; predictions are provisional"
    assert {cells["status"] for cells in good} == {"ok, predictions are provisional", twins}
    assert (cut["status"][:14], skipped["status"], skipped["prediction"]) == ("broken image: ", "ok", "")
    table = shared.open().read().rows
    found = [(cells["prediction"], cells["confidence"]) for cells in good]
    assert found == [hasty_words(GOOD[table.cell(n, table.header.index("image"))]) for n in range(2, len(good) + 2)]
    assert sorted(int(cells["review_rank"]) for cells in said if cells["review_rank"]) == list(range(1, len(good) + 2))
    assert shared.open().read().scores.rows == (), "no version was trained on yet"
    trainer.error = None
    report = a_pass(project(tmp_path), shared.open(), web, trainer).run()
    said = machine_cells(_as_table(shared.grid()))
    assert {cells["status"] for cells in said if cells["prediction"]} == {"ok", "ok, the same image is at 2 addresses"}
    assert (len(trainer.foretold), len(trainer.trained), report.trained) == (2, 1, True)


def test_a_warning_stands_before_the_word_that_predictions_are_provisional(shared: Shared, tmp_path: Path) -> None:
    shared.put([HEADER, *map(list, ROWS), ["Bob", "http://pics.example/new.png", "iv", ""]])
    web, trainer = Web(GOOD | {"http://pics.example/new.png": png(99)}), QuickTrainer(error=TrainingError("no memory"))
    with pytest.raises(TrainingError):
        a_pass(project(tmp_path), shared.open(), web, trainer).run()
    status = machine_cells(_as_table(shared.grid()))[-1]["status"]
    assert status == "only one image has the label “iv”; predictions are provisional"
    trainer.error = None
    a_pass(project(tmp_path), shared.open(), web, trainer).run()
    assert machine_cells(_as_table(shared.grid()))[-1]["status"] == "only one image has the label “iv”"


def test_what_is_provisional_is_written_over_though_the_sheet_was_right_when_it_was_read(
    shared: Shared, tmp_path: Path
) -> None:
    """As after `.sheetsync/` was deleted: the values of the first reading and of the model are the same."""
    a_pass(project(tmp_path), shared.open(), Web(GOOD), QuickTrainer()).run()
    before, trainer = shared.grid(), QuickTrainer()
    report = a_pass(project(tmp_path), shared.open(), Web(GOOD), trainer).run()
    assert (shared.grid(), len(trainer.foretold)) == (before, 1)
    assert report.cells >= 2 * 3 * len(ROWS), "both writes count: status, prediction and confidence, there and back"


def test_a_sheet_that_takes_no_provisional_predictions_stops_no_training(tmp_path: Path) -> None:
    sheet, trainer, told = MemorySheet(Table(tuple(HEADER), tuple(map(tuple, ROWS)))), QuickTrainer(), []

    def refuse(sheet: MemorySheet, call: str) -> None:
        if call == "write" and not trainer.trained:
            sheet.fail(SheetError("the server is not to be reached"))

    sheet.before = refuse
    made = a_pass(project(tmp_path), sheet, Web(GOOD), trainer)
    replace(made, environment=replace(made.environment, progress=lambda *said: told.append(said))).run()
    assert ("provisional", 0, 0, "none before the full training: the server is not to be reached") in told
    assert "provisional" not in str([cells["status"] for cells in machine_cells(sheet.book().rows)])


@pytest.mark.parametrize("left", [0, len(ROWS) // 2 - 1])
def test_a_sheet_that_suddenly_looks_empty_deletes_nothing(shared: Shared, tmp_path: Path, left: int) -> None:
    a_pass(project(tmp_path), shared.open(), Web(GOOD), QuickTrainer()).run()
    before = tree(tmp_path / "dataset")
    header, *rows = shared.grid()
    shared.put([header, *rows[:left]])
    with pytest.raises(Shrunk, match="--allow-shrink"):
        a_pass(project(tmp_path), shared.open(), Web(GOOD), QuickTrainer()).run()
    assert tree(tmp_path / "dataset") == before
    report = a_pass(project(tmp_path), shared.open(), Web(GOOD), QuickTrainer()).run(allow_shrink=True)
    assert report.deleted == len(ROWS) - left


def test_half_of_the_rows_may_go_without_a_question(shared: Shared, tmp_path: Path) -> None:
    a_pass(project(tmp_path), shared.open(), Web(GOOD), QuickTrainer()).run()
    header, *rows = shared.grid()
    shared.put([header, *rows[: len(ROWS) // 2]])
    assert a_pass(project(tmp_path), shared.open(), Web(GOOD), QuickTrainer()).run().deleted == len(ROWS) // 2


def test_a_renamed_header_deletes_nothing(shared: Shared, tmp_path: Path) -> None:
    a_pass(project(tmp_path), shared.open(), Web(GOOD), QuickTrainer()).run()
    before = tree(tmp_path / "dataset")
    header, *rows = shared.grid()
    shared.put([["picture" if name == "image" else name for name in header], *rows])
    with pytest.raises(SheetError, match="no column is called image or image_url or url"):
        a_pass(project(tmp_path), shared.open(), Web(GOOD), QuickTrainer()).run()
    assert tree(tmp_path / "dataset") == before


def test_ten_relabels_are_ten_moves_one_training_and_a_second_score(shared: Shared, tmp_path: Path) -> None:
    trainer = QuickTrainer()
    a_pass(project(tmp_path), shared.open(), Web(GOOD), trainer).run()
    header, *rows = shared.grid()
    for cells in rows[:10]:
        cells[header.index("label")] = "iv"
    shared.put([header, *rows])
    report = a_pass(project(tmp_path), shared.open(), Web({}), trainer).run()
    assert (report.moved, report.downloaded, report.deleted, report.trained) == (10, 0, 0, True)
    scores = shared.open().read().scores
    assert [scores.cell(3, scores.header.index(name)) for name in ("added", "relabelled", "moved")] == ["0", "10", "0"]
    assert len(scores.rows) == len(trainer.trained) == 2


def test_going_back_to_an_earlier_version_trains_nothing(shared: Shared, tmp_path: Path) -> None:
    trainer = QuickTrainer()
    a_pass(project(tmp_path), shared.open(), Web(GOOD), trainer).run()
    header, *rows = shared.grid()
    place = header.index("label")
    old, rows[0][place] = rows[0][place], "iv"
    shared.put([header, *rows])
    a_pass(project(tmp_path), shared.open(), Web(GOOD), trainer).run()
    rows[0][place] = old
    shared.put([header, *rows])
    report = a_pass(project(tmp_path), shared.open(), Web(GOOD), trainer).run()
    assert (report.moved, report.trained, len(trainer.trained)) == (1, False, 2)
    assert len(shared.open().read().scores.rows) == 2


def test_a_row_that_comes_back_needs_no_second_download(shared: Shared, tmp_path: Path) -> None:
    trainer = QuickTrainer()
    a_pass(project(tmp_path), shared.open(), Web(GOOD), trainer).run()
    header, *rows = shared.grid()
    shared.put([header, *rows[3:]])
    a_pass(project(tmp_path), shared.open(), Web({}), trainer).run()
    shared.put([header, *rows])
    report = a_pass(project(tmp_path), shared.open(), Web({}), trainer).run()
    assert (report.restored, report.downloaded, report.failures) == (3, 0, ())


def test_an_unlabelled_image_is_predicted_and_wakes_no_trainer(shared: Shared, tmp_path: Path) -> None:
    trainer, web = QuickTrainer(), Web(GOOD | {"http://pics.example/new.png": png(99)})
    a_pass(project(tmp_path), shared.open(), web, trainer).run()
    header, *rows = shared.grid()
    shared.put([header, *rows, ["Bob", "http://pics.example/new.png"]])
    report = a_pass(project(tmp_path), shared.open(), web, trainer).run()
    said = machine_cells(_as_table(shared.grid()))[-1]
    assert (report.trained, report.downloaded) == (False, 1)
    assert (said["prediction"], said["label_quality"], said["used_split"]) == (
        quick_words(png(99))[0],
        "",
        "unlabelled",
    )


def test_a_column_of_the_teams_own_under_our_name_is_not_taken_over(tmp_path: Path) -> None:
    mine = Table((*HEADER, "status"), tuple((*cells, "checked by Ada") for cells in ROWS))
    sheet = MemorySheet(mine)
    with pytest.raises(SheetError, match="column E is called 'status' and holds values"):
        a_pass(project(tmp_path), sheet, Web(GOOD), QuickTrainer()).run()
    assert sheet.book().rows == mine


def test_a_write_whose_answer_was_lost_is_not_done_twice(tmp_path: Path) -> None:
    sheet = MemorySheet(Table(tuple(HEADER), tuple(map(tuple, ROWS))))
    trainer, web = QuickTrainer(), Web(GOOD)
    a_pass(project(tmp_path), sheet, web, trainer).run()
    sheet.edit(2, "label", "iv")

    def lose(sheet: MemorySheet, call: str) -> None:
        if call == "write" and len(trainer.trained) == 2:
            sheet.before = None
            sheet.fail(SheetError("the answer was lost"), after=True)

    sheet.before = lose
    with pytest.raises(SheetError, match="the answer was lost"):
        a_pass(project(tmp_path), sheet, web, trainer).run()
    a_pass(project(tmp_path), sheet, web, trainer).run()
    assert len(sheet.book().scores.rows) == 2


def test_a_sheet_that_never_stands_still_gives_up_with_a_clear_error(tmp_path: Path) -> None:
    sheet = MemorySheet(Table(tuple(HEADER), tuple(map(tuple, ROWS))))
    sheet.before = lambda sheet, call: sheet.append(["Bob"]) if call == "write" else None
    with pytest.raises(SheetError, match="kept changing"):
        a_pass(project(tmp_path), sheet, Web(GOOD), QuickTrainer()).run()


def test_another_sheet_is_not_ours_because_one_was(tmp_path: Path) -> None:
    a_pass(
        project(tmp_path), MemorySheet(Table(tuple(HEADER), tuple(map(tuple, ROWS)))), Web(GOOD), QuickTrainer()
    ).run()
    (tmp_path / "other.csv").write_text("image,label,status\n" + "".join(f"{url},i,mine\n" for url in GOOD))
    before = (tmp_path / "other.csv").read_bytes()
    with pytest.raises(SheetError, match="column C is called 'status' and holds values"):
        a_pass(project(tmp_path), CsvSheet(tmp_path / "other.csv"), Web(GOOD), QuickTrainer()).run()
    assert (tmp_path / "other.csv").read_bytes() == before


def test_a_column_that_people_add_during_the_first_training_stays_theirs(tmp_path: Path) -> None:
    sheet = MemorySheet(Table((*HEADER, "spare"), tuple((*cells, "") for cells in map(tuple, ROWS))))

    def add(sheet: MemorySheet, call: str) -> None:
        if sheet.calls.reads == 2:
            sheet.before = None
            sheet.rename("spare", "review")
            sheet.edit(2, "review", "ask Bob")

    sheet.before = add
    with pytest.raises(SheetError, match="column E is called 'review' and holds values"):
        a_pass(project(tmp_path), sheet, Web(GOOD), QuickTrainer()).run()
    assert sheet.book().rows.cell(2, 4) == "ask Bob"


def test_labels_that_vanish_all_at_once_are_taken_for_an_accident(shared: Shared, tmp_path: Path) -> None:
    a_pass(project(tmp_path), shared.open(), Web(GOOD), QuickTrainer()).run()
    header, *rows = shared.grid()
    place = header.index("label")
    shared.put([header, *([*cells[:place], "", *cells[place + 1 :]] for cells in rows)])
    with pytest.raises(Shrunk, match="lose their label"):
        a_pass(project(tmp_path), shared.open(), Web(GOOD), QuickTrainer()).run()
