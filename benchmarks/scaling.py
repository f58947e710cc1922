"""What a pass costs besides network and training: `python benchmarks/scaling.py [ROWS…]`.

A CSV sheet of so many rows, a tiny picture in a file of its own for each, and passes over it, each in a new process:

    first    everything is new
    no-op    nothing is
    relabel  every hundredth row got another label
    add      there is one row more

All parts are the real ones, but for the training: in its place a run is written at once, with predictions of all images
in a file of that size, and the time for that is taken off. One line a pass: seconds from reading to the report, and of
its stages; MiB are the most memory that the process had. Start of Python and imports (0.5 s) are not in it.
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
from sheetsync.common.progress import Progress
from sheetsync.project.config import load_project
from sheetsync.trainer.process_trainer import ProcessTrainer
from sheetsync.trainer.records import RunInfo
from tests.helpers.support import CLASSES, png, quick_prediction

SIZES = (1_000, 10_000, 100_000)
STAGES = ("read", "mirror", "train", "review", "write")
CONFIG = 'sheet = "labels.csv"\nrecipe = "demo-resnet50"\n[training]\nprovisional = false\n'
COLUMNS = ("file", "split", "label", "prediction", "confidence", "self_confidence", "fold")


@dataclass(frozen=True)
class Writes(ProcessTrainer):
    """A training that only writes what one leaves."""

    spent: list[float] = field(default_factory=list)

    def train(self, revision: str, progress: Progress, seed: int = 0) -> RunInfo:  # noqa: ARG002
        """Says of each image what its digest says."""
        started = time.monotonic()
        folder = self.state.runs / f"{revision}-{self.choices()['digest'][:8]}"
        folder.mkdir(parents=True)
        with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            for path in self.dataset.rglob("*-*.png"):
                key, _, digest = path.stem.partition("-")
                said = quick_prediction(key, digest, path.parent.name)
                place = path.relative_to(self.dataset).as_posix()
                sure, own = f"{said.confidence:.6f}", f"{said.quality:.6f}"
                table.writerow((place, path.parts[-3], path.parent.name, said.label, sure, own, 0))
        metrics = {"created": f"2026-01-01T00:00:{len(self.runs()):02d}", "val": {"accuracy": 0.5}}
        (folder / "recipe.json").write_text(json.dumps(dict(self.choices())))
        (folder / "metrics.json").write_text(json.dumps(metrics))
        self.spent.append(time.monotonic() - started)
        return self._read(folder)


def one_pass(folder: Path) -> None:
    """Run a pass in this process, and print what it took."""
    real = open_pass(load_project(folder), lambda *_: None)
    trainer = Writes(real.project.dataset, real.project.recipe, real.project.state)
    real = replace(real, world=replace(real.environment, trainer=trainer))
    started = time.monotonic()
    report = real.run()
    trained, stages = sum(trainer.spent), dict(report.seconds)
    stages["train"] -= trained
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    done = {"downloaded": report.downloaded, "moved": report.moved, "cells": report.cells}
    print(json.dumps({"seconds": time.monotonic() - started - trained, "stages": stages, "MiB": most, "done": done}))


def write_sheet(folder: Path, rows: list[list[str]]) -> None:
    """As people do: what stands in the other columns stays."""
    path, header = folder / "labels.csv", ["image", "label"]
    if path.exists():
        with path.open(newline="") as file:
            header, *old = csv.reader(file)
        rows = [[*new, *(old[n][2:] if n < len(old) else [])] for n, new in enumerate(rows)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def picture(folder: Path, number: int) -> list[str]:
    """Make a file, and a row for it."""
    path = folder / "pics" / str(number // 1000) / f"{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(number))
    return [path.relative_to(folder).as_posix(), CLASSES[number % 3]]


def measure(count: int) -> None:
    """All passes over a sheet of so many rows."""
    with tempfile.TemporaryDirectory(prefix="scaling-") as name:
        folder = Path(name)
        (folder / "sheetsync.toml").write_text(CONFIG)
        rows = [picture(folder, number) for number in range(count)]
        for each in ("first", "no-op", "relabel", "add"):
            rows = [
                [url, CLASSES[3] if each == "relabel" and n % 100 == 0 else label]
                for n, (url, label) in enumerate(rows)
            ]
            rows += [picture(folder, count)] if each == "add" else []
            write_sheet(folder, rows)
            out = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True).stdout
            show(count, each, json.loads(out))


def show(count: int, each: str, said: dict) -> None:
    stages = "  ".join(f"{name} {said['stages'].get(name, 0):6.2f}" for name in STAGES)
    print(f"{count:7,} {each:8} {said['seconds']:7.2f} s  {stages}  {said['MiB']:6.0f} MiB  {said['done']}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] and Path(sys.argv[1]).is_dir():
        one_pass(Path(sys.argv[1]))
    else:
        for size in map(int, sys.argv[1:] or SIZES):
            measure(size)
