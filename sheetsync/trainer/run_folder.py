"""The folder of finished runs, a run directory each: listed, read where needed, cached until a file changes."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sheetsync.errors import TrainingError
from sheetsync.trainer.lineage import RunLog
from sheetsync.trainer.records import RunInfo


@dataclass
class RunFolder:
    """Reads `metrics.json` and `recipe.json` of the runs in `root`, each run once.

    A training renames its directory into place when it is whole, so whatever has a `metrics.json` is a run.
    """

    root: Path
    _cache: dict[str, tuple[tuple[int, ...], RunInfo]] = field(default_factory=dict, init=False, repr=False)

    def names(self) -> list[str]:
        """List the names of all runs, sorted, and read none."""
        if not self.root.is_dir():
            return []
        return sorted(name for name in os.listdir(self.root) if not name.startswith("."))  # noqa: PTH208  # many

    def log(self, revision: str = "") -> RunLog:
        """Read all runs, or those on one revision. Broken ones are left out: they matter only to who needs them."""
        found = []
        for name in self.names():
            if not revision or _revision_in(name) == revision:
                with suppress(TrainingError):
                    found.append(self.find(name))
        return RunLog(tuple(run for run in found if run))

    def find(self, name: str) -> RunInfo | None:
        """Return the run of this name, None if there is none. Raises `TrainingError` for one that cannot be read."""
        folder = self.root / name
        try:
            stat = (folder / "metrics.json").stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _broken(folder, error) from error
        state = stat.st_ino, stat.st_mtime_ns, stat.st_size
        known, run = self._cache.get(name, ((), None))
        if run is None or known != state:
            run = _read(folder)
            self._cache[name] = state, run
        return run

    def read(self, name: str) -> RunInfo:
        """Return the run of this name. Raises `TrainingError` where there is none or it cannot be read."""
        if run := self.find(name):
            return run
        raise TrainingError(f"the run in {self.root / name} has no metrics.json: delete this folder")


def _read(folder: Path) -> RunInfo:
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        _ = metrics["created"], metrics["val"]
        return RunInfo(folder.name, _revision_in(folder.name), recipe["name"], metrics, recipe)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(folder, error) from error


def _broken(folder: Path, error: Exception) -> TrainingError:
    return TrainingError(f"the run in {folder} cannot be read ({error}): delete this folder")


def _revision_in(name: str) -> str:
    return name.rpartition("-")[0]
