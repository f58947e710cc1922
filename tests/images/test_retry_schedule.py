"""The retry schedule: failed images are tried again on later passes, with exponential back-off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sheetsync.errors import MirrorError
from sheetsync.images.fetch.sources import fetcher_for
from sheetsync.images.records import Download, Failure
from sheetsync.images.retry_schedule import RetrySchedule
from sheetsync.project.config import DownloadSettings
from sheetsync.review.verdicts import failure_words
from sheetsync.rows.records import Row
from sheetsync.sheets.memory import MemorySheet
from sheetsync.sync.report import Report
from tests.helpers.outside import serve_public_address_here
from tests.helpers.support import QuickTrainer, a_pass, machine_cells, png, project, table
from tests.helpers.webserver import WebServer, redirect, serving, status

URL = "http://pics.example/a.png"
ROW = Row(2, "0" * 20, URL)
DAY = 24 * 3600


def failure_of(reason: str = "gone", *, passing: bool = False, key: str = ROW.key, local: bool = False) -> Failure:
    return Failure(key, 2, URL, reason, passing, local=local)


def waits_between(schedule: RetrySchedule, rounds: int, *, passing: bool) -> list[int]:
    """Return the seconds to each next attempt, where every one is made as soon as it may be, and fails."""
    now, seconds = 1_000_000, []
    for _ in range(rounds):
        assert schedule.not_due([Download(ROW)], now) == []
        (failure,) = schedule.record([failure_of(passing=passing)], now)
        assert schedule.not_due([Download(ROW)], failure.until - 1) == [failure]
        seconds.append(failure.until - now)
        now = failure.until
    return seconds


def test_what_may_pass_is_tried_soon_and_what_somebody_has_to_mend_later(tmp_path: Path) -> None:
    assert waits_between(RetrySchedule(tmp_path / "a.json"), 10, passing=True) == [120 * 2**n for n in range(8)] + 2 * [
        DAY // 4
    ]
    assert waits_between(RetrySchedule(tmp_path / "b.json"), 10, passing=False) == [
        600 * 2**n for n in range(8)
    ] + 2 * [DAY]


def test_a_server_that_says_how_long_a_pause_it_wants_gets_that(tmp_path: Path) -> None:
    schedule = RetrySchedule(tmp_path / "a.json")
    (failure,) = schedule.record([replace(failure_of(passing=True), pause=3600)], 1000)
    assert failure.until == 4600
    assert schedule.not_due([Download(ROW)], 4599) == [failure]
    (failure,) = schedule.record([replace(failure_of(passing=True), pause=60)], 5000)
    assert (failure.times, failure.until) == (2, 5060)  # the pause that a server asks for is not doubled


def test_who_waits_is_not_counted_and_nothing_is_written(tmp_path: Path) -> None:
    schedule = RetrySchedule(tmp_path / "a.json")
    failures = schedule.record([failure_of()], 1000)
    before = schedule.file.stat()
    assert schedule.record(schedule.not_due([Download(ROW)], 1001), 1001) == failures
    assert schedule.file.stat() == before


def test_what_came_at_last_or_left_the_sheet_is_forgotten(tmp_path: Path) -> None:
    schedule = RetrySchedule(tmp_path / "a.json")
    schedule.record([failure_of(), failure_of(key="1" * 20)], 1000)
    schedule.record([failure_of(key="1" * 20)], 9000)
    (failure,) = schedule.record([failure_of()], 9000)
    assert failure.times == 1


def test_what_is_found_on_this_machine_costs_nothing_and_is_looked_at_on_every_pass(tmp_path: Path) -> None:
    schedule = RetrySchedule(tmp_path / "a.json")
    assert schedule.record([failure_of(local=True)], 1000) == [failure_of(local=True)]
    assert not schedule.file.exists()


def test_earlier_tries_do_not_count_once_nobody_is_asked_any_more(tmp_path: Path) -> None:
    schedule = RetrySchedule(tmp_path / "a.json")
    schedule.record([failure_of()], 1000)
    schedule.record([failure_of(local=True)], 9000)
    (failure,) = schedule.record([failure_of()], 9001)
    assert failure.times == 1


def test_what_was_tried_is_told_with_when_and_how_often(tmp_path: Path) -> None:
    schedule = RetrySchedule(tmp_path / "a.json")
    schedule.record([failure_of()], 1_764_000_000)
    (failure,) = schedule.record([failure_of("the server answers 503", passing=True)], 1_764_003_600)
    when = "last 2025-11-24 17:00, next after 2025-11-24 17:04 UTC"
    assert failure_words(failure) == f"the server answers 503; tried 2 times, {when}"


@pytest.mark.parametrize("broken", ["", "[]", '{"a": 1}', '{"a": {}}', '{"a": {"times": "x"}}'])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, broken: str) -> None:
    (tmp_path / "a.json").write_text(broken)
    with pytest.raises(MirrorError, match=r"a\.json cannot be read .*: delete it"):
        RetrySchedule(tmp_path / "a.json").not_due([Download(ROW)], 0)


# --- from pass to pass ----------------------------------------------------------------------------


@dataclass
class Passes:
    """Passes over one row, with the real fetcher and a configuration that changes between them."""

    root: Path
    url: str
    trainer: QuickTrainer = field(default_factory=QuickTrainer)
    sheet: MemorySheet = field(init=False)

    def __post_init__(self) -> None:
        self.sheet = MemorySheet(table([self.url, ""]))

    def sync(self, now: int, *, allow_private: bool = False) -> Report:
        where = project(self.root, download=DownloadSettings(allow_private=allow_private))
        fetch = fetcher_for(self.root, where.limits, buckets=where.settings.download.buckets)
        return a_pass(where, self.sheet, fetch, self.trainer, now).run()

    @property
    def status(self) -> str:
        return machine_cells(self.sheet.book().rows)[0]["status"]


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as server:
        yield server


def test_what_was_refused_is_fetched_on_the_first_pass_that_allows_it(tmp_path: Path, web: WebServer) -> None:
    passes = Passes(tmp_path, web.give("/1.png", png(1)))
    (failure,) = passes.sync(1000).failures
    assert (failure.times, failure.until) == (0, 0)
    assert passes.status == "not a public address: allow_private = true under [download] in sheetsync.toml allows it"
    assert passes.sync(1001).cells == 0
    assert web.asked == []
    assert passes.sync(1002, allow_private=True).failures == ()
    assert (web.asked, passes.status) == (["/1.png"], "ok")


def test_a_pause_begins_when_all_was_asked_however_long_that_took(tmp_path: Path, web: WebServer) -> None:
    url = web.give("/1.png", status(404))
    where = project(tmp_path, download=DownloadSettings(allow_private=True))
    ready = a_pass(where, MemorySheet(table([url, ""])), fetcher_for(tmp_path, where.limits), QuickTrainer())
    environment = replace(ready.environment, now=lambda: 5000.0 if web.asked else 1000.0)
    (failure,) = replace(ready, environment=environment).run().failures
    assert (failure.last, failure.until) == (5000, 5600)


def test_where_a_server_led_to_what_is_refused_it_is_asked_no_sooner(
    tmp_path: Path, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_public_address_here(monkeypatch)
    web.give("/1.png", redirect(f"http://127.0.0.1:{web.port}/2.png"))
    web.give("/2.png", png(1))
    passes = Passes(tmp_path, f"http://pics.example:{web.port}/1.png")
    (failure,) = passes.sync(1000).failures
    assert (failure.times, failure.until) == (1, 1600)
    for now in (1001, 1599):
        assert passes.sync(now, allow_private=True).failures == (failure,)
    assert web.asked == ["/1.png"]
    assert passes.sync(1600, allow_private=True).failures == ()
    assert web.asked == ["/1.png", "/1.png", "/2.png"]
