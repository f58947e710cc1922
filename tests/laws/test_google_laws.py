"""The laws on a Google Sheet: a team at work, and a bad network, between any two HTTP requests of a pass."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from sheetsync.common.progress import Progress
from sheetsync.dataset.records import Manifest
from sheetsync.errors import SheetError, SheetsyncError, TrainingError
from sheetsync.project.config import Project, TrainingSettings
from sheetsync.sheets.google.client import Client
from sheetsync.sheets.google.sheet import GoogleSheet
from sheetsync.sync.report import Report
from sheetsync.trainer.records import Prediction, RunInfo
from tests.helpers.googlepeople import DEEDS, ROWS, Team
from tests.helpers.googlerebuild import cut_column
from tests.helpers.googleserver import Fault, GoogleServer
from tests.helpers.googlewatch import FAULTS, Act, Around, Moment, Time
from tests.helpers.support import (
    CLASSES,
    MACHINE,
    QuickTrainer,
    Web,
    a_pass,
    hasty_words,
    machine_cells,
    of_one_write,
    project,
    quick_words,
    tree,
)
from tests.laws.test_laws import BROKEN, GOOD, HEADER, IMAGES, LABELS, SPLITS, _as_table, _full, expected_tree
from tests.sheets.test_google import client

# --- the machine ------------------------------------------------------------------------------------


def new_row(rng: Random) -> dict[str, str]:
    values = (rng.choice(["Ada", "Bob"]), rng.choice(IMAGES), rng.choice(LABELS), rng.choice(SPLITS))
    return dict(zip(HEADER, values, strict=True))


# A pass looks for the tabs and reads; reads again, sets what is provisional, and reads; reads again, adds and sets,
# reads: 0 to 8, a few more where columns are missing, and goes on when disturbed.
requests = st.sampled_from([0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 10, 11, 12, 14, 16, 20])
seeds = st.integers(0, 2**16)
deeds_ = st.sampled_from(sorted(DEEDS))


# What gives a pass something to write.
WAKING = (
    "relabel",
    "find_and_replace_a_label",
    "type_below_the_last_row",
    "scribble_over_ours",
    "rename_a_machine_column",
    "delete_a_machine_column",
    "cut_and_paste_a_machine_column",
    "delete_the_tab_of_scores",
)


# What puts rows elsewhere: then what was written where a column had been is not told from what people wrote.
MOVING = {
    "sort_all",
    "sort_a_part",
    "insert_rows",
    "delete_rows",
    "duplicate_a_row",
    "cut_and_paste_a_row",
    "cut_and_paste_a_block_to_the_end",
    "drag_rows",
    "filter_with_a_sort",
}


class GoogleLaws(RuleBasedStateMachine):
    """A team does whatever it likes, between passes and within them, and the network fails."""

    server: ClassVar[GoogleServer]
    client: ClassVar[Client]

    @initialize(seed=st.integers(0, 999), rows=st.integers(4, 12), choice=st.sampled_from(["finish", "restart"]))
    def start(self, seed: int, rows: int, choice: Literal["finish", "restart"]) -> None:
        rng = Random(seed)
        self.folder = Path(tempfile.mkdtemp())
        self.team = Team(self.server, self.server.create("Images"), new_row)
        self.web, self.trainer = Web(GOOD | BROKEN), QuickTrainer()
        self.project = project(self.folder, training=TrainingSettings(when_edited=choice), every_minutes=0.01)
        base = [["Ada", url, CLASSES[n % 2], "train"] for n, url in enumerate(list(GOOD)[:4])]
        self.team.book.type("Sheet1", "A1", [HEADER, *base, *(list(new_row(rng).values()) for _ in range(rows))])
        self.tidy = True
        self.settle()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.server.world.documents.pop(self.team.id, None)
            shutil.rmtree(self.folder)

    @rule(deeds=st.lists(st.tuples(deeds_, seeds), min_size=1, max_size=3))
    def people(self, deeds: list[tuple[str, int]]) -> None:
        self.work(deeds)

    def work(self, deeds: list[tuple[str, int]]) -> None:
        for deed, seed in deeds:
            self.team.do(deed, seed)

    @rule(
        woken=st.lists(st.tuples(st.sampled_from(WAKING), seeds), min_size=2, max_size=4),
        deeds=st.lists(st.tuples(requests, deeds_, seeds), min_size=2, max_size=6),
        trouble=st.lists(st.tuples(requests, st.sampled_from(sorted(FAULTS))), max_size=3),
        trains=st.sampled_from([True, True, False]),
        settle=st.booleans(),
    )
    def sync(
        self,
        woken: list[tuple[str, int]],
        deeds: list[tuple[int, str, int]],
        trouble: list[tuple[int, str]],
        trains: bool,
        settle: bool,
    ) -> None:
        """A pass with something to write; each deed right before that request of it, and each fault at it."""
        self.work(woken)
        self.trainer.error = None if trains else TrainingError("training failed: no memory")
        try:
            self.one_pass(deeds, trouble)
        except SheetsyncError as error:
            words = str(error)
            assert len(words) < 800, words
            assert not {"\n", "Traceback"} & {*words, *words.split()}, words
            self.tidy = False  # who may not write any more cannot take back either
        else:
            self.tidy &= not MOVING & {deed for _, deed, _ in deeds}
            self.every_value_is_on_its_own_row()
            self.every_run_has_one_row()
            self.nothing_of_ours_stands_elsewhere()
        self.trainer.error = None
        if settle:
            self.settle()

    def settle(self) -> None:
        """Laws 2, 3 and 4: one pass that nobody disturbs puts everything right, and the next one does nothing."""
        self.team.mend()
        self.one_pass()
        self.every_value_is_on_its_own_row(complete=True)
        self.every_run_has_one_row()
        self.nothing_of_ours_stands_elsewhere()
        self.tidy = self.strays() == 0
        self.the_folder_says_what_the_sheet_says()
        self.an_idle_pass_does_nothing()

    def one_pass(self, deeds: Sequence[tuple[int, str, int]] = (), trouble: Sequence[tuple[int, str]] = ()) -> Report:
        """Law 1: whatever happens, no cell of people changes."""
        acts = [(at, partial(self.team.do, deed, seed)) for at, deed, seed in deeds]
        around = Around(self.server, self.team, acts, {at: FAULTS[kind]() for at, kind in trouble})
        try:
            with around:
                return self.a_pass().run(allow_shrink=True)
        finally:
            assert not around.violations, (around.violations[:3], around.kinds)
            assert not self.server.violations, self.server.violations

    def a_pass(self) -> Any:
        sheet = GoogleSheet(self.client, self.team.id, gid=ROWS)
        return a_pass(self.project, sheet, self.web, self.trainer)

    # --- the laws -------------------------------------------------------------------------------------

    def every_value_is_on_its_own_row(self, *, complete: bool = False) -> None:
        """Law 2, by an oracle that looks only at what people see: the image cell and what stands beside it."""
        table = _as_table(self.team.grid())
        place = table.header.index("image")
        for number, said in enumerate(machine_cells(table), start=2):
            content = GOOD.get(table.cell(number, place).removeprefix('=IMAGE("').removesuffix('")'))
            expected = ("", "") if content is None else quick_words(content)
            found = (said["prediction"], said["confidence"])
            assert found in (expected, ("", "")), f"law 2: row {number}: {found}, not {expected}"
            assert "provisional" not in said["status"], f"row {number}: {said['status']}"
            if complete and self.trained_now() and said["used_split"] not in ("", "skip"):
                assert found == expected, f"row {number} has no prediction"

    def trained_now(self) -> bool:
        classes = {path.split("/")[1] for path in tree(self.folder / "dataset") if path.startswith("train/")}
        return len(classes) > 1

    def every_run_has_one_row(self) -> None:
        """And the run of this version of the sheet has one for sure."""
        counts = Counter(run for tab in self.team.book.tabs for run in self.rows_of_runs(tab))
        assert set(counts.values()) <= {1}, counts

    def rows_of_runs(self, tab: str) -> Iterator[str]:
        known = {run.id for run in self.trainer.runs()}
        for line in self.team.book.raw(tab):
            yield from known & {str(cell) for cell in line}

    def nothing_of_ours_stands_elsewhere(self) -> None:
        """Below an empty header stands nothing, for people put nothing there."""
        assert not self.tidy or self.strays() == 0, self.team.header

    def strays(self) -> int:
        header, *rows = _full(self.team.grid())
        return sum(bool(line[place]) for line in rows for place, name in enumerate(header) if not name)

    def the_folder_says_what_the_sheet_says(self) -> None:
        """Law 3."""
        files = tree(self.folder / "dataset").items()
        found = sorted((path.rpartition("/")[0], content) for path, content in files if path != "metadata.csv")
        assert found == expected_tree(_full(self.team.grid()))

    def an_idle_pass_does_nothing(self) -> None:
        """Law 4."""
        before = (self.team.state, tree(self.folder / "dataset"), len(self.trainer.trained))
        calls = self.client.calls
        report = self.one_pass()
        assert before == (self.team.state, tree(self.folder / "dataset"), len(self.trainer.trained)), "law 4"
        assert (report.downloaded, report.restored, report.moved, report.cells) == (0, 0, 0, 0), "law 4"
        assert (report.calls.reads - calls.reads, report.calls.writes - calls.writes) == (2, 0), "law 4"


RUNS = int(os.environ.get("SHEETSYNC_GOOGLE_RUNS", "30"))


class TestGoogleLaws(GoogleLaws.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(
        max_examples=RUNS,
        stateful_step_count=8,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=set(Phase) - {Phase.shrink},  # it takes minutes, and a run has few steps
        print_blob=True,
    )

    @classmethod
    def setUpClass(cls) -> None:
        cls.stack, time = ExitStack(), Time()
        GoogleLaws.server = cls.stack.enter_context(GoogleServer())
        GoogleLaws.client = cls.stack.enter_context(client(GoogleLaws.server, clock=time, sleep=time.sleep))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.stack.close()


# --- scenes: one thing at a time, right before one request ------------------------------------------


@dataclass
class Scene:
    """Twelve rows that were synced once, and one of them relabelled since: the next pass writes cells and a score."""

    server: GoogleServer
    client: Client
    folder: Path
    trainer: QuickTrainer = field(default_factory=QuickTrainer)
    of: Callable[[Path], Project] = of_one_write

    def __post_init__(self) -> None:
        self.team = Team(self.server, self.server.create("Images"), new_row)
        people = [["Ada", url, CLASSES[n % 2], "train"] for n, url in enumerate(list(GOOD)[:12])]
        self.team.book.type("Sheet1", "A1", [HEADER, *people])
        self.run()
        self.team.book.type("Sheet1", "C2", "iv")

    def run(self, *acts: tuple[Moment, Act], trouble: Mapping[Moment, Fault] | None = None) -> Around:
        """One pass, and none of people's cells may change."""
        around = Around(self.server, self.team, acts, trouble or {})
        try:
            with around:
                sheet = GoogleSheet(self.client, self.team.id, gid=ROWS)
                a_pass(self.of(self.folder), sheet, Web(GOOD), self.trainer).run()
        finally:
            assert (around.violations, self.server.violations) == ([], [])
        return around

    def check(self) -> None:
        """Every row shows what belongs to its image, and every run has one row of scores below the right headers."""
        table = _as_table(self.team.grid())
        place = table.header.index("image")
        said = [(cells["prediction"], cells["confidence"]) for cells in machine_cells(table)]
        assert said == [quick_words(GOOD[table.cell(number, place)]) for number in range(2, len(table.rows) + 2)]
        header, *lines = self.team.book.raw(self.team.scores())
        assert sorted(line[header.index("run")] for line in lines) == sorted(run.id for run in self.trainer.runs())

    def scores(self) -> list[dict[str, Any]]:
        header, *lines = self.team.book.raw(self.team.scores())
        return [dict(zip(header, line, strict=False)) for line in lines]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[GoogleServer, Client]]:
    time = Time()
    with GoogleServer() as server, client(server, clock=time, sleep=time.sleep) as made:
        yield server, made


@pytest.fixture
def scene(served: tuple[GoogleServer, Client], tmp_path: Path) -> Scene:
    return Scene(*served, tmp_path)


def turned(scene: Scene) -> Act:
    """Sort all rows the other way round."""
    return lambda: scene.team.book.sort(scene.team.tab, "A2:Z1000", scene.team.column("image"), descending=True)


def test_rows_that_people_sort_right_before_a_write_are_put_right(scene: Scene) -> None:
    around = scene.run((("set", 1), turned(scene)))
    assert around.kinds.count("set") == 2
    scene.check()


def test_rows_that_people_sort_while_a_model_trains_are_never_wrong(scene: Scene) -> None:
    """The third reading is the one after the training; the fourth follows the only write."""
    around = scene.run((("read", 3), turned(scene)), (("read", 4), scene.check))
    assert around.kinds == ["read", "read", "read", "add", "set", "read"]
    scene.check()


def test_rows_that_people_sort_right_before_a_provisional_write_are_put_right(scene: Scene) -> None:
    """By the reading after it, before the training begins."""
    scene.of, scene.trainer.error = project, TrainingError("training failed: no memory")
    with pytest.raises(TrainingError):
        scene.run((("set", 1), turned(scene)))
    table = _as_table(scene.team.grid())
    place = table.header.index("image")
    for number, said in enumerate(machine_cells(table), start=2):
        assert (said["prediction"], said["confidence"]) == hasty_words(GOOD[table.cell(number, place)])
        assert said["status"].endswith("predictions are provisional")
    scene.trainer.error = None
    assert scene.run().kinds == ["read"] * 3 + ["add", "set", "read"], "what is provisional stands there already"
    scene.check()


def test_a_column_that_people_insert_right_before_a_write_is_not_hit(scene: Scene) -> None:
    def insert() -> None:
        scene.team.book.insert_columns("Sheet1", "E")
        scene.team.book.type("Sheet1", "E1", [["remark"], *([f"seen {n}"] for n in range(12))])

    scene.run((("set", 1), insert))
    scene.check()


class Formulas(QuickTrainer):
    """Its classes are called so that they would be computed when typed."""

    def predictions(self, run: RunInfo, manifest: Manifest, progress: Progress) -> list[Prediction]:
        said = super().predictions(run, manifest, progress)
        return [replace(each, label="=1+1" if n % 2 else "0042") for n, each in enumerate(said)]


def test_what_a_model_says_is_never_computed(served: tuple[GoogleServer, Client], tmp_path: Path) -> None:
    scene = Scene(*served, tmp_path, Formulas())
    cells = [scene.team.book.cell("Sheet1", f"F{number}") for number in range(2, 14)]
    assert {(cell.value, cell.formula) for cell in cells} == {("=1+1", None), ("0042", None)}


@pytest.mark.parametrize("fault", ["twice", "twice, second answer", "lost", "cut", "503"])
@pytest.mark.parametrize("nth", [1, 2])
def test_an_addition_takes_effect_once(scene: Scene, fault: str, nth: int) -> None:
    """With all columns and the tab of scores deleted before, the first addition makes columns, the second a row."""
    scene.team.book.delete("scores")
    scene.team.book.delete_columns("Sheet1", "E", "K")
    around = scene.run(trouble={("add", nth): FAULTS[fault]()})
    where = [at for at, kind in enumerate(around.kinds) if kind == "add"][nth - 1]
    assert around.kinds[where + 1] in ("read", "set"), "an addition is never made again without looking"
    assert [name for name in scene.team.header if name] == [*HEADER, *MACHINE]
    assert [row["run"] for row in scene.scores()] == [scene.trainer.runs().runs[-1].id]


# --- columns that are cut away from under their names -----------------------------------------------


REFUSED = "column [A-Z]+ is called '{}' and holds values that may not be sheetsync's: rename or clear it"


@pytest.mark.parametrize("along", [False, True])
def test_a_column_that_people_cut_away_right_before_a_write_leaves_nothing_behind(scene: Scene, along: bool) -> None:
    """Where its name does not go along, nothing tells it from a column of people's."""
    hole = scene.team.header.index("label_quality")
    cut = ("set", 1), partial(cut_column, scene.team, "label_quality", along=along)
    with nullcontext() if along else pytest.raises(SheetError, match=REFUSED.format("label_quality")):
        scene.run(cut)
    scene.team.mend()
    scene.run()
    assert [line[hole] for line in scene.team.grid()] == [""] * 13
    assert scene.team.grid()[1][-1] != ""
    scene.check()
    assert scene.run().kinds == ["read", "read"]


def test_what_it_left_is_emptied_only_in_the_very_row_where_it_was_written(scene: Scene) -> None:
    hole = scene.team.column("label_quality")
    cut = partial(cut_column, scene.team, "label_quality", along=False)

    def sort_and_type() -> None:
        turned(scene)()
        scene.team.book.type("Sheet1", f"{hole}2", [["mine"]] * 11)

    with pytest.raises(SheetError, match=REFUSED.format("label_quality")):
        scene.run((("set", 1), cut), (("read", 4), sort_and_type))
    found = [line[0] for line in scene.team.book.raw("Sheet1", f"{hole}2:{hole}13")]
    assert found[:11] == ["mine"] * 11
    assert found[11] != "", "ours, in another row by now"


def test_what_people_put_in_its_place_in_that_moment_is_lost_where_it_was_written_and_nowhere_else(
    scene: Scene,
) -> None:
    """The one known gap, from a reading until the write arrives: Google takes no write under a condition."""
    hole = scene.team.column("label_quality")

    def replace_it() -> None:
        cut_column(scene.team, "label_quality", along=False)
        scene.team.book.type("Sheet1", f"{hole}1", [["mine"], *([f"mine {n}"] for n in range(2, 14))])

    with pytest.raises(SheetError, match=REFUSED.format("label_quality")):
        scene.run((("set", 1), replace_it))
    scene.team.mend()
    scene.run()
    found = [line[0] if line else "" for line in scene.team.book.raw("Sheet1", f"{hole}1:{hole}13")]
    assert found == ["mine", "", *(f"mine {n}" for n in range(3, 14))]
    scene.check()


def test_a_name_that_was_left_behind_is_never_written_by_again(scene: Scene) -> None:
    """Naming a column anew takes a moment, in which people drag what stands under the old name to another place."""
    team = scene.team
    cut_column(team, "review", along=False)
    team.book.type("Sheet1", "I1", [["mine"], *([f"mine {n}"] for n in range(2, 14))])
    team.book.type("Sheet1", "K2", "scribbled")
    assert team.header == [*HEADER, "status", "prediction", "confidence", "label_quality", "mine", "review_rank",
                           "used_split", "review"]  # fmt: skip
    team.book.clear("Sheet1", "L2:L13")
    scene.run((("read", 4), lambda: team.book.move_columns("Sheet1", "I", "I", "L")))
    scene.check()
    place = team.header.index("mine")
    assert [line[place] for line in team.grid()[1:]] == [f"mine {n}" for n in range(2, 14)]
    assert scene.run().kinds == ["read", "read"]


# --- whose column it is -----------------------------------------------------------------------------


def own_review(scene: Scene, at: str) -> None:
    scene.team.book.type("Sheet1", f"{at}1", [["review"], *([f"ask Ada {n}"] for n in range(2, 14))])


def test_a_column_that_people_make_under_the_name_of_one_that_they_renamed_is_theirs(scene: Scene) -> None:
    scene.team.book.type("Sheet1", "I1", "old review")
    own_review(scene, "L")
    before = scene.team.state
    with pytest.raises(SheetError, match=REFUSED.format("review")):
        scene.run()
    assert scene.team.state == before
    scene.team.book.type("Sheet1", "L1", "remarks")
    scene.run()
    scene.check()
    assert [line[11] for line in scene.team.grid()] == ["remarks", *(f"ask Ada {n}" for n in range(2, 14))]


def test_an_empty_column_under_our_name_is_ours_from_the_moment_it_has_one(scene: Scene) -> None:
    scene.team.book.type("Sheet1", "I1", "old review")
    scene.team.book.type("Sheet1", "L1", "review")
    scene.run()
    scene.team.book.move_columns("Sheet1", "L", "L", "A")
    assert scene.run().kinds == ["read", "read"]
    assert scene.team.header[0] == "review"


def test_what_people_type_into_it_in_that_moment_stays(scene: Scene) -> None:
    scene.team.book.type("Sheet1", "I1", "old review")
    scene.team.book.type("Sheet1", "L1", "review")
    with pytest.raises(SheetError, match=REFUSED.format("review")):
        scene.run((("add", 1), lambda: own_review(scene, "L")))
    assert [line[11] for line in scene.team.grid()[1:]] == [f"ask Ada {n}" for n in range(2, 14)]


def test_columns_that_came_with_the_sheet_are_taken_over_all_at_once(scene: Scene, tmp_path: Path) -> None:
    """As in a CSV that was synced once and is a Google Sheet now. Nothing tells that they are ours but their number."""
    for named in scene.team.state.named:
        scene.team.batch("deleteNamedRange", namedRangeId=named["namedRangeId"])
    scene.run()
    scene.check()
    where = {named["range"]["startColumnIndex"] for named in scene.team.state.named if "_rows_" in named["name"]}
    assert where == set(range(4, 11))
    assert scene.run().kinds == ["read", "read"]


# --- scores -----------------------------------------------------------------------------------------


def other_columns(scene: Scene) -> None:
    scene.team.book.insert_columns("scores", "A")
    scene.team.book.type("scores", "A1", [["mine"], ["first"]])
    scene.team.book.move_columns("scores", "F", "F", "C")


def swapped_headers(scene: Scene) -> None:
    """By hand, so that only the cells move."""
    scene.team.book.cut_paste("scores", "B1:B9", "X1")
    scene.team.book.cut_paste("scores", "C1:C9", "B1")
    scene.team.book.cut_paste("scores", "X1:X9", "C1")


@pytest.mark.parametrize(
    ("change", "when"),
    [
        (other_columns, ("add", 1)),
        (other_columns, ("read", 1)),
        (swapped_headers, ("read", 1)),  # right before the addition it could not be noticed: cells have no identity
    ],
)
def test_a_row_of_scores_stands_below_the_right_headers(
    scene: Scene, change: Callable[[Scene], None], when: Moment
) -> None:
    before = scene.scores()[0]
    scene.run((when, lambda: change(scene)))
    scene.check()
    first, second = ({name: row[name] for name in row if name != "mine"} for row in scene.scores())
    assert first == before
    assert {name: second[name] for name in ("recipe", "train", "test", "relabelled", "val_accuracy")} == {
        "recipe": "quick",
        "train": 12,
        "test": 0,
        "relabelled": 1,
        "val_accuracy": 0.5,
    }
    assert [row.get("mine", "") for row in scene.scores()] in (["first", ""], ["", ""])


def test_so_does_the_first_row_in_a_new_tab(scene: Scene) -> None:
    scene.team.book.delete("scores")
    scene.run((("add", 2), lambda: other_columns(scene)))
    row = scene.scores()[-1]
    assert (row["mine"], row["run"], row["recipe"]) == ("", scene.trainer.runs().runs[-1].id, "quick")


def test_scores_go_on_in_their_tab_whatever_it_is_called(scene: Scene) -> None:
    scene.run((("read", 3), lambda: scene.team.book.rename("scores", "Results")))
    scene.check()
    assert scene.team.book.tabs == ["Sheet1", "Results"]


def test_a_column_cut_away_right_before_a_row_comes_gives_no_second_row(scene: Scene) -> None:
    """Its cell stands where the column was, and is for people to move."""
    scene.run((("add", 1), lambda: scene.team.book.cut_paste("scores", "B:B", "X1")))
    assert [line[1] for line in scene.team.book.raw("scores")] == ["", "", scene.trainer.runs().runs[-1].id]


@pytest.mark.parametrize("edit", ["add_a_row", "delete_a_row"])
def test_rows_of_scores_may_come_and_go_right_before_another_one(scene: Scene, edit: str) -> None:
    book = scene.team.book
    acts = {
        "add_a_row": lambda: book.type("scores", "A3", [["by hand", "no run"]]),
        "delete_a_row": lambda: book.resize("scores", 1, 20),
    }
    scene.run((("add", 1), acts[edit]))
    runs = [row["run"] for row in scene.scores()]
    assert runs.count(scene.trainer.runs().runs[-1].id) == 1
    assert ("no run" in runs) == (edit == "add_a_row")


# --- tabs, headers and rights -----------------------------------------------------------------------


@pytest.mark.parametrize(("first", "times"), [(2, 3), (3, 6)])
def test_tabs_that_are_renamed_at_every_look_are_found(scene: Scene, first: int, times: int) -> None:
    """The second reading is the first one of cells, the third the one before the write; a look at the tabs follows."""

    def rename(number: int) -> None:
        scene.team.book.rename(scene.team.tab, f"Rows {number}")

    scene.run(*((("read", first + 2 * number), partial(rename, number)) for number in range(times)))
    scene.check()
    assert scene.team.tab == f"Rows {times - 1}"


def test_labels_under_another_header_stop_a_pass_before_it_writes(scene: Scene) -> None:
    seen = []

    def rename() -> None:
        scene.team.book.type("Sheet1", "C1", "Label of Ada")
        seen.append(scene.team.state)

    with pytest.raises(SheetError, match="no column is called label"):
        scene.run((("read", 3), rename))
    assert [scene.team.state] == seen
    scene.team.book.type("Sheet1", "C1", "label")
    scene.run()
    scene.check()


@pytest.mark.parametrize("cells", [None, "E:K"])
def test_what_is_protected_from_us_is_told(scene: Scene, cells: str | None) -> None:
    scene.team.book.protect("Sheet1", cells)
    with pytest.raises(SheetError, match="protected from sheetsync: under Data > Protect sheets and ranges, let "):
        scene.run()
    scene.team.book.unprotect("Sheet1")
    scene.run()
    scene.check()


def test_a_right_to_write_that_is_withdrawn_is_told_and_what_is_missing_comes_later(scene: Scene) -> None:
    with pytest.raises(SheetError, match="share it as Editor"):
        scene.run((("set", 1), lambda: scene.team.book.grant(scene.server.email, "reader")))
    scene.team.book.grant(scene.server.email)
    scene.run()
    scene.check()
