"""The workspace of an unfinished run: a hidden, locked folder beside the finished runs, kept if a training is stopped.

runs/.tmp-<images>-<recipe>/    locked by the process that works in it
    run/                        becomes runs/<id>, by one rename
    <job>.safetensors           the checkpoint of each model, see fitting/checkpoint.py
    sittings.json               the seconds of each session

The next training of the same images and recipe resumes from the last two; one of other images and the same recipe
removes them, so that there is at most one unfinished run of a recipe.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from training.atomic import write_atomic
from training.errors import TrainingError

RUN = "run"
SESSION_TIMES = "sittings.json"
CHECKPOINT_PATTERN = "*.safetensors"
LOCK_TIMEOUT = 5.0  # seconds; a process that was just killed may hold its lock a moment longer


@contextmanager
def open_workspace(runs: Path, unfinished: str, name: str, timeout: float = LOCK_TIMEOUT) -> Iterator[Path]:
    """Yield a folder whose `run/` becomes `runs/name` when the block succeeds; if not, its checkpoints are kept.

    `unfinished` is `<images>-<recipe>`. If another process makes a run of this name in the meantime, that one stays.

    Raises TrainingError when another process holds the folder for `timeout` seconds, and when nothing can be written
    there.
    """
    folder = runs / f".tmp-{unfinished}"
    remove_stale(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _hold_lock(folder, timeout), _clean_up(folder):
            (folder / RUN).mkdir()
            yield folder
            if not (runs / name).exists():
                (folder / RUN).rename(runs / name)
            shutil.rmtree(folder)
    except BlockingIOError as error:
        raise TrainingError(f"{folder}: another training of these images is running there; wait for it") from error
    except OSError as error:
        if not (runs / name).exists():
            raise TrainingError(f"{runs}: the run cannot be written there ({error.strerror})") from error


def remove_stale(folder: Path) -> None:
    """Remove unfinished runs of the same recipe on other images, except those that a process is working on."""
    recipe = folder.name.rpartition("-")[2]
    for other in folder.parent.glob(f".tmp-*-{recipe}"):
        if other != folder:
            with suppress(OSError), _hold_lock(other, 0):
                shutil.rmtree(other)


@contextmanager
def _hold_lock(folder: Path, timeout: float) -> Iterator[None]:
    """Lock a directory (flock); the system releases it when this process ends, however it ends.

    Raises BlockingIOError when another process holds it for `timeout` seconds.
    """
    handle = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + timeout
    try:
        while not _try_lock(handle, last=time.monotonic() >= deadline):
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int, *, last: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if last:
            raise
        return False
    return True


@contextmanager
def _clean_up(folder: Path) -> Iterator[None]:
    """Before and after the block, leave only what the next session can use, and no empty folder at the end."""
    _remove_useless(folder)
    try:
        yield
    finally:
        _remove_useless(folder)
        with suppress(OSError):
            folder.rmdir()  # does nothing to a folder that holds something


def _remove_useless(folder: Path) -> None:
    shutil.rmtree(folder / RUN, ignore_errors=True)
    useful = set(folder.glob(CHECKPOINT_PATTERN))
    if useful:
        useful.add(folder / SESSION_TIMES)
    for path in set(folder.glob("*")) - useful:
        path.unlink(missing_ok=True)


class SessionTimes:
    """The seconds of each session of an unfinished run; this one began at `start` by the monotonic clock."""

    def __init__(self, folder: Path, start: float) -> None:
        self._path, self._start = folder / SESSION_TIMES, start
        self._earlier: list[float] = []
        with suppress(OSError, ValueError, TypeError):  # no file yet, or a damaged one: the sum is only smaller then
            self._earlier = [float(number) for number in json.loads(self._path.read_text("utf-8"))]

    def save(self) -> list[float]:
        """Write down the time of this session up to now; returns the times of all sessions."""
        seconds = [*self._earlier, round(time.monotonic() - self._start, 3)]
        write_atomic(self._path, json.dumps(seconds).encode())
        return seconds
