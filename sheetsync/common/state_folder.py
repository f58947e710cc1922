"""Paths of the files and folders in a project's state folder, `.sheetsync`, for all that write there and for `gc`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

STATE = ".sheetsync"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths in the state folder at `root`. None of them is created here."""

    root: Path

    @property
    def lock(self) -> Path:
        """The lock file, held by the one pass that is running."""
        return self.root / "lock"

    @property
    def objects(self) -> Path:
        """The content-addressed store of images; its own files in there are named in `images.store`."""
        return self.root / "objects"

    @property
    def runs(self) -> Path:
        """A folder per run."""
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        """Decoded images and embeddings, which training makes again when they are missing."""
        return self.runs / ".cache"

    @property
    def revisions(self) -> Path:
        """A file per version of the sheet, with what it held."""
        return self.root / "revisions"

    def revision(self, name: str) -> Path:
        """Return the file with what the version of this revision held."""
        return self.revisions / f"{name}.tsv"

    def predictions(self, run: str) -> Path:
        """Return the file with a run's predictions for unlabelled images that came after it."""
        return self.root / "predictions" / f"{run}.csv"

    def rescored(self, run: str) -> Path:
        """Return the file with a run's predictions for validation images that came after it."""
        return self.root / "rescored" / f"{run}.csv"

    @property
    def provisional(self) -> Path:
        """The predictions that stood in the sheet before the last training."""
        return self.root / "provisional.csv"

    @property
    def fingerprint(self) -> Path:
        """The fingerprint of the last pass that left nothing to do."""
        return self.root / "settled"

    def columns(self, sheet: str) -> Path:
        """Return the file with the headers of our columns in the sheet of this identity."""
        return self.root / "columns" / f"{_digest(sheet)}.txt"

    def offered(self, sheet: str) -> Path:
        """Return the file with the labels that the drop-down of the sheet of this identity had last."""
        return self.root / "offered" / f"{_digest(sheet)}.txt"

    @property
    def google_token(self) -> Path:
        """The stored sign-in to Google (OAuth refresh token), readable by its owner only."""
        return self.root / "google-token.json"

    def log(self, program: str) -> Path:
        """Return the log file of a training program."""
        return self.root / f"{program}.log"

    def written(self) -> tuple[Path, ...]:
        """Return the folders with atomic writes, where a killed pass may leave temporary files."""
        one_file_a_sheet = self.columns("").parent, self.offered("").parent
        return self.root, self.objects, self.revisions, *one_file_a_sheet, *self.per_run()

    def per_run(self) -> tuple[Path, ...]:
        """Return the folders with one file per run, besides the run directories."""
        return self.predictions("").parent, self.rescored("").parent


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
