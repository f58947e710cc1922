"""Ask a run's model about images that came after it: `python -m training.predict RUN DATASET --out FILE.csv`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training import console, recipe
from training.data.folder import SPLITS, UNLABELLED, scan
from training.data.images import CACHE, decoded
from training.errors import TrainingError
from training.runs import directory

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["file", "prediction", "confidence", "self_confidence"]


def predict(trained: Path, dataset: Path, split: str, report: console.ProgressCallback) -> pd.DataFrame:
    """The model's word on every image of a split: file, prediction, confidence, self_confidence.

    These are out-of-sample only for images that the run did not train on. Raises TrainingError when there
    is no such run or folder, and for an image that cannot be decoded.
    """
    chosen, classes = _read(trained)
    data = scan(dataset, [split])
    count = len(data.samples)

    from training.fitting import trainer

    model = trainer.load(trained / directory.WEIGHTS, chosen, len(classes))
    with decoded(data, chosen, trained.parent / CACHE, report) as images:
        probs = trainer.predict(model, images.open(), chosen)  # (N, K)
    report("predict", count, count, "")
    return directory.table(data.samples, classes, probs, np.full(count, -1, np.int64))[COLUMNS]


def _read(trained: Path) -> tuple[recipe.Recipe, list[str]]:
    try:
        classes = json.loads((trained / "metrics.json").read_text("utf-8"))["classes"]
        return recipe.load(str(trained / "recipe.json")), list(classes)
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{trained}: not a run directory ({error})") from error


def _command(options: argparse.Namespace) -> None:
    out: Path = options.out
    with console.reporting(as_json=options.json) as report:
        frame = predict(options.run, options.dataset, options.split, report)
    directory.replace_table(frame, out)
    console.say({"predictions": str(out)}, str(out), as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m training.predict", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory that training.train made")
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="the folder that holds the split")
    parser.add_argument("--split", choices=SPLITS, default=UNLABELLED, help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="written whole or not at all")
    console.add_common(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Run the command; gives its exit code."""
    return console.guarded(_command, _parser().parse_args(arguments), "stopped; nothing was written")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
