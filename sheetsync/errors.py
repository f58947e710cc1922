"""The errors sheetsync raises on purpose.

    SheetsyncError            the user can mend it: exit code 1, one sentence, no traceback
    ├── ConfigError           sheetsync.toml is missing or holds something it must not
    ├── SheetError            the sheet cannot be read or written, or its header is not usable
    │   └── SheetChanged      somebody changed the sheet between reading and writing: read again
    ├── Shrunk                the sheet suddenly looks (nearly) empty; nothing was deleted
    ├── MirrorError           the dataset folder holds something that sheetsync did not put there
    ├── TrainingError         training stopped; its own words and the place of its log
    ├── NotFound              there is no such version or run, or an image of it is no longer kept
    └── Busy                  another sheetsync works in this project just now

Every message says what, where, and what to do next. A broken row or image is not an error but a value:
see `records.Issue` and `records.Failure`. Anything else that is raised is a bug and keeps its traceback.
"""

import errno

FREE_SPACE = "free some room (`sheetsync gc` says what can go)"
# What the disk can say that is the user's to mend, and how.
DISK_REMEDIES = {
    errno.ENOSPC: FREE_SPACE,
    errno.EDQUOT: FREE_SPACE,
    errno.EFBIG: "allow larger files here, or move the project",
    errno.ENAMETOOLONG: "move the project to a shorter path",
    errno.EROFS: "make it writable, or move the project",
    errno.EACCES: "mend that",
    errno.EPERM: "mend that",
    errno.EMFILE: "mend that",
}


class SheetsyncError(Exception):
    """Something the user can mend."""


class ConfigError(SheetsyncError):
    """The configuration is missing or wrong."""


class SheetError(SheetsyncError):
    """The sheet cannot be used as it is."""


class SheetChanged(SheetError):
    """Somebody changed the sheet after it was read; reading again helps."""


class Shrunk(SheetsyncError):
    """The sheet lost so many rows at once that it looks like an accident."""


class MirrorError(SheetsyncError):
    """The dataset folder is not what sheetsync left there."""


class TrainingError(SheetsyncError):
    """Training did not finish."""


class NotFound(SheetsyncError):
    """There is no such version or run, or what it needs is no longer kept."""


class Busy(SheetsyncError):
    """Another pass holds the lock of this project."""


def disk_problem(error: OSError) -> str | None:
    """What the disk says when it is the user's to mend (full, read-only, no rights), None for any other error."""
    if error.errno not in DISK_REMEDIES:
        return None
    return f"{error.strerror}: {error.filename or 'on disk'}; {DISK_REMEDIES[error.errno]} and run it again"
