"""`sheetsync doctor`: check everything that a pass needs, one thing after the other.

A problem skips only the checks that depend on it; every check has a timeout, and none changes anything.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeVar

from sheetsync.common.finding import Finding, note, ok
from sheetsync.common.state_folder import STATE, StateFolder
from sheetsync.dataset.mirror import Mirror
from sheetsync.doctor import machine
from sheetsync.doctor.google import Probe, open_probe
from sheetsync.errors import SheetsyncError
from sheetsync.images.store import ImageStore
from sheetsync.project.config import CONFIG, Project, load_project
from sheetsync.rows.header import column_letter, find_columns
from sheetsync.rows.ownership import check_ownership
from sheetsync.rows.parse import parse_rows
from sheetsync.rows.table import Book, Table
from sheetsync.sheets import Sheet, open_sheet
from sheetsync.sheets.owned_columns import our_columns
from sheetsync.trainer.inspect import inspect_device, inspect_weights
from sheetsync.trainer.process_trainer import ProcessTrainer

PATIENCE = 20.0  # seconds for one check
T = TypeVar("T")


class Recipe(Protocol):
    """The part of a trainer that the doctor uses."""

    def load_recipe(self) -> Mapping[str, Any]:
        """Return the fields of the recipe. Raises `ConfigError`."""


@dataclass(frozen=True)
class Surroundings:
    """Everything outside that the checks look at, handed in.

    `device` says what training would run on (`inspect_device`), `weights` what it would start from
    (`inspect_weights`), `free` gives the bytes left on the disk of a folder, `link` makes a hard link.
    """

    trainer: Callable[[Project], Recipe]
    device: Callable[[], Mapping[str, Any]]
    free: Callable[[Path], int]
    environ: Mapping[str, str]
    weights: Callable[[Project], Finding] = lambda project: inspect_weights(project.recipe, project.weights)
    link: Callable[[Path, Path], None] = os.link
    patience: float = PATIENCE


def this_machine() -> Surroundings:
    """Return the real surroundings."""
    return Surroundings(
        trainer=lambda project: ProcessTrainer(project.dataset, project.recipe, project.state),
        device=inspect_device,
        free=lambda folder: shutil.disk_usage(folder).free,
        environ=os.environ,
    )


@dataclass(frozen=True)
class Check:
    """A check: its name, the function that makes it, the checks it depends on, its share of the timeout."""

    name: str
    run: Callable[[], Finding]
    needs: tuple[str, ...] = ()
    timeout_factor: int = 1


class CheckTimeout(Exception):
    """A check took longer than its timeout."""


def examine(folder: Path, world: Surroundings) -> Iterator[Finding]:
    """Examine a project; yields each finding as soon as it is made, and raises nothing that the user can mend."""
    examination = Examination(folder.resolve(), world)
    cause: dict[str, str] = {}  # failed or skipped check -> the problem behind it
    try:
        for check in examination.checks():
            behind = next((cause[name] for name in check.needs if name in cause), "")
            finding = skipped_finding(check, behind) if behind else run_check(check, world.patience)
            if finding.state in ("problem", "skipped"):
                cause[check.name] = behind or check.name
            yield finding
    finally:
        examination.close()


def skipped_finding(check: Check, behind: str) -> Finding:
    """Return the finding of a check that cannot be made."""
    return Finding(check.name, "skipped", f"not checked until this is fixed: {behind}")


def run_check(check: Check, patience: float) -> Finding:
    """Make one check; an expected error becomes a problem."""
    seconds = check.timeout_factor * patience
    try:
        return replace(with_timeout(seconds, check.run), name=check.name)
    except CheckTimeout:
        return Finding(check.name, "problem", f"not done within {seconds:g} seconds", "see what is slow, and try again")
    except SheetsyncError as error:
        return Finding(check.name, "problem", str(error))
    except OSError as error:
        words = f"{error.strerror or type(error).__name__}: {error.filename or 'on disk'}"
        return Finding(check.name, "problem", words, "fix that on this machine")


def with_timeout(seconds: float, look: Callable[[], T]) -> T:
    """Call a function in a thread, with a timeout. Raises `CheckTimeout`; the thread is then left alone."""
    answers: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            answers.put((look(), None))
        except BaseException as error:  # noqa: BLE001  # raised again below, in the caller's thread
            answers.put((None, error))

    Thread(target=work, daemon=True).start()
    try:
        found, error = answers.get(timeout=seconds)
    except Empty:
        raise CheckTimeout from None
    if error is not None:
        raise error
    return found  # type: ignore[return-value]  # None only where T has it


@dataclass
class Examination:
    """One examination of one project, and what is known of it so far."""

    root: Path
    world: Surroundings
    project: Project | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    probe: Probe | None = None
    sheet: Sheet | None = None
    book: Book = field(default_factory=lambda: Book(Table()))

    def checks(self) -> Iterator[Check]:
        """Yield every check in order. Which checks there are depends on what the first ones find."""
        yield Check("configuration", self._configuration)
        yield Check("recipe", self._recipe, ("configuration",))
        yield Check("weights", self._weights, ("recipe",), timeout_factor=3)
        yield from self._machine()
        yield Check("dataset", self._dataset, ("configuration",))
        yield from self._google(self.probe) if self.probe else self._file()
        yield Check("header", self._header, ("sheet",))
        yield Check("columns", self._columns, ("header",))
        yield Check("rows", self._rows, ("header",))
        if self.probe:
            yield Check("quota", self.probe.quota, ("token",))
        yield Check("proxy", lambda: machine.proxy(self.world.environ))

    def close(self) -> None:
        """Close all connections."""
        if self.probe:
            self.probe.close()

    def _machine(self) -> Iterator[Check]:
        world, state = self.world, StateFolder(self.root / STATE)
        store, dataset = state.objects, self.project.dataset if self.project else self.root
        yield Check("device", lambda: machine.device(world.device()), timeout_factor=3)
        yield Check("folder", lambda: machine.folder(self.root, store, dataset))
        yield Check("space", lambda: machine.space(state, dataset, world.free), ("folder",))
        yield Check("links", lambda: machine.links(store, dataset, world.link), ("folder",))
        yield Check("lock", lambda: machine.lock(state))

    def _file(self) -> Iterator[Check]:
        yield Check("sheet", self._read_file, ("configuration",))

    def _google(self, probe: Probe) -> Iterator[Check]:
        yield Check("credentials", probe.credentials)
        yield Check("token", probe.token, ("credentials",))
        yield Check("api", probe.api, ("token",))
        yield Check("reading", probe.reading, ("api",))
        yield Check("writing", probe.writing, ("reading",))
        yield Check("tabs", probe.tabs, ("reading",))
        yield Check("sheet", lambda: self._read(probe.sheet()), ("tabs",), timeout_factor=3)

    # --- the project ------------------------------------------------------------------------------

    def _configuration(self) -> Finding:
        project = load_project(self.root)
        google = project.settings.google.model_dump()
        self.probe = open_probe(project.settings.sheet, project.root, patience=self.world.patience, **google)
        self.project = project
        return ok(f"{project.root / CONFIG} is valid")

    def _recipe(self) -> Finding:
        self.recipe = self.world.trainer(self._known).load_recipe()
        words = f"{self.recipe['name']}: {self.recipe['network']}, {self.recipe['epochs']} epochs"
        return ok(f"{words}, at most {self.recipe['max_images']} images")

    def _weights(self) -> Finding:
        return self.world.weights(self._known)

    def _dataset(self) -> Finding:
        dataset = self._known.dataset
        count = len(Mirror(dataset, ImageStore(self._known.state.objects)).scan())
        return ok(f"{dataset}: {count} images")

    @property
    def _known(self) -> Project:
        assert self.project is not None  # noqa: S101  # who asks needs the configuration
        return self.project

    @property
    def rows(self) -> Table:
        """The rows that were read."""
        return self.book.rows

    # --- the sheet --------------------------------------------------------------------------------

    def _read_file(self) -> Finding:
        sheet = open_sheet(self._known.settings.sheet, self.root)
        self._read(sheet)
        machine.try_to_write(Path(os.path.realpath(sheet.name)).parent)
        return ok(f"{sheet.name} can be read and written")

    def _read(self, sheet: Sheet) -> Finding:
        self.sheet, self.book = sheet, sheet.read()
        return ok(f"{sheet.name} can be read")

    def _header(self) -> Finding:
        found = find_columns(self.rows, self._known.columns)
        places = {"image": found.image, "label": found.label, "split": found.split} | dict(found.tags)
        words = [f"{name} in {column_letter(place)}" for name, place in places.items() if place is not None]
        without = "" if found.split is not None else "; no column split: it is chosen from the image"
        return ok(", ".join(words) + without)

    def _columns(self) -> Finding:
        columns = self._known.columns
        assert self.sheet is not None  # noqa: S101  # there is a header
        check_ownership(self.rows, columns, our_columns(self._known.state, self.sheet, self.book))
        found = find_columns(self.rows, columns).machine
        missing = [header for name, header in columns.machine.items() if name not in found]
        if not missing:
            return ok("all of sheetsync's columns are there")
        return ok(f"the first sync adds at the right: {', '.join(missing)}")

    def _rows(self) -> Finding:
        snapshot = parse_rows(self.rows, self._known.columns, local=self._known.local)
        usable = {row.key for row in snapshot.rows}
        count = sum(key in usable for key in snapshot.keys.values())
        wrong = [issue for issue in snapshot.issues if not issue.warning]
        warnings = len(snapshot.issues) - len(wrong)
        said = f"{len(self.rows.rows)} rows, {count} usable, {len(wrong)} not; {warnings} warnings"
        if not snapshot.issues and count:
            return ok(said)
        first = f"; the first: row {snapshot.issues[0].number}, {snapshot.issues[0].problem}" if snapshot.issues else ""
        return note(said + first, "`sheetsync plan` lists them" if snapshot.issues else "fill in images and labels")
