"""What odd sets of images give: `python benchmarks/odd_data.py [SET…]`, all sets of tests/odd_sets.py if none is named.

Four ways for each set, each a process of its own as a user would start it:

    training      `python -m training.train` with a tiny recipe of the competition's network
    lite          the same with EfficientNet-Lite0 at 40 pixels, one epoch from its pretrained weights
    provisional   `python -m training.provisional`
    sheet         `sheetsync sync` on a CSV with the tiny recipe: the rows that got a prediction, and the pass's words

A way ends well with the accuracy on val ("-" where there is none), or with one sentence. Anything else is marked BUG:
another exit code than 0 and 1, a traceback, more words than a sentence, a number that is none in a file or a cell.
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
    """A program run to its end, and what is wrong with how it ended."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        return done, f"BUG: code {done.returncode}: {done.stderr.strip().splitlines()[-1:]} "
    return done, ""


def bad_files(root: Path) -> Iterator[str]:
    """Files below a folder in which a number is none."""
    for path in [*root.rglob("*.csv"), *root.rglob("*.json")]:
        if NO_NUMBER.search(path.read_text(encoding="utf-8")):
            yield f"BUG: {path.name} "
    for path in root.rglob("probs.npy"):
        if not np.isfinite(np.load(path)).all():
            yield "BUG: probs.npy "


def sentence(words: str, root: Path) -> str:
    """The words of an error; the places of this run are left out."""
    lines = words.strip().splitlines()
    many = "BUG: more than one line: " if len(lines) != 1 else ""
    return many + lines[-1].replace(f"{root}/", "") if lines else "BUG: no words"


def accuracy(found: float | None) -> str:
    return "-" if found is None else f"val {found:.2f}"


def training(root: Path, recipe: Path, runs: str) -> str:
    """What `training.train` gives."""
    where = ("--recipe", recipe, "--runs", root / runs, "--json", "--workers", 1)
    done, wrong = run(sys.executable, "-m", TRAIN, root / "data", *where)
    wrong += "".join(bad_files(root / runs))
    if done.returncode:
        return wrong + sentence(done.stderr, root)
    noise = f"BUG: stderr: {done.stderr.splitlines()[0]} " if done.stderr else ""
    (metrics,) = (root / runs).glob("[!.]*/metrics.json")
    found = json.loads(metrics.read_text())
    folds = found["out_of_fold"]
    untaught = f", never learned {', '.join(found['untrained_classes'])}" if found["untrained_classes"] else ""
    told = f", folds {folds['accuracy']:.2f} of {folds['n']}" if folds else ", no folds"
    size = metrics.stat().st_size
    return (
        wrong
        + noise
        + accuracy(found["val"] and found["val"]["accuracy"])
        + told
        + untaught
        + f" ({size} B)" * (size > 100_000)
    )


def provisional(root: Path, recipe: Path) -> str:
    """What `training.provisional` gives."""
    where = ("--recipe", recipe, "--runs", root / "runs", "--out", root / "out/out.csv", "--json")
    (root / "out").mkdir()
    done, wrong = run(sys.executable, "-m", PROVISIONAL, root / "data", *where)
    wrong += "".join(bad_files(root / "out"))
    if done.returncode:
        return wrong + sentence(done.stderr, root)
    with (root / "out/out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    said = sum(bool(row["prediction"]) for row in rows)
    noise = f"BUG: stderr: {done.stderr.splitlines()[0]} " if done.stderr else ""
    found = json.loads(done.stdout.splitlines()[-1]).get("val_accuracy")
    return f"{wrong}{noise}{accuracy(found)}, {said} of {len(rows)} predicted"


def sheet(root: Path) -> str:
    """What stands in the sheet after a pass, and what the next one does."""
    program = Path(sys.executable).with_name("sheetsync")
    done, wrong = run(program, "sync", "--json", "-p", root / "project")
    wrong += "".join(bad_files(root / "project"))
    with (root / "project/labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    said = f"{sum(bool(row.get('prediction')) for row in rows)} of {len(rows)} rows predicted: "
    if done.returncode:
        return wrong + said + sentence(done.stderr.splitlines()[-1], root)
    report = json.loads(done.stdout)
    again, more = run(program, "sync", "--json", "-p", root / "project")
    idle = json.loads(again.stdout) if not again.returncode else {}
    wrong += more + ("" if (idle.get("cells"), idle.get("trained")) == (0, False) else "BUG: not idle ")
    return wrong + said + (report["untrained"] or accuracy(report["score"].get("val_accuracy")))


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
