"""A quick answer, before a training: `python -m training.provisional DATASET --recipe NAME --runs DIR --out FILE.csv`.

A linear head on the vectors that a pretrained network makes of images says what it takes each image for. Train images,
and what equals one, are judged without themselves (head.py), all others by the head that learned from all of train. The
vectors are kept (embed.py), so that after a change of labels no network has to run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training import console, recipe, weights
from training.data.arrays import Floats
from training.data.folder import Dataset, check, scan
from training.embedding.embed import backbone, embed
from training.embedding.ridge import out_of_sample
from training.recipe import Recipe
from training.runs import directory

if TYPE_CHECKING:
    import pandas as pd


def predict(
    dataset: Path, chosen: Recipe, runs: Path, given: Path | None, report: console.ProgressCallback
) -> tuple[pd.DataFrame, float | None]:
    """What the head says of every image, as `run.table` has it, and the accuracy on val, None where that is empty.

    `given` is where the recipe's weights are, see weights.py. Raises TrainingError for what the user can mend.
    """
    data = scan(dataset)
    check(data, chosen)
    own = given if chosen.weights else None  # else they are of a network that is not the recipe's
    features = embed(data, backbone(chosen), runs, own, report)
    digests = [sample.digest for sample in data.samples]
    probs = out_of_sample(features, digests, data.targets(), data.where("train"), len(data.classes))
    frame = directory.table(data.samples, data.classes, probs, np.full(len(digests), -1, np.int64))
    report("provisional", len(digests), len(digests), "")
    return frame, _accuracy(data, probs)


def _accuracy(data: Dataset, probs: Floats) -> float | None:
    val = data.where("val")
    return float((probs[val].argmax(axis=1) == data.targets()[val]).mean()) if len(val) else None


def _command(options: argparse.Namespace) -> None:
    out: Path = options.out
    chosen = recipe.load(options.recipe)
    with console.reporting(as_json=options.json) as report:
        frame, accuracy = predict(options.dataset, chosen, options.runs, options.weights, report)
    directory.replace_table(frame, out)
    result: dict[str, Any] = {"predictions": str(out)}
    if accuracy is not None:
        result["val_accuracy"] = round(accuracy, 6)
    console.say(result, str(out), as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m training.provisional", description=__doc__)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="the folder that holds train/, val/, ...")
    parser.add_argument("--recipe", required=True, metavar="NAME", help="what is going to be trained")
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="where vectors are kept, in .cache/")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="written whole or not at all")
    weights.add_option(parser)
    console.add_common(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Run the command; gives its exit code."""
    return console.guarded(_command, _parser().parse_args(arguments), "stopped; the vectors made so far are kept")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
