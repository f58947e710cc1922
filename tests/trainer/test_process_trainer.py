"""The trainer that runs processes: a real training of a tiny recipe."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from sheetsync.common.state_folder import StateFolder
from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.plan import SplitFractions
from sheetsync.dataset.records import Entry, Manifest
from sheetsync.dataset.revision import revision
from sheetsync.errors import ConfigError, TrainingError
from sheetsync.images.store import ImageStore
from sheetsync.rows.cells import image_key
from sheetsync.rows.records import Row
from sheetsync.trainer.base import why_untrainable
from sheetsync.trainer.lineage import RunLog
from sheetsync.trainer.process_trainer import ProcessTrainer
from tests.cli.test_cli import offspring, running, until
from tests.helpers.support import png, tiny_recipe
from tests.images.test_store import add_image
from training.recipe import RECIPES

Told = list[tuple[str, int, int, str]]


def silent(stage: str, done: int, total: int, message: str) -> None:
    pass


def row(number: int, label: str, split: str = "") -> Row:
    url = f"http://pics.example/{number}.png"
    return Row(number, image_key(url), url, label, split)


ROWS = [
    *(row(number, ("i", "größer, als")[number % 2], "train") for number in range(8)),
    *(row(number, ("i", "größer, als")[number % 2], "val") for number in range(8, 10)),
    row(10, "i", "test"),
    row(11, ""),
]


def fill(folder: Path, rows: list[Row]) -> Manifest:
    mirror = Mirror(folder / "dataset", ImageStore(folder / "state" / "objects"))
    list(mirror.receive(rows, [add_image(mirror.store, each.key, png(each.number)) for each in rows], SplitFractions()))
    return mirror.scan()


def trainer(folder: Path, recipe: str = "tiny.json") -> ProcessTrainer:
    (folder / "state").mkdir(parents=True, exist_ok=True)
    return ProcessTrainer(
        folder / "dataset", str(folder / recipe) if "." in recipe else recipe, StateFolder(folder / "state")
    )


class Trained:
    """A dataset, and a run that was trained on it."""

    def __init__(self, folder: Path) -> None:
        tiny_recipe(folder / "tiny.json", batch=32)
        self.folder, self.events = folder, []
        self.manifest, self.trainer = fill(folder, ROWS), trainer(folder)
        self.revision = revision(self.manifest)
        self.before = self.trainer.find(self.revision)
        self.run = self.trainer.train(self.revision, self._note)

    def _note(self, *event: object) -> None:
        self.events.append(event)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"))


def test_a_run_is_found_by_what_the_model_saw_and_by_its_recipe(trained: Trained, tmp_path: Path) -> None:
    assert trained.before is None
    assert trained.trainer.find(trained.revision) == trained.run
    assert trained.trainer.runs() == RunLog((trained.run,))
    assert (trained.run.revision, trained.run.recipe) == (trained.revision, "tiny")
    assert trained.trainer.find("0" * 16) is None
    tiny_recipe(tmp_path / "tiny.json", batch=32, epochs=3)
    other = ProcessTrainer(
        trained.folder / "dataset", str(tmp_path / "tiny.json"), StateFolder(trained.folder / "state")
    )
    assert other.find(trained.revision) is None
    assert other.runs() == RunLog((trained.run,))


def test_progress_counts_up_to_its_end(trained: Trained) -> None:
    stages = {stage for stage, *_ in trained.events}
    assert {"train", "folds"} <= stages
    for each in stages:
        counts = [(done, total) for stage, done, total, _ in trained.events if stage == each]
        assert counts == sorted(counts)
        assert counts[-1][0] == counts[-1][1]


def test_every_image_has_a_prediction(trained: Trained) -> None:
    predictions = trained.trainer.predictions(trained.run, trained.manifest, silent)
    assert {each.key for each in predictions} == {each.key for each in ROWS}
    labels = {each.key: each.label for each in ROWS}
    for each in predictions:
        assert each.label in ("i", "größer, als")
        assert 0.5 <= each.confidence <= 1
        if not labels[each.key]:
            assert each.quality is None
        else:
            own = each.confidence if each.label == labels[each.key] else 1 - each.confidence
            assert each.quality == pytest.approx(own, abs=1e-3)


def test_an_image_that_is_not_in_the_run_has_none(trained: Trained) -> None:
    stranger = Entry("a" * 20, "b" * 32, "train", "i", ".png")
    predictions = trained.trainer.predictions(trained.run, Manifest((*trained.manifest.entries, stranger)), silent)
    assert "a" * 20 not in {each.key for each in predictions}


def test_an_image_that_every_model_learned_from_has_none(trained: Trained, tmp_path: Path) -> None:
    """Where all train images are equal, no model can leave one out; such a line of the run has no prediction."""
    entry = next(entry for entry in trained.manifest if entry.split == "train")
    shutil.copytree(trained.folder / "state", tmp_path / "state")
    path = tmp_path / "state" / "runs" / trained.run.id / "predictions.csv"
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        if line["file"] == entry.path:
            line.update(dict.fromkeys(("prediction", "confidence", "self_confidence", "fold"), ""))
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(lines[0]))
        table.writeheader()
        table.writerows(lines)
    copied = ProcessTrainer(trained.folder / "dataset", trained.trainer.recipe, StateFolder(tmp_path / "state"))
    predictions = copied.predictions(trained.run, trained.manifest, silent)
    assert {each.key for each in predictions} == {each.key for each in ROWS} - {entry.key}


def test_images_without_a_label_that_come_later_are_predicted_once(trained: Trained) -> None:
    later = [row(20, ""), row(21, "")]
    manifest = fill(trained.folder, later)
    assert revision(manifest) == trained.revision
    predictions = trained.trainer.predictions(trained.run, manifest, silent)
    assert {each.key for each in predictions} == {each.key for each in (*ROWS, *later)}
    asked: Told = []
    again = trained.trainer.predictions(trained.run, manifest, lambda *words: asked.append(words))
    assert (again, asked) == (predictions, [])


def test_a_broken_run_says_which_folder_to_delete(trained: Trained, tmp_path: Path) -> None:
    broken = ProcessTrainer(trained.folder / "dataset", trained.trainer.recipe, StateFolder(tmp_path))
    folder = tmp_path / "runs" / trained.run.id
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text('{"val": ')
    with pytest.raises(TrainingError, match=f"the run in {folder} cannot be read .*: delete this folder"):
        broken.find(trained.revision)
    assert broken.runs() == RunLog(), "what nobody asked for stops nobody"


def test_a_run_without_its_predictions_is_an_error_and_empties_no_column(trained: Trained, tmp_path: Path) -> None:
    half = ProcessTrainer(trained.folder / "dataset", trained.trainer.recipe, StateFolder(tmp_path))
    with pytest.raises(TrainingError, match=r"has no predictions\.csv: delete this folder"):
        half.predictions(trained.run, Manifest(), silent)


def test_a_half_made_run_is_no_run(tmp_path: Path) -> None:
    tiny_recipe(tmp_path / "tiny.json")
    half = tmp_path / "state" / "runs" / ".tmp-half-1"
    half.mkdir(parents=True)
    (half / "metrics.json").write_text("{}")
    assert trainer(tmp_path).runs() == RunLog()


def test_another_seed_is_a_run_of_its_own_beside_that_of_the_recipe(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.folder / "state", tmp_path / "state")
    copied = ProcessTrainer(trained.folder / "dataset", trained.trainer.recipe, StateFolder(tmp_path / "state"))
    other = copied.train(trained.revision, silent, 2)
    assert (other.revision, other.choices["seed"]) == (trained.revision, trained.run.choices["seed"] + 2)
    assert copied.find(trained.revision) == trained.run
    assert copied.runs().seed_variants(trained.run) == {0: trained.run, 2: other}
    assert copied.runs_of_recipe() == (trained.run,), "versions are those of the recipe itself"
    events: Told = []
    assert copied.train(trained.revision, lambda *words: events.append(words), 2) == other
    assert [stage for stage, *_ in events] == ["exists"]


def test_weights_that_are_not_there_are_named_by_the_training_that_looks_for_them(tmp_path: Path) -> None:
    """A recipe that starts from random numbers needs none, so another one is used here."""
    fill(tmp_path, ROWS)
    (tmp_path / "state").mkdir(exist_ok=True)
    recipe = next(name for name, each in RECIPES.items() if each.weights)
    asked = ProcessTrainer(tmp_path / "dataset", recipe, StateFolder(tmp_path / "state"), str(tmp_path / "net.pth"))
    with pytest.raises(TrainingError, match=str(tmp_path / "net.pth")):
        asked.train("0" * 16, silent)


def test_a_quick_answer_is_out_of_sample_for_every_image_and_needs_no_run(trained: Trained, tmp_path: Path) -> None:
    asked = ProcessTrainer(trained.folder / "dataset", trained.trainer.recipe, StateFolder(tmp_path))
    predictions = asked.predict_provisionally(trained.manifest, silent)
    assert {each.key for each in predictions} == {entry.key for entry in trained.manifest}
    labels = {entry.key: entry.label for entry in trained.manifest}
    assert {each.label for each in predictions} <= {"i", "größer, als"}
    assert {each.key for each in predictions if each.quality is None} == {
        key for key, label in labels.items() if not label
    }
    assert asked.runs() == RunLog()


def test_a_quick_answer_that_fails_says_why_and_where_its_log_is(tmp_path: Path) -> None:
    fill(tmp_path, [row(0, "i", "train")])
    tiny_recipe(tmp_path / "tiny.json")
    with pytest.raises(
        TrainingError, match=r"^the provisional prediction failed: .* \(its full output is in .*provisional\.log\)"
    ):
        trainer(tmp_path).predict_provisionally(Manifest(), silent)


def test_an_unknown_recipe_names_the_ones_there_are(tmp_path: Path) -> None:
    words = r"'recipe' = 'roman' in sheetsync.toml: there is no recipe 'roman'; there are roman-resnet50"
    with pytest.raises(ConfigError, match=words):
        trainer(tmp_path, "roman").check()


def test_a_recipe_is_resolved_by_one_process_however_often_it_is_needed(trained: Trained) -> None:
    started: list[str] = []
    asked = trainer(trained.folder)

    def count(event: str, args: tuple[object, ...]) -> None:
        if event == "subprocess.Popen" and hearing:
            started.append(str(args[1]))

    hearing = True
    sys.addaudithook(count)  # it cannot be removed, so it is events to stop
    try:
        assert started == [], "a trainer that nobody asks starts nothing"
        asked.check()
        assert asked.load_recipe()["name"] == "tiny"
        assert asked.find(trained.revision) == trained.run
    finally:
        hearing = False
    assert len(started) == 1


def test_a_folder_called_training_is_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    assert trainer(tmp_path, "roman-resnet50").find("0" * 16) is None


def test_a_failed_training_says_its_own_words_and_where_its_log_is(tmp_path: Path) -> None:
    tiny_recipe(tmp_path / "tiny.json", max_images=3)
    fill(tmp_path, ROWS)
    with pytest.raises(TrainingError) as raised:
        trainer(tmp_path).train("0" * 16, silent)
    assert "10 images in train and val; tiny allows 3: take some out (train 8:" in str(raised.value)
    log = tmp_path / "state" / "train.log"
    assert str(log) in str(raised.value)
    assert "tiny allows 3: take some out" in log.read_text()


def test_a_killed_training_is_an_error_and_leaves_no_process_and_no_run(tmp_path: Path) -> None:
    tiny_recipe(tmp_path / "tiny.json", batch=32, epochs=10_000)
    fill(tmp_path, ROWS)
    killed: list[int] = []
    others = offspring(os.getpid())  # of earlier tests, such as the tracker of multiprocessing

    def kill(*_: object) -> None:
        killed.extend(child for child in offspring(os.getpid()) if child not in others)
        os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(TrainingError, match="training failed: it was ended by signal 9"):
        trainer(tmp_path).train("0" * 16, kill)
    until(lambda: not [child for child in killed if running(child)])
    assert trainer(tmp_path).runs() == RunLog()


def test_an_exception_in_between_ends_the_training(tmp_path: Path) -> None:
    tiny_recipe(tmp_path / "tiny.json", batch=32, epochs=10_000)
    fill(tmp_path, ROWS)
    children: list[int] = []
    others = offspring(os.getpid())

    def stop(*_: object) -> None:
        children.extend(child for child in offspring(os.getpid()) if child not in others)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path).train("0" * 16, stop)
    assert children
    until(lambda: not [child for child in children if running(child)])


def test_a_training_that_was_ended_goes_on_from_there(tmp_path: Path) -> None:
    tiny_recipe(tmp_path / "tiny.json", batch=32, epochs=30)
    fill(tmp_path, ROWS)
    events: Told = []

    def stop(*event: object) -> None:
        if event[0] == "folds":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path).train("0" * 16, stop)
    run = trainer(tmp_path).train("0" * 16, lambda *event: events.append(event))
    assert [words for stage, *_, words in events if stage == "note" and ": goes on after epoch " in words]
    assert run.metrics["sittings"] == 2


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ([("i", "train"), ("ii", "train")], ""),
        ([("i", "train"), ("ii", "val")], "(labels there: i)"),
        ([("i", "val")], "(labels there: none)"),
        ([], "(labels there: none)"),
    ],
)
def test_nothing_can_be_learned_from_less_than_two_classes(labels: list[tuple[str, str]], why: str) -> None:
    entries = [Entry(f"{n:020}", "0" * 32, split, label, ".png") for n, (label, split) in enumerate(labels)]
    reason = why_untrainable(Manifest(tuple(entries)))
    assert reason.endswith(why)
    assert bool(reason) == bool(why)
