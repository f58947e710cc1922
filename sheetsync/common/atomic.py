"""Atomic file writes: a temporary file in the same folder, fsync where asked, then rename."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".tmp-"  # how the names of temporary files begin
FEW_FILES = 4  # as many are synced one by one; for more, the whole file system is synced


def sync_files(names: Sequence[str], folder: Path) -> None:
    """Wait until files of a folder are on disk (fsync). For many, syncing their whole file system is quicker."""
    if len(names) > FEW_FILES and _sync_filesystem(folder):
        return
    for name in names:
        with _open(name) as handle:
            os.fsync(handle)


def _sync_filesystem(folder: Path) -> bool:
    """Sync the file system of a folder (syncfs); False if this system cannot, or if any file on it failed."""
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
    """Replace a file that others may read: they see the old text or the new; `synced`: also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{path.name}"
    with remove_on_failure(temporary):
        temporary.write_text(text, encoding="utf-8", newline="")
        if synced:
            sync_files([str(temporary)], path.parent)
        temporary.replace(path)


@contextmanager
def remove_on_failure(temporary: Path) -> Iterator[None]:
    """Remove a temporary file if the block fails, so that a full disk does not stay full of what did not fit."""
    try:
        yield
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
