"""What `sheetsync` and `training` both compute, each by its own code because neither imports the other, stays equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from sheetsync.images.decode.render import exif_orientation, to_rgb
from sheetsync.versions import compare
from training.data.decode import read_rgb
from training.fitting import metrics


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_both_give_the_same_wilson_interval(trials: tuple[int, int]) -> None:
    assert compare.wilson(*trials) == pytest.approx(metrics.wilson(*trials), abs=1e-12)


@pytest.mark.parametrize("turned", range(10))  # 1 to 8 have a meaning
@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
def test_both_turn_an_image_upright_by_its_exif_in_the_same_way(tmp_path: Path, suffix: str, turned: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turned
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        image.load()
        shown = np.asarray(to_rgb(image, exif_orientation(image), pixels.size))
    np.testing.assert_array_equal(shown, read_rgb(path))
    assert shown.shape == ((16, 8, 3) if 5 <= turned <= 8 else pixels.shape)
