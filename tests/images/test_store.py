"""The content-addressed image store: each content once, whole, and never changed; and its log of fetches."""

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
from sheetsync.images.store import MAX_STALE_LINES, ImageStore, link
from tests.helpers.support import png


def add_image(store: ImageStore, key: str, content: bytes) -> FetchRecord:
    store.root.mkdir(parents=True, exist_ok=True)
    staged = store.stage(io.BytesIO(content), Picture(".png"))
    store.commit([staged])
    return FetchRecord(key, staged.digest, ".png", checked_at=1)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "objects")


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_an_object_is_named_by_its_content_and_read_only(store: ImageStore) -> None:
    record = add_image(store, "key", png(1))
    path = store.path(record.digest, ".png")
    assert record.digest == hashlib.sha256(png(1)).hexdigest()[:32]
    assert path.read_bytes() == png(1)
    assert path.stat().st_mode & 0o777 == 0o444


def test_equal_contents_are_kept_once(store: ImageStore) -> None:
    assert add_image(store, "one", png(1)).digest == add_image(store, "two", png(1)).digest
    assert len(files(store.root)) == 1


def test_a_rendering_that_is_there_stays_the_file_that_the_mirror_links_to(store: ImageStore) -> None:
    picture = Picture(".heic", rendered=b"as people see it", rendered_suffix=".jpg")
    store.root.mkdir(parents=True)
    store.commit([store.stage(io.BytesIO(png(1)), picture)])
    shown = next(store.root.rglob("*.shown.jpg"))
    first = shown.stat().st_ino
    store.commit([store.stage(io.BytesIO(png(1)), picture)])
    assert shown.stat().st_ino == first
    shown.chmod(0o644)
    shown.write_bytes(b"as people")
    store.commit([store.stage(io.BytesIO(png(1)), picture)])
    assert shown.read_bytes() == picture.rendered


@pytest.mark.parametrize("count", [1, 4, 5, 40])
def test_nothing_has_a_name_that_promises_a_content_before_it_is_settled(store: ImageStore, count: int) -> None:
    store.root.mkdir(parents=True)
    contents = [png(number) for number in range(count)]
    staged = [store.stage(io.BytesIO(content), Picture(".png")) for content in contents]
    assert not [path for path in files(store.root) if not Path(path).name.startswith(".tmp-")]
    store.commit(staged)
    assert sorted(store.path(each.digest, ".png").read_bytes() for each in staged) == sorted(contents)
    assert len(files(store.root)) == count


def test_what_cannot_be_settled_leaves_nothing_half(store: ImageStore) -> None:
    store.root.mkdir(parents=True)
    staged = [store.stage(io.BytesIO(png(number)), Picture(".png")) for number in range(6)]
    blocked = store.path(staged[2].digest, "").parent
    blocked.write_text("a file where a folder should be")
    with pytest.raises(OSError, match=blocked.name):
        store.commit(staged)
    assert not [path for path in files(store.root) if Path(path).name.startswith(".tmp-")]


def test_sweeping_removes_what_is_half_and_nothing_else(store: ImageStore) -> None:
    store.remove_temporary()  # there is no folder yet
    store.fetch_log.append([add_image(store, "key", png(1))])
    whole = files(store.root)
    (store.root / ".tmp-abc").write_bytes(png(2)[:50])
    store.remove_temporary()
    assert files(store.root) == whole


def test_the_latest_content_of_an_address_counts(store: ImageStore) -> None:
    assert store.fetch_log.latest() == {}
    old, new, other = (
        add_image(store, "key", png(1)),
        add_image(store, "key", png(2)),
        add_image(store, "other", png(1)),
    )
    for record in (old, other, new):
        store.fetch_log.append([record])
    assert store.fetch_log.latest() == {"key": new, "other": other}


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_line_cut_short_is_forgotten_and_spoils_no_other_address(store: ImageStore, cut: int) -> None:
    first, second, third = (add_image(store, f"key{number}", png(number)) for number in range(3))
    store.fetch_log.append([first])
    store.fetch_log.append([replace(second, validator="éé" * 3)])  # a server may send such an ETag
    log = store.root / "arrivals.tsv"
    log.write_bytes(log.read_bytes()[:-cut])
    assert store.fetch_log.latest() == {"key0": first}
    store.fetch_log.append([third])
    assert store.fetch_log.latest() == {"key0": first, "key2": third}


def add_lines(store: ImageStore, lines: int) -> dict[str, FetchRecord]:
    """Write a log of so many lines for two addresses, and return the last record of each."""
    store.root.mkdir(parents=True, exist_ok=True)
    records = [FetchRecord(f"key{number % 2}", "0" * 32, ".png", checked_at=number) for number in range(lines)]
    store.fetch_log.append(records)
    return {each.key: each for each in records[-2:]}


def test_a_log_most_of_which_counts_no_more_is_written_anew_and_a_small_one_is_left_alone(store: ImageStore) -> None:
    last, log = add_lines(store, MAX_STALE_LINES + 4), store.fetch_log.file
    before = log.stat()
    assert store.compact_log() == last
    assert log.stat() == before
    store.fetch_log.append([last["key0"]])
    assert store.compact_log() == last
    assert store.fetch_log.count_lines() == 2
    assert store.fetch_log.latest() == last
    assert files(store.root) == ["arrivals.tsv"]


def test_a_log_that_cannot_be_written_anew_stays_as_it_is(store: ImageStore) -> None:
    last, log = add_lines(store, MAX_STALE_LINES + 5), store.fetch_log.file
    (store.root / f".tmp-{log.name}").mkdir()  # where it would be written
    before = log.read_bytes()
    assert store.compact_log() == last
    assert log.read_bytes() == before


def test_no_address_is_lost_where_a_log_is_written_anew_and_killed(store: ImageStore) -> None:
    """Kill -9 at many moments: of each address there is the last line or the one before."""
    code = (
        "import sys; from pathlib import Path; from itertools import count\n"
        "from sheetsync.images.records import FetchRecord; from sheetsync.images.store import ImageStore\n"
        "store = ImageStore(Path(sys.argv[1]))\n"
        "for now in count(int(sys.argv[2])):\n"
        "    store.fetch_log.append(FetchRecord(str(n), '0' * 32, '.png', checked_at=now) for n in range(2000))\n"
        "    store.compact_log()\n"
        "    print(flush=True)"
    )
    store.root.mkdir()
    for each in range(8):
        command = [sys.executable, "-c", code, str(store.root), str(each * 10**6)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(each / 50)
            process.kill()
        known = store.fetch_log.latest()
        assert len(known) == 2000
        last = max(record.checked_at for record in known.values())
        assert {record.checked_at for record in known.values()} <= {last, last - 1}
        assert store.fetch_log.count_lines() < 4 * 2000 + MAX_STALE_LINES


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
    """Return a folder on another file system than this one, None where there is none."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and memory.stat().st_dev != folder.stat().st_dev else None


def check_copy(source: Path, target: Path) -> None:
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
        check_copy(tmp_path / "source", Path(folder) / "deep" / "target")


def test_a_copy_is_made_of_a_file_that_has_as_many_names_as_it_may(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(png(1))
    (tmp_path / "names").mkdir()
    with suppress(OSError):
        for number in range(1 << 17):
            os.link(source, tmp_path / "names" / str(number))
        pytest.skip("a file may have any number of names here")
    check_copy(source, tmp_path / "deep" / "target")


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_atomic(path, "one\r\n")
    before = path.open(encoding="utf-8", newline="")
    write_atomic(path, "zwölf\n")
    with before:
        assert before.read() == "one\r\n"
    assert path.read_bytes() == "zwölf\n".encode()
    assert files(tmp_path) == ["new/file.txt"]
