"""Formatting of a Google Sheet: added any number of times, kept up to date, and removed without a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sheetsync.common.state_folder import StateFolder
from sheetsync.errors import SheetError, TrainingError
from sheetsync.rows.header import ColumnHeaders, column_letter
from sheetsync.rows.schema import MACHINE_COLUMNS
from sheetsync.rows.table import AddColumns, AddRow, Table
from sheetsync.sheets.google.client import Client
from sheetsync.sheets.google.formatting.add import pickable_labels
from sheetsync.sheets.google.formatting.formatter import GoogleFormatter
from sheetsync.sheets.google.formatting.styles import FILTER_VIEWS, GRADIENT, NOTES
from sheetsync.sheets.google.metadata import RECORD, id_of, mark_created
from sheetsync.sheets.google.sheet import GoogleSheet
from tests.helpers.googleserver import GoogleServer, faults
from tests.helpers.support import CLASSES, QuickTrainer, Web, a_pass, human_cells, project
from tests.laws.test_laws import GOOD, HEADER
from tests.sheets.test_google import client

VIEWS = ["Look here first", "Least confident", "Suspected labels", "New since last run", "Errors"]
PEOPLE = [HEADER, *(["Ada", url, CLASSES[n % 2], "train"] for n, url in enumerate(list(GOOD)[:6]))]


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


class Scene:
    """A spreadsheet of a team, and a folder from which sheetsync works on it."""

    def __init__(self, server: GoogleServer, made: Client, folder: Path, rows: Sequence[Sequence[Any]] = PEOPLE):
        self.server, self.folder, self.client = server, folder, made
        self.id = server.create("Images", rows)
        self.book = server.book(self.id)

    def formatter(self, columns: ColumnHeaders | None = None) -> GoogleFormatter:
        return GoogleFormatter(
            GoogleSheet(self.client, self.id), columns or ColumnHeaders(), self.folder / "offered.txt"
        )

    def update_dropdown(self, labels: Sequence[str]) -> None:
        """Update the drop-down as a pass does, which has read the sheet."""
        sheet = GoogleSheet(self.client, self.id)
        sheet.read()
        GoogleFormatter(sheet, ColumnHeaders(), self.folder / "offered.txt").update_dropdown(labels)

    def full(self) -> dict[str, Any]:
        url = f"https://sheets.googleapis.com/v4/spreadsheets/{self.id}"
        found: dict[str, Any] = self.client.request("get", url, params={"includeGridData": "true"}).json()
        return found

    @property
    def title(self) -> str:
        """The title of the tab of rows now."""
        return self.book.tabs[0]

    def tab(self) -> dict[str, Any]:
        found: dict[str, Any] = self.full()["sheets"][0]
        return found

    def column(self, header: str) -> int:
        return self.book.values(self.title)[0].index(header)

    def offered(self, row: int = 2) -> list[str] | None:
        rule = self.book.cell(self.title, f"{column_letter(self.column('label'))}{row}").validation
        return [each["userEnteredValue"] for each in rule["condition"]["values"]] if rule else None

    def human_cells(self) -> list[tuple[str, ...]]:
        grid = [[str(cell) for cell in cells] for cells in self.book.raw(self.title)]
        return human_cells(Table(tuple(grid[0]), tuple(map(tuple, grid[1:]))))


@pytest.fixture
def scene(google: GoogleServer, tmp_path: Path) -> Iterator[Scene]:
    with client(google) as made:
        yield Scene(google, made, tmp_path)


# --- what it makes ----------------------------------------------------------------------------------


def test_all_of_it_is_there_and_listed(scene: Scene) -> None:
    said = "\n".join(scene.formatter().add(["i", "iv"]))
    tab = scene.tab()
    assert scene.book.values("Sheet1")[0] == [*HEADER, *MACHINE_COLUMNS]
    assert tab["properties"]["gridProperties"]["frozenRowCount"] == 1
    assert [view["title"] for view in tab["filterViews"]] == VIEWS
    assert all(each["warningOnly"] for each in tab["protectedRanges"])
    assert [each["range"]["startColumnIndex"] for each in tab["protectedRanges"]] == [4, 5, 6, 7, 8, 9, 10]
    assert sorted(each["ranges"][0]["startColumnIndex"] for each in tab["conditionalFormats"]) == [6, 7]
    assert scene.book.cell("Sheet1", "E1").note == NOTES["status"]
    assert scene.offered(2) == scene.offered(1000) == ["i", "iv"]
    assert scene.book.cell("Sheet1", "C2").validation["strict"] is False  # type: ignore[index]
    assert scene.book.cell("Sheet1", "C1").validation is None
    assert "scores" in scene.book.tabs
    for words in (
        *MACHINE_COLUMNS,
        *VIEWS,
        "drop-down",
        "freezing of the header",
        "tab scores",
        "colour scales",
        "notes",
    ):
        assert words in said


def test_the_views_show_and_sort_by_the_columns_they_are_about(scene: Scene) -> None:
    scene.formatter().add([])
    views = {view["title"]: view for view in scene.tab()["filterViews"]}
    for look in FILTER_VIEWS:
        if look.title in views:
            shown = {spec["columnIndex"] for spec in views[look.title]["filterSpecs"]}
            assert shown == {scene.column(role) for role in look.criteria}
            order = [spec["dimensionIndex"] for spec in views[look.title].get("sortSpecs", [])]
            assert order == ([scene.column(look.sort)] if look.sort else [])


def test_a_row_whose_predictions_are_provisional_is_no_error(scene: Scene, tmp_path: Path) -> None:
    """Such a status hides a row from the view of errors, as ok does."""
    scene.formatter().add([])
    (spec,) = next(view for view in scene.tab()["filterViews"] if view["title"] == "Errors")["filterSpecs"]
    failing = QuickTrainer(error=TrainingError("no memory"))
    for trainer in (failing, QuickTrainer()):
        with suppress(TrainingError):
            a_pass(project(tmp_path), GoogleSheet(scene.client, scene.id), Web(GOOD), trainer).run()
        said = {cells[scene.column("status")] for cells in scene.book.values(scene.title)[1:]}
        assert said & {*spec["filterCriteria"]["hiddenValues"]}
        assert not [words for words in said - {*spec["filterCriteria"]["hiddenValues"]} if words.startswith("ok")]
    assert failing.foretold


def test_a_view_waits_for_its_column(scene: Scene) -> None:
    fewer = ColumnHeaders(machine={name: name for name in MACHINE_COLUMNS if name != "confidence"})
    scene.formatter(fewer).add([])
    assert "Least confident" not in {view["title"] for view in scene.tab()["filterViews"]}
    scene.formatter().add([])
    views = scene.tab()["filterViews"]
    assert {view["title"] for view in views} == {*VIEWS}
    assert views[-1]["sortSpecs"] == [{"dimensionIndex": 10, "sortOrder": "ASCENDING"}]


def test_with_its_columns_called_otherwise_it_dresses_these(scene: Scene) -> None:
    names = ColumnHeaders(machine={name: f"our {name}" for name in MACHINE_COLUMNS})
    said = scene.formatter(names).add([])
    assert scene.book.values("Sheet1")[0][4] == "our status"
    assert "our status" in said[0]


def test_pictures_are_shown_by_one_formula_for_all_rows(scene: Scene) -> None:
    before = scene.full()
    scene.formatter().add([], with_preview=True)
    header = scene.book.raw("Sheet1")[0]
    assert header[-1] == '=ARRAYFORMULA(IF(ROW(B:B)=1;"preview";IF(B:B="";"";IFERROR(IMAGE(B:B)))))'
    assert scene.book.values("Sheet1")[0][-1] == "preview"
    dressed = scene.full()
    scene.formatter().add([], with_preview=True)
    assert scene.full() == dressed
    scene.formatter().remove()
    assert scene.full() == before


# --- again, and back --------------------------------------------------------------------------------


def test_twice_is_once(scene: Scene) -> None:
    first = scene.formatter().add(["i", "iv"])
    once, writes = scene.full(), scene.server.writes
    second = scene.formatter().add(["i", "iv"])
    assert (scene.full(), second) == (once, first)
    assert scene.server.writes == writes


def test_undone_it_is_what_it_was(scene: Scene) -> None:
    before = scene.full()
    made = scene.formatter().add(["i", "iv"])
    assert scene.full() != before
    scene.server.clear_log()
    assert scene.formatter().remove() == [f"removed: {each}" for each in made]
    assert scene.full() == before
    assert sum(b"deleteNamedRange" in each.content for each in scene.server.asked) == 1, "names may outlive columns"
    assert scene.formatter().remove() == []


def format_by_people(scene: Scene) -> None:
    """Give the sheet a team's own formatting of every kind that we add."""
    book = scene.book
    book.freeze("Sheet1", 2)
    book.dropdown("Sheet1", "C2:C7", ["i", "ii"])
    book.note("Sheet1", "B1", "their note")
    book.format("Sheet1", "A1:D1", {"textFormat": {"bold": True}})
    book.protect("Sheet1", "A1:A9")
    book.filter("Sheet1", "A1:D7")
    book.name("theirs", "Sheet1", "B1:B7")
    book.merge("Sheet1", "A20:B21")
    whole = {"sheetId": 0, "startRowIndex": 0, "endRowIndex": 9, "startColumnIndex": 0, "endColumnIndex": 4}
    book.batch(
        {"addFilterView": {"filter": {"title": "Errors", "range": whole}}},
        {"addConditionalFormatRule": {"rule": {"ranges": [whole], "gradientRule": GRADIENT}}},
        {"createDeveloperMetadata": {"developerMetadata": metadata("theirs")}},
    )
    book.add("notes", [["ours"]])


def metadata(key: str) -> dict[str, Any]:
    return {"metadataKey": key, "visibility": "DOCUMENT", "location": {"sheetId": 0}}


def test_what_the_team_has_of_its_own_stays(scene: Scene) -> None:
    format_by_people(scene)
    before = scene.full()
    scene.formatter().add(["i", "iv"])
    assert scene.offered(2) == ["i", "ii"]
    assert scene.offered(8) == ["i", "iv"]
    assert scene.tab()["properties"]["gridProperties"]["frozenRowCount"] == 2
    scene.formatter().add(["i", "iv"])
    scene.formatter().remove()
    assert scene.full() == before


def test_a_column_that_people_made_under_a_name_of_ours_is_theirs(scene: Scene) -> None:
    """They renamed ours, and deleted another, and made columns of these names with words of their own."""
    scene.formatter().add(["i"], with_preview=True)
    at = {name: column_letter(scene.column(name)) for name in ("review", "preview")}
    scene.book.type("Sheet1", f"{at['review']}1", "old review")
    scene.book.delete_columns("Sheet1", at["preview"])
    scene.book.type("Sheet1", "M1", [["review", "Preview"], ["human 1", "human 2"]])
    scene.formatter().add(["i"])
    said = scene.formatter().remove()
    assert "kept: the column review, for it is people's, or holds notes of theirs" in said
    assert [row[len(HEADER) :] for row in scene.book.values("Sheet1")[:2]] == [
        ["old review", *[""] * (len(scene.book.values("Sheet1")[0]) - len(HEADER) - 3), "review", "Preview"],
        ["", *[""] * (len(scene.book.values("Sheet1")[0]) - len(HEADER) - 3), "human 1", "human 2"],
    ]


def test_a_record_that_somebody_forged_takes_no_column_of_people(scene: Scene) -> None:
    scene.formatter().add(["i"])
    forge_record(
        scene, json.dumps({"columns": ["label", "who", "status"], "scores": True, "frozen": True, "dropdown": True})
    )
    scene.book.batch(*mark_created(0, "label", scene.column("label")))
    scene.formatter().remove()
    assert scene.book.values("Sheet1")[0][:4] == HEADER


def forge_record(scene: Scene, text: str) -> None:
    lookup = {"developerMetadataLookup": {"metadataId": id_of(0, RECORD)}}
    change = {"developerMetadata": {"metadataValue": text}, "fields": "metadataValue"}
    scene.book.batch({"updateDeveloperMetadata": {"dataFilters": [lookup], **change}})


@pytest.mark.parametrize("junk", ["{", "[]", "null", '{"columns": 5}', '{"columns": [1], "new": 1}', "", "7"])
def test_a_record_that_is_none_stops_nothing(scene: Scene, junk: str) -> None:
    scene.formatter().add(["i"])
    forge_record(scene, junk)
    scene.update_dropdown(["i", "iv"])
    scene.formatter().add(["i"])
    forge_record(scene, junk)
    scene.formatter().remove()
    assert scene.book.values("Sheet1")[0][:4] == HEADER


def test_a_tab_of_scores_of_their_own_is_not_taken_for_ours(scene: Scene) -> None:
    scene.formatter().add(["i"])
    scene.book.delete("scores")
    scene.book.add("scores", [["note", "run"]])
    scene.formatter().remove()
    assert scene.book.values("scores") == [["note", "run"]]


def test_what_people_noted_in_our_columns_is_kept_with_them(scene: Scene) -> None:
    scene.formatter().add(["i"])
    column = column_letter(scene.column("review"))
    scene.book.note("Sheet1", f"{column}3", "Ada: I think this one is iii")
    scene.book.note("scores", "A5", "mine")
    said = scene.formatter().remove()
    assert scene.book.values("Sheet1")[0] == [*HEADER, "review"]
    assert scene.book.cell("Sheet1", "E3").note == "Ada: I think this one is iii"
    assert scene.book.cell("Sheet1", "E1").note is None
    assert "kept: the tab scores, for something stands in it" in said
    assert "kept: the column review, for it is people's, or holds notes of theirs" in said


def test_a_view_whose_column_went_and_came_back_works_again(scene: Scene) -> None:
    scene.formatter().add(["i"])
    scene.book.delete_columns("Sheet1", column_letter(scene.column("review_rank")))
    scene.formatter().add(["i"])
    view = scene.tab()["filterViews"][0]
    assert view["sortSpecs"][0]["dimensionIndex"] == scene.column("review_rank")
    assert view["filterSpecs"][0]["columnIndex"] == scene.column("review_rank")


def test_a_tab_of_one_row_gets_what_it_has_room_for(scene: Scene) -> None:
    scene.book.clear("Sheet1", "A2:Z1000")
    scene.book.resize("Sheet1", 1, 4)
    said = scene.formatter().add(["i"])
    assert scene.book.values("Sheet1")[0] == [*HEADER, *MACHINE_COLUMNS]
    assert not any("filter views" in line for line in said)


def test_what_stays_refused_is_told_in_the_end(scene: Scene) -> None:
    scene.server.faults.plan = lambda method, path, number: (
        faults.answered(400, b'{"error": {"code": 400, "message": "no room for this", "status": "INVALID_ARGUMENT"}}')
        if path.endswith(":batchUpdate")
        else None
    )
    with pytest.raises(SheetError, match="no room for this"):
        scene.formatter().add(["i"])
    scene.server.faults.clear()


def test_columns_that_were_there_before_stay(scene: Scene) -> None:
    sheet = GoogleSheet(scene.client, scene.id)
    sheet.write(sheet.read(), [AddColumns("rows", MACHINE_COLUMNS)])
    before = scene.full()
    said = scene.formatter().add(["i"])
    assert not any(line.startswith("columns") for line in said)
    scene.formatter().remove()
    assert scene.full() == before


def test_a_tab_of_scores_in_which_something_stands_is_kept(scene: Scene) -> None:
    scene.formatter().add(["i"])
    sheet = GoogleSheet(scene.client, scene.id)
    sheet.write(sheet.read(), [AddRow("scores", ("2026-01-01", "run"))])
    said = scene.formatter().remove()
    assert said[-1] == "kept: the tab scores, for something stands in it"
    assert not any("removed: the tab" in line for line in said)
    assert scene.book.values("scores")[1] == ["2026-01-01", "run"]
    assert scene.book.values("Sheet1") == [list(row) for row in PEOPLE]


def test_what_people_took_away_comes_back_when_it_is_asked_for(scene: Scene) -> None:
    scene.formatter().add(["i"])
    once = scene.full()
    view = scene.tab()["filterViews"][0]
    protected = scene.tab()["protectedRanges"][0]
    scene.book.batch(
        {"deleteFilterView": {"filterId": view["filterViewId"]}},
        {"deleteProtectedRange": {"protectedRangeId": protected["protectedRangeId"]}},
    )
    scene.formatter().add(["i"])
    now = scene.full()
    for kind, key in (("filterViews", "filterViewId"), ("protectedRanges", "protectedRangeId")):
        old, new = (sorted(each["sheets"][0][kind], key=lambda found: found[key]) for each in (once, now))
        assert old == new


def test_views_grow_with_the_sheet(scene: Scene) -> None:
    scene.formatter().add(["i"])
    scene.book.resize("Sheet1", 1500, 40)
    scene.formatter().add(["i"])
    view = scene.tab()["filterViews"][0]["range"]
    assert (view["endRowIndex"], view["endColumnIndex"]) == (1500, 40)
    assert scene.offered(1500) == ["i"]


def test_moved_columns_are_found_and_taken_away_where_they_are(scene: Scene) -> None:
    scene.formatter().add(["i"])
    scene.book.move_columns("Sheet1", "E", "G", "A")
    scene.book.insert_columns("Sheet1", "B", 2)
    once = scene.full()
    scene.formatter().add(["i"])
    assert scene.full() == once
    scene.formatter().remove()
    assert [cell for cell in scene.book.values("Sheet1")[0] if cell] == HEADER


# --- people who act just then, and faults -----------------------------------------------------------

ACTS: dict[str, Callable[[Scene], None]] = {
    "a column comes": lambda scene: scene.book.insert_columns(scene.title, "A"),
    "a column is dragged": lambda scene: scene.book.move_columns(scene.title, "A", "A", "E"),
    "ours is dragged": lambda scene: scene.book.move_columns(
        scene.title, column_letter(len(scene.book.values(scene.title)[0]) - 1), "", "A"
    ),
    "rows are sorted": lambda scene: scene.book.sort(scene.title, "A2:Z7", "B", descending=True),
    "the tab is renamed": lambda scene: scene.book.rename(scene.title, f"{scene.title}'s"),
    "a row comes": lambda scene: scene.book.insert_rows(scene.title, 3),
}


@contextmanager
def people_acting(scene: Scene, plan: dict[int, str]) -> Iterator[list[str]]:
    """Have people act before some of the requests; yield a list of the changes of their cells by anybody else."""
    violations: list[str] = []
    seen: list[Any] = [0, None]

    def between(method: str, path: str) -> None:
        if seen[1] is not None and seen[1] != scene.human_cells():
            violations.append(f"{seen[1]} became {scene.human_cells()}")
        if name := plan.get(seen[0]):
            ACTS[name](scene)
        seen[:] = [seen[0] + 1, scene.human_cells()]

    scene.server.before = between
    try:
        yield violations
    finally:
        scene.server.before = None
    if seen[1] is not None and seen[1] != scene.human_cells():
        violations.append(f"{seen[1]} became {scene.human_cells()}")


def check_metadata_on_columns(scene: Scene) -> None:
    header = scene.book.values(scene.title)[0]
    tab = scene.tab()
    assert {column: NOTES[header[column]] for column in range(len(header)) if header[column] in NOTES} == {
        column: note
        for column in range(scene.book.columns(scene.title))
        if (note := scene.book.cell(scene.title, f"{column_letter(column)}1").note)
    }
    named = {each["description"].split()[2].rstrip(":"): each["range"] for each in tab["protectedRanges"]}
    assert {name: found["startColumnIndex"] for name, found in named.items()} == {
        name: header.index(name) for name in MACHINE_COLUMNS
    }
    coloured = {header[each["ranges"][0]["startColumnIndex"]] for each in tab["conditionalFormats"]}
    assert coloured == {"confidence", "label_quality"}
    assert scene.offered() == ["i", "iv"]


plans = st.dictionaries(st.integers(0, 20), st.sampled_from(sorted(ACTS)), max_size=3)
things = st.sampled_from(["429", "500", "html", "dropped", "lost", "cut", "twice"])
FAULTS = {
    "429": lambda: faults.rate_limited(0),
    "500": faults.server_error,
    "html": faults.html,
    "dropped": faults.dropped,
    "lost": faults.lost,
    "cut": faults.cut,
    "twice": faults.twice,
}


RUNS = int(os.environ.get("SHEETSYNC_DRESSING_RUNS", "15"))


@settings(max_examples=RUNS, deadline=None, suppress_health_check=list(HealthCheck))
@given(plans, plans, st.dictionaries(st.integers(1, 15), things, max_size=2))
def test_people_and_faults_in_between_change_nothing(
    plan: dict[int, str], back: dict[int, str], wrong: dict[int, str]
) -> None:
    with GoogleServer() as google, client(google) as made, tempfile.TemporaryDirectory() as folder:
        scene = Scene(google, made, Path(folder))
        google.faults.queue(*(FAULTS[wrong[n]]() if n in wrong else None for n in range(max(wrong, default=0) + 1)))
        with people_acting(scene, plan) as violations:
            scene.formatter().add(["i", "iv"])
        google.faults.clear()
        check_metadata_on_columns(scene)
        with people_acting(scene, back) as more:
            scene.formatter().remove()
        assert violations + more == []
        tab = scene.tab()
        assert sorted(cell for cell in scene.book.values(scene.title)[0] if cell) == sorted(HEADER)
        assert not {"filterViews", "protectedRanges", "conditionalFormats", "developerMetadata"} & tab.keys()
        assert "namedRanges" not in scene.full()
        assert scene.offered() is None


def test_a_column_of_people_is_not_deleted_when_it_came_to_where_ours_was(scene: Scene) -> None:
    """The deletion goes by index; the assertion before it makes it fail when another column is there."""
    scene.formatter().add(["i"])
    seen = []

    def between(method: str, path: str) -> None:
        if method == "POST" and not seen:
            seen.append(path)
            scene.book.move_columns("Sheet1", "A", "D", "L")

    scene.server.before = between
    scene.formatter().remove()
    scene.server.before = None
    assert seen
    assert scene.book.values("Sheet1") == [list(row) for row in PEOPLE]


# --- the drop-down follows the labels ---------------------------------------------------------------


def test_a_pass_keeps_the_drop_down_up_to_date(google: GoogleServer, tmp_path: Path) -> None:
    with client(google) as made:
        scene = Scene(google, made, tmp_path)
        folder, trainer = project(tmp_path), QuickTrainer()
        run = lambda: a_pass(folder, GoogleSheet(made, scene.id), Web(GOOD), trainer).run()  # noqa: E731
        run()
        assert scene.offered() is None, "nobody asked for one"
        format_project(scene, folder.state)
        assert scene.offered() == [*CLASSES[:2]]
        before = run().calls
        again = run().calls
        assert (again.reads - before.reads, again.writes - before.writes) == (2, 0)
        scene.book.type("Sheet1", "C2", [["new"], ["new"]])
        run()
        assert scene.offered() == sorted([*CLASSES[:2], "new"])


def format_project(scene: Scene, state: StateFolder) -> None:
    from sheetsync.rows.parse import common_labels, parse_rows

    sheet = GoogleSheet(scene.client, scene.id)
    labels = common_labels(parse_rows(sheet.read().rows, ColumnHeaders()))
    sheet.formatter(ColumnHeaders(), state.offered(sheet.identity)).add(labels)


def test_a_drop_down_that_people_took_away_stays_away(scene: Scene) -> None:
    scene.formatter().add(["i"])
    scene.book.batch({"setDataValidation": {"range": {"sheetId": 0}}})
    scene.update_dropdown(["i", "v"])
    assert scene.offered() is None


def test_a_drop_down_of_their_own_is_not_replaced(scene: Scene) -> None:
    scene.formatter().add(["i"])
    scene.book.dropdown("Sheet1", "C2:C5", ["mine"])
    scene.update_dropdown(["i", "v"])
    assert (scene.offered(2), scene.offered(6)) == (["mine"], ["i", "v"])


def test_where_there_were_no_labels_yet_the_drop_down_comes_with_them(scene: Scene) -> None:
    scene.formatter().add([])
    assert scene.offered() is None
    scene.update_dropdown(["i"])
    assert scene.offered() == ["i"]


def test_what_a_drop_down_would_type_as_something_else_is_not_offered() -> None:
    typed = [
        "=1+1",
        "+1",
        "-1",
        "@a",
        "'a",
        "007",
        "1.50",
        "1e3",
        "1,000",
        "12:30",
        "1/2",
        "3 am",
        "12%",
        "May 5",
        "true",
    ]
    assert pickable_labels(typed) == []
    kept = ["7", "0", "iv", "nan", "²", "may", "Mayfly", "class 3", "3x", "Truth", "decade"]
    assert pickable_labels(kept) == kept


def test_labels_past_what_a_drop_down_holds_are_not_offered(scene: Scene) -> None:
    many = [f"label {n}" for n in range(501)]
    scene.formatter().add(many)
    assert scene.offered() is None
    scene.update_dropdown(["i"])
    assert scene.offered() == ["i"]
    scene.update_dropdown(many)
    assert scene.offered() is None, "an old list would be worse than none"


# --- the command line -------------------------------------------------------------------------------


def test_init_dresses_and_undresses_from_the_command_line(google: GoogleServer, tmp_path: Path) -> None:
    with client(google) as made:
        scene = Scene(google, made, tmp_path)
        before = scene.full()
        google.key_file(tmp_path / "credentials.json").chmod(0o600)
        address = f"https://docs.google.com/spreadsheets/d/{scene.id}/edit#gid=0"
        toml = f"sheet = {json.dumps(address)}\n[google]\nendpoint = {json.dumps(google.url)}\n"
        (tmp_path / "sheetsync.toml").write_text(toml)
        said = init(tmp_path, address)
        assert "columns status, prediction" in said
        assert "“Look here first”" in said
        assert "next: sheetsync plan" in said
        once = scene.full()
        init(tmp_path, address)
        assert scene.full() == once
        other = command(tmp_path, "--undo", "https://docs.google.com/spreadsheets/d/another/edit")
        assert (other.returncode, "is about another sheet" in other.stderr) == (1, True)
        assert scene.full() == once
        assert "removed: columns status" in init(tmp_path, "--undo", address)
        assert scene.full() == before
        assert "holds nothing" in init(tmp_path, "--undo")


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [str(Path(sys.executable).with_name("sheetsync")), "init", *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60)


def init(folder: Path, *arguments: str) -> str:
    done = command(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout
