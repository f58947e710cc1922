"""Predict new images with a trained run: `python -m training.predict RUN DATASET --out FILE.csv`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training import console
from training.data.folder import SPLITS, UNLABELLED, scan
from training.data.images import CACHE_FOLDER, decode_images
from training.runs import directory

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["file", "prediction", "confidence", "self_confidence"]


def predict(run: Path, dataset: Path, split: str, report: console.ProgressCallback) -> pd.DataFrame:
    """Predict every image of a split with a run's main model: file, prediction, confidence, self_confidence.

    The predictions are out of sample only for images that the run did not train on. Raises TrainingError if there is
    no such run or folder, and for an image that cannot be decoded.
    """
    recipe, classes = directory.read_run(run)
    data = scan(dataset, [split])
    count = len(data.samples)

    from training.fitting import trainer

    model = trainer.load(run / directory.WEIGHTS, recipe, len(classes))
    with decode_images(data, recipe, run.parent / CACHE_FOLDER, report) as images:
        probs = trainer.predict(model, images.open(), recipe)  # (N, K)
    report("predict", count, count, "")
    return directory.prediction_table(data.samples, classes, probs, np.full(count, -1, np.int64))[COLUMNS]


def _run(options: argparse.Namespace) -> None:
    with console.report_progress(as_json=options.json) as report:
        frame = predict(options.run, options.dataset, options.split, report)
    directory.replace_table(frame, options.out)
    console.print_result({"predictions": str(options.out)}, str(options.out), as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m training.predict", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory that training.train made")
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="the folder that holds the split")
    parser.add_argument("--split", choices=SPLITS, default=UNLABELLED, help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="written complete or not at all")
    console.add_common_options(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    return console.run_command(_run, _parser().parse_args(arguments), "stopped; nothing was written")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
