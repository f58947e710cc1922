"""Versions that can be compared: in the report of a pass, in `sheetsync history`, and on the val images of today."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sheetsync.common.state_folder import StateFolder
from sheetsync.dataset.records import Entry, Manifest
from sheetsync.dataset.revision import revision
from sheetsync.errors import ConfigError, TrainingError
from sheetsync.project.lock import project_lock
from sheetsync.sheets.memory import MemorySheet
from sheetsync.sync.report import Report
from sheetsync.sync.summary import comparison_words, score_words, step_words, training_words
from sheetsync.trainer.process_trainer import ProcessTrainer
from sheetsync.trainer.records import RunInfo
from sheetsync.versions.compare import interval, judge
from sheetsync.versions.history import history, rescored_history
from sheetsync.versions.records import Changes, Comparison, History, Step
from sheetsync.versions.store import Versions
from tests.cli.test_cli import ok, pictures, project, sheetsync, write_rows
from tests.helpers.support import QuickTrainer, Web, a_pass, png, table, tree
from tests.helpers.support import project as quick_project

# --- the words ------------------------------------------------------------------------------------


NONE = "no difference that this validation set can show"


def compared(images: int, low: float, difference: float, high: float) -> Comparison:
    return Comparison(images, 9, 2, difference, low, high, told=low > 0 or high < 0)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            Step("v12", "v13", Changes(relabelled=31), compared(812, 0.0012, 0.0081, 0.0149)),
            "v12 -> v13: 31 relabels, +0.8 points (0.1 to 1.5)",
        ),
        (
            Step("v1", "v2", Changes(1, 2, 1, 1), compared(812, -0.0041, 0.0035, 0.0111)),
            f"v1 -> v2: 1 new, 2 gone, 1 relabel, 1 move, {NONE} (-0.4 to 1.1 points, 812 images)",
        ),
        (Step("v1", "v2", Changes(relabelled=2), None, "for a reason"), "v1 -> v2: 2 relabels, for a reason"),
        (Step("v1", "v2", None, None, "for a reason"), "v1 -> v2: what changed was not kept, for a reason"),
        (Step("v1", "v2", Changes(), None, "for a reason"), "v1 -> v2: for a reason"),
    ],
)
def test_a_step_in_words(step: Step, words: str) -> None:
    assert step_words(step) == words


def test_a_bound_is_never_shown_as_if_it_were_none() -> None:
    assert comparison_words(compared(4000, 0.0004, 0.002, 0.0036)) == "+0.2 points (0.04 to 0.4)"
    assert comparison_words(compared(9000, -0.002, -0.001, -0.00004)) == "-0.1 points (-0.2 to -0.004)"
    assert comparison_words(compared(1, -0.7, 0.0, 0.7)).endswith("(-70.0 to 70.0 points, 1 image)")


# --- a pass says how its version compares -----------------------------------------------------------

VAL = [f"http://pics.example/{n}.png" for n in range(20)]
TRAIN = [f"http://pics.example/{n}.png" for n in range(20, 24)]
PAGES = {url: png(n) for n, url in enumerate([*VAL, *TRAIN])}


def digest(number: int) -> str:
    return hashlib.sha256(png(number)).hexdigest()[:32]


@dataclass
class Learner(QuickTrainer):
    """A trainer whose models predict what a test wants: one lesson a training, number of an image -> label."""

    lessons: list[dict[int, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def out_of_sample_labels(self, run: RunInfo) -> dict[str, str]:
        if run.revision in self.broken:
            raise TrainingError(f"the run of {run.revision} is broken: delete it")
        return {digest(number): label for number, label in self.lessons[self.trained.index(run.revision)].items()}


def synced(folder: Path, trainer: Learner, labels: Mapping[int, str], split: str = "val") -> Report:
    """A pass over 20 images called i, or as `labels` has it, and 4 to learn from."""
    val = [(url, labels.get(number, "i"), split) for number, url in enumerate(VAL)]
    train = [(url, ("i", "ii")[number % 2], "train") for number, url in enumerate(TRAIN)]
    return a_pass(quick_project(folder), MemorySheet(table(*val, *train)), Web(PAGES), trainer).run()


def lesson(right: int, label: str = "i") -> dict[int, str]:
    """A model that takes the first `right` of the 20 images for `label`, and the others for something else."""
    return {number: label if number < right else "nonsense" for number in range(20)}


def test_a_pass_that_trained_says_how_its_version_compares_with_the_one_before(tmp_path: Path) -> None:
    trainer = Learner(lessons=[lesson(8), lesson(18)])
    first, second = (synced(tmp_path, trainer, labels) for labels in ({}, {19: "ii"}))
    assert (first.version, first.step) == ("v1", Step("", "v1", Changes(added=24)))
    assert "v1 ->" not in training_words(first)
    assert (second.version, second.trained) == ("v2", True)
    assert second.step is not None
    assert (second.step.before, second.step.after, second.step.changes) == ("v1", "v2", Changes(relabelled=1))
    assert second.step.compared == Comparison(20, 10, 0, 0.5, *interval(10, 0, 20), told=True)
    assert training_words(second).endswith("; v1 -> v2: 1 relabel, +50.0 points (25.8 to 70.1)")
    comparison = asdict(second)["step"]["compared"]
    assert json.loads(json.dumps(comparison, allow_nan=False))["difference"] == 0.5


def test_both_are_judged_by_the_labels_of_the_later_version(tmp_path: Path) -> None:
    trainer = Learner(lessons=[lesson(20), {**lesson(20), 19: "ii"}])
    reports = [synced(tmp_path, trainer, labels) for labels in ({}, {19: "ii"})]
    assert reports[1].step is not None
    assert reports[1].step.compared == Comparison(20, 1, 0, 0.05, *interval(1, 0, 20), told=False)


def test_images_that_only_one_knows_are_not_compared(tmp_path: Path) -> None:
    trainer = Learner(lessons=[dict(list(lesson(8).items())[:12]), lesson(18)])
    reports = [synced(tmp_path, trainer, labels) for labels in ({}, {19: "ii"})]
    assert reports[1].step is not None
    assert reports[1].step.compared == Comparison(12, 4, 0, 4 / 12, *interval(4, 0, 12), told=True)


def test_a_pass_that_did_not_train_names_its_version_and_compares_nothing(tmp_path: Path) -> None:
    trainer = Learner(lessons=[lesson(8), lesson(18)])
    for labels in ({}, {19: "ii"}):
        synced(tmp_path, trainer, labels)
    again, back = (synced(tmp_path, trainer, labels) for labels in ({19: "ii"}, {}))
    assert [(each.version, each.trained, each.step) for each in (again, back)] == [
        ("v2", False, None),
        ("v1", False, None),
    ]
    assert "already trained: run " in training_words(again)
    assert "version v2" in training_words(again)


def test_a_broken_run_leaves_its_pass_without_a_comparison_and_says_why(tmp_path: Path) -> None:
    trainer = Learner(lessons=[lesson(8), lesson(18)])
    synced(tmp_path, trainer, {})
    trainer.broken = set(trainer.trained)
    report = synced(tmp_path, trainer, {19: "ii"})
    assert report.step is not None
    assert report.step.compared is None
    assert training_words(report).endswith(f"1 relabel, the run of {trainer.trained[0]} is broken: delete it")


def test_without_validation_images_nothing_is_compared(tmp_path: Path) -> None:
    trainer = Learner(lessons=[lesson(8), lesson(18)])
    for labels in ({}, {19: "ii"}):
        report = synced(tmp_path, trainer, labels, split="train")
    words = "; v1 -> v2: 1 relabel, no validation images to compare them on"
    assert training_words(report).endswith(words)
    without = replace(report, score={"val_accuracy": None})
    assert training_words(without).endswith(f"no validation images, so no score{words}")


# --- what is in the run directories -----------------------------------------------------------------


def image(number: int, label: str, split: str = "val", content: int | None = None) -> Entry:
    """An image at address `number`; equal `content` is an equal image."""
    kept = digest(number if content is None else content)
    return Entry(f"{number:020x}", kept, split, label, ".png")


class Runs:
    """A project's .sheetsync with runs written into it, laid out as in `training/runs/directory.py`."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / ".sheetsync"
        self.recipe = folder / "mine.json"
        self.recipe.write_text(json.dumps({"name": "mine", "epochs": 3, "seed": 0}))
        self.trainer = ProcessTrainer(folder / "dataset", str(self.recipe), StateFolder(self.state))
        self.count = 0

    def add(self, lines: Mapping[Entry, str], recipe: str = "aaaaaaaa", **fields: Any) -> Path:
        """A run on these images, entry -> predicted label, finished a minute after the one before."""
        self.count += 1
        name = Versions(StateFolder(self.state), self.trainer).save_revision(Manifest(tuple(lines)))
        folder = self.state / "runs" / f"{name}-{recipe}"
        folder.mkdir(parents=True)
        val = [(entry, label) for entry, label in lines.items() if entry.split == "val"]
        score = judge([entry for entry, _ in val], {entry.digest: label for entry, label in val})
        metrics = {"created": f"2026-01-01T00:{self.count:02d}:00+00:00", "val": None}
        if score:
            metrics["val"] = {"accuracy": score.accuracy, "interval": [score.low, score.high], "macro_f1": 0.5}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "recipe.json").write_text(json.dumps({"name": "mine", "epochs": 3, "seed": 0, **fields}))
        with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
            table_ = csv.writer(file)
            table_.writerow(("file", "split", "label", "prediction", "confidence", "self_confidence", "fold"))
            table_.writerows(
                (entry.path, entry.split, entry.label, label, 0.5, "", "") for entry, label in lines.items()
            )
        return folder

    def asked(self, run: Path, lines: Mapping[Entry, str]) -> None:
        """Write later predictions of the main model of a run."""
        (self.state / "rescored").mkdir(exist_ok=True)
        with (self.state / "rescored" / f"{run.name}.csv").open("w", encoding="utf-8", newline="") as file:
            table_ = csv.writer(file)
            table_.writerow(("file", "prediction", "confidence", "self_confidence"))
            table_.writerows((entry.path, label, 0.5, "") for entry, label in lines.items())

    def history(self) -> History:
        return history(self.trainer, "mine.json")

    def rescored(self, *today: Entry) -> History:
        """Judge all on the images of today. In the tests that call this every prediction is there already."""
        return rescored_history(self.trainer, "mine.json", Manifest(today), lambda *_: None)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def ten(label: str = "i", split: str = "val") -> list[Entry]:
    return [image(number, label, split) for number in range(10)]


def saying(entries: Sequence[Entry], *wrong: int) -> dict[Entry, str]:
    return {entry: "nonsense" if number in wrong else entry.label for number, entry in enumerate(entries)}


def figures(found: History) -> list[tuple[int, int, int] | None]:
    """Return images, gained and lost of every step."""
    steps = [version.step.compared for version in found.versions]
    return [(each.images, each.gained, each.lost) if each else None for each in steps]


def test_versions_are_counted_for_each_recipe_by_time(runs: Runs) -> None:
    more = [image(20, "ii", "train")]
    runs.add(saying(ten(), 1, 2))
    runs.add(saying(ten(), 1, 2, 3), "bbbbbbbb", epochs=9)  # another recipe of the same name
    runs.add(saying([*ten(), *more], 2, 3))
    found = runs.history()
    assert [version.name for version in found.versions] == ["v1", "v2"]
    assert [version.when for version in found.versions] == ["2026-01-01T00:01:00+00:00", "2026-01-01T00:03:00+00:00"]
    assert [version.step.changes for version in found.versions] == [Changes(added=10), Changes(added=1)]
    assert [version.score["val_accuracy"] for version in found.versions] == [0.8, 0.8]
    assert (found.others, figures(found)) == (1, [None, (10, 1, 1)])


def test_the_name_of_a_built_in_recipe_is_that_of_its_last_run(runs: Runs, tmp_path: Path) -> None:
    runs.add(saying(ten(), 1))
    runs.add(saying([*ten(), image(20, "ii", "train")]), "bbbbbbbb", epochs=9)
    runs.add(saying([*ten(), image(21, "ii", "train")]), "cccccccc", name="other")
    named = ProcessTrainer(tmp_path / "dataset", "mine", StateFolder(runs.state))
    assert [run.id.rpartition("-")[2] for run in named.runs_of_recipe()] == ["bbbbbbbb"]
    assert ProcessTrainer(tmp_path / "dataset", "unheard-of", StateFolder(runs.state)).runs_of_recipe() == ()


@pytest.mark.parametrize("called", ["mine", "mine@1"])
def test_further_seeds_are_no_versions_and_no_other_recipes(runs: Runs, tmp_path: Path, called: str) -> None:
    runs.add(saying(ten(), 1, 2), seed=5)
    runs.add(saying(ten(), 1, 2, 3, 4), "bbbbbbbb", seed=6, name=called)
    runs.add(saying([*ten(), image(20, "ii", "train")], 1), seed=5)
    runs.recipe.write_text(json.dumps({"name": "mine", "epochs": 3, "seed": 5}))
    found = runs.history()
    assert [(version.name, version.score["seeds"]) for version in found.versions] == [("v1", 2), ("v2", 1)]
    assert (found.versions[0].score["val_mean"], found.others) == (pytest.approx(0.7), 0)
    assert score_words(found.versions[0].score) == "0.700 ± 0.141 (2 seeds)"
    named = ProcessTrainer(tmp_path / "dataset", "mine", StateFolder(runs.state))
    assert [version.name for version in history(named, "mine").versions] == ["v1", "v2"]


def test_a_recipe_file_that_got_another_name_is_the_same_recipe(runs: Runs) -> None:
    runs.add(saying(ten(), 1), name="earlier", digest="a" * 16)
    assert [version.name for version in runs.history().versions] == ["v1"]


def test_a_recipe_file_that_cannot_be_read_is_named(runs: Runs) -> None:
    runs.recipe.write_text('{"name": ')
    with pytest.raises(ConfigError, match=r"'recipe' = .*mine\.json' in sheetsync\.toml: that file cannot be read"):
        runs.history()


def test_what_was_in_train_is_judged_by_the_fold_that_had_not_seen_it(runs: Runs) -> None:
    """All ten move from train to val; their predictions in the earlier predictions.csv are out of sample."""
    runs.add(saying(ten(split="train"), 0, 1, 2))
    runs.add(saying(ten(), 2))
    assert figures(runs.history()) == [None, (10, 2, 0)]


def test_images_are_known_by_content_whatever_their_address(runs: Runs) -> None:
    runs.add(saying(ten(), 0, 1))
    runs.add(saying([image(100 + number, "i", content=number) for number in range(10)], 1))
    found = runs.history()
    assert figures(found) == [None, (10, 1, 0)]
    assert found.versions[1].step.changes == Changes(added=10, removed=10)


def test_where_an_image_stands_in_train_as_well_the_fold_speaks(runs: Runs) -> None:
    """The main model learned from the content, so its prediction for the val image proves nothing."""
    twin = image(50, "i", "train", content=0)
    runs.add({image(0, "i"): "i", twin: "wrong", image(1, "i"): "i"})
    runs.add({image(0, "i"): "i", image(1, "i"): "i"})
    assert runs.trainer.out_of_sample_labels(runs.trainer.runs_of_recipe()[0])[digest(0)] == "wrong"
    assert figures(runs.history()) == [None, (2, 1, 0)]


def test_every_version_is_judged_on_the_images_and_labels_of_today(runs: Runs) -> None:
    first = runs.add(saying(ten(), 0, 1))
    runs.add(saying([*ten(), image(10, "iii")], 1))
    today = [*ten()[:8], image(8, "ii"), image(10, "iii")]  # one relabelled, one gone, one new
    runs.asked(first, {image(10, "i"): "i"})  # it knows no iii
    found = runs.rescored(*today)
    judged = [version.today for version in found.versions]
    assert [each and (each.images, each.accuracy) for each in judged] == [(10, 0.6), (10, 0.8)]
    assert (found.images, found.rescored, figures(found)) == (10, True, [None, (10, 2, 0)])
    assert [version.score["val_accuracy"] for version in found.versions] == [0.8, 10 / 11]


def test_an_image_that_every_model_learned_from_is_left_out_and_nobody_is_asked(runs: Runs) -> None:
    runs.add({image(0, "i", "train"): "", image(1, "i"): "i"})
    runs.add({image(0, "i"): "i", image(1, "i"): "i"})
    found = runs.rescored(image(0, "i"), image(1, "i"))
    assert [version.today and version.today.images for version in found.versions] == [1, 2]
    assert figures(found) == [None, (1, 0, 0)]
    assert not (runs.state / "predict.log").exists()


def test_a_model_that_cannot_be_asked_is_a_word_and_stops_no_other(runs: Runs) -> None:
    runs.add(saying(ten(), 0))  # it has no weights
    runs.add(saying([*ten(), image(10, "ii")], 1))
    (runs.trainer.dataset / "val" / "ii").mkdir(parents=True)
    found = runs.rescored(*ten(), image(10, "ii"))
    first, second = found.versions
    assert first.today is None
    assert first.why.startswith("predicting with its model failed: ")
    assert "not a run directory" in first.why
    assert (second.today and second.today.images, second.why) == (11, "")
    assert figures(found) == [None, (10, 1, 1)], "what both know can be compared all the same"


def test_a_run_without_predictions_or_with_broken_ones_is_told_and_stops_nobody(runs: Runs) -> None:
    folders = [runs.add(saying([*ten(), image(20 + n, "ii", "train")], n)) for n in range(4)]
    (folders[0] / "predictions.csv").unlink()
    (folders[2] / "predictions.csv").write_text("file,predicted\nx\n")
    for found in (runs.history(), runs.rescored(*ten())):
        whys = [version.step.why for version in found.versions]
        assert whys[1] == f"the run in {folders[0]} has no predictions.csv: delete this folder"
        assert f"{folders[2] / 'predictions.csv'} cannot be read" in whys[2]
        assert whys[3] == whys[2]
    assert [bool(version.today) for version in found.versions] == [False, True, False, True]
    assert found.versions[2].why == whys[2]


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"created": 1}', '{"val": '])
@pytest.mark.parametrize("file", ["metrics.json", "recipe.json"])
def test_a_run_directory_that_cannot_be_read_is_left_out(runs: Runs, file: str, content: str) -> None:
    runs.add(saying(ten()))
    broken = runs.add(saying([*ten(), image(20, "ii")]))
    runs.add(saying([*ten(), image(21, "ii")]))
    (broken / file).write_text(content)
    assert [version.step.before for version in runs.history().versions] == ["", "v1"]


def test_where_nobody_kept_what_a_version_held_that_is_said(runs: Runs) -> None:
    first, second = runs.add(saying(ten())), runs.add(saying([*ten(), image(20, "ii")]))
    (runs.state / "revisions" / f"{first.name.partition('-')[0]}.tsv").unlink()
    step = runs.history().versions[1].step
    assert (step.changes, step.compared is None) == (None, False)
    (runs.state / "revisions" / f"{second.name.partition('-')[0]}.tsv").unlink()
    step = runs.history().versions[1].step
    assert (step.changes, step.why) == (None, "no validation images to compare them on")


def test_no_common_image_is_no_comparison(runs: Runs) -> None:
    runs.add(saying(ten()))
    runs.add(saying([image(30, "i")]))
    assert runs.history().versions[1].step.why == "no validation image that both can be judged on"
    found = runs.rescored(image(1, "i"), image(30, "i"))
    assert "not a run directory" in found.versions[0].why


def test_without_validation_images_today_all_are_judged_on_those_they_had(runs: Runs) -> None:
    runs.add(saying(ten(), 1))
    runs.add(saying([*ten(), image(20, "ii", "train")]))
    found = runs.rescored(image(0, "i", "train"), image(1, "", "unlabelled"))
    assert (found.rescored, found.images, figures(found)) == (True, 0, figures(runs.history()))
    assert [version.today for version in found.versions] == [None, None]
    assert {version.why for version in found.versions} == {"no validation image of today that it can be judged on"}


# --- the command ----------------------------------------------------------------------------------

WATCHED = """
import sys
def seen(event, _):
    if event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"):
        sys.stdout.write(f"STARTED {event}\\n")
sys.addaudithook(seen)
from sheetsync.cli import app
sys.argv = ["sheetsync", *sys.argv[1:]]
try:
    app()
finally:
    sys.stdout.write(f"TORCH {'torch' in sys.modules}\\n")
"""


def alone(folder: Path, *arguments: str) -> str:
    """Return the output of a command that must start no process and import no torch."""
    command = [sys.executable, "-c", WATCHED, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "STARTED" not in done.stdout
    output, _, torch = done.stdout.rpartition("TORCH ")
    assert torch == "False\n"
    return output


def test_a_history_without_runs_says_what_makes_one(tmp_path: Path) -> None:
    folder = project(tmp_path, [["pics/1.png", "i", ""]])
    words = "nothing was trained with the recipe tiny.json yet: `sheetsync sync` does it or says why not"
    assert alone(folder, "history") == f"{words}\n"
    assert not (folder / ".sheetsync").exists()
    assert alone(folder, "history", "--rescore") == f"{words}\n"
    empty = {"recipe": "tiny.json", "versions": [], "others": 0, "rescored": False, "images": 0}
    assert json.loads(alone(folder, "history", "--json")) == empty
    Runs(folder).add(saying(ten()))
    assert alone(folder, "history") == f"{words} (runs of other recipes: 1)\n"


def test_a_history_without_validation_images_has_clear_words(tmp_path: Path) -> None:
    folder = project(tmp_path, [["pics/1.png", "i", ""]])
    made = Runs(folder)
    made.recipe.rename(folder / "tiny.json")
    made.add(saying(ten(split="train")))
    made.add(saying(ten(split="train")[1:]))
    for output in (alone(folder, "history"), alone(folder, "history", "--rescore")):
        assert output.splitlines()[:4] == [
            f"v1   2026-01-01 00:01  {revision(Manifest(tuple(ten(split='train'))))}  no validation images",
            "     the first version: 10 images",
            f"v2   2026-01-01 00:02  {revision(Manifest(tuple(ten(split='train')[1:])))}  no validation images",
            "     v1 -> v2: 1 gone, no validation images to compare them on",
        ]
    assert "there are no validation images today" in output
    assert "nan" not in alone(folder, "history", "--rescore", "--json").casefold()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A project with two trained versions, and the output of their syncs; then labels changed and a val image came."""
    folder = tmp_path_factory.mktemp("two")
    rows = pictures(folder)
    project(folder, rows)
    outputs = [ok("sync", cwd=folder)]
    rows[0][1] = rows[4][1] = "iii"
    (folder / "pics" / "new.png").write_bytes(png(99))
    write_rows(folder, [*rows, ["pics/new.png", "iii", "val"]])
    outputs.append(ok("sync", cwd=folder))
    return folder, outputs


def lines_of(path: Path) -> dict[str, str]:
    """Read content digest -> prediction from a file of predictions."""
    with path.open(encoding="utf-8", newline="") as file:
        return {line["file"].rpartition("-")[2]: line["prediction"] for line in csv.DictReader(file)}


def test_two_versions_from_sync_to_history_to_rescore(two: tuple[Path, list[str]]) -> None:
    folder, synced_ = two
    assert "version v1; validation accuracy" in synced_[0]
    (step,) = (line.partition("; v1 -> v2: ")[2] for line in synced_[1].splitlines() if "v1 -> v2: " in line)
    assert step.startswith("1 new, 2 relabels, ")

    listed = alone(folder, "history")
    assert f"     v1 -> v2: {step}\n" in listed
    first, second = (version["run"] for version in json.loads(alone(folder, "history", "--json"))["versions"])
    assert listed.splitlines()[0].split()[3] == first.partition("-")[0]

    done = sheetsync("history", "--rescore", "--json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "rescore: 1 of 1\n")
    found = json.loads(done.stdout)
    state = folder / ".sheetsync"
    assert [path.name for path in (state / "rescored").iterdir()] == [f"{first}.csv"], "v2 knows them all"
    today = {path.name.rpartition("-")[2]: path.parent.name for path in (folder / "dataset" / "val").rglob("*.png")}
    assert found["images"] == len(today) == 3
    for run, version in zip((first, second), found["versions"], strict=True):
        kept = state / "rescored" / f"{run}.csv"
        labels = (lines_of(kept) if kept.exists() else {}) | lines_of(state / "runs" / run / "predictions.csv")
        right = [labels[name] == label for name, label in today.items()]
        assert version["today"]["accuracy"] == pytest.approx(sum(right) / 3)
    assert found["versions"][1]["step"]["compared"]["images"] == 3

    before = tree(state)
    assert json.loads(alone(folder, "history", "--rescore", "--json")) == found, "nobody is asked twice"
    assert tree(state) == before
    assert alone(folder, "history", "--rescore").count(" of 3 validation images\n") == 2


def test_a_model_is_asked_about_no_image_that_its_run_knows(two: tuple[Path, list[str]], tmp_path: Path) -> None:
    """A relabelled val image needs no new prediction: the truth changed, and not the prediction."""
    folder = tmp_path / "copy"
    shutil.copytree(two[0], folder)
    val = folder / "dataset" / "val"
    for path in list(val.rglob("*.png")):
        if path.read_bytes() == png(99):
            path.unlink()
        elif path.parent.name == "ii":
            (val / "i").mkdir(exist_ok=True)
            path.rename(val / "i" / path.name)
    shutil.rmtree(folder / ".sheetsync" / "rescored", ignore_errors=True)
    output = alone(folder, "history", "--rescore")
    assert output.count(" of 2 validation images\n") == 2


def test_a_rescore_waits_for_no_pass(two: tuple[Path, list[str]]) -> None:
    with project_lock(StateFolder(two[0] / ".sheetsync")):
        done = sheetsync("history", "--rescore", cwd=two[0])
        assert (done.returncode, done.stdout) == (1, "")
        assert "another sheetsync is at work" in done.stderr
        assert "v1 -> v2" in alone(two[0], "history")
