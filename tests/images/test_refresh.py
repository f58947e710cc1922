"""Refresh: images that change at their address are found by conditional requests, replaced, and reported."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import pytest

from sheetsync.images.fetch.base import Fetched, FetchError
from sheetsync.images.fetch_log import FetchLog
from sheetsync.images.store import MAX_STALE_LINES
from sheetsync.project.config import DownloadSettings
from sheetsync.sheets.memory import MemorySheet
from sheetsync.sync.report import Report
from tests.helpers.support import QuickTrainer, Web, a_pass, machine_cells, png, project, table, tree

DAY = 24 * 3600
URLS = [f"http://pics.example/{number}.png" for number in range(6)]
ROWS = [[url, "i" if number % 2 else "v"] for number, url in enumerate(URLS)]


class WebWithETags(Web):
    """A web whose responses have an ETag: the digest of the content."""

    def __call__(self, url: str, into: BinaryIO, validator: str = "") -> Fetched:
        content = self.get(url, b"")
        now = hashlib.sha256(content).hexdigest()
        if content and validator == now:
            self.asked.append(f"{url} unchanged")
            return Fetched(validator, unchanged=True)
        super().__call__(url, into)
        return Fetched(now)


@dataclass
class Scene:
    root: Path
    refresh: str = "daily"
    web: WebWithETags = field(default_factory=lambda: WebWithETags({url: png(n) for n, url in enumerate(URLS)}))
    trainer: QuickTrainer = field(default_factory=QuickTrainer)
    sheet: MemorySheet = field(default_factory=lambda: MemorySheet(table(*ROWS)))

    def sync(self, now: float) -> Report:
        self.web.asked.clear()
        where = project(self.root, download=DownloadSettings(refresh=self.refresh))
        return a_pass(where, self.sheet, self.web, self.trainer, now).run()

    def status(self, number: int) -> str:
        return machine_cells(self.sheet.book().rows)[number]["status"]

    def held(self) -> list[bytes]:
        return sorted(content for path, content in tree(self.root / "dataset").items() if path.endswith(".png"))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.sync(now=1000)
    return made


def test_nothing_is_asked_before_its_time(scene: Scene) -> None:
    scene.web[URLS[0]] = png(99)
    assert (scene.sync(now=999 + DAY).asked, scene.web.asked) == (0, [])


def test_where_nothing_changed_nothing_is_fetched_written_or_trained(scene: Scene) -> None:
    report = scene.sync(now=1000 + DAY)
    assert sorted(scene.web.asked) == [f"{url} unchanged" for url in URLS]
    assert (report.asked, report.changed, report.downloaded, report.cells) == (6, 0, 0, 0)
    assert len(scene.trainer.trained) == 1
    assert scene.sync(now=1001 + DAY).asked == 0


def test_a_changed_image_takes_the_place_of_the_old_makes_a_revision_and_says_so(scene: Scene) -> None:
    scene.web[URLS[2]] = png(99)
    report = scene.sync(now=1000 + DAY)
    assert (report.asked, report.changed, report.downloaded, report.trained) == (6, 1, 0, True)
    assert report.step is not None
    assert report.step.changes is not None
    assert report.step.changes.replaced == 1
    assert scene.held() == sorted(scene.web.values())
    assert scene.status(2) == "ok, its image changed on 1970-01-02"
    assert scene.sync(now=1001 + DAY).cells == 0


def test_a_changed_image_that_was_relabelled_meanwhile_lies_where_it_belongs(scene: Scene) -> None:
    scene.web[URLS[2]] = png(99)
    scene.sheet.edit(4, "label", "x")
    scene.sync(now=1000 + DAY)
    assert [content for path, content in tree(scene.root / "dataset").items() if "/x/" in path] == [png(99)]
    assert scene.held() == sorted(scene.web.values())


def test_an_address_that_fails_keeps_its_image_says_so_and_is_asked_again_later(scene: Scene) -> None:
    gone = scene.web.pop(URLS[2])
    report = scene.sync(now=1000 + DAY)
    assert (len(report.failures), report.trained) == (1, False)
    words = "ok, kept as it was, for its address fails: the server answers 404 (Not Found); tried once, "
    assert scene.status(2).startswith(words)
    assert gone in scene.held()
    assert scene.sync(now=1001 + DAY).cells == 0
    assert scene.web.asked == []
    scene.web[URLS[2]] = gone
    assert scene.sync(now=1000 + DAY + 600).failures == ()
    assert scene.status(2) == "ok"


def test_what_changed_is_told_though_a_pass_was_stopped_before_that_was_noted(scene: Scene) -> None:
    def stop(stage: str, done: int, *_: object) -> None:
        if stage == "download":
            raise KeyboardInterrupt

    scene.web.update({url: png(100 + n) for n, url in enumerate(URLS)})
    where = project(scene.root, download=DownloadSettings(refresh="daily"))
    stopped = a_pass(where, scene.sheet, scene.web, scene.trainer, 1000 + DAY)
    with pytest.raises(KeyboardInterrupt):
        replace(stopped, environment=replace(stopped.environment, progress=stop)).run()
    assert [content in scene.web.values() for content in scene.held()].count(True) == 1
    scene.sync(now=1060 + DAY)
    assert scene.held() == sorted(scene.web.values())
    assert {scene.status(number) for number in range(6)} == {"ok, its image changed on 1970-01-02"}


def test_never_is_never(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "never")
    scene.sync(now=0)
    scene.web[URLS[0]] = png(99)
    assert (scene.sync(now=10**9).asked, scene.web.asked) == (0, [])


def test_always_is_on_every_pass(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "always")
    scene.sync(now=0)
    assert [scene.sync(now=0).asked for _ in range(2)] == [6, 6]


def test_the_log_of_what_is_asked_for_on_every_pass_stays_within_bounds_and_nothing_is_forgotten(
    tmp_path: Path,
) -> None:
    urls = [f"http://pics.example/{number}.png" for number in range(300)]
    web, sheet = (
        WebWithETags({url: png(n) for n, url in enumerate(urls)}),
        MemorySheet(table(*[[url, ""] for url in urls])),
    )
    scene, log = Scene(tmp_path, "always", web, sheet=sheet), FetchLog(tmp_path / ".sheetsync/objects/arrivals.tsv")
    lines = []
    for now in range(12):
        web[urls[7]] = png(7 if now < 3 else 999)
        assert scene.sync(now).asked == (300 if now else 0)
        lines.append(log.count_lines())
        assert {each.checked_at for each in log.latest().values()} == {now}
    assert max(lines) <= 2 * 300 + MAX_STALE_LINES
    assert lines.count(300) > 1
    assert scene.status(7) == "ok, its image changed on 1970-01-01"
    assert sorted(web.asked) == sorted(f"{url} unchanged" for url in urls)


class Broken(WebWithETags):
    def __call__(self, url: str, into: BinaryIO, validator: str = "") -> Fetched:
        into.write(png(99)[:50])
        raise FetchError("stopped")


def test_half_an_image_never_takes_the_place_of_a_whole_one(scene: Scene) -> None:
    before = scene.held()
    scene.web = Broken(scene.web)
    scene.sync(now=1000 + DAY)
    assert scene.held() == before
