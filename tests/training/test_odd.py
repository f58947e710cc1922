"""Odd data, wrong usage, and processes that are killed: a clear error or a sensible run, never a half one."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.training_tree import (
    FILES,
    TINY,
    command,
    folder_of,
    lines,
    made_in,
    metrics_of,
    rows_of,
    save,
    square,
    train,
    write_example,
    write_recipe,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_example(tmp_path_factory.mktemp("training"))


# --- data ---------------------------------------------------------------------------------------


def odd_without_val(root):
    """No val, no test, an empty unlabelled, a class of one image, every kind of image."""
    modes = ["L", "RGBA", "P", "1", "I;16", "LA"]
    for i, mode in enumerate(modes):
        grey = square(i, 0).convert("L")
        sixteen = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
        save(root / "train/many" / f"{i}.png", sixteen if mode == "I;16" else grey.convert(mode))
    save(root / "train/single/1.png", square(9, 1))
    (root / "unlabelled").mkdir()


def odd_all_identical(root):
    """All train images are the same one; val has a class that train lacks, and one image of it."""
    for name in ("train/a/1.png", "train/a/2.png", "train/b/3.png", "val/NA/4.png"):
        save(root / name, square(1, 0))


@pytest.mark.parametrize("make", [odd_without_val, odd_all_identical])
def test_odd_data_gives_numbers_and_never_nan(tmp_path, place, make):
    make(tmp_path / "data")
    result = train(tmp_path / "data", place / "tiny.json", tmp_path / "runs", "--json", "--workers", 2)
    folder = folder_of(result)
    found, rows = metrics_of(folder), rows_of(folder)
    assert "NaN" not in (folder / "metrics.json").read_text()
    assert np.isfinite(np.load(folder / "probs.npy")).all()
    if make is odd_without_val:
        assert (found["val"], found["test"], found["best_epoch"]) == (None, None, TINY.epochs)
        assert found["out_of_fold"]["n"] == 7
        assert all(0 <= float(row["self_confidence"]) <= 1 for row in rows)
    else:
        assert found["out_of_fold"] is None
        assert {tuple(row.values())[3:] for row in rows[:3]} == {("", "", "", "")}
        assert found["untrained_classes"] == ["NA"]
        assert [line for line in lines(result)[:-1] if line["stage"] == "warning" and "NA" in line["message"]]
        assert rows[3]["self_confidence"] != ""


def broken(root):
    save(root / "train/a/1.png", square(1, 0))
    (root / "train/b").mkdir()
    (root / "train/b/2.png").write_bytes(b"\x89PNG nonsense")


def single_class(root):
    save(root / "train/a/1.png", square(1, 0))


def no_train(root):
    save(root / "val/a/1.png", square(1, 0))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (broken, "train/b/2.png"),
        (single_class, "one class"),
        (no_train, "no images in train"),
        (None, "no such folder"),
    ],
)
def test_data_that_cannot_be_trained_on_is_told_in_one_sentence(tmp_path, place, make, words):
    if make:
        make(tmp_path / "data")
    result = train(tmp_path / "data", place / "tiny.json", tmp_path / "runs", "--json")
    assert result.returncode == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not made_in(tmp_path / "runs")


@pytest.mark.parametrize(
    "more", [["--recipe", "nope"], ["--workers", "0"], ["--id", "../x"], ["--id", ".tmp-1"], ["--epochs", "3"]]
)
def test_wrong_usage_is_told_before_anything_happens(tmp_path, place, more):
    result = train(place / "data", place / "tiny.json", tmp_path / "runs", *more)
    assert result.returncode == 2
    assert more[1] in result.stderr
    assert not (tmp_path / "runs").exists()


# --- killed ---------------------------------------------------------------------------------------


def parents():
    """The parent of every live process, zombies left out."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            found[int(stat.parent.name)] = int(fields[1])
    return found


def offspring(process):
    children = [child for child, parent in parents().items() if parent == process]
    return [found for child in children for found in (child, *offspring(child))]


def wait_until_gone(processes, seconds=20):
    deadline = time.monotonic() + seconds
    while alive := set(processes) & parents().keys():
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.05)


def wait_for_training(stream):
    for line in stream:
        if json.loads(line)["stage"] == "train":
            return
    pytest.fail("it ended before it trained")


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")

STARTER = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
child.wait()
"""


@needs_proc
def test_a_killed_parent_leaves_no_process_behind(tmp_path, place):
    recipe = write_recipe(tmp_path / "long.json", epochs=5000)
    words = command(place / "data", recipe, tmp_path / "runs", "--json", "--workers", 2, "--with-parent")
    with subprocess.Popen([sys.executable, "-c", STARTER, *words], stdout=subprocess.PIPE, text=True) as starter:
        wait_for_training(starter.stdout)
        started = offspring(starter.pid)
        assert len(started) >= 3  # the training process and its two workers
        starter.kill()
        wait_until_gone(started)


@needs_proc
def test_killed_midway_it_leaves_no_run_and_the_next_one_works(tmp_path, place):
    recipe = write_recipe(tmp_path / "long.json", epochs=5000)
    runs = tmp_path / "runs"
    words = command(place / "data", recipe, runs, "--json", "--workers", 2, "--id", "mine")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        wait_for_training(process.stdout)
        workers = offspring(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until_gone(workers)
    (unfinished,) = made_in(runs)
    assert unfinished.startswith(".tmp-")

    result = train(place / "data", place / "tiny.json", runs, "--json", "--workers", 2, "--id", "mine")
    assert folder_of(result) == runs / "mine"
    assert made_in(runs) == {"mine", unfinished}  # of another recipe, which may be gone on with
    assert {path.name for path in (runs / "mine").iterdir()} == FILES
