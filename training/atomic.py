"""Atomic file replacement: write to a temporary file in the same folder, then rename it into place.

A reader sees the file as it was before or the new one, never a part of it, even if the writer is killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replace_file(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield the path of a temporary file to write, which replaces `path` when the block ends.

    If the block or the replacement fails, the temporary file is removed and `path` stays as it was. `sync` flushes the
    content to the disk first (fsync): without it, a power cut may leave the new name with nothing behind it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        if sync:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            temporary.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, content: bytes, *, sync: bool = False) -> None:
    """Replace the content of a file by these bytes; see `replace_file`. Raises OSError."""
    with replace_file(path, sync=sync) as temporary:
        temporary.write_bytes(content)
