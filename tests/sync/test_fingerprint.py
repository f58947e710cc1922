"""A pass that sees what the last one left looks at no image again, and nothing that anybody changes is missed."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sheetsync.common.progress import Progress
from sheetsync.dataset.records import Manifest
from sheetsync.errors import TrainingError
from sheetsync.project.config import ColumnSettings, DownloadSettings, Project, Settings, SplitSettings
from sheetsync.sheets.csv.sheet import CsvSheet
from sheetsync.sync.fingerprint import FingerprintFile, fingerprint
from sheetsync.trainer.records import Prediction, RunInfo
from tests.helpers.support import CLASSES, QuickTrainer, Web, a_pass, png, project, tree

URLS = [f"http://pics.example/{number}.png" for number in range(12)]
WEB = {url: png(number) for number, url in enumerate(URLS)}


@dataclass
class Asked(QuickTrainer):
    """It knows how often it was asked about images."""

    times: int = 0
    answer: str = ""

    def predictions(self, run: RunInfo, manifest: Manifest, progress: Progress) -> list[Prediction]:
        self.times += 1
        said = super().predictions(run, manifest, progress)
        return [replace(each, label=self.answer) for each in said] if self.answer else said


class Team:
    """A project, and what its passes leave."""

    def __init__(self, root: Path, **settings: object):
        self.root, self.trainer, self.web = root, Asked(), Web(dict(WEB))
        self.where, self.now = project(root, "labels.csv", **settings), 0.0
        lines = [f"{url},{CLASSES[number % 2]},train,day\n" for number, url in enumerate(URLS)]
        self.csv.write_text("image,label,split,light\n" + "".join(lines))

    @property
    def csv(self) -> Path:
        return self.root / "labels.csv"

    def pass_(self) -> int:
        """How often the trainer was asked about images."""
        before = self.trainer.times
        a_pass(self.where, CsvSheet(self.csv), self.web, self.trainer, self.now).run()
        return self.trainer.times - before

    def settle(self) -> None:
        self.pass_()
        self.now += 60
        assert self.pass_() == 0

    def left(self) -> dict[str, bytes]:
        """All but the mark itself, and what says of files when they were written."""
        return {path: content for path, content in tree(self.root).items() if path != ".sheetsync/settled"}

    def edit(self, change: Callable[[list[list[str]]], object]) -> None:
        with self.csv.open(newline="") as file:
            rows = list(csv.reader(file))
        change(rows)
        with self.csv.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def choose(self, **settings: object) -> None:
        self.where = Project(self.root, Settings.model_construct(**{**dict(self.where.settings), **settings}))

    def lose_images(self) -> None:
        """As if they had never come."""
        shutil.rmtree(self.root / "dataset" / "train", ignore_errors=True)
        shutil.rmtree(self.root / "dataset" / "unlabelled", ignore_errors=True)
        shutil.rmtree(self.root / ".sheetsync" / "objects")

    def count_again(self) -> None:
        """Another run on what is there, as an earlier recipe left it."""
        [(revision, run)] = self.trainer.finished.items()
        self.trainer.finished[revision] = replace(run, id=f"{run.id}-earlier")

    def train_again(self) -> None:
        """A run that was lost, and on another machine became another."""
        [(revision, run)] = self.trainer.finished.items()
        self.trainer.finished[revision] = replace(run, metrics={**run.metrics, "created": "2026-02-02T00:00:00"})
        self.trainer.answer = CLASSES[3]

    def change_and_back(self) -> None:
        """An image that was another while no training would work."""
        self.trainer.error = TrainingError("no room")
        self.web[URLS[3]] = png(77)
        self.now += 86_400
        with pytest.raises(TrainingError):
            self.pass_()
        self.trainer.error = None
        self.web[URLS[3]] = WEB[URLS[3]]
        self.now += 86_400


def cell(row: int, column: str, value: str) -> Callable[[list[list[str]]], object]:
    def change(rows: list[list[str]]) -> None:
        rows[row][rows[0].index(column)] = value

    return change


def first_column_last(rows: list[list[str]]) -> None:
    rows[:] = [[*row[1:], row[0]] for row in rows]


CHANGES: dict[str, Callable[[Team], object]] = {
    "a cell of ours": lambda team: team.edit(cell(3, "prediction", "mine now")),
    "a cell of ours, emptied": lambda team: team.edit(cell(3, "status", "")),
    "a label": lambda team: team.edit(cell(3, "label", CLASSES[2])),
    "a split": lambda team: team.edit(cell(3, "split", "val")),
    "a row is skipped": lambda team: team.edit(cell(3, "split", "skip")),
    "a tag": lambda team: team.edit(cell(3, "light", "night")),
    "an image": lambda team: team.edit(cell(3, "image", "http://pics.example/none.png")),
    "rows are sorted": lambda team: team.edit(lambda rows: rows.append(rows.pop(1))),
    "a row goes": lambda team: team.edit(lambda rows: rows.pop(4)),
    "a column moves": lambda team: team.edit(
        lambda rows: rows.__setitem__(slice(None), [[*row[1:], row[0]] for row in rows])
    ),
    "a header of ours": lambda team: team.edit(cell(0, "review", "look")),
    "what stands beside the images": lambda team: (team.root / "dataset" / "metadata.csv").unlink(),
    "the same, written over": lambda team: (team.root / "dataset" / "metadata.csv").write_text(
        (team.root / "dataset" / "metadata.csv").read_text().replace("day", "dusk")
    ),
    "a row of scores": lambda team: (team.root / "labels.scores.csv").unlink(),
    "an image file": lambda team: next((team.root / "dataset" / "train").rglob("*.png")).unlink(),
    "how an image file is called": lambda team: (file := next((team.root / "dataset" / "train").rglob("*.png"))).rename(
        file.with_suffix(".jpg")
    ),
    "what columns are ours": lambda team: shutil.rmtree(team.root / ".sheetsync" / "columns"),
    "the run": lambda team: team.count_again(),
    "the run, trained again": lambda team: team.train_again(),
    "an image and back": lambda team: team.change_and_back(),
    "settings: slices": lambda team: team.choose(slices=()),
    "settings: a name": lambda team: team.choose(columns=ColumnSettings(review="look here first")),
    "settings: val": lambda team: team.choose(splits=SplitSettings(val=0.5)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_settled_pass_is_as_good_as_a_whole_one_after_every_change(tmp_path: Path, change: str) -> None:
    left = []
    for settled in (True, False):
        root = tmp_path / "project"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        team = Team(root, slices=("light",), download=DownloadSettings(refresh="daily"))
        team.settle()
        before = team.left()
        CHANGES[change](team)
        assert "settings" in change or "the run" in change or team.left() != before
        for _ in range(3):
            if not settled:
                (root / ".sheetsync" / "settled").unlink(missing_ok=True)
            team.pass_()
        left.append(team.left())
    assert left[0] == left[1]


@pytest.mark.parametrize("label", ["", CLASSES[0]])
def test_an_image_that_comes_with_another_content_is_looked_at(tmp_path: Path, label: str) -> None:
    """Where no run tells the contents apart: nothing is trained on one label, or on an image that has none."""
    team = Team(tmp_path)
    for row in range(1, 13) if label else (5,):
        team.edit(cell(row, "label", label))
    team.settle()
    team.lose_images()
    team.web[URLS[4]] = team.web[URLS[2]]
    team.pass_()
    rows = team.csv.read_text().splitlines()
    assert "the same image is at 2 addresses" in rows[5]
    assert "the same image is at 2 addresses" in rows[3]


def test_it_looks_again_where_the_mark_is_lost_or_broken(tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.settle()
    kept = tmp_path / ".sheetsync" / "settled"
    for spoil in (kept.unlink, lambda: kept.write_bytes(b"\xff"), lambda: kept.write_text("other\n")):
        spoil()
        assert team.pass_() == 1
        assert team.pass_() == 0


@pytest.mark.parametrize("column", ["light", "split", "label"])
def test_what_people_change_while_a_pass_is_at_work_is_not_taken_for_seen(tmp_path: Path, column: str) -> None:
    team = Team(tmp_path, slices=("light",))
    value = {"light": "night", "split": "val", "label": CLASSES[2]}[column]
    team.trainer = Asked(meanwhile=lambda _: team.edit(cell(3, column, value)))
    team.pass_()
    team.trainer.meanwhile = lambda _: None
    team.pass_()
    described = (tmp_path / "dataset" / "metadata.csv").read_text().splitlines()
    [seen] = [line for line in csv.DictReader(described) if line["url"] == URLS[2]]
    assert seen[column] == value


def test_seeds_that_are_missing_are_trained_though_all_else_is_said(tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.settle()
    team.choose(training=team.where.settings.training.model_copy(update={"seeds": 3}))
    team.pass_()
    assert len(team.trainer.trained) == 3
    assert team.pass_() == 0
    words = team.csv.read_text()
    del team.trainer.finished[next(name for name in team.trainer.finished if name.endswith("@2"))]
    team.pass_()
    assert len(team.trainer.trained) == 4
    assert team.csv.read_text() == words


def test_a_failing_image_is_told_anew_on_every_try_and_costs_nothing_between(tmp_path: Path) -> None:
    team = Team(tmp_path)
    del team.web[URLS[5]]
    team.settle()
    row = team.csv.read_text().splitlines()[6]
    assert "404" in row
    assert "next after" in row
    a_pass(team.where, CsvSheet(team.csv), team.web, team.trainer, now=86_400.0).run()
    assert team.csv.read_text().splitlines()[6] != row


def test_a_mark_differs_where_a_fact_does_or_the_version(tmp_path: Path) -> None:
    facts = (("a", "b"), "", 1)
    assert fingerprint(facts) == fingerprint(list(facts))
    assert (
        len(
            {
                fingerprint(facts),
                fingerprint((("a", "b"), 1, "")),
                fingerprint((("a",), "b", "", 1)),
                fingerprint((("ab",), "", 1)),
            }
        )
        == 4
    )
    assert fingerprint(["\ud800"]) != fingerprint(["\ud801"])
    settled = FingerprintFile(tmp_path / "deep" / "settled")
    assert not settled.matches(fingerprint(facts))
    assert settled.version() == ""
    settled.save(fingerprint(facts), "v7")
    assert settled.matches(fingerprint(facts))
    assert settled.version() == "v7"
