"""Atomic file writes: a temporary file in the same folder, synced where asked, then renamed."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".tmp-"


FEW_FILES = 4  # files that are synced one by one


def sync_files(names: Sequence[str], folder: Path) -> None:
    """Wait until files are on disk. Many are quicker with all else that is on its way there."""
    if len(names) > FEW_FILES and _sync_filesystem(folder):
        return
    for name in names:
        with _open(name) as handle:
            os.fsync(handle)


def _sync_filesystem(folder: Path) -> bool:
    """False where a system cannot do it, or something failed that may be of other files."""
    syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
    with _open(str(folder)) as handle:
        return syncfs is not None and syncfs(handle) == 0


@contextmanager
def _open(name: str) -> Iterator[int]:
    handle = os.open(name, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def write_atomic(path: Path, text: str, *, synced: bool = False) -> None:
    """Replace a file others may read: whole or not at all, with `synced` after a power cut, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{path.name}"
    with remove_on_failure(temporary):
        temporary.write_text(text, encoding="utf-8", newline="")
        if synced:
            sync_files([str(temporary)], path.parent)
        temporary.replace(path)


@contextmanager
def remove_on_failure(temporary: Path) -> Iterator[None]:
    """A full disk is not to stay full of what did not fit."""
    try:
        yield
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
