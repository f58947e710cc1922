"""`sheetsync watch`: passes repeat, one that fails stops nothing, and a signal ends it."""

from __future__ import annotations

import logging
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from typing import TypeAlias

import pytest

from sheetsync.daemon.watch import watch
from sheetsync.errors import SheetError
from tests.cli.test_cli import (
    PATIENCE,
    SHEETSYNC,
    is_training,
    offspring,
    pictures,
    project,
    running,
    until,
    write_rows,
)
from tests.helpers.support import png, tiny_recipe
from tests.helpers.webserver import WebServer, hang, serving

SECOND = 1 / 60  # in minutes


def test_passes_repeat_whatever_happens_to_one(caplog: pytest.LogCaptureFixture) -> None:
    stop, passes = Event(), []

    def one_pass() -> None:
        passes.append(len(passes))
        if len(passes) == 1:
            raise SheetError("labels.csv is not there")
        if len(passes) == 2:
            raise ZeroDivisionError
        stop.set()

    with caplog.at_level(logging.INFO):
        watch(one_pass, SECOND, stop)
    assert len(passes) == 3
    theirs, ours = caplog.records
    assert (theirs.getMessage(), theirs.exc_info) == ("labels.csv is not there", None)
    assert ours.exc_info is not None
    assert ours.exc_info[0] is ZeroDivisionError


def test_the_first_pass_comes_at_once() -> None:
    stop = Event()
    watch(stop.set, 10_000, stop)


# --- the real thing -------------------------------------------------------------------------------


class Watching:
    """A `sheetsync watch` in a process of its own, whose log can be read meanwhile."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self._log = process, log

    def says(self) -> str:
        return self._log.read_text()

    def wait_for(self, words: str, times: int = 1) -> None:
        until(lambda: self.says().count(words) >= times or self.process.poll() is not None)
        assert self.says().count(words) >= times, self.says()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


Start: TypeAlias = Callable[[Path], AbstractContextManager[Watching]]


@pytest.fixture
def watching(tmp_path: Path) -> Start:
    @contextmanager
    def started(folder: Path) -> Iterator[Watching]:
        with (tmp_path / "log").open("w") as log:
            command = [SHEETSYNC, "watch", "--every", "0.01"]
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, text=True)
        try:
            yield Watching(process, tmp_path / "log")
        finally:
            process.kill()
            process.wait()

    return started


def unlabelled(folder: Path, count: int) -> list[list[str]]:
    """Rows that nothing can be learned from, so that a pass is quick."""
    return [[image, "", ""] for image, *_ in pictures(folder, count)]


def test_a_watch_outlives_failing_passes_and_stops_when_told(tmp_path: Path, watching: Start) -> None:
    folder = tmp_path / "project"
    project(folder, unlabelled(folder, 3))
    toml = (folder / "sheetsync.toml").read_text()
    (folder / "labels.csv").unlink()
    with watching(folder) as watch:
        watch.wait_for("ERROR", times=2)
        write_rows(folder, unlabelled(folder, 3))
        watch.wait_for("3 rows, 3 downloaded")
        watch.wait_for("3 rows, 0 downloaded", times=2)
        (folder / "sheetsync.toml").write_text("sheet =")
        watch.wait_for("is not valid TOML")
        (folder / "sheetsync.toml").write_text(toml)
        write_rows(folder, unlabelled(folder, 4))
        watch.wait_for("4 rows, 1 downloaded")
        assert watch.stop() == 0
        assert watch.says().splitlines()[-1].endswith("INFO stopped")
        assert "Traceback" not in watch.says()
    assert len(list((folder / "dataset" / "unlabelled").iterdir())) == 4


def test_a_watch_that_cannot_begin_says_so(tmp_path: Path) -> None:
    done = subprocess.run([SHEETSYNC, "watch"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr.startswith("sheetsync: there is no sheetsync.toml")


def test_a_watch_stops_while_it_trains_and_takes_its_children_along(tmp_path: Path, watching: Start) -> None:
    folder = tmp_path / "project"
    project(folder, pictures(folder))
    tiny_recipe(folder / "tiny.json", epochs=10_000)
    with watching(folder) as watch:
        until(lambda: is_training(watch.process, folder))
        children = offspring(watch.process.pid)
        assert watch.stop() == 0
        until(lambda: not [child for child in children if running(child)])
        assert watch.says().splitlines()[-1].endswith("INFO stopped")


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as server:
        yield server


def test_a_watch_stops_while_it_waits_for_a_server(tmp_path: Path, watching: Start, web: WebServer) -> None:
    folder = tmp_path / "project"
    urls = [web.give("/1.png", png(1)), web.give("/2.png", hang)]
    project(folder, [[url, "", ""] for url in urls], timeout=600, total_seconds=3600)
    with watching(folder) as watch:
        until(lambda: len(web.asked) == 2)
        assert watch.stop() == 0
        assert watch.says().splitlines()[-1].endswith("INFO stopped")
