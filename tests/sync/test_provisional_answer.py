"""A quick answer: what a linear head on frozen vectors says of every image, none judged by what it was learned from."""

import csv
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.helpers.training_tree import save, square, write_example
from training import weights
from training.data.decode import read_antialiased
from training.data.folder import scan
from training.embedding import embed
from training.errors import DataError
from training.recipe import RECIPES

COLUMNS = ["file", "split", "label", "prediction", "confidence", "self_confidence", "fold"]
BACKBONE = embed.LITE0


def command(root, *more, json_lines=True):
    start = [sys.executable, "-m", "training.provisional", root / "data", "--recipe", root / "tiny.json"]
    end = ["--runs", root / "runs", "--out", root / "out.csv", *(["--json"] if json_lines else []), *more]
    return [str(part) for part in (*start, *end)]


def ask(root, *more, **options):
    return subprocess.run(command(root, *more, **options), capture_output=True, text=True)


def rows(root):
    with (root / "out.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def told(result):
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The tiny dataset with one wrong label, and what came of asking once."""
    root = write_example(tmp_path_factory.mktemp("asked"))
    (root / "data/train/red/3.png").rename(root / "data/train/blue/wrong.png")
    return root, told(ask(root))


@pytest.fixture
def root(tmp_path, asked):
    """The tiny dataset again, with the vectors that were made of its images, so that no network has to run again."""
    shutil.copytree(asked[0] / "runs", tmp_path / "runs")
    return write_example(tmp_path)


def test_every_image_is_judged_and_a_wrong_label_stands_out(asked):
    root, said = asked
    found = rows(root)
    assert list(found[0]) == COLUMNS
    assert [row["file"] for row in found] == [sample.path for sample in scan(root / "data").samples]
    right = [row["prediction"] == row["label"] for row in found if row["label"] and "wrong" not in row["file"]]
    assert np.mean(right) > 0.9
    trained = [row for row in found if row["split"] == "train"]
    assert min(trained, key=lambda row: float(row["self_confidence"]))["file"] == "train/blue/wrong.png"
    unlabelled = next(row for row in found if row["split"] == "unlabelled")
    assert unlabelled["prediction"] == "red"
    assert unlabelled["label"] == unlabelled["self_confidence"] == ""
    assert said[-1]["predictions"] == str(root / "out.csv")
    val = [row["prediction"] == row["label"] for row in found if row["split"] == "val"]
    assert said[-1]["val_accuracy"] == pytest.approx(np.mean(val), abs=1e-6)


def test_progress_is_told_with_counts(asked):
    count = len(rows(asked[0]))
    stages = {(line["stage"], line["done"], line["total"]) for line in asked[1][:-1]}
    assert {("embed", 0, count), ("embed", count, count), ("provisional", count, count)} <= stages


def test_asking_again_gives_the_same_and_wakes_no_network(asked):
    root, _ = asked
    before = (root / "out.csv").read_bytes()
    code = (
        f"import sys; from training.provisional import main; main({command(root)[3:]}); print('torch' in sys.modules)"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert again.stdout.splitlines()[-1] == "False"
    assert (root / "out.csv").read_bytes() == before


def test_a_vector_depends_on_nothing_but_its_image(asked):
    root, _ = asked
    network = embed.load_backbone(BACKBONE, weights.fetch(BACKBONE.weights, None, print))
    paths = [root / "data" / row["file"] for row in rows(root)[: embed.BATCH]]
    images = np.stack([read_antialiased(path, BACKBONE.size) for path in paths])
    together = embed.embed_batch(network, images)
    assert together.shape == (embed.BATCH, BACKBONE.features)
    assert (embed.embed_batch(network, images[7:8]) == together[7]).all()
    assert (embed.embed_batch(network, images[::-1]) == together[::-1]).all()


def test_a_stopped_answer_goes_on_with_the_vectors_it_has(tmp_path):
    root = write_example(tmp_path)
    for number in range(embed.TASK_SIZE):
        save(root / "data/train/red" / f"more{number}.png", square(1000 + number, 0))
    for number in range(8):  # the last group, and it is not done as soon as the first, on however many cores
        save(root / "data/val/red" / f"large{number}.png", Image.new("RGB", (4000, 3000), (200, number, 0)))
    asking = subprocess.Popen(command(root), stdout=subprocess.PIPE, text=True)
    for line in asking.stdout:
        if json.loads(line)["done"] > 0:
            break
    asking.send_signal(signal.SIGTERM)
    asking.communicate()
    assert asking.returncode == 130
    assert not (root / "out.csv").exists()
    cache = embed.vector_cache(root / "runs", BACKBONE)
    digests = [sample.digest for sample in scan(root / "data").samples]
    left = len(cache.missing(digests))
    assert 0 < left < len(digests)
    assert told(ask(root))[0] == {"stage": "embed", "done": 0, "total": left, "message": ""}
    assert len(rows(root)) == len(digests)


def broken(root):
    (root / "data/train/red/broken.png").write_bytes(b"not an image")


def one_class(root):
    for label in ("green", "blue"):
        (root / "data/train" / label).rename(root / label)


def nothing(root):
    (root / "data").rename(root / "elsewhere")


def no_place(root):
    (root / "out.csv").mkdir()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (broken, "train/red/broken.png: the image cannot be decoded"),
        (one_class, "one class only (red)"),
        (nothing, "there is no such folder"),
        (no_place, "out.csv: cannot be written"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(root, spoil, said):
    spoil(root)
    result = ask(root)
    assert result.returncode == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (root / "out.csv").is_file()
    assert not list(root.glob(".out.csv*"))


def test_an_unknown_recipe_is_wrong_usage(tmp_path):
    (tmp_path / "data").mkdir()
    result = ask(tmp_path)
    assert result.returncode == 2
    assert "tiny.json: not a recipe that can be read" in result.stderr


def test_without_val_there_is_no_accuracy_and_people_read_a_path(root):
    (root / "data/val").rename(root / "val")
    assert ask(root, json_lines=False).stdout == f"{root / 'out.csv'}\n"
    assert told(ask(root))[-1] == {"predictions": str(root / "out.csv")}


def test_a_val_image_that_is_a_train_image_is_judged_as_one_that_was_left_out(root):
    copy = root / "data/val/blue/copy.png"
    copy.write_bytes((root / "data/train/red/3.png").read_bytes())
    told(ask(root))
    found = {row["file"]: (row["prediction"], row["confidence"]) for row in rows(root)}
    assert found["val/blue/copy.png"] == found["train/red/3.png"]


def test_a_class_that_only_val_has_is_never_predicted(tmp_path):
    root = write_example(tmp_path)
    save(root / "data/val/violet/1.png", square(7, 2))
    told(ask(root))
    found = rows(root)
    assert "violet" not in {row["prediction"] for row in found}
    assert next(row for row in found if row["label"] == "violet")["self_confidence"] == "0.000000"


def test_the_answer_ends_with_the_program_that_asked(tmp_path):
    root = write_example(tmp_path)
    asking = subprocess.Popen(command(root, "--with-parent"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    asking.stdin.close()
    assert asking.wait() == 1
    assert not (root / "out.csv").exists()


def test_pretrained_recipes_are_asked_through_their_own_network():
    chosen = embed.backbone_for(RECIPES["resnet50"])
    assert (chosen.network, chosen.weights, chosen.features) == ("resnet50", "imagenet1k-v1", 2048)
    assert chosen.size == RECIPES["resnet50"].image_size
    assert embed.backbone_for(RECIPES["roman-resnet50"]) == embed.LITE0


def test_a_path_of_weights_is_that_of_the_recipes_own_and_of_no_other(tmp_path):
    root = write_example(tmp_path)
    told(ask(root, "--weights", root / "resnet50.pth"))
    assert rows(root)


def test_an_image_that_changes_after_it_was_found_is_not_kept_as_the_one_that_was_found(tmp_path):
    path = write_example(tmp_path) / "data/train/red/3.png"
    task = embed.Task(BACKBONE, tmp_path, weights.fetch(BACKBONE.weights, None, print), (path,), ("0" * 64,))
    with pytest.raises(DataError, match="the image was changed"):
        embed.run_task(task, print)
    assert embed.vector_cache(tmp_path, BACKBONE).missing(["0" * 64]) == [0]


def test_without_its_weights_a_pretrained_recipe_gives_one_sentence(tmp_path):
    root = write_example(tmp_path)
    (root / "tiny.json").write_text(json.dumps(RECIPES["resnet50"].as_dict()))
    result = ask(root, "--weights", root / "nowhere.pth")
    assert result.returncode == 1
    assert "nowhere.pth: there is no such file; get https://" in result.stderr
    assert result.stderr.count("\n") == 1
