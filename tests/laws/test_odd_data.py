"""Odd sets of images: all programs give a sensible answer or one sentence, and no number that is none."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.odd_sets import CHANGES, LITE, MOST, SETS, write_folder, write_project
from tests.helpers.training_tree import TINY, rows_of, write_recipe
from training import provisional
from training import train as training
from training.data.folder import Dataset, Sample, scan
from training.embedding import embed

SHEETSYNC = str(Path(sys.executable).with_name("sheetsync"))
NO_NUMBER = re.compile(r"(?i)\b(nan|-?inf|-?infinity)\b")
REFUSED = {
    "one class": "train has one class only (a)",
    "two images of one class": "train has one class only (a)",
    "identical of one label": "train has one class only (a)",
    "unlabelled only": "no images in train/<label>/",
    "too many": "301 images in train and val; tiny allows 300: take some out (train 300: a 150, b 150; val 1: a 1)",
}


def made(root: Path, name: str, **changes: object) -> tuple[Path, Path]:
    """The folder of a set, and a recipe file."""
    write_folder(SETS[name](), root / "data")
    return root / "data", write_recipe(root / "recipe.json", **(CHANGES | changes))


def assert_numbers(folder: Path) -> None:
    texts = [path for kind in ("csv", "json") for path in folder.rglob(f"*.{kind}")]
    assert texts
    assert [path for path in texts if NO_NUMBER.search(path.read_text(encoding="utf-8"))] == []
    assert all(np.isfinite(np.load(path)).all() for path in folder.rglob("*.npy"))


def trained(root: Path, name: str, **changes: object) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Metrics and predictions of a training on a set."""
    data, recipe = made(root, name, **changes)
    runs = root / "runs"
    where = [str(data), "--recipe", str(recipe), "--runs", str(runs), "--id", "it"]
    assert training.main([*where, "--workers", "1", "--json"]) == 0
    assert_numbers(runs)
    return json.loads((runs / "it/metrics.json").read_text()), rows_of(runs / "it")


def predicted(rows: list[dict[str, str]]) -> int:
    return sum(bool(row["prediction"]) for row in rows)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_learned_from_is_refused_in_one_sentence_by_both_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    data, recipe = made(tmp_path, name)
    start = [str(data), "--recipe", str(recipe), "--runs", str(tmp_path / "runs"), "--json"]
    said = []
    for program, more in ((training, []), (provisional, ["--out", str(tmp_path / "out.csv")])):
        assert program.main([*start, *more]) == 1
        said.append(capsys.readouterr().err)
    assert said[0] == said[1]
    assert REFUSED[name] in said[0]
    assert said[0].count("\n") == 1
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "out.csv").exists()


def test_two_images_are_learned_from_one_at_a_time_though_the_network_halves_each_to_a_pixel(tmp_path: Path) -> None:
    found, rows = trained(tmp_path, "two images", **LITE)
    assert (found["val"], found["out_of_fold"]["n"], predicted(rows)) == (None, 2, 2)


def test_a_thousand_classes_of_two_images_are_trained_on_without_a_word_of_warning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found, rows = trained(tmp_path, "thousand classes", max_images=MOST, batch=256, epochs=1, image_size=8, crop_size=8)
    assert (len(found["classes"]), found["out_of_fold"]["n"], found["val"]["n"]) == (1000, 2000, 100)
    assert predicted(rows) == len(rows) == 2100
    assert capfd.readouterr().err == ""
    assert (tmp_path / "runs/it/metrics.json").stat().st_size < 1_000_000, "every pass reads that of every run"


# --- the quick answer -----------------------------------------------------------------------------

QUICK = [name for name in SETS if name not in (*REFUSED, "thousand classes")]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs in which the vectors of all these sets are, so that no network has to run again."""
    root = tmp_path_factory.mktemp("embedded")
    samples: tuple[Sample, ...] = ()
    for name in QUICK:
        write_folder(SETS[name](), root / name)
        found = scan(root / name).samples
        samples += tuple(replace(sample, path=f"{name}/{sample.path}") for sample in found)
    embed.embed(Dataset(root, samples), embed.LITE0, root / "runs", None, lambda *_: None)
    return root


@pytest.mark.parametrize("name", QUICK)
def test_the_quick_answer_says_something_of_every_image(tmp_path: Path, embedded: Path, name: str) -> None:
    data, recipe = embedded / name, write_recipe(tmp_path / "recipe.json", **CHANGES)
    where = ["--runs", str(embedded / "runs"), "--out", str(tmp_path / "predictions.csv")]
    assert provisional.main([str(data), "--recipe", str(recipe), *where]) == 0
    assert_numbers(tmp_path)
    rows = rows_of(tmp_path)
    trained = {row["label"] for row in rows if row["split"] == "train"}
    assert {row["prediction"] for row in rows} <= trained
    assert all(row["self_confidence"] for row in rows if row["label"])


# --- a whole pass ---------------------------------------------------------------------------------

WORDS = {
    "one class": "training needs images of at least two labels in the split train (labels there: a)",
    "unlabelled only": "training needs images of at least two labels in the split train (labels there: none)",
}


def a_sync(
    root: Path, name: str, *, provisional: bool = True
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, str]]]:
    """What `sheetsync sync` says of a set, and the rows that are there then."""
    recipe = write_recipe(root / "recipe.json", **CHANGES)
    write_project(SETS[name](), root / "project", recipe, provisional=provisional)
    done = subprocess.run([SHEETSYNC, "sync", "--json", "-p", root / "project"], capture_output=True, text=True)
    assert_numbers(root / "project")
    with (root / "project/labels.csv").open(encoding="utf-8", newline="") as file:
        return done, list(csv.DictReader(file))


@pytest.mark.parametrize("name", WORDS)
def test_a_pass_with_nothing_to_learn_from_mirrors_the_images_and_says_what_is_missing(
    tmp_path: Path, name: str
) -> None:
    done, rows = a_sync(tmp_path, name)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["untrained"], sum(report["images"].values())) == (WORDS[name], len(rows))
    assert {row["status"] for row in rows} == {"ok"}
    assert predicted(rows) == 0


def test_a_pass_over_more_images_than_the_recipe_allows_ends_with_one_sentence_and_writes_nothing(
    tmp_path: Path,
) -> None:
    done, rows = a_sync(tmp_path, "too many")
    assert done.returncode == 1
    assert f"{TINY.name} allows 300: take some out" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(rows[0]) == ["image", "label", "split"]


def test_a_pass_over_images_of_a_pixel_or_a_line_predicts_them_all(tmp_path: Path) -> None:
    done, rows = a_sync(tmp_path, "odd shapes", provisional=False)
    assert done.returncode == 0, done.stderr
    assert predicted(rows) == len(rows)
    assert all(0 <= float(row["confidence"]) <= 1 for row in rows)
