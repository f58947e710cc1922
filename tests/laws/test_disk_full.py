"""A disk without room stops a pass with a sentence, nothing is broken, and the next pass with room goes on."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sheetsync.dataset.mirror import Mirror
from sheetsync.errors import SheetsyncError, disk_problem
from sheetsync.images.records import FetchRecord
from sheetsync.images.store import ImageStore, file_digest
from sheetsync.sheets.csv.sheet import CsvSheet
from tests.cli.test_cli import SHEETSYNC, ok, pictures, project
from tests.helpers.support import CLASSES, QuickTrainer, Web, a_pass, machine_cells, png, quick_words, tree
from tests.helpers.support import project as quick_project

URLS = [f"http://pics.example/{number}.png" for number in range(24)]
SHEET = "image,label,split\n" + "".join(f"{url},{CLASSES[n % 2]},train\n" for n, url in enumerate(URLS))
PAGE = 4096


def mounted(folder: Path, size: str) -> None:
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 600 kB."""
    folder = tmp_path / "small"
    mounted(folder, "600k")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, left: int) -> Path:
    """Leave so many pages of room."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        file.truncate(0)
        free = os.statvfs(folder).f_bavail - left
        file.write(b"x" * PAGE * max(0, free))
    return filler


@pytest.mark.parametrize("left", [*range(0, 24, 4), *range(24, 30)])
def test_a_pass_that_runs_out_of_room_anywhere_breaks_nothing_and_the_next_one_goes_on(small: Path, left: int) -> None:
    where, web, trainer = quick_project(small), Web({url: png(n) for n, url in enumerate(URLS)}), QuickTrainer()
    (small / "labels.csv").write_text(SHEET)

    def run() -> object:
        return a_pass(where, CsvSheet(small / "labels.csv"), web, trainer).run()

    filler = fill(small, left)
    with pytest.raises((OSError, SheetsyncError)) as raised:
        run()
    if isinstance(raised.value, OSError):
        assert "free some room" in str(disk_problem(raised.value))
    else:
        assert "No space left on device" in str(raised.value)
    assert [line.split(",")[:3] for line in (small / "labels.csv").read_text().splitlines()] == [
        line.split(",") for line in SHEET.splitlines()
    ]
    contents = set(web.values())
    assert {content for path, content in tree(where.dataset).items() if path.endswith(".png")} <= contents
    objects = ImageStore(where.state.objects)
    assert all(objects.is_intact(arrival) for arrival in objects.fetch_log.latest().values())
    filler.unlink()
    for thread in (each for each in threading.enumerate() if each.name == "download"):
        thread.join(60)  # what was asked for when the disk was full
    web.asked.clear()
    report = run()
    assert report.downloaded == len(web.asked) <= 24
    assert len(Mirror(where.dataset, objects).scan()) == 24
    said = [
        (cells["prediction"], cells["confidence"])
        for cells in machine_cells(CsvSheet(small / "labels.csv").read().rows)
    ]
    assert said == [quick_words(png(n)) for n in range(24)]
    assert not [path for path in tree(small) if "/.tmp-" in path]
    assert run().cells == 0


def test_a_log_of_addresses_for_which_there_is_no_room_stays_as_it_is(small: Path) -> None:
    objects = ImageStore(small)
    objects.fetch_log.append(FetchRecord(str(n % 300), "0" * 32, ".png", checked_at=n) for n in range(3000))
    before = objects.fetch_log.file.read_bytes()
    filler = fill(small, 2)
    assert len(objects.compact_log()) == 300
    assert objects.fetch_log.file.read_bytes() == before
    assert not list(small.glob(".tmp-*"))
    filler.unlink()
    objects.compact_log()
    assert objects.fetch_log.count_lines() == 300


def test_the_command_says_it_in_a_sentence(small: Path) -> None:
    folder = project(small / "project", pictures(small / "project"))
    filler = fill(small, 3)
    done = subprocess.run([SHEETSYNC, "sync", "-p", folder], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("sheetsync: No space left on device: ")
    assert "Traceback" not in done.stderr
    filler.unlink()
    done = subprocess.run([SHEETSYNC, "sync", "-p", folder], capture_output=True, text=True)
    assert done.returncode == 1, "there is room for the images, and none for a model"
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    subprocess.run(["mount", "-o", "remount,size=900m", str(small)], check=True)
    assert "12 usable rows" in ok("sync", "-p", folder)


def test_files_that_may_not_grow_are_told_likewise(tmp_path: Path) -> None:
    """On every system: a limit to the size of a file in place of a full disk."""
    folder = project(tmp_path, pictures(tmp_path))

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

    done = subprocess.run([SHEETSYNC, "sync", "-p", folder], capture_output=True, text=True, preexec_fn=limited)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("sheetsync: File too large: ")
    assert "Traceback" not in done.stderr
    assert all(file_digest(path) == path.stem for path in (folder / ".sheetsync" / "objects").glob("??/*"))
    ok("sync", "-p", folder)
    assert not [path for path in tree(folder) if "/.tmp-" in path]


def test_a_disk_that_is_read_only_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    mounted(folder, "2m")
    try:
        project(folder, pictures(folder))
        (folder / ".sheetsync" / "objects").mkdir(parents=True)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        done = subprocess.run([SHEETSYNC, "sync", "-p", folder], capture_output=True, text=True)
        assert done.returncode == 1
        assert "Read-only file system" in done.stderr
        assert "make it writable, or move the project and run it again" in done.stderr
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
