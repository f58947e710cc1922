"""A version that is trained with several seeds: what is trained, and its scores."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import stdev

import pytest

from sheetsync.common.progress import Progress
from sheetsync.errors import TrainingError
from sheetsync.project.config import TrainingSettings
from sheetsync.sheets.memory import MemorySheet
from sheetsync.sync.report import Report
from sheetsync.sync.summary import training_words
from sheetsync.trainer.lineage import RunLog, score_of
from sheetsync.trainer.records import RunInfo
from tests.helpers.support import CLASSES, QuickTrainer, Web, a_pass, machine_cells, png, project, quick_words, table

PAGES = {f"http://pics.example/{n}.png": png(n) for n in range(12)}


@dataclass
class Failing(QuickTrainer):
    """A trainer whose training with a certain seed fails, or is the last thing of a pass."""

    fails: int = -1
    stops: int = -1

    def train(self, revision: str, progress: Progress, seed: int = 0) -> RunInfo:
        if seed == self.fails:
            raise TrainingError("training failed: no memory")
        run = super().train(revision, progress, seed)
        if seed == self.stops:
            raise KeyboardInterrupt
        return run


class Scene:
    """A sheet, and passes over it with so many seeds."""

    def __init__(self, folder: Path) -> None:
        rows = [(url, CLASSES[n % 2], ("train", "val")[n > 7]) for n, url in enumerate(PAGES)]
        self.folder, self.sheet, self.trainer = folder, MemorySheet(table(*rows)), Failing()

    def run(self, seeds: int) -> Report:
        where = project(self.folder, training=TrainingSettings(seeds=seeds))
        return a_pass(where, self.sheet, Web(PAGES), self.trainer).run()

    def scores(self) -> list[dict[str, str]]:
        found = self.sheet.book().scores
        return [dict(zip(found.header, line, strict=False)) for line in found.rows]

    def check(self) -> None:
        shown = [(cells["prediction"], cells["confidence"]) for cells in machine_cells(self.sheet.book().rows)]
        assert shown == [quick_words(content) for content in PAGES.values()]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_version_gets_one_row_of_scores_with_mean_and_spread_over_its_seeds(scene: Scene) -> None:
    report = scene.run(3)
    assert scene.trainer.trained == [report.revision] * 3
    (row,) = scene.scores()
    assert (row["run"], row["seeds"], row["val_accuracy"]) == (report.run, "3", "0.5")
    assert (row["val_mean"], row["val_spread"]) == ("0.6", "0.1")
    assert report.run == scene.trainer.find(report.revision).id  # type: ignore[union-attr]
    assert "version v1; validation accuracy 0.600 ± 0.100 (3 seeds)" in training_words(report)
    assert json.loads(json.dumps(asdict(report), allow_nan=False))["score"]["val_spread"] == pytest.approx(0.1)
    scene.check()


def test_a_second_sync_trains_no_seed_again(scene: Scene) -> None:
    scene.run(3)
    before = scene.sheet.book()
    report = scene.run(3)
    assert (report.trained, report.cells, len(scene.trainer.trained), report.calls.writes) == (
        False, 0, 3, scene.sheet.calls.writes,
    )  # fmt: skip
    assert scene.sheet.book() == before
    assert training_words(report).endswith("validation accuracy 0.600 ± 0.100 (3 seeds)")


def test_more_seeds_train_only_what_is_missing_and_the_row_that_was_written_stays(scene: Scene) -> None:
    scene.run(1)
    (before,) = scene.scores()
    assert (before["seeds"], before["val_mean"], before["val_spread"]) == ("1", "0.5", "")
    report = scene.run(3)
    assert (report.trained, len(scene.trainer.trained), len(scene.trainer.foretold)) == (True, 3, 1)
    assert scene.scores() == [before], "a row of scores belongs to people once it is written"
    assert report.score["seeds"] == 3
    fewer = scene.run(2)
    assert (fewer.trained, fewer.cells, fewer.score["seeds"]) == (False, 0, 2)
    assert fewer.score["val_mean"] == pytest.approx(0.55)


def test_a_seed_that_fails_leaves_what_the_model_says_and_its_row_comes_with_the_last_seed(scene: Scene) -> None:
    scene.trainer.fails = 2
    with pytest.raises(TrainingError):
        scene.run(3)
    scene.check()
    assert {cells["status"] for cells in machine_cells(scene.sheet.book().rows)} == {"ok"}
    assert scene.scores() == []
    scene.trainer.fails = -1
    report = scene.run(3)
    assert (report.trained, len(scene.trainer.trained)) == (True, 3)
    assert [row["seeds"] for row in scene.scores()] == ["3"]


def test_a_pass_that_is_stopped_after_its_last_seed_has_its_row_of_scores_from_the_next_one(scene: Scene) -> None:
    scene.trainer.stops = 2
    with pytest.raises(KeyboardInterrupt):
        scene.run(3)
    assert scene.scores() == []
    report = scene.run(3)
    assert (report.trained, len(scene.trainer.trained)) == (False, 3)
    assert [row["seeds"] for row in scene.scores()] == ["3"]
    assert scene.run(3).cells == 0


def test_versions_are_those_of_the_first_seed(scene: Scene) -> None:
    scene.run(3)
    scene.sheet.edit(2, "label", CLASSES[1])
    report = scene.run(3)
    assert report.version == "v2"
    assert report.step is not None
    assert (report.step.before, report.step.after) == ("v1", "v2")
    assert [row["seeds"] for row in scene.scores()] == ["3", "3"]


def run(seed: int, accuracy: float | None = 0.5, revision: str = "r", **choices: object) -> RunInfo:
    val = None if accuracy is None else {"accuracy": accuracy, "interval": [0.1, 0.9], "macro_f1": 0.5}
    name = f"{revision}-{seed}{len(choices)}"
    return RunInfo(name, revision, "mine", {"created": "x", "val": val}, {"name": name, "seed": seed, **choices})


def test_only_the_seed_may_differ_and_only_upwards() -> None:
    first, runs = run(5), [run(4), run(5), run(6), run(24), run(25), run(7, revision="s"), run(8, epochs=3)]
    assert {seed: found.choices["seed"] for seed, found in RunLog(tuple(runs)).seed_variants(first).items()} == {
        0: 5,
        1: 6,
        19: 24,
    }
    assert RunLog((*runs, first)).lineage(first)[0].choices["seed"] == 5


def test_an_accuracy_of_none_right_counts() -> None:
    score = score_of(run(0), [run(0, 0.0), run(1, 0.5)])
    assert (score["seeds"], score["val_mean"], score["val_spread"]) == (2, 0.25, stdev([0.0, 0.5]))


def test_without_validation_images_there_is_neither_mean_nor_spread() -> None:
    score = score_of(run(0, None), [run(0, None), run(1, None)])
    assert (score["seeds"], score["val_mean"], score["val_spread"]) == (2, None, None)
