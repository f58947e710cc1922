"""Fetching what is not a plain web address: data: URLs, local files, buckets, and pages that show one image."""

from __future__ import annotations

import asyncio
import base64
import io
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem
from fsspec.registry import _registry

from sheetsync.images.fetch.base import Fetch, Fetched, FetchError, Limits, NotRequestedError, TransientError
from sheetsync.images.fetch.local_file import open_below
from sheetsync.images.fetch.sources import direct_image_url, fetcher_for, host_of
from sheetsync.project.config import DownloadSettings, load_project
from sheetsync.rows.cells import image_key, read_image
from sheetsync.sheets.memory import MemorySheet
from sheetsync.sync.report import Report
from tests.helpers.support import QuickTrainer, a_pass, png, project, table

PICTURE = png(1)
LIMITS = Limits(max_bytes=100_000, total_seconds=0.5)


def fetch_once(fetch: Fetch, url: str, validator: str = "") -> tuple[bytes, Fetched]:
    into = io.BytesIO()
    fetched = fetch(url, into, validator)
    return into.getvalue(), fetched


def fetch_error(fetch: Fetch, url: str) -> str:
    with pytest.raises(FetchError) as caught:
        fetch_once(fetch, url)
    return str(caught.value)


# --- in the cell ----------------------------------------------------------------------------------

PLAIN = base64.b64encode(PICTURE).decode()


@pytest.mark.parametrize(
    "cell",
    [
        f"data:image/png;base64,{PLAIN}",
        f"DATA:IMAGE/PNG;BASE64,{PLAIN}",
        f"data:;base64,{PLAIN.rstrip('=')}",
        f"data:text/html;charset=utf-8;base64,{quote(PLAIN, safe='')}",
        f"data:image/png;base64,{PLAIN[:40]}\n{PLAIN[40:]}",
        f"data:,{quote(PICTURE)}",
        f'=IMAGE("data:image/png;base64,{PLAIN}")',
    ],
)
def test_an_image_in_the_cell_is_fetched_from_there(tmp_path: Path, cell: str) -> None:
    url = read_image(cell, local=False)
    content, fetched = fetch_once(fetcher_for(tmp_path, LIMITS), url)
    assert content == PICTURE
    assert fetch_once(fetcher_for(tmp_path, LIMITS), url, fetched.validator) == (
        b"",
        Fetched(fetched.validator, unchanged=True),
    )
    assert read_image(url, local=True) == url
    assert host_of(url) == ""


def test_an_image_in_the_cell_that_is_none_is_told_in_short(tmp_path: Path) -> None:
    fetch = fetcher_for(tmp_path, LIMITS)
    for broken in ("data:;base64,A", "data:;base64,AA!A", "data:;base64,ä", f"data:;base64,{PLAIN[:-3]}%"):
        assert fetch_error(fetch, broken) == "broken data: address: what stands in it is not base64, or not all of it"
    assert fetch_error(fetcher_for(tmp_path, Limits(max_bytes=50)), f"data:,{'x' * 51}").startswith("file too large")
    with pytest.raises(ValueError, match="longer than 50000") as caught:
        read_image(f"data:,{'x' * 50_000}", local=False)
    assert len(str(caught.value)) < 200


def test_an_address_in_the_content_of_a_cell_is_no_host_to_wait_for() -> None:
    assert host_of("data:text/plain,http://h/x") == ""
    assert [host_of(url) for url in ("http://h:81/x", "s3://bucket/x", "a/b.png")] == ["h:81", "bucket", ""]


# --- in a folder ----------------------------------------------------------------------------------


def test_a_file_is_known_again_by_its_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(PICTURE)
    fetch = fetcher_for(tmp_path, LIMITS)
    content, fetched = fetch_once(fetch, "one.png")
    assert content == PICTURE
    assert fetch_once(fetch, "one.png", fetched.validator) == (b"", Fetched(fetched.validator, unchanged=True))
    os.utime(tmp_path / "one.png", (1, 1))
    assert fetch_once(fetch, "one.png", fetched.validator)[0] == PICTURE
    assert "\t" not in fetched.validator
    assert len(fetched.validator) <= 200


def test_a_path_that_becomes_a_link_after_it_was_looked_at_is_not_followed(tmp_path: Path) -> None:
    base, outside = tmp_path / "sheet", tmp_path / "outside"
    for folder in (base / "pics", outside):
        folder.mkdir(parents=True)
        (folder / "one.png").write_bytes(PICTURE)
    with open_below(base, Path("pics/one.png")) as file:
        assert file.read() == PICTURE
    (base / "one.png").symlink_to(outside / "one.png")
    (base / "pics").rename(base / "old")
    (base / "pics").symlink_to(outside)
    for path in ("pics/one.png", "one.png"):
        with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
            open_below(base, Path(path))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with open_below(tmp_path, Path("pipe.png")) as file:
        assert file.read() == b""


def test_a_folder_of_images_can_be_named_for_any_sheet(tmp_path: Path) -> None:
    google = 'sheet = "https://docs.google.com/spreadsheets/d/1abc/edit"\n'
    for text, local, folder in (
        ('sheet = "sheets/labels.csv"', True, tmp_path / "sheets"),
        ('sheet = "sheets/labels.csv"\n[download]\nfolder = "pics"', True, tmp_path / "pics"),
        (google, False, None),
        (f'{google}[download]\nfolder = "pics"', True, tmp_path / "pics"),
    ):
        (tmp_path / "sheetsync.toml").write_text(text)
        project = load_project(tmp_path)
        assert project.local is local
        assert folder is None or project.image_folder == folder


# --- in a bucket ----------------------------------------------------------------------------------


class Bucket(AsyncFileSystem):  # type: ignore[misc]
    """An fsspec filesystem like s3fs, with its objects in memory."""

    protocol = "s3"
    cachable = False
    objects: ClassVar[dict[str, bytes | Exception]] = {}
    asked: ClassVar[list[str]] = []
    etag: ClassVar[str] = '"v1"'

    def _content(self, path: str) -> bytes:
        found = self.objects.get(path.removeprefix("s3://"), FileNotFoundError(path))
        if isinstance(found, Exception):
            raise found
        return found

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        self.asked.append("info")
        if path.endswith("slow"):
            await asyncio.sleep(60)
        if path.endswith("folder"):
            return {"name": path, "type": "directory", "size": 0}
        return {"name": path, "type": "file", "size": len(self._content(path)), "ETag": self.etag}

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        self.asked.append("content")
        return self._content(path)[start:end]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Bucket]]:
    fsspec.register_implementation("s3", Bucket, clobber=True)
    monkeypatch.setattr(Bucket, "objects", {})
    monkeypatch.setattr(Bucket, "asked", [])
    yield Bucket
    _registry.pop("s3")


def test_an_object_arrives_from_a_bucket_that_is_listed_and_from_no_other(bucket: type[Bucket], tmp_path: Path) -> None:
    bucket.objects.update({"mine/pics/1.png": PICTURE, "mine/other.png": PICTURE, "mine2/pics/1.png": PICTURE})
    for allowed in (["s3://mine/pics"], ["s3://mine/pics/"], ["gs://mine", "s3://mine/pics/1.png"]):
        fetch = fetcher_for(tmp_path, LIMITS, buckets=allowed)
        assert fetch_once(fetch, "s3://mine/pics/1.png") == (PICTURE, Fetched('"v1"'))
        bucket.asked.clear()
        for url in ("s3://mine/other.png", "s3://mine/pics2/1.png", "s3://mine2/pics/1.png", "gs://mine2/1.png"):
            assert fetch_error(fetch, url).startswith(
                "this bucket is not opened: the configuration lists those that are"
            )
        assert bucket.asked == []
    assert fetch_error(fetcher_for(tmp_path, LIMITS), "s3://mine/pics/1.png").startswith("this bucket is not opened")


def test_an_object_is_known_again_by_its_tag(
    bucket: type[Bucket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.objects["mine/1.png"] = PICTURE
    fetch = fetcher_for(tmp_path, LIMITS, buckets=["s3://mine"])
    assert fetch_once(fetch, "s3://mine/1.png", '"v1"') == (b"", Fetched('"v1"', unchanged=True))
    assert bucket.asked == ["info"]
    monkeypatch.setattr(Bucket, "etag", '"v2"')
    assert fetch_once(fetch, "s3://mine/1.png", '"v1"') == (PICTURE, Fetched('"v2"'))


def test_what_goes_wrong_with_a_bucket_has_its_reason(bucket: type[Bucket], tmp_path: Path) -> None:
    fetch = fetcher_for(tmp_path, LIMITS, buckets=["s3://mine"])
    bucket.objects.update(
        {"mine/large": bytes(100_001), "mine/closed": PermissionError("no"), "mine/odd": KeyError("x")}
    )
    assert fetch_error(fetch, "s3://mine/large") == "file too large: over 0.1 MB"
    for url in ("s3://mine/gone", "s3://mine/folder"):
        assert fetch_error(fetch, url) == "no such object in the bucket"
    assert fetch_error(fetch, "s3://mine/closed").startswith("the bucket does not let sheetsync read this")
    assert fetch_error(fetch, "s3://mine/slow") == "too slow: not whole after 0.5 s"
    with pytest.raises(TransientError, match="the bucket cannot be read: KeyError"):
        fetch_once(fetch, "s3://mine/odd")


@pytest.mark.skipif(find_spec("gcsfs") is not None, reason="the packages for buckets are installed")
def test_without_the_packages_for_buckets_it_is_said_which_to_install(tmp_path: Path) -> None:
    fetch = fetcher_for(tmp_path, LIMITS, buckets=["gs://mine"])
    assert fetch_error(fetch, "gs://mine/1.png") == "buckets need more packages: pip install 'sheetsync[cloud]'"


# --- what is found out without asking anybody ------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/1.png",
        "https://[::1]/1.png",
        "s3://mine/1.png",
        "https://drive.google.com/drive/folders/1aBcDeFgHiJ",
        "https://photos.app.goo.gl/1aBcDeFgHiJ",
    ],
)
def test_what_this_machine_refuses_is_told_from_what_somebody_answers(tmp_path: Path, url: str) -> None:
    with pytest.raises(NotRequestedError):
        fetch_once(fetcher_for(tmp_path, LIMITS), url)


def test_a_bucket_that_is_listed_is_read_on_the_next_pass(bucket: type[Bucket], tmp_path: Path) -> None:
    bucket.objects["mine/1.png"] = PICTURE
    sheet, trainer = MemorySheet(table(["s3://mine/1.png", "i"])), QuickTrainer()

    def sync(*buckets: str) -> Report:
        where = project(tmp_path, download=DownloadSettings(buckets=buckets))
        return a_pass(where, sheet, fetcher_for(tmp_path, where.limits, buckets=buckets), trainer).run()

    (refused,) = sync().failures
    assert (refused.reason.startswith("this bucket is not opened"), refused.until) == (True, 0)
    assert sync("s3://mine").failures == ()


@pytest.mark.skipif(find_spec("gcsfs") is not None, reason="the packages for buckets are installed")
def test_a_bucket_is_read_on_the_pass_after_its_packages_came(bucket: type[Bucket], tmp_path: Path) -> None:
    bucket.objects["gs://mine/1.png"] = PICTURE
    sheet, trainer, where = MemorySheet(table(["gs://mine/1.png", "i"])), QuickTrainer(), project(tmp_path)
    fetch = fetcher_for(tmp_path, where.limits, buckets=["gs://mine"])
    (refused,) = a_pass(where, sheet, fetch, trainer).run().failures
    assert (refused.reason.startswith("buckets need more packages"), refused.until) == (True, 0)
    fsspec.register_implementation("gs", Bucket, clobber=True)
    try:
        assert a_pass(where, sheet, fetch, trainer).run().failures == ()
    finally:
        _registry.pop("gs")


# --- pages that show one --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "image"),
    [
        ("https://www.dropbox.com/s/a1/x.png?dl=0", "https://www.dropbox.com/s/a1/x.png?raw=1"),
        ("https://www.dropbox.com/scl/fi/a/x.png?rlkey=b&dl=0", "https://www.dropbox.com/scl/fi/a/x.png?rlkey=b&raw=1"),
        ("https://www.dropbox.com/s/a1/x.png?dl=0&st=c", "https://www.dropbox.com/s/a1/x.png?raw=1&st=c"),
        ("https://www.dropbox.com/s/a1/x.png?dl=1", "https://www.dropbox.com/s/a1/x.png?dl=1"),
        ("https://github.com/o/r/blob/main/a/x.png", "https://github.com/o/r/raw/main/a/x.png"),
        ("https://github.com/o/blob/raw/main/blob/x.png", "https://github.com/o/blob/raw/main/blob/x.png"),
        ("https://h.example/?u=https://github.com/o/r/blob/main/x", "https://h.example/?u=https://github.com/o/r/blob/main/x"),
    ],
)  # fmt: skip
def test_a_page_that_shows_one_image_stands_for_it(url: str, image: str) -> None:
    assert direct_image_url(url) == image
    assert read_image(url, local=False) == url
    assert image_key(url) != image_key(image) or url == image
