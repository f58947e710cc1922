"""Finished runs are read from their folder as far as they are needed, and each file once."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sheetsync.common.progress import Progress
from sheetsync.errors import TrainingError
from sheetsync.project.config import TrainingSettings
from sheetsync.sheets.memory import MemorySheet
from sheetsync.sync.report import Report
from sheetsync.trainer.lineage import RunLog
from sheetsync.trainer.process_trainer import ProcessTrainer
from sheetsync.trainer.records import RunInfo
from sheetsync.trainer.run_folder import RunFolder
from tests.helpers.support import CLASSES, Web, a_pass, png, project, quick_prediction, table

PAGES = {f"http://pics.example/{n}.png": png(n) for n in range(12)}
COLUMNS = ("file", "split", "label", "prediction", "confidence", "self_confidence", "fold")
OTHERS = 40

_counting: list[Counter[str]] = []


def _count(event: str, args: tuple[object, ...]) -> None:
    if event == "open" and _counting and str(args[1]).startswith("r"):
        path = Path(str(args[0]))
        if path.name in ("metrics.json", "recipe.json"):
            _counting[-1][f"{path.parent.name}/{path.name}"] += 1


sys.addaudithook(_count)  # it cannot be removed, so it counts only inside of `readings`


@contextmanager
def readings() -> Iterator[Counter[str]]:
    """Count how often each file of a run is opened for reading."""
    _counting.append(Counter())
    try:
        yield _counting[-1]
    finally:
        _counting.pop()


def files(*names: str) -> Counter[str]:
    """Both files of these runs, each read once."""
    return Counter(f"{name}/{file}" for name in names for file in ("metrics.json", "recipe.json"))


class WritesRuns(ProcessTrainer):
    """Reads runs as it always does; its trainings take no time and write what a training leaves."""

    def train(self, revision: str, progress: Progress, seed: int = 0) -> RunInfo:
        recipe = dict(self.load_recipe())
        digest = f"{int(recipe['digest'][:8], 16) ^ seed:08x}"
        folder = self.state.runs / f"{revision}-{digest}"
        folder.mkdir(parents=True)
        with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(COLUMNS)
            for path in self.dataset.rglob("*-*.png"):
                key, _, content = path.stem.partition("-")
                guess = quick_prediction(key, content, path.parent.name)
                place = path.relative_to(self.dataset)
                lines.writerow((place, place.parts[0], path.parent.name, guess.label, guess.confidence, 0.5, 0))
        created = f"2026-01-01T00:00:{len(self.run_names()):05d}"
        (folder / "recipe.json").write_text(json.dumps({**recipe, "seed": recipe["seed"] + seed}))
        (folder / "metrics.json").write_text(json.dumps({"created": created, "val": {"accuracy": 0.5}}))
        return self._runs.read(folder.name)


class Team:
    """A project with a run on its sheet and many earlier ones of the same recipe."""

    def __init__(self, folder: Path, seeds: int = 1) -> None:
        rows = [(url, CLASSES[n % 2], ("train", "val")[n > 7]) for n, url in enumerate(PAGES)]
        self.where = project(folder, training=TrainingSettings(provisional=False, seeds=seeds))
        self.sheet, self.runs = MemorySheet(table(*rows)), folder / ".sheetsync" / "runs"
        first = self.runs / self.sync().run
        self.digest = first.name.rpartition("-")[2]
        for number in range(OTHERS):
            shutil.copytree(first, self.other(number))
            words = json.dumps({"created": f"2025-01-01T00:00:{number:05d}", "val": None})
            (self.other(number) / "metrics.json").write_text(words)
        self.sync()

    def other(self, number: int) -> Path:
        return self.runs / f"{number:016x}-{self.digest}"

    def sync(self) -> Report:
        trainer = WritesRuns(self.where.dataset, "demo-resnet50", self.where.state)
        return a_pass(self.where, self.sheet, Web(PAGES), trainer).run()  # type: ignore[arg-type]


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_pass_with_nothing_to_do_reads_its_own_run_and_no_other(tmp_path: Path, seeds: int) -> None:
    team = Team(tmp_path, seeds)
    with readings() as read:
        report = team.sync()
    assert (report.trained, report.cells, report.version) == (False, 0, f"v{OTHERS + 1}")
    assert read == files(*(path.name for path in team.runs.glob(f"{report.revision}-*")))


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_pass_that_trains_reads_no_run_twice(tmp_path: Path, seeds: int) -> None:
    team = Team(tmp_path, seeds)
    team.sheet.edit(2, "label", CLASSES[1])
    with readings() as read:
        report = team.sync()
    assert (report.trained, report.version, report.score["seeds"]) == (True, f"v{OTHERS + 2}", seeds)
    assert report.step is not None
    assert report.step.before == f"v{OTHERS + 1}"
    assert read == files(*(path.name for path in team.runs.iterdir()))


def test_a_version_is_counted_afresh_when_a_run_has_gone_or_come(tmp_path: Path) -> None:
    team = Team(tmp_path)
    shutil.rmtree(team.other(3))
    assert [team.sync().version for _ in range(2)] == [f"v{OTHERS}"] * 2
    shutil.copytree(team.other(5), team.other(99))
    assert [team.sync().version for _ in range(2)] == [f"v{OTHERS + 1}"] * 2


def test_a_run_that_was_replaced_is_read_again_and_one_that_is_gone_is_not_remembered(tmp_path: Path) -> None:
    folder, kept = RunFolder(tmp_path), tmp_path / "r-1"
    kept.mkdir()
    (kept / "recipe.json").write_text('{"name": "mine"}')
    for created in ("2026-01-01", "2026-02-02"):
        (kept / "metrics.json").unlink(missing_ok=True)
        (kept / "metrics.json").write_text(json.dumps({"created": created, "val": None}))
        assert [run.metrics["created"] for run in folder.log()] == [created]
        assert folder.log() == folder.log()
    shutil.rmtree(kept)
    assert (folder.log(), folder.find("r-1")) == (RunLog(), None)
    with pytest.raises(TrainingError, match=r"r-1 has no metrics\.json"):
        folder.read("r-1")


def test_what_is_no_run_is_no_run(tmp_path: Path) -> None:
    assert (RunFolder(tmp_path / "none").names(), RunFolder(tmp_path / "none").log()) == ([], RunLog())
    (tmp_path / "notes.txt").write_text("ours")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "empty").mkdir()
    assert RunFolder(tmp_path).log() == RunLog()


def test_a_run_that_cannot_be_looked_at_stops_nobody_who_lists_runs(tmp_path: Path) -> None:
    """Such as one that somebody else made, for their eyes alone."""
    (tmp_path / "aa-bb").mkdir()
    (tmp_path / "aa-bb" / "metrics.json").symlink_to(tmp_path / "aa-bb" / "metrics.json")
    runs = RunFolder(tmp_path)
    assert runs.log().runs == ()
    with pytest.raises(TrainingError, match="cannot be read"):
        runs.find("aa-bb")
