"""The store of images: each content once, whole, and never changed."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sheetsync.common.atomic import write_atomic
from sheetsync.images.decode.decode import Picture
from sheetsync.images.records import FetchRecord
from sheetsync.images.store import SPARE, ImageStore, link
from tests.helpers.support import png


def kept(objects: ImageStore, key: str, content: bytes) -> FetchRecord:
    objects.root.mkdir(parents=True, exist_ok=True)
    staged = objects.stage(io.BytesIO(content), Picture(".png"))
    objects.commit([staged])
    return FetchRecord(key, staged.digest, ".png", checked_at=1)


@pytest.fixture
def objects(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "objects")


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_an_object_is_named_by_its_content_and_read_only(objects: ImageStore) -> None:
    arrival = kept(objects, "key", png(1))
    path = objects.path(arrival.digest, ".png")
    assert arrival.digest == hashlib.sha256(png(1)).hexdigest()[:32]
    assert path.read_bytes() == png(1)
    assert path.stat().st_mode & 0o777 == 0o444


def test_equal_contents_are_kept_once(objects: ImageStore) -> None:
    assert kept(objects, "one", png(1)).digest == kept(objects, "two", png(1)).digest
    assert len(files(objects.root)) == 1


def test_a_rendering_that_is_there_stays_the_file_that_the_mirror_links_to(objects: ImageStore) -> None:
    picture = Picture(".heic", rendered=b"as people see it", rendered_suffix=".jpg")
    objects.root.mkdir(parents=True)
    objects.commit([objects.stage(io.BytesIO(png(1)), picture)])
    shown = next(objects.root.rglob("*.shown.jpg"))
    first = shown.stat().st_ino
    objects.commit([objects.stage(io.BytesIO(png(1)), picture)])
    assert shown.stat().st_ino == first
    shown.chmod(0o644)
    shown.write_bytes(b"as people")
    objects.commit([objects.stage(io.BytesIO(png(1)), picture)])
    assert shown.read_bytes() == picture.rendered


@pytest.mark.parametrize("count", [1, 4, 5, 40])
def test_nothing_has_a_name_that_promises_a_content_before_it_is_settled(objects: ImageStore, count: int) -> None:
    objects.root.mkdir(parents=True)
    contents = [png(number) for number in range(count)]
    staged = [objects.stage(io.BytesIO(content), Picture(".png")) for content in contents]
    assert not [path for path in files(objects.root) if not Path(path).name.startswith(".tmp-")]
    objects.commit(staged)
    assert sorted(objects.path(each.digest, ".png").read_bytes() for each in staged) == sorted(contents)
    assert len(files(objects.root)) == count


def test_what_cannot_be_settled_leaves_nothing_half(objects: ImageStore) -> None:
    objects.root.mkdir(parents=True)
    staged = [objects.stage(io.BytesIO(png(number)), Picture(".png")) for number in range(6)]
    blocked = objects.path(staged[2].digest, "").parent
    blocked.write_text("a file where a folder should be")
    with pytest.raises(OSError, match=blocked.name):
        objects.commit(staged)
    assert not [path for path in files(objects.root) if Path(path).name.startswith(".tmp-")]


def test_sweeping_removes_what_is_half_and_nothing_else(objects: ImageStore) -> None:
    objects.remove_temporary()  # there is no folder yet
    objects.fetch_log.append([kept(objects, "key", png(1))])
    whole = files(objects.root)
    (objects.root / ".tmp-abc").write_bytes(png(2)[:50])
    objects.remove_temporary()
    assert files(objects.root) == whole


def test_the_latest_content_of_an_address_counts(objects: ImageStore) -> None:
    assert objects.fetch_log.latest() == {}
    old, new, other = kept(objects, "key", png(1)), kept(objects, "key", png(2)), kept(objects, "other", png(1))
    for arrival in (old, other, new):
        objects.fetch_log.append([arrival])
    assert objects.fetch_log.latest() == {"key": new, "other": other}


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_line_cut_short_is_forgotten_and_spoils_no_other_address(objects: ImageStore, cut: int) -> None:
    first, second, third = (kept(objects, f"key{number}", png(number)) for number in range(3))
    objects.fetch_log.append([first])
    objects.fetch_log.append([replace(second, mark="éé" * 3)])  # a server may say so
    log = objects.root / "arrivals.tsv"
    log.write_bytes(log.read_bytes()[:-cut])
    assert objects.fetch_log.latest() == {"key0": first}
    objects.fetch_log.append([third])
    assert objects.fetch_log.latest() == {"key0": first, "key2": third}


def grown(objects: ImageStore, lines: int) -> dict[str, FetchRecord]:
    """A log of so many lines, for two addresses; gives the last of each."""
    objects.root.mkdir(parents=True, exist_ok=True)
    arrivals = [FetchRecord(f"key{number % 2}", "0" * 32, ".png", checked_at=number) for number in range(lines)]
    objects.fetch_log.append(arrivals)
    return {each.key: each for each in arrivals[-2:]}


def test_a_log_most_of_which_counts_no_more_is_written_anew_and_a_small_one_is_left_alone(objects: ImageStore) -> None:
    last, log = grown(objects, SPARE + 4), objects.fetch_log.file
    before = log.stat()
    assert objects.compact_log() == last
    assert log.stat() == before
    objects.fetch_log.append([last["key0"]])
    assert objects.compact_log() == last
    assert objects.fetch_log.count_lines() == 2
    assert objects.fetch_log.latest() == last
    assert files(objects.root) == ["arrivals.tsv"]


def test_a_log_that_cannot_be_written_anew_stays_as_it_is(objects: ImageStore) -> None:
    last, log = grown(objects, SPARE + 5), objects.fetch_log.file
    (objects.root / f".tmp-{log.name}").mkdir()  # where it would be written
    before = log.read_bytes()
    assert objects.compact_log() == last
    assert log.read_bytes() == before


def test_no_address_is_lost_where_a_log_is_written_anew_and_killed(objects: ImageStore) -> None:
    """Kill -9 at many moments: of each address there is the last line or the one before."""
    code = (
        "import sys; from pathlib import Path; from itertools import count\n"
        "from sheetsync.objects import Objects; from sheetsync.records import Arrival\n"
        "objects = Objects(Path(sys.argv[1]))\n"
        "for now in count(int(sys.argv[2])):\n"
        "    objects.arrivals.add([Arrival(str(n), '0' * 32, '.png', asked=now) for n in range(2000)])\n"
        "    objects.compact()\n"
        "    print(flush=True)"
    )
    objects.root.mkdir()
    for each in range(8):
        command = [sys.executable, "-c", code, str(objects.root), str(each * 10**6)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(each / 50)
            process.kill()
        known = objects.fetch_log.latest()
        assert len(known) == 2000
        last = max(arrival.checked_at for arrival in known.values())
        assert {arrival.checked_at for arrival in known.values()} <= {last, last - 1}
        assert objects.fetch_log.count_lines() < 4 * 2000 + SPARE


def test_a_link_is_the_same_file_and_replaces_what_was_there(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    source.write_bytes(b"new")
    for _ in range(2):  # the second time it is this very file already
        link(source, target)
        assert target.samefile(source)
        assert files(tmp_path) == ["deep/target", "source"]
    target.unlink()
    target.write_bytes(b"old")
    link(source, target)
    assert target.read_bytes() == b"new"


def other_file_system(folder: Path) -> Path | None:
    """A folder on another file system than this one, where there is one."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shared.stat().st_dev != folder.stat().st_dev else None


def copied(source: Path, target: Path) -> None:
    for _ in range(2):  # the second time it is there already
        link(source, target)
        assert target.read_bytes() == png(1)
        assert not target.samefile(source)
        assert target.stat().st_mode & 0o777 == 0o444
        assert files(target.parent) == [target.name]


def test_a_copy_is_made_on_another_file_system(tmp_path: Path) -> None:
    elsewhere = other_file_system(tmp_path)
    if elsewhere is None:
        pytest.skip("there is only one file system here")
    (tmp_path / "source").write_bytes(png(1))
    with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
        copied(tmp_path / "source", Path(folder) / "deep" / "target")


def test_a_copy_is_made_of_a_file_that_has_as_many_names_as_it_may(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(png(1))
    (tmp_path / "names").mkdir()
    with suppress(OSError):
        for number in range(1 << 17):
            os.link(source, tmp_path / "names" / str(number))
        pytest.skip("a file may have any number of names here")
    copied(source, tmp_path / "deep" / "target")


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_atomic(path, "one\r\n")
    before = path.open(encoding="utf-8", newline="")
    write_atomic(path, "zwölf\n")
    with before:
        assert before.read() == "one\r\n"
    assert path.read_bytes() == "zwölf\n".encode()
    assert files(tmp_path) == ["new/file.txt"]
