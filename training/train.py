"""Train a recipe on a folder of images: `python -m training.train DATASET --recipe NAME --runs DIR`."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training import console, recipe, weights
from training.data.folder import Dataset, check, scan
from training.data.images import CACHE, decoded, shelf
from training.fitting.crossval import MAIN, Job, JobContext, assign_folds, plan_jobs, run_jobs
from training.recipe import Recipe
from training.runs import directory, workspace

HELP = """\
Train a fixed network on a folder of images, and say what it thinks of every image in it.

The folder, as torchvision's ImageFolder wants it; all but train may be missing:
  DATASET/train/<label>/*.png     learned from; predicted by cross-validation
  DATASET/val/<label>/*.png       picks the best epoch; scored
  DATASET/test/<label>/*.png      scored, and nothing else
  DATASET/unlabelled/*.png        predicted

What comes out, in DIR/<id>/:
  metrics.json        scores with their intervals, history, counts, versions
  predictions.csv     for every image: the label that a model which did not learn from it gives it
  probs.npy           the probabilities behind predictions.csv
  model.safetensors   the weights of the epoch that got most of val right
  recipe.json         every number of the training

The same images and recipe give the same id and, on the same machine, the same numbers. A run that is there
already is not made again. One that was stopped (Ctrl-C, SIGTERM, even SIGKILL) goes on after its last epoch when
the same command is given again, to the same numbers. Numbers of the training are no options here: they are the
recipe's.
"""
STOPPED = "stopped; the same command goes on from there"


@dataclass(frozen=True, slots=True)
class ExecutionOptions:
    """How a training is made, which changes none of its numbers.

    `workers` models at a time, None = one a core, or one for a GPU; pretrained weights lie at `weights`, None = in
    PyTorch's cache.
    """

    workers: int | None = None
    weights: Path | None = None


def train(
    dataset: Path,
    chosen: Recipe,
    runs: Path,
    name: str | None,
    report: console.ProgressCallback,
    ways: ExecutionOptions,
) -> Path:
    """Make a run directory, or find it made; gives its path. `name` None = an id from the images and the recipe.

    Raises TrainingError for what the user can mend.
    """
    start = time.monotonic()
    data = scan(dataset)
    folder = runs / (name or directory.default_id(data, chosen))
    if folder.exists():
        report("exists", 0, 0, f"{folder} is there already; nothing to do")
        return folder
    check(data, chosen)
    with workspace.workspace(runs, directory.default_id(data, chosen), folder.name) as place:
        sittings = workspace.SessionTimes(place, start)

        def noted(stage: str, done: int, total: int, message: str) -> None:
            sittings.note()  # also a process that is killed has said how long it took
            report(stage, done, total, message)

        result = _train(data, chosen, place, noted, ways)
        directory.write_json(_times(sittings.note()) | result, place / workspace.RUN / "metrics.json")
    return folder


def _times(seconds: list[float]) -> dict[str, Any]:
    sittings = {"sittings": len(seconds)} if len(seconds) > 1 else {}
    return {"created": directory.now(), "seconds": round(sum(seconds), 3)} | sittings


def _train(
    data: Dataset, chosen: Recipe, place: Path, report: console.ProgressCallback, ways: ExecutionOptions
) -> dict[str, Any]:
    if data.untrained():
        report("warning", 0, 0, f"no train images of {', '.join(data.untrained())}: the model cannot learn them")
    fold, folder = _folds(data, chosen), place / workspace.RUN
    jobs = plan_jobs(data, fold, chosen.seed)
    key = {"data": data.digest, "recipe": chosen.digest}
    start = weights.fetch(chosen.weights, ways.weights, report) if chosen.weights else None
    shelf(place.parent / CACHE, chosen.resize, chosen.image_size).forget([sample.digest for sample in data.samples])
    with decoded(data, chosen, place.parent / CACHE, report) as images:
        bench = JobContext(
            chosen, images, data.targets(), len(data.classes), folder / directory.WEIGHTS, place, key, start
        )
        outcomes = run_jobs(bench, jobs, ways.workers or _workers(), _listener(jobs, chosen, report))
    return directory.write(folder, data, chosen, jobs, outcomes)


def _folds(data: Dataset, chosen: Recipe) -> np.ndarray[Any, np.dtype[np.int64]]:
    samples = [data.samples[i] for i in data.where("train")]
    digests, labels = [sample.digest for sample in samples], [sample.label for sample in samples]
    return assign_folds(digests, labels, chosen.folds, chosen.seed)


def _listener(jobs: list[Job], chosen: Recipe, report: console.ProgressCallback) -> Callable[[Job, Any], None]:
    done: Counter[str] = Counter()
    epochs: Counter[str] = Counter()
    for job in jobs:
        epochs[_stage(job)] += chosen.with_min_steps(len(job.train)).epochs

    def listen(job: Job, epoch: Any) -> None:
        if isinstance(epoch, str):
            report("note", 0, 0, f"{job.name}: {epoch}")
            return
        stage = _stage(job)
        done[stage] += 1
        score = "" if epoch.val_accuracy is None else f", val accuracy {epoch.val_accuracy:.3f}"
        report(stage, done[stage], epochs[stage], f"{job.name}: loss {epoch.train_loss:.3f}{score}")

    return listen


def _stage(job: Job) -> str:
    return "train" if job.name == MAIN else "folds"


def _workers() -> int:
    import torch

    return 1 if torch.cuda.is_available() else os.cpu_count() or 1


def _command(options: argparse.Namespace) -> None:
    chosen = recipe.load(options.recipe)
    with console.reporting(as_json=options.json) as report:
        ways = ExecutionOptions(options.workers, options.weights)
        folder = train(options.dataset, chosen, options.runs, options.id, report, ways)
    console.say({"run": str(folder)}, str(folder), as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m training.train", description=HELP, formatter_class=shape)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="the folder that holds train/, val/, ...")
    names = ", ".join(recipe.RECIPES)
    parser.add_argument("--recipe", required=True, help=f"{names}, or a .toml or .json file with all fields")
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="where run directories go")
    parser.add_argument("--id", type=_id, help="name of the run (default: from the images and the recipe)")
    parser.add_argument("--workers", type=_count, help="models trained at a time (default: one a core; one on a GPU)")
    weights.add_option(parser)
    console.add_common(parser)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: letters, digits, and . _ - only, no dot at the start")
    return text


def main(arguments: list[str]) -> int:
    """Run the command; gives its exit code."""
    return console.guarded(_command, _parser().parse_args(arguments), STOPPED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
