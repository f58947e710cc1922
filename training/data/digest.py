"""SHA-256 digest of the content of an image file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from training.errors import DataError


def file_digest(path: Path) -> str:
    """Return the SHA-256 of the bytes of a file, in hexadecimal. Raises DataError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read ({error.strerror})") from error
