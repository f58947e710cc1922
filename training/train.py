"""Train a recipe on a folder of images: `python -m training.train DATASET --recipe NAME --runs DIR`."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training import console, weights
from training.data.folder import Dataset, check_trainable, scan
from training.data.images import CACHE_FOLDER, decode_images, decoded_cache
from training.fitting.crossval import MAIN, Job, JobContext, assign_folds, plan_jobs, run_jobs
from training.parallel.local import default_workers
from training.recipe import RECIPES, Recipe, load_recipe
from training.runs import directory, workspace

HELP = """\
Train a fixed network on a folder of images, and predict every image in it.

The folder, in the layout of torchvision's ImageFolder; all but train may be missing:
  DATASET/train/<label>/*.png     learned from; predicted by cross-validation
  DATASET/val/<label>/*.png       picks the best epoch; scored
  DATASET/test/<label>/*.png      scored, and used for nothing else
  DATASET/unlabelled/*.png        predicted

What comes out, in DIR/<id>/:
  metrics.json        scores with their intervals, history, counts, versions
  predictions.csv     for every image: the label predicted by a model that did not learn from it
  probs.npy           the probabilities behind predictions.csv
  model.safetensors   the weights of the epoch with the best accuracy on val
  recipe.json         every number of the training

The same images and recipe have the same id and, on the same machine, the same numbers. A run that exists already
is not made again. One that was stopped (Ctrl-C, SIGTERM, even SIGKILL) resumes after its last epoch when the same
command is run again, and ends in the same numbers. Hyperparameters are no options here: they stand in the recipe
(python -m training.recipe --help).
"""
STOPPED = "stopped; run the same command again to resume"


@dataclass(frozen=True, slots=True)
class ExecutionOptions:
    """How a training is executed; changes none of its numbers.

    `workers` = models trained at a time, None = one per CPU core, or one on a GPU. `weights` = where the pretrained
    weights are, None = in PyTorch's cache.
    """

    workers: int | None = None
    weights: Path | None = None


def train(
    dataset: Path,
    recipe: Recipe,
    runs: Path,
    name: str | None,
    report: console.ProgressCallback,
    options: ExecutionOptions,
) -> Path:
    """Make a run directory, unless it exists, and return its path. `name` None = an id from the images and the recipe.

    Raises TrainingError for an error that the user can mend.
    """
    start = time.monotonic()
    data = scan(dataset)
    folder = runs / (name or directory.default_id(data, recipe))
    if folder.exists():
        report("exists", 0, 0, f"{folder} is there already; nothing to do")
        return folder
    check_trainable(data, recipe)
    with workspace.open_workspace(runs, directory.default_id(data, recipe), folder.name) as space:
        times = workspace.SessionTimes(space, start)

        def report_and_save_time(stage: str, done: int, total: int, message: str) -> None:
            times.save()  # so that the time of a session that is killed counts, too
            report(stage, done, total, message)

        result = _train(data, recipe, space, report_and_save_time, options)
        seconds = times.save()
        time_used = {"created": directory.utc_now(), "seconds": round(sum(seconds), 3)}
        sittings = {"sittings": len(seconds)} if len(seconds) > 1 else {}
        directory.write_json(time_used | sittings | result, space / workspace.RUN / "metrics.json")
    return folder


def _train(
    data: Dataset, recipe: Recipe, space: Path, report: console.ProgressCallback, options: ExecutionOptions
) -> dict[str, Any]:
    """Train all models and write all files of the run but metrics.json, whose content is returned."""
    if untrained := data.untrained_classes():
        report("warning", 0, 0, f"no train images of {', '.join(untrained)}: the model cannot learn them")
    images = [data.samples[i] for i in data.positions("train")]
    digests, labels = [image.digest for image in images], [image.label for image in images]
    fold = assign_folds(digests, labels, recipe.folds, recipe.seed)
    jobs, folder, cache = plan_jobs(data, fold, recipe.seed), space / workspace.RUN, space.parent / CACHE_FOLDER
    pretrained = weights.fetch(recipe.weights, options.weights, report) if recipe.weights else None
    decoded_cache(cache, recipe.resize, recipe.image_size).remove_stale([sample.digest for sample in data.samples])
    with decode_images(data, recipe, cache, report) as decoded:
        context = JobContext(
            recipe,
            decoded,
            data.targets(),
            len(data.classes),
            weights=folder / directory.WEIGHTS,
            checkpoints=space,
            key={"data": data.digest, "recipe": recipe.digest},
            pretrained=pretrained,
        )
        results = run_jobs(context, jobs, options.workers or default_workers(), _listener(jobs, recipe, report))
    return directory.write_run(folder, data, recipe, jobs, results)


def _listener(jobs: list[Job], recipe: Recipe, report: console.ProgressCallback) -> Callable[[Job, Any], None]:
    """Return a callback that turns the epochs and messages of jobs into progress."""
    done: Counter[str] = Counter()
    epochs: Counter[str] = Counter()
    for job in jobs:
        epochs[_stage(job)] += recipe.with_min_steps(len(job.train)).epochs

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


def _run(arguments: argparse.Namespace) -> None:
    recipe = load_recipe(arguments.recipe)
    with console.report_progress(as_json=arguments.json) as report:
        options = ExecutionOptions(arguments.workers, arguments.weights)
        folder = train(arguments.dataset, recipe, arguments.runs, arguments.id, report, options)
    console.print_result({"run": str(folder)}, str(folder), as_json=arguments.json)


def _parser() -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(_program(), description=HELP, formatter_class=shape)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="the folder that holds train/, val/, ...")
    names = ", ".join(RECIPES)
    parser.add_argument("--recipe", required=True, help=f"{names}, or a .toml or .json file with all fields")
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="where run directories go")
    parser.add_argument("--id", type=_run_name, help="name of the run (default: from the images and the recipe)")
    parser.add_argument(
        "--workers", type=_positive_integer, help="models trained at a time (default: one per core; one on a GPU)"
    )
    weights.add_option(parser)
    console.add_common_options(parser)
    return parser


def _program() -> str:
    """Name the command as it was started: `sheetsync-train` or `python -m training.train`."""
    name = Path(sys.argv[0]).name
    return name if name == "sheetsync-train" else "python -m training.train"


def _positive_integer(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _run_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: letters, digits, and . _ - only, no dot at the start")
    return text


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code. None = the arguments of this process, as for `sheetsync-train`."""
    return console.run_command(_run, _parser().parse_args(arguments), STOPPED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
