"""The network and the loop that trains it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from training.errors import TrainingError
from training.fitting import loop, trainer
from training.networks.registry import build
from training.recipe import RECIPES

RECIPE = replace(RECIPES["roman-resnet50"], batch=8, epochs=3, learning_rate=1e-3, norm_momentum=0.1)


def test_preprocessing_turns_the_channels_and_takes_the_means_away():
    x = torch.tensor([255.0, 100.0, 0.0]).view(1, 3, 1, 1)
    found = build(RECIPE, 2).preprocess(x).flatten().tolist()
    assert found == pytest.approx([0 - 103.939, 100 - 116.779, 255 - 123.68])


def test_kernels_are_glorot_uniform_and_biases_zero():
    model = build(RECIPE, 10, torch.Generator().manual_seed(0))
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            field = math.prod(layer.weight.shape[2:])
            limit = math.sqrt(6 / (field * (layer.weight.shape[0] + layer.weight.shape[1])))
            weight = layer.weight.detach()
            assert float(weight.abs().max()) == pytest.approx(limit, rel=0.05)
            assert float(weight.std()) == pytest.approx(limit / math.sqrt(3), rel=0.05)
            assert not layer.bias.any()


def test_normalisation_has_keras_numbers():
    norms = [layer for layer in build(RECIPES["roman-resnet50"], 2).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 1 + 4 + 3 + 3
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1.001e-5, 0.01)}


@pytest.fixture(scope="module")
def colours():
    random = np.random.default_rng(0)
    targets = np.arange(48) % 3
    images = random.uniform(0, 90, (48, 32, 32, 3)).astype(np.float32)
    images[np.arange(48), :, :, targets] += 150
    return images, targets


def weights(fitted):
    return b"".join(value.numpy().tobytes() for value in fitted.model.state_dict().values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(colours, precision):
    recipe = replace(RECIPE, precision=precision, epochs=2)
    torch.manual_seed(1)
    first = loop.fit(recipe, *colours, 3, 5, val=colours)
    torch.manual_seed(2)  # the state of the process does not matter
    second = loop.fit(recipe, *colours, 3, 5, val=colours)
    assert weights(first) == weights(second)
    assert first.history == second.history
    assert weights(loop.fit(recipe, *colours, 3, 6, val=colours)) != weights(first)


def test_it_learns(colours):
    fitted = loop.fit(replace(RECIPE, epochs=8), *colours, 3, 0, val=colours)
    assert max(epoch.val_accuracy for epoch in fitted.history) > 0.9
    assert fitted.history[-1].train_loss < fitted.history[0].train_loss


def test_the_first_best_epoch_on_val_is_kept(colours):
    images, targets = colours
    val = (images[:7], targets[:7])
    fitted = loop.fit(replace(RECIPE, epochs=6), images, targets, 3, 0, val=val)
    accuracies = [epoch.val_accuracy for epoch in fitted.history]
    assert fitted.best_epoch == 1 + accuracies.index(max(accuracies))
    again = np.mean(trainer.predict(fitted.model, val[0], RECIPE).argmax(1) == val[1])
    assert again == max(accuracies)


def test_the_weights_are_those_of_the_best_epoch(colours):
    images, _ = colours
    early = loop.fit(replace(RECIPE, epochs=1), *colours, 3, 0)
    guess = trainer.predict(early.model, images, RECIPE).argmax(1)  # a val that the first epoch gets right
    late = loop.fit(replace(RECIPE, epochs=4), *colours, 3, 0, val=(images, guess))
    assert late.best_epoch == 1
    assert weights(late) == weights(early)


def test_without_val_the_last_epoch_is_kept(colours):
    fitted = loop.fit(RECIPE, *colours, 3, 0)
    assert fitted.best_epoch == RECIPE.epochs
    assert {epoch.val_accuracy for epoch in fitted.history} == {None}


def test_held_out_probabilities_are_the_mean_of_the_later_epochs(colours):
    images, targets = colours
    recipe = replace(RECIPE, epochs=4, average_from=0.75)
    # With a constant rate, a run of 3 epochs is the start of a run of 4.
    after = [loop.fit(replace(recipe, epochs=n), images, targets, 3, 0).model for n in (3, 4)]
    wanted = np.mean([trainer.predict(model, images[:9], recipe) for model in after], axis=0)
    found = loop.fit(recipe, images, targets, 3, 0, held_out=images[:9]).averaged
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_probabilities_are_probabilities(colours):
    model = build(RECIPE, 3, torch.Generator().manual_seed(0))
    probs = trainer.predict(trainer.to_device(model, RECIPE, trainer.prepare_process()), colours[0], RECIPE)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-5)
    assert trainer.predict(model, colours[0][:0], RECIPE).shape == (0, 3)


def test_a_prediction_depends_on_no_other_image_and_changes_nothing(colours):
    model = loop.fit(replace(RECIPE, epochs=1), *colours, 3, 0).model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    alone = np.concatenate([trainer.predict(model, colours[0][i : i + 1], RECIPE) for i in range(5)])
    np.testing.assert_allclose(alone, trainer.predict(model, colours[0], RECIPE)[:5], atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_loss_that_explodes_is_an_error_and_not_a_nan(colours):
    with pytest.raises(TrainingError, match="lower learning_rate"):
        loop.fit(replace(RECIPE, learning_rate=1e30), *colours, 3, 0)


def test_a_model_that_broke_in_its_last_step_is_an_error_too(colours):
    model = build(RECIPE, 3, torch.Generator().manual_seed(0))
    nn.init.constant_(model.dense.bias, float("nan"))
    with pytest.raises(TrainingError, match="not numbers; lower learning_rate"):
        trainer.predict(model, colours[0], RECIPE)


def test_the_learning_rate_rises_then_falls_to_zero():
    recipe = replace(RECIPE, schedule="cosine", warmup=0.1, learning_rate=1.0)
    rates = [trainer.learning_rate(recipe, step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)
    assert np.diff(rates[:11]).min() > 0 > np.diff(rates[10:]).max()
    assert trainer.learning_rate(replace(recipe, schedule="constant", warmup=0.0), 7, 100) == 1.0


def test_weights_survive_the_file(colours, tmp_path):
    fitted = loop.fit(replace(RECIPE, epochs=1), *colours, 3, 0)
    trainer.save(fitted.model, tmp_path / "m.safetensors")
    again = trainer.load(tmp_path / "m.safetensors", RECIPE, 3)
    assert (trainer.predict(again, colours[0], RECIPE) == trainer.predict(fitted.model, colours[0], RECIPE)).all()
    with pytest.raises(TrainingError, match="4 classes"):
        trainer.load(tmp_path / "m.safetensors", RECIPE, 4)
    (tmp_path / "m.safetensors").write_bytes(b"no weights")
    with pytest.raises(TrainingError):
        trainer.load(tmp_path / "m.safetensors", RECIPE, 3)
