"""Run every program on edge-case datasets: `python benchmarks/odd_data.py [SET…]`, by default all sets.

The sets are those of tests/helpers/odd_sets.py. Four programs for each set, each started as a user would:

    training      `python -m training.train` with a tiny recipe of the competition's network
    lite          the same with EfficientNet-Lite0 at 40 pixels, one epoch from its pretrained weights
    provisional   `python -m training.provisional`
    sheet         `sheetsync sync` on a CSV with the tiny recipe: how many rows got a prediction, and the pass's message

Each should end with the accuracy on val ("-" if there is none), or with an error in one sentence. Anything else is
marked BUG: an exit code other than 0 and 1, a traceback, more than one line on stderr, NaN or infinity in a file or a
cell.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import numpy as np

from tests.helpers.odd_sets import CHANGES, LITE, MOST, SETS, thousand_classes, write_folder, write_project
from tests.helpers.training_tree import write_recipe

NO_NUMBER = re.compile(r"(?i)(?<![a-z])(nan|inf|infinity)(?![a-z])")
TRAIN, PROVISIONAL = "training.train", "training.provisional"


def run(*words: object) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run a program; returns its result, and "BUG: …" if it crashed."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        return done, f"BUG: code {done.returncode}: {done.stderr.strip().splitlines()[-1:]} "
    return done, ""


def bad_files(root: Path) -> Iterator[str]:
    """Yield "BUG: …" for each file below a folder that holds NaN or infinity."""
    for path in [*root.rglob("*.csv"), *root.rglob("*.json")]:
        if NO_NUMBER.search(path.read_text(encoding="utf-8")):
            yield f"BUG: {path.name} "
    for path in root.rglob("probs.npy"):
        if not np.isfinite(np.load(path)).all():
            yield "BUG: probs.npy "


def sentence(stderr: str, root: Path) -> str:
    """Return an error message without the paths of this run, marked if it is not one line."""
    lines = stderr.strip().splitlines()
    mark = "BUG: more than one line: " if len(lines) != 1 else ""
    return mark + lines[-1].replace(f"{root}/", "") if lines else "BUG: no message"


def accuracy(value: float | None) -> str:
    return "-" if value is None else f"val {value:.2f}"


def training(root: Path, recipe: Path, runs: str) -> str:
    """Describe the result of `training.train`."""
    where = ("--recipe", recipe, "--runs", root / runs, "--json", "--workers", 1)
    done, wrong = run(sys.executable, "-m", TRAIN, root / "data", *where)
    wrong += "".join(bad_files(root / runs))
    if done.returncode:
        return wrong + sentence(done.stderr, root)
    noise = f"BUG: stderr: {done.stderr.splitlines()[0]} " if done.stderr else ""
    (metrics,) = (root / runs).glob("[!.]*/metrics.json")
    values = json.loads(metrics.read_text())
    folds = values["out_of_fold"]
    untrained = f", never learned {', '.join(values['untrained_classes'])}" if values["untrained_classes"] else ""
    fold_score = f", folds {folds['accuracy']:.2f} of {folds['n']}" if folds else ", no folds"
    size = metrics.stat().st_size
    return (
        wrong
        + noise
        + accuracy(values["val"] and values["val"]["accuracy"])
        + fold_score
        + untrained
        + f" ({size} B)" * (size > 100_000)
    )


def provisional(root: Path, recipe: Path) -> str:
    """Describe the result of `training.provisional`."""
    where = ("--recipe", recipe, "--runs", root / "runs", "--out", root / "out/out.csv", "--json")
    (root / "out").mkdir()
    done, wrong = run(sys.executable, "-m", PROVISIONAL, root / "data", *where)
    wrong += "".join(bad_files(root / "out"))
    if done.returncode:
        return wrong + sentence(done.stderr, root)
    with (root / "out/out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    predicted = sum(bool(row["prediction"]) for row in rows)
    noise = f"BUG: stderr: {done.stderr.splitlines()[0]} " if done.stderr else ""
    val_accuracy = json.loads(done.stdout.splitlines()[-1]).get("val_accuracy")
    return f"{wrong}{noise}{accuracy(val_accuracy)}, {predicted} of {len(rows)} predicted"


def sheet(root: Path) -> str:
    """Describe the sheet after a pass, and check that the next pass is idle."""
    program = Path(sys.executable).with_name("sheetsync")
    done, wrong = run(program, "sync", "--json", "-p", root / "project")
    wrong += "".join(bad_files(root / "project"))
    with (root / "project/labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    predicted = f"{sum(bool(row.get('prediction')) for row in rows)} of {len(rows)} rows predicted: "
    if done.returncode:
        return wrong + predicted + sentence(done.stderr.splitlines()[-1], root)
    report = json.loads(done.stdout)
    again, more = run(program, "sync", "--json", "-p", root / "project")
    idle = json.loads(again.stdout) if not again.returncode else {}
    wrong += more + ("" if (idle.get("cells"), idle.get("trained")) == (0, False) else "BUG: not idle ")
    return wrong + predicted + (report["untrained"] or accuracy(report["score"].get("val_accuracy")))


def main(names: list[str]) -> None:
    """Print the table."""
    for name in names or SETS:
        made = SETS[name]
        changes = CHANGES | {"max_images": MOST} if made is thousand_classes else CHANGES
        with tempfile.TemporaryDirectory() as folder:
            root, start = Path(folder), time.monotonic()
            tiny, lite = write_recipe(root / "tiny.json", **changes), root / "lite.json"
            write_recipe(lite, **(changes | LITE | {"name": "lite"}))
            write_folder(made(), root / "data")
            write_project(made(), root / "project", tiny)
            print(f"{name}\n    training      {training(root, tiny, 'runs')}", flush=True)
            print(f"    lite          {training(root, lite, 'lite')}", flush=True)
            print(f"    provisional   {provisional(root, tiny)}", flush=True)
            print(f"    sheet         {sheet(root)}   [{time.monotonic() - start:.0f} s]", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
