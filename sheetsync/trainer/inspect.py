"""Inspection of what a training would run on and start from: device and pretrained weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sheetsync.common.finding import Finding
from sheetsync.errors import TrainingError
from sheetsync.trainer.subprocesses import exit_reason, run_quiet

DEVICE_SECONDS = 50.0  # importing PyTorch from a cold disk takes its time


def inspect_device(seconds: float = DEVICE_SECONDS) -> Mapping[str, Any]:
    """Return what a training here would run on, see `training/device.py`.

    Raises `TrainingError` if PyTorch does not load.
    """
    try:
        process = run_quiet("training.device", seconds=seconds)
    except TimeoutError as error:
        raise TrainingError(f"PyTorch did not load within {seconds:g} s: try again, the disk may be slow") from error
    if process.returncode:
        reason = exit_reason(process.returncode, process.stderr)
        raise TrainingError(f"PyTorch does not load: {reason}; install sheetsync again")
    device: Mapping[str, Any] = json.loads(process.stdout)
    return device


def inspect_weights(recipe: str, weights: str, seconds: float = DEVICE_SECONDS) -> Finding:
    """Say whether the pretrained weights of a recipe are there, and what to do if not. Downloads nothing.

    `weights` as in `ProcessTrainer`. Raises `TrainingError` where the inspection fails.
    """
    try:
        process = run_quiet("training.weights", recipe, *weights_options(weights), seconds=seconds)
        found = json.loads(process.stdout) if not process.returncode else {}
        return Finding("weights", found["state"], found["said"], found["todo"])
    except TimeoutError as error:
        raise TrainingError(f"not looked at within {seconds:g} s: try again, the disk may be slow") from error
    except (ValueError, KeyError) as error:
        reason = exit_reason(process.returncode, process.stderr)
        raise TrainingError(f"cannot be looked at: {reason}; install sheetsync again") from error


def weights_options(weights: str) -> tuple[str, ...]:
    """Return the command-line options that say where pretrained weights are; none for ""."""
    return ("--weights", weights) if weights else ()
