"""Hostile and odd files: each becomes a picture as people see it or has its reason, within 1 GB of memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sheetsync.images.records import FetchRecord
from sheetsync.images.store import ImageStore
from tests.helpers.hostile_files import CASES, Expected, encode, even
from tests.helpers.limited import run_limited
from tests.helpers.webserver import page, serving

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is bounded on Linux alone"),
    pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Tag data larger"),  # of plain loaders
]
PROGRAM = str(Path(__file__).parent.parent / "helpers" / "download_program.py")


def download_limited(folder: Path, urls: list[str], workers: int) -> dict[str, Any]:
    """Download addresses in a process with a memory limit, and return the result of each."""
    output, peak = run_limited([PROGRAM, str(folder), str(workers)], 1000, given=json.dumps(urls))
    print(f"{len(urls)} files took {peak:.0f} MB at most")  # noqa: T201  # pytest -s shows it
    assert peak < 1000
    results: dict[str, Any] = json.loads(output)
    assert len(results) == len(urls)
    return results


def problem_with(folder: Path, result: Any, expected: Expected | str) -> str:
    """Return what is wrong with the result of a file; "" = nothing."""
    if isinstance(expected, str) or isinstance(result, str):
        right = isinstance(expected, str) and isinstance(result, str) and result.startswith(expected)
        return "" if right else f"{result} in place of {expected}"
    digest, suffix, original, phash = result
    objects = ImageStore(folder / "objects")
    if (original or suffix, suffix if original else "") != (expected.suffix, expected.rendered) or len(phash) != 16:
        return f"{result} in place of {expected}"
    with Image.open(objects.rendered_path(FetchRecord("", digest, suffix, original))) as image:
        if original and (image.mode not in ("RGB", "L") or image.getexif() or set(image.info) - JFIF_KEYS):
            return f"{image.mode} with {image.info}"
        return differences(image.convert("RGB"), expected)


DECODE_64_TIMES = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from sheetsync.images.decode.decode import decode, register_decoders
all_started = threading.Barrier(64)
def suffix(_):
    with open(sys.argv[1], "rb") as file:
        all_started.wait()
        return decode(file, 100).suffix
register_decoders()
with ThreadPoolExecutor(64) as pool:
    print({*pool.map(suffix, range(64))})
"""


def test_files_that_are_large_themselves_are_not_all_in_memory_at_once(tmp_path: Path) -> None:
    picture, path = encode(Image.new("L", (8, 8)), "JPEG"), tmp_path / "long.jpg"
    path.write_bytes(picture[:2] + (b"\xff\xfe\xff\xff" + bytes(65_533)) * 450 + picture[2:])
    output, peak = run_limited(["-c", DECODE_64_TIMES, str(path)], 1000)
    assert output == "{'.jpg'}"
    assert peak < 700


JFIF_KEYS = {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def differences(image: Image.Image, expected: Expected) -> str:
    wide, high = image.size
    places = [(x * wide // 4, y * high // 4) for y in (1, 3) for x in (1, 3)]
    found = [image.getpixel(place) for place in places]
    colours = [(each,) * 3 if isinstance(each, int) else each for each in expected.corners]
    pairs = zip((v for pixel in found for v in pixel), (v for colour in colours for v in colour), strict=True)  # type: ignore[union-attr]
    near = all(abs(one - other) <= expected.off for one, other in pairs)
    return "" if near and image.size == expected.size else f"{image.size} {found} in place of {expected}"


def test_every_file_is_shown_as_people_see_it_or_has_its_reason(tmp_path: Path) -> None:
    cases = CASES()
    assert len(cases) > 150
    with serving() as web:
        urls = {web.give(f"/{name}", page(content)): expected for name, (content, expected) in cases.items()}
        results = download_limited(tmp_path, list(urls), workers=32)
    wrong = {url.rpartition("/")[2]: problem_with(tmp_path, results[url], expected) for url, expected in urls.items()}
    report = "\n".join(f"{name}: {problem}" for name, problem in wrong.items() if problem)
    assert report == "", report


def test_neither_names_nor_what_a_server_says_of_the_content_matter(tmp_path: Path) -> None:
    cases = {name: case for name, case in CASES().items() if name in ("jpeg", "png-alpha", "gif", "html", "pdf")}
    kinds = ("text/html", "image/svg+xml", "application/octet-stream", "")
    with serving() as web:
        urls = {
            web.give(f"/{number}/{name}.{end}", page(content, kind)): expected
            for name, (content, expected) in cases.items()
            for number, (kind, end) in enumerate(zip(kinds, ("png", "html", "exe", "jpg"), strict=True))
        }
        results = download_limited(tmp_path, list(urls), workers=4)
    assert [
        problem for url, expected in urls.items() if (problem := problem_with(tmp_path, results[url], expected))
    ] == []


def test_pictures_of_100_megapixels_pass_together(tmp_path: Path) -> None:
    """Each would take 400 MB if it were decoded as a whole."""
    side = 10_000
    grey = Image.new("L", (side, side), 90)
    files = {
        "colours.png": (even(side, side, 2), Expected(".png", corners=(0,) * 4, size=(side, side))),
        "alpha.png": (even(side, side, 6), Expected(".png", ".png", (255,) * 4, (3334, 3334))),
        "deep.png": (even(side, side, 0, 16, b"\x5a"), Expected(".png", ".png", (90,) * 4, (3334, 3334))),
        "deep-colours.png": (even(side, side, 2, 16), Expected(".png", corners=(0,) * 4, size=(side, side))),
        "photo.jpg": (encode(grey, "JPEG"), Expected(".jpg", corners=(90,) * 4, size=(side, side), off=2)),
        "scan.jpg": (
            encode(grey, "JPEG", progressive=True),
            Expected(".jpg", corners=(90,) * 4, size=(side, side), off=2),
        ),
        "drawing.gif": (encode(grey, "GIF"), Expected(".gif", ".png", (90,) * 4, (3334, 3334))),
    }
    coloured = encode(
        grey.convert("RGB"),
        "JPEG",
        progressive=True,
        subsampling=0,
        exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    )
    files["turned.jpg"] = (coloured, Expected(".jpg", ".jpg", (90,) * 4, (2500, 2500), off=2))
    for name, (content, _) in files.items():
        (tmp_path / name).write_bytes(content)
    results = download_limited(tmp_path, list(files), workers=8)
    Image.MAX_IMAGE_PIXELS, before = None, Image.MAX_IMAGE_PIXELS
    try:
        problems = {name: problem_with(tmp_path, results[name], expected) for name, (_, expected) in files.items()}
    finally:
        Image.MAX_IMAGE_PIXELS = before
    assert problems == dict.fromkeys(files, "")
