"""From a folder of images to decoded arrays."""

import hashlib
import shutil
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from training.data.decode import read_resized, read_rgb, resize_plain
from training.data.folder import EXTENSIONS, check_trainable, scan
from training.data.images import decode_images
from training.errors import DataError
from training.recipe import RECIPES

ROMAN = RECIPES["roman-resnet50"]


def put(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((9, 7, 3), value, np.uint8)).save(path)
    return path


@pytest.fixture
def tree(tmp_path):
    for i, name in enumerate(["train/b/1.png", "train/a/2.JPG", "val/a/3.webp", "test/c/4.bmp", "unlabelled/5.tiff"]):
        put(tmp_path / name, i)
    return tmp_path


def images_of(data, cache, recipe=ROMAN):
    with decode_images(data, recipe, cache, lambda *_: None) as store:
        return store.open()[:]


def test_every_image_is_found_with_its_split_label_and_content(tree):
    data = scan(tree)
    paths = ["test/c/4.bmp", "train/a/2.JPG", "train/b/1.png", "unlabelled/5.tiff", "val/a/3.webp"]
    assert [sample.path for sample in data.samples] == paths
    assert [(sample.split, sample.label) for sample in data.samples][2:4] == [("train", "b"), ("unlabelled", "")]
    assert data.samples[2].digest == hashlib.sha256((tree / "train/b/1.png").read_bytes()).hexdigest()
    assert data.classes == ["a", "b", "c"]
    assert data.targets().tolist() == [2, 0, 1, -1, 0]
    assert data.positions("val", "train").tolist() == [1, 2, 4]
    assert data.sizes() == {"train": 2, "val": 1, "test": 1, "unlabelled": 1}
    assert data.counts() == {"train": {"a": 1, "b": 1}, "val": {"a": 1}, "test": {"c": 1}}
    assert data.untrained_classes() == ["c"]


def test_what_is_no_image_or_hidden_is_left_aside(tree):
    before = scan(tree)
    for name in [
        "train/a/.hidden.png",
        "train/.cache/x.png",
        "other/a/x.png",
        "train/loose.png",
        ".sheet/train/a/x.png",
    ]:
        put(tree / name)
    (tree / "train/a/notes.txt").write_text("not an image")
    (tree / "train/a/gone.png").symlink_to("nowhere.png")
    assert scan(tree).samples == before.samples


def test_an_image_that_changes_after_it_was_found_is_not_kept_as_the_one_that_was_found(tree):
    data = scan(tree)
    before = (tree / "train/b/1.png").read_bytes()
    put(tree / "train/b/1.png", 99)
    with pytest.raises(DataError, match=r"train/b/1\.png: the image was changed"):
        images_of(data, tree / ".runs")
    (tree / "train/b/1.png").write_bytes(before)
    assert images_of(data, tree / ".runs")[2].max() == 0


def test_train_has_the_images_that_imagefolder_finds(tree):
    put(tree / "train/b/deeper/6.png")
    wanted = ImageFolder(str(tree / "train"))
    data = scan(tree)
    assert EXTENSIONS == IMG_EXTENSIONS
    assert [str(tree / data.samples[i].path) for i in data.positions("train")] == [path for path, _ in wanted.imgs]


def test_the_digest_changes_with_a_path_and_with_a_content(tree):
    digests = {scan(tree).digest}
    (tree / "train/a/2.JPG").rename(tree / "train/b/2.JPG")
    digests.add(scan(tree).digest)
    put(tree / "train/b/2.JPG", 99)
    digests.add(scan(tree).digest)
    assert len(digests) == 3
    assert scan(tree).digest in digests


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 32), (20, 300), (1, 1), (7, 33), (500, 375)])
def test_resizing_equals_torchs_bilinear_without_antialias(height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    wanted = torch.nn.functional.interpolate(tensor, size=(32, 32), mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(resize_plain(image, 32), wanted.permute(1, 2, 0).numpy(), atol=2e-3)


def test_resizing_equals_a_computation_by_hand():
    # One row of four pixels to two: centres at 0.5 and 2.5, half way between neighbours.
    image = np.array([[0, 10, 100, 250]], np.uint8)[:, :, None].repeat(3, axis=2)
    assert resize_plain(image, 2)[:, :, 0].tolist() == [[5, 175], [5, 175]]
    # Eight pixels to two: centres at 1.5 and 5.5; antialiasing would have seen the 255 at the ends.
    image = np.array([[255, 0, 2, 0, 0, 4, 8, 255]], np.uint8)[:, :, None].repeat(3, axis=2)
    assert resize_plain(image, 2)[:, :, 0].tolist() == [[1, 6], [1, 6]]


def test_values_are_not_rounded():
    image = np.array([[0, 1]], np.uint8)[:, :, None].repeat(3, axis=2)
    assert resize_plain(image, 1).tolist() == [[[0.5] * 3]]


def grey(value, mode="L"):
    return Image.new(mode, (8, 8), value)


def palette_with_hole():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([9, 9, 9, 200, 100, 50])
    image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (grey(77), (77, 77, 77)),
        (grey(1, "1"), (255, 255, 255)),
        (grey((200, 100, 50), "RGB").convert("P", palette=Image.Palette.ADAPTIVE), (200, 100, 50)),
        (palette_with_hole(), (255, 255, 255)),
        (grey((200, 100, 50, 255), "RGBA"), (200, 100, 50)),
        (grey((0, 0, 0, 0), "RGBA"), (255, 255, 255)),
        (grey((60, 128), "LA"), (157, 157, 157)),
        (Image.fromarray(np.full((8, 8), 77 * 257, np.uint16)), (77, 77, 77)),
        (Image.fromarray(np.full((8, 8), 65535, np.uint16)), (255, 255, 255)),
        (Image.fromarray(np.full((8, 8), 77 * 257, np.int32)), (77, 77, 77)),
    ],
    ids=[
        "grey",
        "bit",
        "palette",
        "palette-hole",
        "alpha",
        "hole",
        "grey-alpha",
        "16-bit",
        "16-bit-white",
        "16-bit-in-32",
    ],
)
def test_every_kind_of_image_becomes_rgb(tmp_path, image, wanted):
    path = tmp_path / ("x.tiff" if image.mode == "I" else "x.png")
    image.save(path)
    pixels = read_rgb(path)
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint8
    assert np.unique(pixels.reshape(-1, 3), axis=0).tolist() == [list(wanted)]


PHOTO = replace(RECIPES["resnet50"], image_size=64, crop_size=48)


@pytest.mark.parametrize("recipe", [ROMAN, PHOTO], ids=lambda recipe: recipe.resize)
def test_images_stand_in_the_order_of_the_samples(tree, tmp_path, recipe):
    data = scan(tree)
    images = images_of(data, tmp_path / "cache", recipe)
    assert images.dtype == (np.float32 if recipe is ROMAN else np.uint8)
    values = [int(sample.path.split("/")[-1][0]) - 1 for sample in data.samples]
    assert np.abs(images.mean((1, 2, 3)) - values).max() < 1.5  # JPEG and WebP are a little off


def test_a_relabel_decodes_nothing_and_equal_images_are_decoded_once(tree, tmp_path):
    before = images_of(scan(tree), tmp_path / "cache")
    for path in tree.rglob("*.*"):
        if path.parent != tmp_path / "cache" and path.suffix == ".bmp":
            shutil.copy(path, path.with_name("twin.bmp"))
    images_of(scan(tree), tmp_path / "cache")
    (tree / "train/b/1.png").rename(put(tree / "train/c/1.png"))
    heard = []
    with decode_images(scan(tree), ROMAN, tmp_path / "cache", lambda *progress: heard.append(progress)) as store:
        after = store.open()
    assert heard == []
    assert len(after.rows) == len(before) == 5
    assert len(after) == 6


def test_a_photo_is_shrunk_with_all_its_pixels(tmp_path):
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (9, 7, 3), np.uint8)).resize((500, 400), Image.Resampling.BICUBIC)
    image.save(tmp_path / "x.png")
    image.save(tmp_path / "x.jpg", quality=95)
    wanted = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    wanted = torch.nn.functional.interpolate(wanted, size=(64, 64), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    for name, most in (("x.png", 1.0), ("x.jpg", 6.0)):  # a JPEG is decoded at half of its size
        assert np.abs(read_resized(tmp_path / name, "antialias", 64) - wanted.numpy()).mean() < most


@pytest.mark.parametrize("content", [b"", b"not an image", "cut"])
def test_a_broken_image_is_named(tree, content):
    path = tree / "train/a/broken.png"
    if content == "cut":
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8))
        image.save(path)
        content = path.read_bytes()[:2000]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train/a/broken\.png"):
        images_of(scan(tree), tree / ".cache")


def test_no_folder_no_train_images_one_class_and_too_many_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        scan(tmp_path / "nowhere")
    put(tmp_path / "val/a/1.png")
    with pytest.raises(DataError, match="no images in train"):
        check_trainable(scan(tmp_path), ROMAN)
    put(tmp_path / "train/a/1.png")
    with pytest.raises(DataError, match=r"one class only \(a\)"):
        check_trainable(scan(tmp_path), ROMAN)
    put(tmp_path / "train/b/1.png")
    check_trainable(scan(tmp_path), replace(ROMAN, max_images=3))
    counts = r"3 images in train and val; roman-resnet50 allows 2: .* \(train 2: a 1, b 1; val 1: a 1\)"
    with pytest.raises(DataError, match=counts):
        check_trainable(scan(tmp_path), replace(ROMAN, max_images=2))


def test_of_many_classes_the_largest_are_told(tmp_path):
    for number in range(23):
        put(tmp_path / f"train/{number:02d}/1.png")
    put(tmp_path / "train/22/2.png")
    with pytest.raises(DataError, match=r"\(train 24: 22 2, 00 1, .*, 18 1, 3 more classes 3\)"):
        check_trainable(scan(tmp_path), replace(ROMAN, max_images=2))


def test_a_very_wide_image_takes_no_more_memory_than_its_pixels():
    image = np.zeros((2, 1_000_000, 3), np.uint8)
    tracemalloc.start()
    try:
        assert resize_plain(image, 32).shape == (32, 32, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


CORNERS = np.zeros((48, 32, 3), np.uint8)  # red, green, blue, white by quarters
CORNERS[:24, :16, 0] = CORNERS[:24, 16:, 1] = CORNERS[24:, :16, 2] = 255
CORNERS[24:, 16:] = 255
AS_STORED = {  # EXIF says how what is stored has to be turned; this is the inverse of each
    1: CORNERS,
    2: CORNERS[:, ::-1],
    3: CORNERS[::-1, ::-1],
    4: CORNERS[::-1],
    5: CORNERS.transpose(1, 0, 2),
    6: np.rot90(CORNERS),
    7: CORNERS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(CORNERS, -1),
}


@pytest.mark.parametrize("turned", AS_STORED)
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.tiff"])
def test_a_picture_is_upright_whatever_way_its_camera_was_held(tmp_path, name, turned):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turned
    more = {"lossless": True} if name == "x.webp" else {"quality": 100, "subsampling": 0} if name == "x.jpg" else {}
    Image.fromarray(AS_STORED[turned]).save(tmp_path / name, exif=exif, **more)
    assert np.abs(read_rgb(tmp_path / name).astype(int) - CORNERS).max() <= (4 if name == "x.jpg" else 0)
    wanted = Image.fromarray(CORNERS).resize((16, 16), Image.Resampling.BILINEAR)
    for resize, exact in (("antialias", wanted), ("plain", resize_plain(CORNERS, 16))):
        assert np.abs(read_resized(tmp_path / name, resize, 16) - np.asarray(exact, float)).mean() < 8


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow's, while it opens the file
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nothing", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_broken_exif_hides_no_picture(tmp_path, exif):
    Image.fromarray(CORNERS).save(tmp_path / "x.jpg", exif=b"Exif\0\0" + exif, quality=100, subsampling=0)
    assert np.abs(read_rgb(tmp_path / "x.jpg").astype(int) - CORNERS).max() <= 4
