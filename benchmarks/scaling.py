"""Time and memory of a pass without network and training, by rows: `python benchmarks/scaling.py [ROWS…]`.

A CSV sheet with so many rows, each with a tiny image in its own file, and passes over it, each in a new process:

    first    everything is new
    no-op    nothing changed
    relabel  every hundredth row has another label
    add      there is one more row

All parts are real except the training: in its place a run with predictions for all images is written at once, and the
time for that is subtracted. One line for each pass: seconds from reading to the report, and of its stages; MiB is the
peak memory of the process. The start of Python and imports (0.5 s) are not included.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from sheetsync.api import open_pass
from sheetsync.common.collection import collect_less_often
from sheetsync.common.progress import Progress
from sheetsync.project.config import load_project
from sheetsync.trainer.process_trainer import ProcessTrainer
from sheetsync.trainer.records import RunInfo
from tests.helpers.support import CLASSES, png, quick_prediction

SIZES = (1_000, 10_000, 100_000)
STAGES = ("read", "mirror", "train", "review", "write")
CONFIG = 'sheet = "labels.csv"\nrecipe = "demo-resnet50"\n[training]\nprovisional = false\n'
COLUMNS = ("file", "split", "label", "prediction", "confidence", "self_confidence", "fold")


@dataclass
class InstantTrainer(ProcessTrainer):
    """A trainer that only writes the files of a run."""

    spent: list[float] = field(default_factory=list)

    def train(self, revision: str, progress: Progress, seed: int = 0) -> RunInfo:  # noqa: ARG002
        """Write a run whose predictions depend on the digests of the images."""
        started = time.monotonic()
        folder = self.state.runs / f"{revision}-{self.load_recipe()['digest'][:8]}"
        folder.mkdir(parents=True)
        with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as out:
            table = csv.writer(out)
            table.writerow(COLUMNS)
            for path in self.dataset.rglob("*-*.png"):
                key, _, digest = path.stem.partition("-")
                prediction = quick_prediction(key, digest, path.parent.name)
                file = path.relative_to(self.dataset).as_posix()
                confidence, own = f"{prediction.confidence:.6f}", f"{prediction.quality:.6f}"
                table.writerow((file, path.parts[-3], path.parent.name, prediction.label, confidence, own, 0))
        metrics = {"created": f"2026-01-01T00:00:{len(self.runs()):02d}", "val": {"accuracy": 0.5}}
        (folder / "recipe.json").write_text(json.dumps(dict(self.load_recipe())))
        (folder / "metrics.json").write_text(json.dumps(metrics))
        self.spent.append(time.monotonic() - started)
        return self._runs.read(folder.name)


def one_pass(folder: Path) -> None:
    """Run a pass in this process, and print its time and memory."""
    work = open_pass(load_project(folder), lambda *_: None)
    trainer = InstantTrainer(work.project.dataset, work.project.recipe, work.project.state)
    work = replace(work, environment=replace(work.environment, trainer=trainer))
    started = time.monotonic()
    with collect_less_often():
        report = work.run()
    trained, stages = sum(trainer.spent), dict(report.seconds)
    stages["train"] -= trained
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    done = {"downloaded": report.downloaded, "moved": report.moved, "cells": report.cells}
    print(json.dumps({"seconds": time.monotonic() - started - trained, "stages": stages, "MiB": peak, "done": done}))


def write_sheet(folder: Path, rows: list[list[str]]) -> None:
    """Write the sheet as people do: the cells in other columns stay."""
    path, header = folder / "labels.csv", ["image", "label"]
    if path.exists():
        with path.open(newline="") as file:
            header, *old = csv.reader(file)
        rows = [[*new, *(old[n][2:] if n < len(old) else [])] for n, new in enumerate(rows)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def picture(folder: Path, number: int) -> list[str]:
    """Write an image file, and return a row for it."""
    path = folder / "pics" / str(number // 1000) / f"{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(number))
    return [path.relative_to(folder).as_posix(), CLASSES[number % 3]]


def measure(count: int) -> None:
    """Run all passes over a sheet of so many rows."""
    with tempfile.TemporaryDirectory(prefix="scaling-") as name:
        folder = Path(name)
        (folder / "sheetsync.toml").write_text(CONFIG)
        rows = [picture(folder, number) for number in range(count)]
        for change in ("first", "no-op", "relabel", "add"):
            rows = [
                [url, CLASSES[3] if change == "relabel" and n % 100 == 0 else label]
                for n, (url, label) in enumerate(rows)
            ]
            rows += [picture(folder, count)] if change == "add" else []
            write_sheet(folder, rows)
            out = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True).stdout
            show(count, change, json.loads(out))


def show(count: int, change: str, figures: dict) -> None:
    stages = "  ".join(f"{name} {figures['stages'].get(name, 0):6.2f}" for name in STAGES)
    seconds, memory = f"{figures['seconds']:7.2f} s", f"{figures['MiB']:6.0f} MiB"
    print(f"{count:7,} {change:8} {seconds}  {stages}  {memory}  {figures['done']}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] and Path(sys.argv[1]).is_dir():
        one_pass(Path(sys.argv[1]))
    else:
        for size in map(int, sys.argv[1:] or SIZES):
            measure(size)
