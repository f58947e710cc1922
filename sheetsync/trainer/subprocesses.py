"""Subprocesses that run a program of the package `training`, and end when this process does."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import suppress
from shutil import disk_usage

from sheetsync.common.progress import Progress
from sheetsync.common.state_folder import StateFolder
from sheetsync.errors import TrainingError

STREAMING = {
    "training.train": "training",
    "training.predict": "predicting with its model",
    "training.provisional": "the provisional prediction",
}
STOP_SECONDS = 3.0  # for a training to tidy up; then it is killed


def run_streaming(state: StateFolder, module: str, *options: str, progress: Progress) -> None:
    """Run a program to its end and pass on its progress; its error output goes to a log in `state`.

    An exception raised by `progress` ends the program. Raises `TrainingError` when it fails.
    """
    log = state.log(module.rpartition(".")[2])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}  # it ends when stdin closes
    command = _command(module, *options, "--json", "--with-parent")
    with (
        log.open("w+", encoding="utf-8") as errors,
        subprocess.Popen(command, **pipes, stderr=errors, text=True) as process,  # type: ignore[call-overload]  # noqa: S603
    ):
        try:
            for line in process.stdout:
                message = json.loads(line) if line.startswith("{") else {}
                if "stage" in message:
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
            output = errors.read() or ("" if disk_usage(state.root).free else os.strerror(errno.ENOSPC))  # disk full
            reason = exit_reason(process.returncode, output)
            raise TrainingError(f"{STREAMING[module]} failed: {reason} (its full output is in {log})")


def run_quiet(module: str, *options: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program without progress and return its output. Raises `TimeoutError` when it takes longer."""
    try:
        return subprocess.run(  # noqa: S603
            _command(module, *options), capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error


def _command(module: str, *options: str) -> list[str]:
    # -P keeps the working directory off sys.path: a folder there may be called training.
    return [sys.executable, "-P", "-m", module, *options]


def exit_reason(code: int, output: str) -> str:
    """Say why a program ended, from its exit code and the last line of its output."""
    if code < 0:
        return f"it was ended by signal {-code}; if nobody did that, the memory may be full"
    return last_line(output) or f"it ended with code {code}"


def last_line(text: str) -> str:
    """Return the last line that is not empty, "" if there is none."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
