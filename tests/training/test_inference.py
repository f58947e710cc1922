"""A trained model in Python: what it says is what its run says, and what it is given is what training sees."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import training
from sheetsync.rows import folder_names
from tests.helpers.training_tree import folder_of, metrics_of, save, square, train, write_example, write_recipe
from training.data import decode
from training.inference import label_from_folder

ATOL = 2e-5  # of a probability: fp32, with another number of threads, and six decimals in the CSV


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with a class whose folder has an escaped name, and photographs of several sizes."""
    place = write_example(tmp_path_factory.mktemp("inference"))
    for split in ("train", "val", "test"):
        (place / "data" / split / "red").rename(place / "data" / split / "r%2Fed")
    save(place / "data/unlabelled/wide.png", square(3, 1).resize((90, 20)))
    save(place / "data/unlabelled/see-through.png", Image.new("RGBA", (50, 40), (0, 200, 0, 99)))
    return place


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    write_recipe(place / "tiny.json", precision="fp32", folds=1, epochs=4)
    return folder_of(train(place / "data", place / "tiny.json", place / "runs", "--json"))


@pytest.fixture(scope="module")
def model(run: Path) -> training.LoadedModel:
    return training.load_model(run)


def images(place: Path, split: str) -> list[Path]:
    return sorted((place / "data" / split).rglob("*.png"))


def test_the_model_says_what_the_runs_own_program_says(place: Path, run: Path, model: training.LoadedModel) -> None:
    out = place / "asked.csv"
    command = [sys.executable, "-m", "training.predict", run, place / "data", "--split", "unlabelled", "--out", out]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    asked = pd.read_csv(out, keep_default_na=False)
    files = [place / "data" / file for file in asked.file]
    found = model.predict(files)  # (N, K)
    assert len(files) == 3
    assert found.dtype == np.float32
    assert [model.folders[number] for number in found.argmax(1)] == list(asked.prediction)
    np.testing.assert_allclose(found.max(1), asked.confidence, atol=ATOL)


def test_the_model_says_what_stands_in_the_run(place: Path, run: Path, model: training.LoadedModel) -> None:
    rows = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    main = rows.index[rows.split != "train"]
    found = model.predict([place / "data" / file for file in rows.file[main]])
    np.testing.assert_allclose(found, np.load(run / "probs.npy")[main], atol=1e-3)  # float16
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert found.std() > 0.05, "a model that says the same of all would pass as well"


def test_the_module_maps_preprocessed_images_to_the_logits_of_the_probabilities(
    place: Path, model: training.LoadedModel
) -> None:
    files = images(place, "val")
    batch = torch.stack([model.preprocess(file) for file in files])
    assert batch.shape == (len(files), 3, 32, 32)
    assert batch.dtype == torch.float32
    with torch.inference_mode():
        batch = batch.to(model.module.dense.weight.device)
        logits, vectors = model.module(batch), model.module.embed(batch)
    assert logits.shape == (len(files), 3)
    assert len(vectors) == len(files)
    np.testing.assert_allclose(logits.softmax(1).cpu(), model.predict(files), atol=ATOL)


def test_a_model_is_loaded_for_inference(run: Path) -> None:
    assert not training.load_model(run).module.training, "BatchNorm would take in what it is asked about"


def test_classes_are_labels_and_folders_their_names(run: Path, model: training.LoadedModel) -> None:
    assert model.folders == metrics_of(run)["classes"] == ["blue", "green", "r%2Fed"]
    assert model.classes == ["blue", "green", "r/ed"]
    assert model.recipe.epochs == 4


@given(st.text(min_size=1, max_size=8) | st.sampled_from(["50%", "a%2fb", "con", "e\u0301", "%"]))
def test_a_label_is_read_from_a_folder_as_sheetsync_reads_it(name: str) -> None:
    assert label_from_folder(name) == folder_names.label_of(name)


@pytest.mark.parametrize("resize", ["plain", "antialias"])
@pytest.mark.parametrize("kind", ["turned", "large", "see-through", "grey"])
def test_an_image_is_seen_as_in_training_from_its_file_and_opened(
    tmp_path: Path, model: training.LoadedModel, resize: str, kind: str
) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (70, 50, 3), np.uint8))
    path = tmp_path / ("image.png" if kind == "see-through" else "image.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    made = {
        "turned": noise,
        "large": noise.resize((7, 5)).resize((900, 700)),
        "see-through": Image.new("RGBA", (9, 12), (1, 2, 3, 99)),
        "grey": noise.convert("L"),
    }
    made[kind].save(path, **({"exif": turned} if kind == "turned" else {}))
    other = replace(model, recipe=replace(model.recipe, resize=resize))
    seen = other.preprocess(path)
    assert np.array_equal(seen.permute(1, 2, 0), decode.read_resized(path, resize, 32))
    with Image.open(path) as image:
        size = image.size
        opened = other.preprocess(image)
        assert image.size == size, "it stays as it is"
    decoded_smaller = kind == "large" and resize == "antialias"
    assert (opened - seen).abs().max() <= (4 if decoded_smaller else 0)
    np.testing.assert_allclose(other.predict(str(path)), other.predict([path]), atol=0)


def test_nothing_and_one_image_may_be_asked_about(place: Path, model: training.LoadedModel) -> None:
    assert model.predict([]).shape == (0, 3)
    one = images(place, "test")[0]
    with Image.open(one) as image:
        for given_as in (one, str(one), image, [image], iter([one])):
            assert model.predict(given_as).shape == (1, 3)


def test_loading_changes_no_settings_of_the_process_and_draws_no_random_numbers(run: Path, place: Path) -> None:
    code = (
        "import sys, torch, training\n"
        "state = lambda: (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),\n"
        "  torch.backends.cudnn.allow_tf32, torch.get_rng_state().tolist())\n"
        "torch.set_num_threads(2); before = state()\n"
        f"training.load_model({str(run)!r}, 'cpu').predict([{str(images(place, 'test')[0])!r}])\n"
        "assert state() == before"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("file", ["metrics.json", "recipe.json", "model.safetensors"])
def test_a_folder_that_is_no_whole_run_is_an_error_that_names_it(run: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(run, tmp_path / "run")
    for content in (b"[1]", b"", None):
        (tmp_path / "run" / file).unlink() if content is None else (tmp_path / "run" / file).write_bytes(content)
        with pytest.raises(training.TrainingError, match=str(tmp_path / "run")):
            training.load_model(tmp_path / "run")


def test_a_file_that_is_no_image_is_named(tmp_path: Path, model: training.LoadedModel) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for path in (tmp_path / "torn.png", tmp_path / "gone.png"):
        with pytest.raises(training.DataError, match=path.name):
            model.preprocess(path)
        with pytest.raises(training.DataError, match=path.name):
            model.predict([path])


def test_an_opened_image_that_is_torn_is_an_error(model: training.LoadedModel) -> None:
    file = io.BytesIO()
    square(1, 1).save(file, "PNG")
    with Image.open(io.BytesIO(file.getvalue()[:300])) as image, pytest.raises(training.DataError, match="decoded"):
        model.preprocess(image)


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="Recipes"):
        training.Recipes  # noqa: B018
