"""Predict before a training: `python -m training.provisional DATASET --recipe NAME --runs DIR --out FILE`.

A linear classifier on the embeddings of a pretrained network predicts every image. Train images, and images equal to
one, are predicted with themselves left out (embedding/ridge.py), all others by a classifier trained on all of train.
Embeddings are cached (embedding/embed.py), so that after a change of labels no network has to run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training import console, weights
from training.data.folder import check_trainable, scan
from training.embedding.embed import backbone_for, embed
from training.embedding.ridge import out_of_sample
from training.recipe import Recipe, load_recipe
from training.runs import directory

if TYPE_CHECKING:
    import pandas as pd


def predict(
    dataset: Path, recipe: Recipe, runs: Path, custom: Path | None, report: console.ProgressCallback
) -> tuple[pd.DataFrame, float | None]:
    """Predict every image: a table as of `directory.prediction_table`, and the accuracy on val, None if that is empty.

    `custom` is the path of the recipe's weights, see weights.py. Raises TrainingError for an error that the user can
    mend.
    """
    data = scan(dataset)
    check_trainable(data, recipe)
    custom = custom if recipe.weights else None  # a recipe without weights has another network embed its images
    features = embed(data, backbone_for(recipe), runs, custom, report)
    digests, targets = [sample.digest for sample in data.samples], data.targets()
    probs = out_of_sample(features, digests, targets, data.positions("train"), len(data.classes))
    frame = directory.prediction_table(data.samples, data.classes, probs, np.full(len(digests), -1, np.int64))
    report("provisional", len(digests), len(digests), "")
    val = data.positions("val")
    return frame, float((probs[val].argmax(axis=1) == targets[val]).mean()) if len(val) else None


def _run(options: argparse.Namespace) -> None:
    recipe = load_recipe(options.recipe)
    with console.report_progress(as_json=options.json) as report:
        frame, accuracy = predict(options.dataset, recipe, options.runs, options.weights, report)
    directory.replace_table(frame, options.out)
    result: dict[str, Any] = {"predictions": str(options.out)}
    if accuracy is not None:
        result["val_accuracy"] = round(accuracy, 6)
    console.print_result(result, str(options.out), as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m training.provisional", description=__doc__)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="the folder that holds train/, val/, ...")
    parser.add_argument("--recipe", required=True, metavar="NAME", help="the recipe that will be trained")
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="where vectors are cached, in .cache/")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="written complete or not at all")
    weights.add_option(parser)
    console.add_common_options(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    return console.run_command(_run, _parser().parse_args(arguments), "stopped; the vectors made so far are kept")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
