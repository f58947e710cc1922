"""Edits while a model trains: which of them stop it, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sheetsync.errors import SheetError
from sheetsync.project.config import TrainingSettings
from sheetsync.rows.table import Table
from sheetsync.sheets.memory import MemorySheet
from sheetsync.sync.edit_watch import MAX_RESTARTS
from sheetsync.sync.report import Report
from tests.helpers.support import CLASSES, QuickTrainer, Web, a_pass, machine_cells, png, project, quick_words

HEADER = ("who", "image", "label", "split")
PAGES = {f"http://pics.example/{n}.png": png(n) for n in range(12)}
NEW, DEAD = "http://pics.example/new.png", "http://pics.example/gone.png"
ROWS = tuple(("Ada", url, CLASSES[n % 2], "train") for n, url in enumerate(PAGES))
Edit = Callable[[MemorySheet], object]


@dataclass
class Scene:
    """A team whose edits fall into the epochs of a training: one list of edits a training, one edit an epoch."""

    folder: Path
    edits: list[list[Edit]]
    choice: str = "restart"
    minutes: float = 0.01
    rows: tuple[tuple[str, ...], ...] = ROWS
    told: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sheet = MemorySheet(Table(HEADER, self.rows))
        self.trainer = QuickTrainer(epochs=4, meanwhile=self._epoch)

    def _epoch(self, revision: str) -> None:
        if not self.begun or self.begun[-1] != revision or not self._waiting:
            self.begun.append(revision)
            self._waiting = [*(self.edits.pop(0) if self.edits else []), *[lambda _: None] * 4][:4]
        self._waiting.pop(0)(self.sheet)

    def run(self) -> Report:
        training = TrainingSettings(when_edited=self.choice)  # type: ignore[arg-type]
        where = project(self.folder, training=training, every_minutes=self.minutes)
        made = a_pass(where, self.sheet, Web(PAGES | {NEW: png(50)}), self.trainer)
        hear = lambda stage, done, total, words: self.told.append(f"{stage}: {words}")  # noqa: E731
        return replace(made, environment=replace(made.environment, progress=hear)).run()

    def restarts(self) -> list[str]:
        return [words for words in self.told if "the pass begins again" in words]

    def check(self) -> None:
        """Every row shows what the trained model says of its image."""
        table = self.sheet.book().rows
        place = table.header.index("image")
        for number, said in enumerate(machine_cells(table), start=2):
            content = (PAGES | {NEW: png(50)})[table.cell(number, place)] if said["used_split"] != "skip" else None
            assert (said["prediction"], said["confidence"]) == (quick_words(content) if content else ("", ""))


def relabel(row: int, label: str) -> Edit:
    return lambda sheet: sheet.edit(row, "label", label)


def cleared(sheet: MemorySheet) -> None:
    for _ in range(10):
        sheet.delete(2)


WAKING: dict[str, Edit] = {
    "a label": relabel(3, "iii"),
    "a split": lambda sheet: sheet.edit(3, "split", "val"),
    "a new row": lambda sheet: sheet.append(["Bob", NEW, "i", "train"]),
    "a row is gone": lambda sheet: sheet.delete(4),
    "a row is left out": lambda sheet: sheet.edit(3, "split", "skip"),
    "a label is taken away": relabel(3, ""),
}
IDLE: dict[str, Edit] = {
    "sorted": lambda sheet: sheet.sort("image", reverse=True),
    "scribbled over ours": lambda sheet: sheet.edit(3, "prediction", "mine"),
    "a column of theirs": lambda sheet: sheet.edit(3, "who", "Bob"),
    "a column moved": lambda sheet: sheet.move_column("label", 0),
    "a new row without a label": lambda sheet: sheet.append(["Bob", NEW, "", ""]),
    "a row that cannot be used": lambda sheet: sheet.append(["Bob", NEW, "i", "nowhere"]),
    "suddenly nearly empty": cleared,
    "no header": lambda sheet: sheet.rename("label", "class"),
    "not to be read": lambda sheet: sheet.fail(SheetError("the server is not to be reached")),
}


@pytest.mark.parametrize("edit", WAKING)
def test_an_edit_that_changes_what_a_model_sees_stops_its_training(tmp_path: Path, edit: str) -> None:
    scene = Scene(tmp_path, [[WAKING[edit]]])
    report = scene.run()
    assert (len(scene.begun), len(scene.trainer.trained)) == (2, 1)
    assert scene.trainer.trained == [report.revision] == scene.begun[1:]
    assert scene.restarts() == ["train: the sheet was edited, so this training is stopped and the pass begins again"]
    scene.check()
    assert len(scene.sheet.book().scores.rows) == 1, "only what was trained to its end is scored"
    again = scene.run()
    assert (again.trained, again.cells, len(scene.begun)) == (False, 0, 2), "law 4"


@pytest.mark.parametrize("edit", IDLE)
def test_what_no_model_sees_stops_none(tmp_path: Path, edit: str) -> None:
    back = [lambda sheet: sheet.rename("class", "label")] if edit == "no header" else []
    scene = Scene(tmp_path, [[IDLE[edit], *back]])
    scene.run()
    assert (len(scene.begun), len(scene.trainer.trained), scene.restarts()) == (1, 1, [])


def test_an_image_that_cannot_be_had_stops_nothing(tmp_path: Path) -> None:
    """Each pass tries it again, so it looks like something to fetch all the time."""
    scene = Scene(tmp_path, [], rows=(*ROWS, ("Bob", DEAD, "i", "train")))
    report = scene.run()
    assert (len(scene.begun), len(report.failures)) == (1, 1)


def test_a_training_goes_on_where_nobody_wants_it_stopped(tmp_path: Path) -> None:
    scene = Scene(tmp_path, [[WAKING["a label"]]], choice="finish")
    report = scene.run()
    assert scene.begun == scene.trainer.trained == [report.revision]
    assert report.calls.reads == 7, "nobody looked meanwhile"
    assert scene.run().trained


def test_a_team_that_never_rests_gets_scores_as_well(tmp_path: Path) -> None:
    scene = Scene(tmp_path, [[relabel(3, "iii")], [relabel(3, "iv")], [relabel(4, "iii")], [relabel(4, "iv")]])
    report = scene.run()
    assert (len(scene.begun), len(scene.trainer.trained)) == (MAX_RESTARTS + 1, 1)
    assert len(scene.restarts()) == MAX_RESTARTS
    assert scene.restarts()[-1].endswith(", for the last time")
    assert report.moved == 3, "what earlier attempts did counts"
    assert len(scene.trainer.foretold) == MAX_RESTARTS + 1
    assert scene.run().trained, "the last edit"


@pytest.mark.parametrize(("minutes", "looks"), [(0.01, 4), (0.025, 2), (1000.0, 0)])
def test_the_sheet_is_looked_at_no_more_often_than_passes_come(tmp_path: Path, minutes: float, looks: int) -> None:
    finish, restart = (
        Scene(tmp_path / choice, [], choice=choice, minutes=minutes).run() for choice in ("finish", "restart")
    )
    assert restart.calls.reads - finish.calls.reads == looks


def test_an_edit_that_is_taken_back_trains_what_was_there(tmp_path: Path) -> None:
    scene = Scene(tmp_path, [[relabel(3, "iii")], [relabel(3, ROWS[1][2])]])
    report = scene.run()
    assert scene.begun == [report.revision, scene.begun[1], report.revision]
    assert scene.trainer.trained == [report.revision]
