"""The fixed network is Keras's: what Keras gave, in keras_oracle.py, comes out of ours as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers.keras_oracle import (
    CLASSES,
    LAYERS,
    LOGITS,
    LOSSES,
    TRAINED,
    Weights,
    as_double,
    draw,
    formula,
    in_double,
    learn,
    load,
    logits,
    ours,
    pictures,
)
from training.data.arrays import Floats, Ints
from training.fitting.trainer import Trainer
from training.networks.registry import build
from training.networks.resnet50 import TruncatedResNet50
from training.recipe import RECIPES

RECIPE = RECIPES["roman-resnet50"]


@pytest.fixture
def filled() -> tuple[TruncatedResNet50, Floats, Ints]:
    """Our network, filled as Keras's was, and the images that both saw."""
    model, wave = build(RECIPE, CLASSES), formula()
    load(model, draw(model, wave))
    images, targets = pictures(wave, RECIPE.batch * len(LOSSES))
    return model, ours(images), targets


def own(layer: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What a layer holds itself and Keras counts as its parameters."""
    held = {**dict(layer.named_parameters(recurse=False)), **dict(layer.named_buffers(recurse=False))}
    return {name: value for name, value in held.items() if name not in {"num_batches_tracked", "means"}}


@pytest.mark.parametrize(("keras", "parameters", "shape", "name"), LAYERS, ids=[row[0] for row in LAYERS])
def test_every_layer_has_the_parameters_and_the_output_of_kerass(
    keras: str, parameters: int, shape: tuple[int, ...], name: str
) -> None:
    model, found = build(RECIPE, CLASSES), []
    layer = model.get_submodule(name)
    layer.register_forward_hook(lambda _, __, output: found.append(np.moveaxis(output.detach().numpy(), 1, -1).shape))
    model(torch.zeros(2, 3, 32, 32))
    assert found == [(2, *shape)]
    assert sum(value.numel() for value in own(layer).values()) == parameters


def test_no_layer_with_parameters_is_more_than_keras_has() -> None:
    model = build(RECIPE, CLASSES)
    holding = {name for name, layer in model.named_modules() if own(layer)}
    assert holding == {name for _, parameters, _, name in LAYERS if parameters}
    # model.summary() of Keras's whole network, without the dense layer
    assert sum(parameters for keras, parameters, *_ in LAYERS if keras != "dense") == 229_760


def test_the_same_weights_give_the_logits_that_keras_gives(filled: tuple[TruncatedResNet50, Floats, Ints]) -> None:
    model, images, _ = filled
    np.testing.assert_allclose(logits(model, images[:1])[0], LOGITS, atol=1e-4)
    np.testing.assert_allclose(logits(as_double(model), images[:1])[0], LOGITS, atol=1e-7)


def test_learning_from_the_same_batches_gives_the_losses_that_keras_gives(
    filled: tuple[TruncatedResNet50, Floats, Ints],
) -> None:
    model, images, targets = filled
    np.testing.assert_allclose(learn(as_double(model), RECIPE, images, targets), LOSSES, atol=1e-7)
    # Keras 3 keeps variances divided by n, PyTorch (and Keras 2) by n - 1, of 512 or 2,048 values here.
    np.testing.assert_allclose(logits(model, images[:1])[0], TRAINED, atol=1e-3)


def trained(trainer: Trainer, weights: Weights, count: int) -> list[float]:
    """The losses of a trainer that starts from these weights and makes so many steps, each with the next batch."""
    load(trainer.model, weights)
    trainer.model.train()
    places = np.split(np.arange(RECIPE.batch * count), count)
    batches = enumerate(trainer.feed.batches(places))
    return [float(trainer.step(step, batch, torch.from_numpy(places[step]))) for step, batch in batches]


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_training_gives_the_losses_of_adam_as_keras_computes_it(*, channels_last: bool) -> None:
    """In float64: float32 rounds otherwise on each kind of processor, and Adam makes that large.

    A relu sees 720,896 values of a batch, and in float32 about one of them in five batches lies so near to 0 that
    rounding decides its side. Where it is the only one of its channel above 0, the channel's weights get a whole step
    of Adam, or none. So in float32 the losses can be 2e-3 apart after one step, and 1e-2 after four. That Keras rounds
    its betas does the same to the third loss; hence five losses are compared with an Adam that does not round them, and
    two with Keras.
    """
    wave = formula()
    weights = draw(build(RECIPE, CLASSES), wave)
    images, targets = pictures(wave, RECIPE.batch * len(LOSSES))
    trainer = in_double(Trainer(replace(RECIPE, channels_last=channels_last), images, targets, CLASSES, 0))
    found = trained(trainer, weights, len(LOSSES))
    model = as_double(build(RECIPE, CLASSES))
    load(model, weights)
    np.testing.assert_allclose(found, learn(model, RECIPE, ours(images), targets, rounded=False), atol=1e-6)
    np.testing.assert_allclose(found[:2], LOSSES[:2], atol=1e-6)


def test_a_training_starts_in_float32_with_the_loss_that_keras_gives() -> None:
    wave = formula()
    weights = draw(build(RECIPE, CLASSES), wave)
    images, targets = pictures(wave, RECIPE.batch)
    trainer = Trainer(RECIPE, images, targets, CLASSES, 0)
    np.testing.assert_allclose(trained(trainer, weights, 1), LOSSES[:1], atol=1e-5)
