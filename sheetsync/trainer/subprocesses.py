"""The programs of the package `training`, each a process of its own that ends when this one does."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from shutil import disk_usage
from typing import Any

from sheetsync.common.progress import Progress
from sheetsync.common.state_folder import StateFolder
from sheetsync.errors import TrainingError

STREAMING = {
    "training.train": "training",
    "training.predict": "asking its model",
    "training.provisional": "a quick answer",
}
STOP_SECONDS = 3.0  # for a training to tidy up; then it is killed


def run_streaming(state: StateFolder, module: str, *options: str, progress: Progress) -> None:
    """Run a program to its end and pass on what it tells; its full words go to a log in `state`.

    What `progress` raises ends it. Raises `TrainingError` when it fails.
    """
    log = state.log(module.rpartition(".")[2])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}  # it ends when stdin closes
    command = _command(module, *options, "--json", "--with-parent")
    with (
        log.open("w+", encoding="utf-8") as errors,
        subprocess.Popen(command, **pipes, stderr=errors, text=True) as process,  # type: ignore[call-overload]  # noqa: S603
    ):
        try:
            for message in _messages(process.stdout):
                progress(message["stage"], message["done"], message["total"], message["message"])
        except BaseException:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()  # does nothing to one that has ended
            process.wait()
            raise
        if process.wait():
            errors.seek(0)
            said = errors.read() or ("" if disk_usage(state.root).free else os.strerror(errno.ENOSPC))  # disk full
            words = exit_reason(process.returncode, said)
            raise TrainingError(f"{STREAMING[module]} failed: {words} (its full words are in {log})")


def run_quiet(module: str, *options: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program that is soon done; gives what it said. Raises `TimeoutError` when it takes longer."""
    try:
        return subprocess.run(  # noqa: S603
            _command(module, *options), capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error


def _command(module: str, *options: str) -> list[str]:
    # -P: a folder of the user's that is called training must not be taken for ours
    return [sys.executable, "-P", "-m", module, *options]


def _messages(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    messages = (json.loads(line) for line in lines if line.startswith("{"))
    return (message for message in messages if "stage" in message)


def exit_reason(code: int, words: str) -> str:
    """Why a program ended with this code and these last words."""
    if code < 0:
        return f"it was ended by signal {-code}; if nobody did that, the memory may be full"
    return last_line(words) or f"it ended with code {code}"


def last_line(words: str) -> str:
    """The last line that is not empty, "" if there is none."""
    return next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")
