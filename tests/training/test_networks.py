"""ResNet-50 for photographs: its layers, its initial weights, and its training."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from tests.helpers.training_tree import folder_of, made_in, train, write_example
from training import weights
from training.data import batches
from training.data.images import MappedImages
from training.fitting import loop, trainer
from training.networks.registry import build
from training.recipe import MIN_IMAGE_SIZE, RECIPES

PHOTO = RECIPES["resnet50"]
SMALL = replace(PHOTO, weights="", image_size=40, crop_size=33, batch=8, epochs=2, least_steps=0)


@pytest.fixture(scope="module")
def photos():
    random = np.random.default_rng(0)
    targets = np.arange(24) % 3
    images = random.integers(0, 90, (24, 40, 40, 3)).astype(np.uint8)
    images[np.arange(24), :, :, targets] += 150
    return images, targets


def bits(fitted):
    return b"".join(value.numpy().tobytes() for value in fitted.model.state_dict().values())


@pytest.fixture(scope="module")
def reference():
    torch.manual_seed(3)
    model = torchvision.models.resnet50()
    for layer in model.modules():  # as different from fresh ones as trained ones are
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.1, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return model.eval()


def test_torchvisions_weights_and_preprocessing_give_torchvisions_vector(reference):
    model = build(PHOTO, 5)
    model.load_pretrained(reference.state_dict())
    image = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    presets = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    usual = torchvision.transforms.functional.normalize(image / 255, presets.mean, presets.std)
    reference.fc = nn.Identity()
    with torch.inference_mode():
        torch.testing.assert_close(model.eval().embed(image.float()), reference(usual), rtol=1e-3, atol=1e-4)


def test_a_fresh_one_is_whole_and_depends_on_the_seed_alone():
    models = [build(SMALL, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    torch.manual_seed(9)
    first, again, other = ({name: value.clone() for name, value in m.state_dict().items()} for m in models)
    assert all(bool(torch.isfinite(value).all()) for value in first.values())
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["body.conv1.weight"], other["body.conv1.weight"])
    assert sum(value.numel() for value in models[0].parameters()) == 25_557_032 - (2048 + 1) * 1000 + (2048 + 1) * 3


def test_biases_and_normalisation_do_not_decay(photos):
    groups = trainer.Trainer(SMALL, *photos, 3, 0).optimiser.param_groups
    assert [(group["weight_decay"], {each.ndim > 1 for each in group["params"]}) for group in groups] == [
        (0.05, {True}),
        (0.0, {False}),
    ]
    assert sum(len(group["params"]) for group in groups) == 161


def test_without_weight_decay_a_step_is_adams(photos):
    plain = replace(SMALL, weight_decay=0.0, augment="none", precision="fp32", network="resnet50-conv2")
    ours = trainer.Trainer(plain, *photos, 3, 0)
    theirs = trainer.Trainer(plain, *photos, 3, 0)
    options = {"betas": (plain.beta1, plain.beta2), "eps": plain.epsilon, "fused": True}
    theirs.optimiser = torch.optim.Adam(theirs.model.parameters(), lr=plain.learning_rate, **options)
    for each in (ours, theirs):
        each.run_epoch(1)
    for mine, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_the_same_seed_gives_the_same_bits_with_random_parts_too(photos):
    first, again, other = (loop.fit(SMALL, *photos, 3, seed, val=photos) for seed in (5, 5, 6))
    assert bits(first) == bits(again) != bits(other)
    assert first.history == again.history


def test_what_is_mapped_trains_like_what_is_in_memory(photos):
    images, targets = photos
    order = np.random.default_rng(1).permutation(len(images))
    mapped = MappedImages(images[order], np.argsort(order))
    assert bits(loop.fit(SMALL, mapped, targets, 3, 0)) == bits(loop.fit(SMALL, images, targets, 3, 0))


@pytest.mark.parametrize("network", MIN_IMAGE_SIZE)
def test_the_smallest_images_that_a_recipe_allows_can_be_learned_from_one_at_a_time(photos, network):
    side = MIN_IMAGE_SIZE[network]
    tiny = replace(SMALL, network=network, image_size=side, augment="none", batch=23, epochs=1)
    assert np.isfinite(loop.fit(tiny, photos[0][:, :side, :side], photos[1], 3, 0).history[0].train_loss)


def test_images_move_to_a_device_whole_and_a_group_at_a_time(photos):
    asked = []

    class Mapped:
        def __len__(self):
            return len(photos[0])

        def __getitem__(self, where):
            asked.append(len(photos[0][where]))
            return photos[0][where]

    there = batches.copy_to_device(Mapped(), torch.device("cpu"), 10)
    assert np.array_equal(there.numpy(), photos[0])
    assert max(asked) == 10


def test_large_images_are_predicted_in_smaller_groups(photos):
    model = build(SMALL, 3, torch.Generator().manual_seed(0))
    sizes = []
    model.body.conv1.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    trainer.predict(model, photos[0], replace(SMALL, image_size=632))  # 10 of that size are 4 million pixels
    assert sizes == [10, 10, 4]


LITE = replace(SMALL, network="efficientnet-lite0", weights="efficientnet-lite0", epochs=1, folds=0)


def test_a_run_of_a_pretrained_recipe_starts_from_its_weights(tmp_path):
    write_example(tmp_path)
    (tmp_path / "lite.json").write_text(json.dumps(asdict(replace(LITE, learning_rate=1e-9))))
    folder = folder_of(train(tmp_path / "data", tmp_path / "lite.json", tmp_path / "runs", "--json"))
    found = trainer.load(folder / "model.safetensors", LITE, 3)
    source = weights.published_file("efficientnet-lite0")
    fresh = build(LITE, 3)
    fresh.load_pretrained(weights.read(weights.find(source, None), source))
    for name, value in fresh.named_parameters():
        if not name.startswith("dense."):
            torch.testing.assert_close(found.state_dict()[name], value.detach(), atol=1e-6, rtol=0)
    assert float(found.dense.weight.detach().abs().max()) < 1e-6  # it began at zero


def test_pretrained_weights_learn_in_a_few_steps(photos):
    pretrained = weights.find(weights.published_file("efficientnet-lite0"), None)
    quick = replace(LITE, epochs=8, augment="none", learning_rate=1e-3)
    fitted = loop.fit(quick, *photos, 3, 0, val=photos, pretrained=pretrained)
    assert max(epoch.val_accuracy for epoch in fitted.history) > 0.9


def test_where_the_weights_should_be_and_are_not_is_told_before_anything_is_decoded(tmp_path):
    write_example(tmp_path)
    (tmp_path / "photo.json").write_text(json.dumps(asdict(replace(PHOTO, name="photo"))))
    done = train(
        tmp_path / "data", tmp_path / "photo.json", tmp_path / "runs", "--json", "--weights", tmp_path / "x.pth"
    )
    assert done.returncode == 1
    assert f"{tmp_path}/x.pth" in done.stderr
    assert done.stderr.count("\n") == 1
    assert made_in(tmp_path / "runs") == set()
    assert not (tmp_path / "runs/.cache").exists()
