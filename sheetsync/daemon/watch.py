"""The daemon: run a pass on a schedule, one at a time, and survive the failure of any of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

import schedule

from sheetsync.common.progress import Progress, ProgressLines
from sheetsync.errors import SheetsyncError, disk_problem
from sheetsync.sync.report import Report
from sheetsync.sync.summary import problem_lines, training_words

LOG_SECONDS = 60.0  # between lines while a stage lasts
log = logging.getLogger("sheetsync")


def watch(one_pass: Callable[[], None], every_minutes: float, stop: Event) -> None:
    """Run a pass at once and then every so many minutes, until `stop` is set.

    A pass that fails is logged and the next one comes as planned; a pass that takes longer than the interval
    delays the next one.
    """
    scheduler = schedule.Scheduler()
    scheduler.every(max(1, round(every_minutes * 60))).seconds.do(_survive, one_pass)
    scheduler.run_all()
    while not stop.is_set():
        stop.wait(max(0.0, scheduler.idle_seconds or 0.0))
        if not stop.is_set():
            scheduler.run_pending()


def _survive(one_pass: Callable[[], None]) -> None:
    try:
        one_pass()
    except SheetsyncError as error:
        log.error("%s", error)  # noqa: TRY400  # the user's problem: its sentence is enough
    except Exception as error:
        if isinstance(error, OSError) and (words := disk_problem(error)):
            log.error("%s", words)  # noqa: TRY400
            return
        log.exception("this pass failed unexpectedly; the next one comes as planned")


def logged(run: Callable[[Progress], Report], known: set[str]) -> None:
    """Run a pass and log its report. Problems in `known`, from an earlier pass, are not logged again."""
    report = run(ProgressLines(log.info, LOG_SECONDS))
    problems = set(problem_lines(report))
    for line in sorted(problems - known):
        log.warning("%s", line)
    known.clear()
    known.update(problems)
    log.info(
        "%d rows, %d downloaded, %d moved, %d deleted, %d failed, %d cells written, %.1f s; %s",
        report.rows,
        report.downloaded,
        report.moved,
        report.deleted,
        len(report.failures),
        report.cells,
        sum(report.seconds.values()),
        training_words(report),
    )
