"""The trainer that runs the package `training` in processes and reads what they leave in files.

Training is a process of its own, so a crash, a cancel or a full GPU cannot take this one down.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sheetsync.common.progress import Progress
from sheetsync.common.state_folder import StateFolder
from sheetsync.dataset.records import Manifest
from sheetsync.errors import ConfigError, TrainingError
from sheetsync.rows.schema import UNLABELLED
from sheetsync.trainer.inspect import weights_options
from sheetsync.trainer.lineage import RunLog, finished_at
from sheetsync.trainer.predictions import for_manifest, read_labels, read_predictions
from sheetsync.trainer.records import Prediction, RunInfo
from sheetsync.trainer.run_folder import RunFolder
from sheetsync.trainer.subprocesses import last_line, run_quiet, run_streaming


@dataclass
class ProcessTrainer:
    """Runs `python -m training.train` on a dataset folder.

    `recipe` is the name of a built-in recipe or the path of a recipe file; `state` is where runs are kept. `weights`
    is where pretrained weights are, "" to let the training look in its usual places.
    """

    dataset: Path
    recipe: str
    state: StateFolder
    weights: str = ""
    _loaded: Mapping[str, Any] | None = field(default=None, init=False, repr=False, compare=False)
    _runs: RunFolder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._runs = RunFolder(self.state.runs)

    def check(self) -> None:
        """Check that the recipe can be used, before anything else is done. Raises `ConfigError`."""
        self.load_recipe()

    def load_recipe(self) -> Mapping[str, Any]:
        """Return the fields of the recipe and its digest. The first call starts a process. Raises `ConfigError`."""
        if self._loaded is None:
            self._loaded = _resolve_recipe(self.recipe)
        return self._loaded

    def run_names(self) -> list[str]:
        """List the names of all finished runs, sorted. Reads none of them."""
        return self._runs.names()

    def runs(self, revision: str = "") -> RunLog:
        """Return every finished run, of every recipe, or those on one revision. A file is read once."""
        return self._runs.log(revision)

    def find(self, revision: str) -> RunInfo | None:
        """Return the run of this recipe on a revision, if there is one."""
        return self._runs.find(_run_id(revision, self.load_recipe()))

    def runs_of_recipe(self) -> tuple[RunInfo, ...]:
        """Return every finished run of this recipe, oldest first, without starting a process.

        A name of a built-in recipe is taken for the recipe of the last run that has it. Raises `ConfigError` for a
        recipe file that cannot be read.
        """
        log, fields = self.runs(), _read_recipe_file(self.recipe)
        runs = [
            run
            for run in log
            if (run.recipe == self.recipe if fields is None else _without_names(run.choices) == fields)
        ]
        return log.lineage(max(runs, key=finished_at)) if runs else ()

    def train(self, revision: str, progress: Progress, seed: int = 0) -> RunInfo:
        """Train on the dataset folder as it is, with the seed of the recipe raised by `seed`.

        With a raised seed the recipe is called `roman-resnet50@1`, and has a digest of its own. Raises `TrainingError`.
        """
        recipe = f"{self.recipe}@{seed}" if seed else self.recipe
        run = _run_id(revision, _resolve_recipe(recipe) if seed else self.load_recipe())
        options = ("--recipe", recipe, "--runs", str(self._runs.root), "--id", run, *weights_options(self.weights))
        run_streaming(self.state, "training.train", str(self.dataset), *options, progress=progress)
        return self._runs.read(run)

    def predict_provisionally(self, manifest: Manifest, progress: Progress) -> list[Prediction]:
        """Predict every image of the dataset quickly, out of sample, before a training. Raises `TrainingError`."""
        out = self.state.provisional
        options = ("--recipe", self.recipe, "--runs", str(self._runs.root), *weights_options(self.weights))
        dataset = str(self.dataset)
        run_streaming(self.state, "training.provisional", dataset, *options, "--out", str(out), progress=progress)
        return for_manifest(manifest, read_predictions(out))

    def predictions(self, run: RunInfo, manifest: Manifest, progress: Progress) -> list[Prediction]:
        """Return the predictions of a run for every image of the dataset, out of sample.

        Images without a label may be newer than the run: these are predicted now, and the predictions kept.
        """
        later, known = self.state.predictions(run.id), read_predictions(self._predictions_file(run))
        unlabelled = {(entry.key, entry.digest) for entry in manifest if entry.split == UNLABELLED}
        if not unlabelled <= known.keys() and not unlabelled <= (known | read_predictions(later)).keys():
            self._predict(run, UNLABELLED, later, progress)
        return for_manifest(manifest, read_predictions(later) | known)

    def out_of_sample_labels(self, run: RunInfo) -> dict[str, str]:
        """Return content digest -> the label predicted by a model of the run that never learned from this image.

        For an image that the main model learned from this is the model of a fold, wherever else the same image
        stands. "" where every model learned from it. Changes nothing. Raises `TrainingError` for a broken run.
        """
        lines = read_labels(self._predictions_file(run))
        others = {digest: label for split, digest, label in lines if split != "train"}
        trained = {digest: label for split, digest, label in lines if split == "train"}
        files = [path for path in (self.state.predictions(run.id), self.state.rescored(run.id)) if path.exists()]
        later = {digest: label for path in files for _, digest, label in read_labels(path)}
        return later | others | trained

    def score_validation(self, run: RunInfo, progress: Progress) -> None:
        """Predict every val image of the dataset with the main model of a run, for `out_of_sample_labels`.

        The predictions are kept until the next call for this run. Raises `TrainingError`.
        """
        self._predict(run, "val", self.state.rescored(run.id), progress)

    def _predict(self, run: RunInfo, split: str, out: Path, progress: Progress) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        folders = (str(self._runs.root / run.id), str(self.dataset))
        run_streaming(self.state, "training.predict", *folders, "--split", split, "--out", str(out), progress=progress)

    def _predictions_file(self, run: RunInfo) -> Path:
        path = self._runs.root / run.id / "predictions.csv"
        if not path.exists():
            raise TrainingError(f"the run in {path.parent} has no predictions.csv: delete this folder")
        return path


def _resolve_recipe(recipe: str) -> Mapping[str, Any]:
    """Return the fields of a recipe and its digest, as a process of `training` knows them. Raises `ConfigError`."""
    process = run_quiet("training.recipe", recipe)
    if process.returncode:
        raise ConfigError(f"'recipe' = {recipe!r} in sheetsync.toml: {last_line(process.stderr)}")
    fields: Mapping[str, Any] = json.loads(process.stdout)
    return fields


def _run_id(revision: str, recipe: Mapping[str, Any]) -> str:
    return f"{revision}-{recipe['digest'][:8]}"


def _read_recipe_file(recipe: str) -> Mapping[str, Any] | None:
    """Return the numbers in a recipe file of the team's own; None for a name. Raises `ConfigError`."""
    path = Path(recipe)
    if path.suffix not in (".json", ".toml") or not path.is_file():
        return None
    parse = json.loads if path.suffix == ".json" else tomllib.loads
    try:
        return _without_names(parse(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"'recipe' = {recipe!r} in sheetsync.toml: that file cannot be read ({error})") from error


def _without_names(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the names of a recipe: the rest decides whether two runs can be compared."""
    return {name: value for name, value in recipe.items() if name not in ("name", "digest")}
