"""What a training would run on and start from: device and pretrained weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sheetsync.common.finding import Finding
from sheetsync.errors import TrainingError
from sheetsync.trainer.subprocesses import exit_reason, run_quiet

DEVICE_SECONDS = 50.0  # importing PyTorch from a cold disk takes its time


def inspect_device(seconds: float = DEVICE_SECONDS) -> Mapping[str, Any]:
    """What a training here would run on: see `training/device.py`. Raises `TrainingError` if PyTorch does not load."""
    try:
        done = run_quiet("training.device", seconds=seconds)
    except TimeoutError as error:
        raise TrainingError(f"PyTorch did not load within {seconds:g} s: try again, the disk may be slow") from error
    if done.returncode:
        raise TrainingError(
            f"PyTorch does not load: {exit_reason(done.returncode, done.stderr)}; install sheetsync again"
        )
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def inspect_weights(recipe: str, given: str, seconds: float = DEVICE_SECONDS) -> Finding:
    """What a training would find of the weights that a recipe starts from, and what to do about it; fetches nothing.

    `given` as in `ProcessTrainer`. Raises `TrainingError` where nothing can be said.
    """
    try:
        done = run_quiet("training.weights", recipe, *weights_options(given), seconds=seconds)
        found = json.loads(done.stdout) if not done.returncode else {}
        return Finding("weights", found["state"], found["said"], found["todo"])
    except TimeoutError as error:
        raise TrainingError(f"not looked at within {seconds:g} s: try again, the disk may be slow") from error
    except (ValueError, KeyError) as error:
        words = exit_reason(done.returncode, done.stderr)
        raise TrainingError(f"cannot be looked at: {words}; install sheetsync again") from error


def weights_options(weights: str) -> tuple[str, ...]:
    """The command-line options that say where pretrained weights are; none for ""."""
    return ("--weights", weights) if weights else ()
