"""The model, reached through files: start a training, find its run directories, read what they say.

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
    is where pretrained weights are, "" for wherever the training looks for them itself.
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
        """The run of this recipe on a revision, if there is one."""
        return self._runs.find(_run_id(revision, self.load_recipe()))

    def runs_of_recipe(self) -> tuple[RunInfo, ...]:
        """Every finished run of this recipe, oldest first. Looks only, and starts no process.

        What the name of a built-in recipe stands for is read from the last run of that name. Raises
        `ConfigError` for a recipe file that cannot be read.
        """
        log, file = self.runs(), _recipe_in_file(self.recipe)
        same = [
            run for run in log if (run.recipe == self.recipe if file is None else _without_names(run.choices) == file)
        ]
        return log.lineage(max(same, key=finished_at)) if same else ()

    def train(self, revision: str, progress: Progress, seed: int = 0) -> RunInfo:
        """Train on the dataset folder as it is, with the seed of the recipe raised by `seed`.

        Such a recipe is called `roman-resnet50@1`, and has a digest of its own. Raises `TrainingError`.
        """
        recipe = f"{self.recipe}@{seed}" if seed else self.recipe
        run = _run_id(revision, _resolve_recipe(recipe) if seed else self.load_recipe())
        options = ("--recipe", recipe, "--runs", str(self._runs.root), "--id", run, *weights_options(self.weights))
        run_streaming(self.state, "training.train", str(self.dataset), *options, progress=progress)
        return self._runs.read(run)

    def predict_provisionally(self, manifest: Manifest, progress: Progress) -> list[Prediction]:
        """What can be said of every image of the mirror at once, out of sample. Raises `TrainingError`."""
        out = self.state.provisional
        options = (
            "--recipe",
            self.recipe,
            "--runs",
            str(self._runs.root),
            "--out",
            str(out),
            *weights_options(self.weights),
        )
        run_streaming(self.state, "training.provisional", str(self.dataset), *options, progress=progress)
        return for_manifest(manifest, read_predictions(out))

    def predictions(self, run: RunInfo, manifest: Manifest, progress: Progress) -> list[Prediction]:
        """What the run says of every image of the mirror, out of sample.

        Images without a label may have come after the run: these are predicted now and kept beside it.
        """
        later = self._later(run)
        said = read_predictions(self._main(run))
        files = {(entry.key, entry.digest) for entry in manifest if entry.split == UNLABELLED}
        if not files <= said.keys() and not files <= (said | read_predictions(later)).keys():
            self._ask(run, UNLABELLED, later, progress)
        return for_manifest(manifest, read_predictions(later) | said)

    def out_of_sample_labels(self, run: RunInfo) -> dict[str, str]:
        """Content digest -> the label that a model of the run which never learned from this image gives it.

        A fold speaks of what the main model learned from, wherever else the same image stands. "" where every
        model of the run learned from it. Looks only. Raises `TrainingError` for a run that cannot be read.
        """
        lines = read_labels(self._main(run))
        others = {digest: label for split, digest, label in lines if split != "train"}
        trained = {digest: label for split, digest, label in lines if split == "train"}
        later = [path for path in (self._later(run), self._asked(run)) if path.exists()]
        asked = {digest: label for path in later for _, digest, label in read_labels(path)}
        return asked | others | trained

    def score_validation(self, run: RunInfo, progress: Progress) -> None:
        """Predict every val image of the dataset with the main model of a run, for `out_of_sample_labels`.

        It is kept beside the run until the run is asked again. Raises `TrainingError`.
        """
        self._ask(run, "val", self._asked(run), progress)

    def _ask(self, run: RunInfo, split: str, out: Path, progress: Progress) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        folders = (str(self._runs.root / run.id), str(self.dataset))
        run_streaming(self.state, "training.predict", *folders, "--split", split, "--out", str(out), progress=progress)

    def _main(self, run: RunInfo) -> Path:
        path = self._runs.root / run.id / "predictions.csv"
        if not path.exists():
            raise TrainingError(f"the run in {path.parent} has no predictions.csv: delete this folder")
        return path

    def _later(self, run: RunInfo) -> Path:
        return self.state.predictions(run.id)

    def _asked(self, run: RunInfo) -> Path:
        return self.state.rescored(run.id)


def _resolve_recipe(recipe: str) -> Mapping[str, Any]:
    """What a recipe says, field by field, and its digest. Raises `ConfigError`."""
    done = run_quiet("training.recipe", recipe)
    if done.returncode:
        raise ConfigError(f"'recipe' = {recipe!r} in sheetsync.toml: {last_line(done.stderr)}")
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def _run_id(revision: str, recipe: Mapping[str, Any]) -> str:
    return f"{revision}-{recipe['digest'][:8]}"


def _recipe_in_file(recipe: str) -> Mapping[str, Any] | None:
    """The numbers in a recipe file of the team's own; None for a name. Raises `ConfigError`."""
    path = Path(recipe)
    if path.suffix not in (".json", ".toml") or not path.is_file():
        return None
    read = json.loads if path.suffix == ".json" else tomllib.loads
    try:
        return _without_names(read(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"'recipe' = {recipe!r} in sheetsync.toml: that file cannot be read ({error})") from error


def _without_names(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """All of a recipe but its names: what decides whether two runs can be compared."""
    return {name: value for name, value in recipe.items() if name not in ("name", "digest")}
