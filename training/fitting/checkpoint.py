"""How far a model has come, on disk, so that a training that was stopped goes on from there.

One safetensors file a model: tensors, and words about them. Nothing in it can run, so that a file of unknown
origin does no harm. It is written under another name, then renamed: it is there whole or not at all.
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
FORMAT = 1  # raised when what is kept, or what the loop makes of it, changes
SHARE = 0.01  # of a training's time that writing may take

State: TypeAlias = dict[str, Tensor]


class Checkpoint:
    """The file of one model. `key` is all that the bits depend on: a file with another key is not used.

    `share` of the time between two writings may go into writing, 0..1; what comes too early is not written.
    """

    def __init__(self, path: Path, key: Mapping[str, Any], share: float = SHARE) -> None:
        self._path, self._share = path, share
        self._key = {"format": FORMAT, "torch": torch.__version__, **key}
        self._due = 0.0

    def read(self, like: State, tell: Callable[[str], None]) -> tuple[State, dict[str, Any]] | None:
        """The tensors and words that were written last; None where there are none.

        A file that is torn, of another key, or whose tensors are not shaped `like` these, is removed with a word.
        """
        if not self._path.exists():
            return None
        try:
            tensors, words = self._open()
            self._check(words["key"], tensors, like)
        except (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._path.unlink()
            tell(f"what was kept of an earlier training is not used ({error}); it begins anew")
            return None
        return tensors, words

    def _open(self) -> tuple[State, dict[str, Any]]:
        with safe_open(self._path, framework="pt") as file:
            words: dict[str, Any] = json.loads(file.metadata()["words"])
            return {name: file.get_tensor(name).clone() for name in file.keys()}, words  # noqa: SIM118

    def _check(self, key: Mapping[str, Any], tensors: State, like: State) -> None:
        other = [name for name, value in self._key.items() if key.get(name) != value]
        if other or _shapes(tensors) != _shapes(like):
            raise ValueError(f"of another {' and '.join(other) or 'network'}")

    def write(self, tensors: State, words: Mapping[str, Any], *, last: bool) -> None:
        """Keep this in place of what was kept before, if it is time for that, or it is the `last`.

        Raises TrainingError when the disk does not take it.
        """
        start = time.monotonic()
        if start < self._due and not last:
            return
        whole = {name: value.cpu().contiguous() for name, value in tensors.items()}
        content = save(whole, {"words": json.dumps({"key": self._key, **words})})
        try:
            write_atomic(self._path, content, sync=True)
        except OSError as error:
            raise TrainingError(f"{self._path}: cannot be written ({error.strerror})") from error
        self._due = time.monotonic() + (time.monotonic() - start) / self._share


def _shapes(state: State) -> dict[str, Any]:
    return {name: (value.shape, value.dtype) for name, value in state.items()}
