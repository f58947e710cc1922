"""The model, reached through files: start a training, find its run directories, read what they say.

Training is a process of its own, so a crash, a cancel or a full GPU cannot take this one down; it ends when
this process does.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from sheetsync.errors import ConfigError, TrainingError
from sheetsync.records import UNLABELLED, Entry, Manifest, Prediction, Progress, RunInfo

DEVICE_SECONDS = 50.0  # importing PyTorch from a cold disk takes its time


class Trainer(Protocol):
    """A fixed model that can be trained on the mirror, and remembers its runs."""

    def check(self) -> None:
        """Look that the recipe can be used, before anything else is done. Raises `ConfigError`."""

    def runs(self) -> list[RunInfo]:
        """Every finished run, of every recipe, in no order."""

    def find(self, revision: str) -> RunInfo | None:
        """The run of this recipe on a revision, if there is one."""

    def train(self, revision: str, progress: Progress) -> RunInfo:
        """Train on the mirror as it is. Raises `TrainingError`."""

    def predictions(self, run: RunInfo, manifest: Manifest, progress: Progress) -> list[Prediction]:
        """What the run says of every image of the mirror, out of sample. Raises `TrainingError`."""


def untrainable(manifest: Manifest) -> str:
    """Why there is nothing to learn from these images yet; "" when there is."""
    classes = Counter(entry.label for entry in manifest if entry.split == "train")
    if len(classes) >= 2:
        return ""
    found = ", ".join(classes) or "none"
    return f"training needs images of at least two labels in the split train (labels there: {found})"


@dataclass(frozen=True)
class ProcessTrainer:
    """Runs `python -m training.train` on a dataset folder.

    `recipe` is the name of a built-in recipe or the path of a recipe file; `state` is where runs are kept.
    """

    dataset: Path
    recipe: str
    state: Path

    def check(self) -> None:
        """Look that the recipe can be used, before anything else is done. Raises `ConfigError`."""
        _ = self._recipe

    def choices(self) -> Mapping[str, Any]:
        """What the recipe says, field by field, and its digest. Raises `ConfigError`."""
        return self._recipe

    @cached_property
    def _recipe(self) -> Mapping[str, Any]:
        command = _command("training.recipe", self.recipe)
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise ConfigError(f"'recipe' = {self.recipe!r} in sheetsync.toml: {_last_line(done.stderr)}")
        recipe: Mapping[str, Any] = json.loads(done.stdout)
        return recipe

    def _run_id(self, revision: str) -> str:
        return f"{revision}-{self._recipe['digest'][:8]}"

    def runs(self) -> list[RunInfo]:
        """Every finished run, of every recipe, in no order."""
        runs = []
        for path in self._runs.glob("[!.]*/metrics.json"):
            with suppress(TrainingError):  # one that is broken matters only to whoever asks for it
                runs.append(self._read(path.parent))
        return runs

    def find(self, revision: str) -> RunInfo | None:
        """The run of this recipe on a revision, if there is one."""
        folder = self._runs / self._run_id(revision)
        return self._read(folder) if (folder / "metrics.json").exists() else None

    def train(self, revision: str, progress: Progress) -> RunInfo:
        """Train on the dataset folder as it is. Raises `TrainingError`."""
        run = self._run_id(revision)
        options = ("--recipe", self.recipe, "--runs", str(self._runs), "--id", run)
        self._work("training.train", str(self.dataset), *options, progress=progress)
        return self._read(self._runs / run)

    def predictions(self, run: RunInfo, manifest: Manifest, progress: Progress) -> list[Prediction]:
        """What the run says of every image of the mirror, out of sample.

        Images without a label may have come after the run: these are predicted now and kept beside it.
        """
        later = self.state / "predictions" / f"{run.id}.csv"
        main = self._runs / run.id / "predictions.csv"
        if not main.exists():
            raise TrainingError(f"the run in {main.parent} has no predictions.csv: delete this folder")
        said = _read_predictions(main)
        files = {(entry.key, entry.digest) for entry in manifest if entry.split == UNLABELLED}
        if not files <= said.keys() and not files <= (said | _read_predictions(later)).keys():
            later.parent.mkdir(parents=True, exist_ok=True)
            options = ("--split", UNLABELLED, "--out", str(later))
            folders = (str(self._runs / run.id), str(self.dataset))
            self._work("training.predict", *folders, *options, progress=progress)
        said = _read_predictions(later) | said
        return [said[entry.key, entry.digest] for entry in manifest if (entry.key, entry.digest) in said]

    @property
    def _runs(self) -> Path:
        return self.state / "runs"

    def _read(self, folder: Path) -> RunInfo:
        try:
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(f"the run in {folder} cannot be read ({error}): delete this folder") from error
        return RunInfo(folder.name, folder.name.rpartition("-")[0], recipe["name"], metrics)

    def _work(self, module: str, *options: str, progress: Progress) -> None:
        log = self.state / f"{module.rpartition('.')[2]}.log"
        command = _command(module, *options, "--json", "--with-parent")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}  # it ends when stdin closes
        with (
            log.open("w+", encoding="utf-8") as errors,
            subprocess.Popen(command, **pipes, stderr=errors, text=True) as process,  # type: ignore[call-overload]  # noqa: S603
        ):
            try:
                for message in _messages(process.stdout):
                    progress(message["stage"], message["done"], message["total"], message["message"])
            except BaseException:
                process.terminate()
                raise
            if process.wait():
                errors.seek(0)
                words = _why(process.returncode, errors.read())
                raise TrainingError(f"training failed: {words} (its full words are in {log})")


def device(seconds: float = DEVICE_SECONDS) -> Mapping[str, Any]:
    """What a training here would run on: see `training/device.py`. Raises `TrainingError` if PyTorch does not load."""
    command = _command("training.device")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise TrainingError(f"PyTorch did not load within {seconds:g} s: try again, the disk may be slow") from error
    if done.returncode:
        raise TrainingError(f"PyTorch does not load: {_why(done.returncode, done.stderr)}; install sheetsync again")
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def _command(module: str, *options: str) -> list[str]:
    # -P: a folder of the user's that is called training must not be taken for ours
    return [sys.executable, "-P", "-m", module, *options]


def _messages(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    messages = (json.loads(line) for line in lines if line.startswith("{"))
    return (message for message in messages if "stage" in message)


def _why(code: int, words: str) -> str:
    if code < 0:
        return f"it was ended by signal {-code}; if nobody did that, the memory may be full"
    return _last_line(words) or f"it ended with code {code}"


def _last_line(words: str) -> str:
    return next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")


def _read_predictions(path: Path) -> dict[tuple[str, str], Prediction]:
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = ((Entry.at(row["file"]), row) for row in csv.DictReader(file))
        # A line without a prediction is an image that every model of the run learned from.
        said = ((entry, row) for entry, row in rows if entry and row["prediction"])
        return {(entry.key, entry.digest): _prediction(entry.key, row) for entry, row in said}


def _prediction(key: str, row: Mapping[str, str]) -> Prediction:
    quality = row["self_confidence"]
    return Prediction(key, row["prediction"], float(row["confidence"]), float(quality) if quality else None)
