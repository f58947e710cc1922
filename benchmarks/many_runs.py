"""Time of a pass in a project with many runs: `python benchmarks/many_runs.py [RUNS]`, 1,000 by default.

Two projects with the same sheet of 100 images, one with a single run, one with RUNS. Passes over both take turns in
one process, and the shortest of each counts, so that other work on the machine matters little:

    idle     nothing is new
    relabel  one row has another label; such a pass reads all runs, since it compares its version with the one before

All parts are real except the training, which writes a run at once. The time for that, and for the process that
resolves the recipe, is subtracted.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from scaling import CONFIG, InstantTrainer, picture, write_sheet

from sheetsync.api import open_pass
from sheetsync.project.config import load_project
from tests.helpers.support import CLASSES

RUNS, IMAGES, PASSES = 1_000, 100, 15


def one_pass(folder: Path) -> tuple[float, str]:
    """Run a pass; returns its seconds and the name of its version."""
    made = open_pass(load_project(folder), lambda *_: None)
    trainer = InstantTrainer(made.project.dataset, made.project.recipe, made.project.state)
    trainer.load_recipe()  # takes a process: not what is measured here
    ready = replace(made, environment=replace(made.environment, trainer=trainer))
    started = time.perf_counter()
    report = ready.run()
    return time.perf_counter() - started - sum(trainer.spent), report.version


def make_project(folder: Path, runs: int) -> None:
    """Make a project that is up to date, with so many runs; the last one is that of its sheet."""
    folder.mkdir()
    (folder / "sheetsync.toml").write_text(CONFIG)
    write_sheet(folder, [picture(folder, number) for number in range(IMAGES)])
    for _ in range(3):
        one_pass(folder)
    (run,) = (folder / ".sheetsync" / "runs").glob("[!.]*")
    metrics = json.loads((run / "metrics.json").read_text()) | long_metrics()
    for number in range(runs - 1):
        other = run.with_name(f"{number:016x}-{run.name.rpartition('-')[2]}")
        shutil.copytree(run, other)
        created = f"2025-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}+00:00"
        (other / "metrics.json").write_text(json.dumps(metrics | {"created": created}, indent=1))
    one_pass(folder)


def long_metrics() -> dict:
    """Return as many metrics as a training of 20 epochs on ten classes writes."""
    epochs = [dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy", "rate"), 0.123456789) for _ in range(20)]
    return {"epochs": epochs, "confusion": [[7] * 10 for _ in range(10)]}


def relabel(folder: Path, label: str) -> None:
    """Change the label of the first row."""
    rows = [[f"pics/0/{number}.png", CLASSES[number % 3]] for number in range(IMAGES)]
    write_sheet(folder, [[rows[0][0], label], *rows[1:]])


def main(runs: int) -> None:
    """Print seconds of both projects, side by side, and their ratio."""
    with tempfile.TemporaryDirectory(prefix="many-runs-") as name:
        few, many = Path(name, "few"), Path(name, "many")
        make_project(few, 1)
        make_project(many, runs)
        idle = [[one_pass(folder) for folder in (few, many)] for _ in range(PASSES)]
        show("idle", runs, idle)
        relabelled = []
        for number in range(3):
            for folder in (few, many):
                relabel(folder, f"other {number}")
            relabelled.append([one_pass(folder) for folder in (few, many)])
        show("relabel", runs, relabelled)


def show(what: str, runs: int, passes: list[list[tuple[float, str]]]) -> None:
    few, many = (min(seconds for seconds, _ in side) for side in zip(*passes, strict=True))
    print(
        f"{what:8} 1 run {few:6.3f} s   {runs:,} runs {many:6.3f} s   ratio {many / few:5.2f}   "
        f"(versions {' and '.join(version for _, version in passes[-1])})",
        flush=True,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else RUNS)
