"""Downloads from a real server that does everything wrong, and from a folder."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import requests
from PIL import Image

from sheetsync.images.download import download, split_cached
from sheetsync.images.fetch.base import Fetched, FetchError, Limits
from sheetsync.images.fetch.sources import fetcher_for
from sheetsync.images.host_queue import MAX_FAILURES
from sheetsync.images.records import Download, Failure, FetchRecord
from sheetsync.images.store import ImageStore
from sheetsync.rows.cells import image_key
from sheetsync.rows.records import Row
from tests.helpers.outside import resolve_names, serve_public_address_here
from tests.helpers.support import png
from tests.helpers.webserver import (
    Answer,
    WebServer,
    drip,
    drip_header,
    drop,
    endless,
    hang,
    page,
    redirect,
    serving,
    status,
)

PICTURE = png(1)
LIMITS = {
    "connect_seconds": 2.0,
    "read_seconds": 0.6,
    "total_seconds": 1.2,
    "max_bytes": 100_000,
    "max_pixels": 10_000,
    "attempts": 2,
    "allow_private": True,
}


LEFT_FOR_LATER = f"left to a later pass: its server gave nothing {MAX_FAILURES} times in a row: "


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as server:
        yield server


def outcomes(folder: Path, *urls: str, **limits: Any) -> dict[str, FetchRecord | str]:
    """Download all addresses; return for each its record, or the reason of its failure."""
    bounds = Limits(**(LIMITS | limits))
    downloads = [Download(Row(number, image_key(url), url)) for number, url in enumerate(urls, start=2)]
    names = {each.row.key: each.row.url for each in downloads}
    store = ImageStore(folder / "objects")
    results = list(download(downloads, store, fetcher_for(folder, bounds), bounds))
    assert len(results) == len(urls)
    assert not list(store.root.glob(".tmp-*"))
    return {names[each.key]: each.reason if isinstance(each, Failure) else each for each in results}


def outcome(folder: Path, url: str, **limits: Any) -> FetchRecord | str:
    return outcomes(folder, url, **limits)[url]


def failures(folder: Path, *urls: str, **limits: Any) -> list[Failure]:
    bounds = Limits(**(LIMITS | limits))
    downloads = [Download(Row(number, image_key(url), url)) for number, url in enumerate(urls, start=2)]
    results = download(downloads, ImageStore(folder / "objects"), fetcher_for(folder, bounds), bounds)
    return [each for each in results if isinstance(each, Failure)]


def picture(kind: str, size: tuple[int, int] = (8, 8), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def huge_png(side: int) -> bytes:
    """Return a few bytes that state a very large picture (decompression bomb)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


# --- reasons --------------------------------------------------------------------------------------

HTML = b"\n<!DOCTYPE html><html><body>Please sign in</body></html>"
FAULTS: dict[str, tuple[Any, str]] = {
    "/gone": (status(404), "the server answers 404 (Not Found): look in a browser whether the image is still there"),
    "/forbidden": (status(403), "the server answers 403 (Forbidden): it must open without signing in"),
    "/nothing": (status(204), "the server answers 204 (No Content)"),
    "/strange": (status(299), "the server answers 299"),
    "/nowhere": (status(302), "the server answers 302 (Found)"),
    "/down": (status(503), "the server answers 503 (Service Unavailable)"),
    "/odd-wait": (status(429, Retry_After="\xb2"), "the server answers 429 (Too Many Requests)"),
    "/page": (page(HTML, "text/html"), "not an image: the address gives a web page: open it, and copy "),
    "/page.png": (page(HTML, "image/png"), "not an image: the address gives a web page"),
    "/text": (page(b"hello"), "not an image: unknown content"),
    "/empty": (page(b""), "not an image: the file is empty"),
    "/cut": (page(PICTURE[:-30]), "broken image: "),
    "/bad-header": (page(PICTURE[:11] + b"\0" + PICTURE[12:]), "broken image: "),  # no OSError to Pillow
    "/bad-chunk": (page(PICTURE[:36] + b"\0" + PICTURE[37:]), "broken image: "),  # nor is this
    "/icon.png": (page(picture("ICO")), "ICO images cannot be used: save it as PNG or JPEG"),
    "/rare": (page(b"DDS |\0\0\0" + bytes(120)), "not an image: unknown content"),
    "/wide": (page(picture("PNG", (101, 100))), "image too large: 101 x 100 pixels"),
    "/bomb": (page(huge_png(60_000)), "image too large: "),
    "/heavy": (page(bytes(100_001)), "file too large: over 0.1 MB"),
    "/endless": (endless(), "file too large: over 0.1 MB"),
    "/zipped": (page(zlib.compress(bytes(10**7)), Content_Encoding="deflate"), "file too large: over 0.1 MB"),
    "/badly-zipped": (page(b"no deflate", Content_Encoding="deflate"), "cannot be fetched: "),
    "/dropped": (drop(PICTURE[:50], promised=500), "the connection broke off"),
    "/silent": (hang, "no answer in time"),
    "/drip": (drip(PICTURE * 20, 0.02), "too slow: not whole after 1.2 s"),
    "/drip-header": (drip_header(0.02), "too slow: not whole after 1.2 s"),
    "/loop": (redirect("/loop"), "too many redirects"),
    "/to-gone": (redirect("/gone"), "the server answers 404 (Not Found)"),
    "/to-file": (redirect("file:///etc/passwd"), "cannot be fetched: "),
    "/to-nonsense": (redirect("http://["), "cannot be fetched: "),
    "/to-no-port": (redirect("http://127.0.0.1:99999/"), "cannot be fetched: "),
    "/to-long-name": (redirect(f"http://{'a' * 70}.example/"), "cannot be fetched: "),
    "/endless-redirect": (endless(302, Location="/gone"), "file too large: over 0.1 MB"),
}


def test_every_failure_has_a_reason_for_an_annotator_and_stops_no_other(web: WebServer, tmp_path: Path) -> None:
    expected = {web.give(path, answer): reason for path, (answer, reason) in FAULTS.items()}
    expected[f"http://127.0.0.1:{closed_port()}/x.png"] = "cannot connect"
    expected["http://no-such-host.invalid/x.png"] = "the server's name is not known"
    expected[f"https://127.0.0.1:{web.port}/x.png"] = "no secure connection"
    good = web.give("/good.png", PICTURE)
    found = outcomes(tmp_path, *expected, good, workers=len(expected) + 1)
    assert isinstance(found.pop(good), FetchRecord)
    wrong = {url: reason for url, reason in found.items() if not str(reason).startswith(expected[url])}
    assert wrong == {}


def test_a_reason_says_nothing_that_changes_from_pass_to_pass(web: WebServer, tmp_path: Path) -> None:
    """The reason stands in the sheet: one that names a temporary file would be written again every time."""
    wholes = [picture(kind, (32, 32)) for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")]
    broken = [whole[:at] for whole in wholes for at in (9, 20, 60, len(whole) // 2, len(whole) - 3)]
    broken += [whole[:at] + b"\xff\x00" * 4 + whole[at + 8 :] for whole in wholes for at in range(4, 120, 7)]
    urls = [web.give(f"/{number}", content) for number, content in enumerate(broken)]
    assert outcomes(tmp_path / "one", *urls) == outcomes(tmp_path / "two", *urls)


def test_what_a_server_says_beside_a_number_is_not_repeated(web: WebServer, tmp_path: Path) -> None:
    def rude(handler: Any) -> None:
        handler.send_response(404, "=HYPERLINK() \x07" * 100)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    assert outcome(tmp_path, web.give("/rude", rude)) == (
        "the server answers 404 (Not Found): look in a browser whether the image is still there"
    )


# --- what comes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("BMP", ".bmp"), ("TIFF", ".tiff"), ("MPO", ".jpg")],
)
def test_the_suffix_is_that_of_the_content(web: WebServer, tmp_path: Path, kind: str, suffix: str) -> None:
    more = {"save_all": True, "append_images": [Image.new("RGB", (8, 8))]} if kind == "MPO" else {}
    content = picture(kind, **more)
    record = outcome(tmp_path, web.give("/picture.gif", page(content, "text/html")))
    assert isinstance(record, FetchRecord)
    assert record.suffix == suffix
    assert ImageStore(tmp_path / "objects").path(record.digest, suffix).read_bytes() == content


def test_an_image_that_came_once_is_at_hand(web: WebServer, tmp_path: Path) -> None:
    url = web.give("/1.png", PICTURE)
    store, downloads = ImageStore(tmp_path / "objects"), [Download(Row(2, image_key(url), url))]
    assert split_cached(downloads, store) == ([], downloads)
    record = outcome(tmp_path, url)
    assert split_cached(downloads, store) == ([record], [])


# --- again or not ---------------------------------------------------------------------------------


def test_what_may_pass_is_tried_again_and_what_will_not_is_not(web: WebServer, tmp_path: Path) -> None:
    passing = {
        "/once-500": (status(500), PICTURE),
        "/twice-503": (status(503), status(503), PICTURE),
        "/busy": (status(429, Retry_After="1"), PICTURE),
        "/dropped": (drop(PICTURE[:40], promised=len(PICTURE)), PICTURE),
        "/silent": (hang, PICTURE),
    }
    lasting = {"/gone": (status(404), PICTURE), "/page": (HTML, PICTURE), "/heavy": (bytes(100_001), PICTURE)}
    urls = {path: web.give(path, *answers) for path, answers in (passing | lasting).items()}
    found = outcomes(tmp_path, *urls.values(), attempts=3)
    assert {path for path, url in urls.items() if isinstance(found[url], FetchRecord)} == set(passing)
    assert {path: web.asked.count(path) for path in urls} == dict.fromkeys(urls, 2) | {
        "/twice-503": 3,
        **dict.fromkeys(lasting, 1),
    }


def test_attempts_are_counted(web: WebServer, tmp_path: Path) -> None:
    url = web.give("/down", status(503))
    outcome(tmp_path, url, attempts=1)
    assert web.asked == ["/down"]


def test_a_server_that_asks_for_a_pause_gets_one(web: WebServer, tmp_path: Path) -> None:
    """Our own first pause is 1.1 s at most."""
    import time

    seen: list[float] = []

    def busy(handler: Any) -> None:
        seen.append(time.monotonic())
        (status(429, Retry_After="2") if len(seen) == 1 else page(PICTURE))(handler)

    assert isinstance(outcome(tmp_path, web.give("/busy", busy)), FetchRecord)
    assert seen[1] - seen[0] >= 2


def test_who_wants_a_long_pause_is_waited_for_by_a_later_pass(web: WebServer, tmp_path: Path) -> None:
    url = web.give("/closed", status(429, Retry_After="3600"), PICTURE)
    (failure,) = failures(tmp_path, url)
    assert (failure.passing, failure.pause, web.asked) == (True, 3600, ["/closed"])


def test_a_host_that_wants_a_long_pause_is_left_alone_and_all_its_images_are_told_of(
    web: WebServer, tmp_path: Path
) -> None:
    urls = [web.give(f"/{number}", status(503, Retry_After="99999999")) for number in range(1500)]
    found = failures(tmp_path, *urls, workers=8, per_host=8)
    reason = "the server answers 503 (Service Unavailable)"
    assert {(each.reason, each.pause) for each in found} == {
        (reason, 24 * 3600),
        (f"{LEFT_FOR_LATER}{reason}", 24 * 3600),
    }
    assert len(found) == len(urls)
    assert len(web.asked) < len(urls) / 3


def test_a_host_that_wants_one_short_pause_after_another_holds_no_pass(web: WebServer, tmp_path: Path) -> None:
    urls = [web.give(f"/{number}", status(429, Retry_After="0")) for number in range(1500)]
    found = failures(tmp_path, *urls, workers=8, per_host=8, attempts=3)
    reason = "the server answers 429 (Too Many Requests)"
    assert {(each.reason, each.pause) for each in found} == {(reason, 0), (f"{LEFT_FOR_LATER}{reason}", 0)}
    assert len(found) == len(urls)
    assert len(web.asked) < len(urls) / 3


@pytest.mark.parametrize("answer", [hang, drip(PICTURE * 99, 0.01)])
def test_a_host_that_gives_nothing_in_time_again_and_again_holds_no_pass(
    web: WebServer, tmp_path: Path, answer: Answer
) -> None:
    urls = [web.give(f"/{number}", answer) for number in range(300)]
    patience = {"read_seconds": 0.1, "total_seconds": 0.2, "attempts": 1}
    found = failures(tmp_path, *urls, workers=8, per_host=8, **patience)
    assert len(found) == len(urls)
    assert len(web.asked) < len(urls) / 3
    assert all(each.passing for each in found if each.reason.startswith(LEFT_FOR_LATER))


def test_a_host_that_makes_each_image_first_and_asks_to_come_again_gives_all(web: WebServer, tmp_path: Path) -> None:
    making = status(503, Retry_After="0")
    urls = [web.give(f"/{number}", making, PICTURE) for number in range(2 * MAX_FAILURES)]
    found = outcomes(tmp_path, *urls, workers=8, per_host=8, attempts=2)
    assert [each for each in found.values() if isinstance(each, str)] == []


# --- manners --------------------------------------------------------------------------------------


def test_connections_are_kept(web: WebServer, tmp_path: Path) -> None:
    urls = [web.give(f"/{number}.png", png(number)) for number in range(20)]
    urls += [web.give(f"/to-{number}.png", redirect(f"/{number}.png")) for number in range(10)]
    assert all(isinstance(each, FetchRecord) for each in outcomes(tmp_path, *urls, workers=2).values())
    assert len(web.asked) == 40
    assert web.connections <= 2


def test_no_cookie_is_sent_back(web: WebServer, tmp_path: Path) -> None:
    first = web.give("/1.png", page(PICTURE, Set_Cookie="me=1; Path=/"))
    moved = web.give("/2.png", redirect("/1.png", Set_Cookie="me=2; Path=/"))
    outcomes(tmp_path, first, moved, moved + "?again", workers=1)
    assert len(web.headers) == 4
    assert not [headers for headers in web.headers if "Cookie" in headers]


def test_netrc_is_not_used(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert requests.utils.get_netrc_auth(web.address) == ("me", "secret")
    web.give("/1.png", PICTURE)
    outcome(tmp_path, web.give("/2.png", redirect("/1.png")))
    assert web.asked == ["/2.png", "/1.png"]
    assert not [headers for headers in web.headers if "Authorization" in headers]


# --- addresses inside the network -----------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0.0.0.0"],
)
def test_a_private_address_is_refused_however_it_is_written(web: WebServer, tmp_path: Path, host: str) -> None:
    web.give("/1.png", PICTURE)
    found = outcome(tmp_path, f"http://{host}:{web.port}/1.png", allow_private=False)
    assert str(found).startswith(("not a public address: allow_private = true", "cannot be fetched: "))
    assert web.asked == []


def test_a_private_address_is_refused_over_https_too(web: WebServer, tmp_path: Path) -> None:
    found = outcome(tmp_path, f"https://127.0.0.1:{web.port}/1.png", allow_private=False)
    assert str(found).startswith("not a public address")


def test_a_name_that_leads_inside_is_refused(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.give("/1.png", PICTURE)
    resolve_names(monkeypatch, pics_example=["127.0.0.1"])
    url = f"http://pics.example:{web.port}/1.png"
    assert isinstance(outcome(tmp_path, url), FetchRecord)
    assert str(outcome(tmp_path, url, allow_private=False)).startswith("not a public address")
    assert web.asked == ["/1.png"]


def test_a_redirect_from_outside_to_a_private_address_is_refused(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_public_address_here(monkeypatch)
    web.give("/secret.png", PICTURE)
    web.give("/open.png", PICTURE)
    web.give("/1.png", redirect(f"http://127.0.0.1:{web.port}/secret.png"))
    outside = f"http://pics.example:{web.port}"
    found = outcomes(tmp_path, f"{outside}/1.png", f"{outside}/open.png", allow_private=False)
    assert isinstance(found[f"{outside}/open.png"], FetchRecord)
    assert str(found[f"{outside}/1.png"]).startswith("not a public address")
    assert sorted(web.asked) == ["/1.png", "/open.png"]


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture
def sheet_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sheet"
    (folder / "pics" / "deep").mkdir(parents=True)
    (folder / "pics" / "one.jpeg").write_bytes(PICTURE)
    (folder / "alias.png").symlink_to("pics/one.jpeg")
    (tmp_path / "secret.png").write_bytes(png(2))
    return folder


def test_files_of_the_folder_arrive(sheet_folder: Path) -> None:
    found = outcomes(sheet_folder, "pics/one.jpeg", "alias.png")
    assert {each.suffix for each in found.values() if isinstance(each, FetchRecord)} == {".png"}
    assert len(found) == 2


def test_files_outside_the_folder_are_refused(sheet_folder: Path) -> None:
    outside = sheet_folder.parent / "secret.png"
    (sheet_folder / "link.png").symlink_to(outside)
    (sheet_folder / "pics" / "up").symlink_to(sheet_folder.parent)
    paths = ["../secret.png", str(outside), "link.png", "pics/up/secret.png", "pics/../../secret.png"]
    assert outcomes(sheet_folder, *paths) == {
        path: f"the path leads out of the folder of images: {path}" for path in paths
    }


def test_what_is_no_file_has_a_reason(sheet_folder: Path) -> None:
    (sheet_folder / "round.png").symlink_to("round.png")
    os.mkfifo(sheet_folder / "pipe.png")
    (sheet_folder / "text.png").write_text("hello")
    expected = {
        "none.png": "no such file: none.png",
        "www.example.org/x.png": "no such file: www.example.org/x.png; an address on the web begins with https://",
        "pics": "no such file: pics",
        "pipe.png": "no such file: pipe.png",
        "round.png": "no such file: round.png",
        "text.png": "not an image: unknown content",
        f"{'x' * 300}.png": f"the file cannot be read: {'x' * 300}.png (File name too long)",
    }
    assert outcomes(sheet_folder, *expected) == expected


def test_a_file_too_large_is_refused(sheet_folder: Path) -> None:
    (sheet_folder / "big.png").write_bytes(bytes(100_001))
    assert outcome(sheet_folder, "big.png") == "file too large: over 0.1 MB"


def test_a_reason_has_nothing_unseen_in_it(tmp_path: Path) -> None:
    def fetch(url: str, into: BinaryIO, validator: str = "") -> Fetched:
        raise FetchError("a\0b\nc" + 1000 * "d")

    row = Row(2, "0" * 20, "http://h/a.png")
    (failure,) = download([Download(row)], ImageStore(tmp_path), fetch, Limits())
    assert isinstance(failure, Failure)
    assert failure.reason == "a�b�c" + 495 * "d" + "…"


def test_an_open_and_a_closed_port_inside_the_network_look_the_same(web: WebServer, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        reasons = outcomes(tmp_path, f"{web.address}/1.png", f"http://127.0.0.1:{port}/1.png", allow_private=False)
    assert len(set(map(str, reasons.values()))) == 1
    assert "127.0.0.1" not in str(reasons[f"{web.address}/1.png"])


def test_a_damaged_object_is_fetched_again(web: WebServer, tmp_path: Path) -> None:
    store, row = ImageStore(tmp_path), Row(2, "0" * 20, web.give("/1.png", PICTURE))
    fetch = fetcher_for(tmp_path, Limits(allow_private=True))
    (record,) = download([Download(row)], store, fetch, Limits())
    assert isinstance(record, FetchRecord)
    assert split_cached([Download(row)], store) == ([record], [])
    path = store.path(record.digest, record.suffix)
    path.unlink()
    path.write_bytes(b"")
    assert split_cached([Download(row)], store) == ([], [Download(row)])
