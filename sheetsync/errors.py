"""The exceptions that sheetsync raises on purpose.

    SheetsyncError            the user can fix it: exit code 1, one sentence, no traceback
    ├── ConfigError           sheetsync.toml is missing or holds something it must not
    ├── SheetError            the sheet cannot be read or written, or its header is not usable
    │   └── SheetChanged      somebody changed the sheet between reading and writing: read again
    ├── Shrunk                the sheet suddenly looks (nearly) empty; nothing was deleted
    ├── MirrorError           the dataset folder holds something that sheetsync did not put there
    ├── TrainingError         training failed; with its own message and the path of its log
    ├── NotFound              there is no such version or run, or an image of it is no longer kept
    └── Busy                  another sheetsync is working in this project just now

Every message says what, where, and what to do next. A broken row or image is not an error but a value:
see `rows.records.Issue` and `images.records.Failure`. Any other exception is a bug and keeps its traceback.
"""

import errno

FREE_SPACE = "free some room (`sheetsync gc` says what can go)"
# Errors of the disk that the user can fix, and how.
DISK_REMEDIES = {
    errno.ENOSPC: FREE_SPACE,
    errno.EDQUOT: FREE_SPACE,
    errno.EFBIG: "allow larger files here, or move the project",
    errno.ENAMETOOLONG: "move the project to a shorter path",
    errno.EROFS: "make it writable, or move the project",
    errno.EACCES: "change its permissions",
    errno.EPERM: "change its permissions",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
}


class SheetsyncError(Exception):
    """An error that the user can fix."""


class ConfigError(SheetsyncError):
    """The configuration is missing or wrong."""


class SheetError(SheetsyncError):
    """The sheet cannot be used as it is."""


class SheetChanged(SheetError):
    """Somebody changed the sheet after it was read; reading again helps."""


class Shrunk(SheetsyncError):
    """The sheet lost so many rows at once that it looks like an accident."""


class MirrorError(SheetsyncError):
    """The dataset folder is not as sheetsync left it."""


class TrainingError(SheetsyncError):
    """Training did not finish."""


class NotFound(SheetsyncError):
    """There is no such version or run, or what it needs is no longer kept."""


class Busy(SheetsyncError):
    """Another pass holds the lock of this project."""


def disk_problem(error: OSError) -> str | None:
    """Describe an error of the disk that the user can fix (full, read-only, no permission); None for any other."""
    if error.errno not in DISK_REMEDIES:
        return None
    return f"{error.strerror}: {error.filename or 'on disk'}; {DISK_REMEDIES[error.errno]} and run it again"
