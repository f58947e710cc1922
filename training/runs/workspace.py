"""A run while it is made: a hidden folder beside the finished ones, which a training that is stopped leaves behind.

runs/.tmp-<images>-<recipe>/    locked by the process that works at it
    run/                        becomes runs/<id>, in one step
    <job>.safetensors           how far each model has come, see checkpoint.py
    sittings.json               the seconds of each sitting

The next training of the same images and recipe goes on with the last two; one of other images and the same recipe
removes them, so that no more than one unfinished run a recipe lies around.
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
KEPT = "*.safetensors"
PATIENCE = 5.0  # seconds in which a process that was just ended lets go of its lock


@contextmanager
def workspace(runs: Path, unfinished: str, name: str, patience: float = PATIENCE) -> Iterator[Path]:
    """A folder whose `run/` becomes `runs/name` when the block ends well; its models are kept when it does not.

    `unfinished` is the same for the same images and recipe, `<images>-<recipe>`. If another process made a run of
    this name in the meantime, that one stays.

    Raises TrainingError when another process works at the same for `patience` seconds, and when nothing can be
    written there.
    """
    folder = runs / f".tmp-{unfinished}"
    remove_stale(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _held(folder, patience), _tidy(folder):
            (folder / RUN).mkdir()
            yield folder
            if not (runs / name).exists():
                (folder / RUN).rename(runs / name)
            shutil.rmtree(folder)
    except BlockingIOError as error:
        raise TrainingError(f"{folder}: another training of these images is at work there; wait for it") from error
    except OSError as error:
        if not (runs / name).exists():
            raise TrainingError(f"{runs}: the run cannot be written there ({error.strerror})") from error


def remove_stale(folder: Path) -> None:
    """Remove what was left unfinished of the same recipe and other images, but for what is being worked at."""
    recipe = folder.name.rpartition("-")[2]
    for other in folder.parent.glob(f".tmp-*-{recipe}"):
        if other != folder:
            with suppress(OSError), _held(other, 0):
                shutil.rmtree(other)


@contextmanager
def _held(folder: Path, seconds: float) -> Iterator[None]:
    """Lock a directory; the system lets go of it when this process ends, however it ends.

    Raises BlockingIOError when another process holds it for so long.
    """
    handle = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + seconds
    try:
        while not _lock(handle, last=time.monotonic() >= deadline):
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, *, last: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if last:
            raise
        return False
    return True


@contextmanager
def _tidy(folder: Path) -> Iterator[None]:
    """Before and after the block, leave only what the next sitting can use, and no empty folder at the end."""
    _clean(folder)
    try:
        yield
    finally:
        _clean(folder)
        with suppress(OSError):
            folder.rmdir()  # does nothing to a folder that holds something


def _clean(folder: Path) -> None:
    shutil.rmtree(folder / RUN, ignore_errors=True)
    useful = set(folder.glob(KEPT))
    if useful:
        useful.add(folder / SESSION_TIMES)
    for path in set(folder.glob("*")) - useful:
        path.unlink(missing_ok=True)


class SessionTimes:
    """The seconds that went into a run so far, one number a sitting; `began` = the monotonic clock then."""

    def __init__(self, folder: Path, began: float) -> None:
        self._path, self._began = folder / SESSION_TIMES, began
        self._before = _numbers(self._path)

    def note(self) -> list[float]:
        """Keep the time of this sitting up to now; gives all of them."""
        seconds = [*self._before, round(time.monotonic() - self._began, 3)]
        write_atomic(self._path, json.dumps(seconds).encode())
        return seconds


def _numbers(path: Path) -> list[float]:
    try:
        return [float(number) for number in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError):  # none yet, or torn: only the sum of the seconds is less then
        return []
