"""Checkpoints: the state of a training on disk, from which a stopped training resumes.

One safetensors file for each model: tensors, and JSON metadata. Nothing in it can run, so that a file of unknown origin
does no harm. It is written atomically: complete or not at all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from training.atomic import write_atomic
from training.errors import TrainingError

SUFFIX = ".safetensors"
FORMAT = 1  # raised when the content of a checkpoint, or what the loop makes of it, changes
MAX_WRITE_SHARE = 0.01  # of a training's time

StateDict: TypeAlias = dict[str, Tensor]


class Checkpoint:
    """The checkpoint file of one model. `key` is all that its bits depend on: a file with another key is not used.

    At most this `share` of the training's time, 0..1, goes into writing; writes that would exceed it are skipped.
    """

    def __init__(self, path: Path, key: Mapping[str, Any], share: float = MAX_WRITE_SHARE) -> None:
        self._path, self._share = path, share
        self._key = {"format": FORMAT, "torch": torch.__version__, **key}
        self._next_write = 0.0

    def read(self, like: StateDict, emit: Callable[[str], None]) -> tuple[StateDict, dict[str, Any]] | None:
        """Return the tensors and metadata that were written last; None if there are none.

        A file that is damaged, has another key, or has tensors not shaped `like` these is removed, with a message.
        """
        if not self._path.exists():
            return None
        try:
            with safe_open(self._path, framework="pt") as file:
                metadata: dict[str, Any] = json.loads(file.metadata()["words"])
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            different = [name for name, value in self._key.items() if metadata["key"].get(name) != value]
            unusable = different or _shapes(tensors) != _shapes(like)
            problem = f"of another {' and '.join(different) or 'network'}" if unusable else ""
        except (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
            problem = str(error) or type(error).__name__
        if problem:
            self._path.unlink()
            emit(f"the checkpoint of an earlier training is not used ({problem}); training starts from the beginning")
            return None
        return tensors, metadata

    def write(self, tensors: StateDict, metadata: Mapping[str, Any], *, last: bool) -> None:
        """Replace the checkpoint if enough time has passed since the last write, or if it is the `last`.

        Raises TrainingError when it cannot be written.
        """
        start = time.monotonic()
        if start < self._next_write and not last:
            return
        contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
        content = save(contiguous, {"words": json.dumps({"key": self._key, **metadata})})
        try:
            write_atomic(self._path, content, sync=True)
        except OSError as error:
            raise TrainingError(f"{self._path}: cannot be written ({error.strerror})") from error
        self._next_write = time.monotonic() + (time.monotonic() - start) / self._share


def _shapes(state: StateDict) -> dict[str, Any]:
    return {name: (value.shape, value.dtype) for name, value in state.items()}
