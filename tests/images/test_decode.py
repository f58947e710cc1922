"""Decoding and rendering: the original is kept, the dataset shows what people see, and the perceptual hash."""

from __future__ import annotations

import io
from pathlib import Path

import imagehash
import pytest
from PIL import Image

from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.plan import SplitFractions
from sheetsync.images.decode.decode import Picture, decode, register_decoders
from sheetsync.images.decode.formats import declares_at_most
from sheetsync.images.download import download, split_cached
from sheetsync.images.fetch.base import FetchError, Limits
from sheetsync.images.fetch.sources import fetcher_for
from sheetsync.images.records import Download, FetchRecord
from sheetsync.images.store import ImageStore
from sheetsync.rows.cells import image_key
from sheetsync.rows.records import Row
from tests.helpers.hostile_files import ALPHA, COLOURED, encode, even, exif, rotate_for
from tests.helpers.webserver import page, serving


def decode_bytes(content: bytes) -> Picture:
    register_decoders()
    return decode(io.BytesIO(content), 10**8)


def test_the_original_is_kept_as_it_came_and_the_mirror_shows_the_rendering(tmp_path: Path) -> None:
    content = encode(ALPHA, "PNG")
    store, limits = ImageStore(tmp_path / "objects"), Limits(allow_private=True)
    mirror = Mirror(tmp_path / "dataset", store)
    with serving() as web:
        url = web.give("/1", page(content))
        row = Row(2, image_key(url), url, "a", "train")
        downloads = [Download(row)]
        fetch = fetcher_for(tmp_path, limits)
        (record,) = mirror.receive([row], download(downloads, store, fetch, limits), SplitFractions())
        assert isinstance(record, FetchRecord)
        assert store.path(record.digest, record.original_suffix).read_bytes() == content
        (shown,) = (tmp_path / "dataset").rglob("*.png")
        assert shown.samefile(store.rendered_path(record))
        with Image.open(shown) as image:
            assert (image.mode, image.getpixel((8, 40))) == ("RGB", (255, 255, 255))
        assert split_cached(downloads, store) == ([record], [])
        shown.unlink()
        assert list(mirror.receive([row], split_cached(downloads, store)[0], SplitFractions())) == [record]
        assert shown.samefile(store.rendered_path(record))
        store.rendered_path(record).unlink()
        assert split_cached(downloads, store) == ([], downloads)
        assert web.asked == ["/1"]


def test_a_rendering_tells_nothing_of_where_it_was_taken() -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        shown = decode_bytes(
            encode(rotate_for(COLOURED, 6).resize((480, 320)), kind, exif=exif(6), dpi=(72, 72))
        ).rendered
        with Image.open(io.BytesIO(shown)) as image:
            assert not image.getexif()
            assert not set(image.info) & {"exif", "xmp", "icc_profile", "comment"}


def test_photos_stay_small_and_drawings_exact() -> None:
    photo = Image.effect_noise((800, 600), 40).convert("RGB")
    photographed = decode_bytes(encode(photo, "JPEG", exif=exif(3)))
    assert (photographed.suffix, photographed.rendered_suffix) == (".jpg", ".jpg")
    drawing = decode_bytes(encode(photo, "GIF"))
    assert (drawing.suffix, drawing.rendered_suffix) == (".gif", ".png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_what_begins_with_its_size_is_known_to_be_modest_or_not(kind: str, mode: str) -> None:
    content = encode(Image.new(mode, (40, 30)), kind)
    assert declares_at_most(content, 1200)
    assert not declares_at_most(content, 1199)


def test_who_looks_at_what_does_not_begin_with_its_size_is_safe() -> None:
    """A picture of unstated size counts as large, and what is no picture as small."""
    small = Image.new("L", (8, 8))
    inner = encode(small, "JPEG")
    assert not declares_at_most(encode(small, "TIFF"), 10**9)
    assert not declares_at_most(encode(small, "AVIF"), 10**9)
    assert not declares_at_most(b"\xff\xd8\xff\xe0", 10**9)
    outer = encode(Image.new("L", (99, 99)), "JPEG")
    assert not declares_at_most(outer[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2) + inner + outer[2:], 99)
    assert declares_at_most(b"", 0)
    assert declares_at_most(b"<html>", 0)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_the_hash_of_a_small_picture_is_that_of_the_library(kind: str) -> None:
    image = Image.effect_noise((90, 70), 60).convert("RGB")
    content = encode(image, kind)
    plain = Image.open(io.BytesIO(content)).convert("RGB")
    assert decode_bytes(content).phash == str(imagehash.phash(plain))


def test_a_picture_looks_alike_in_every_format_and_size() -> None:
    image = Image.effect_noise((9, 7), 90).resize((900, 700), Image.Resampling.BICUBIC).convert("RGB")
    smaller = image.resize((300, 233), Image.Resampling.LANCZOS)
    files = [encode(image, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "AVIF")] + [encode(smaller, "JPEG")]
    hashes = [int(decode_bytes(content).phash, 16) for content in files]
    assert max((one ^ hashes[0]).bit_count() for one in hashes) <= 6


def test_flat_pictures_have_a_hash() -> None:
    hashes = {decode_bytes(even(9, 9, 2, value=bytes([value]))).phash for value in range(1, 256)}
    assert hashes == {"8000000000000000"}
    assert decode_bytes(even(9, 9, 2)).phash == "0" * 16


def test_heic_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    register_decoders()
    monkeypatch.delitem(Image.OPEN, "HEIF")
    with pytest.raises(FetchError, match=r"pip install 'sheetsync\[heic\]'"):
        decode(io.BytesIO(b"\0\0\0\x18ftypheic" + bytes(20)), 100)
