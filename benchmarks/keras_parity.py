"""Compare the fixed network with Keras: `python benchmarks/keras_parity.py`, about a minute, where Keras is installed.

Keras is not a dependency of this project. To make an environment for this script and run it:

    python3 -m venv .parity && .parity/bin/pip install . keras tensorflow-cpu
    .parity/bin/python benchmarks/keras_parity.py

Both networks get the same weights, normalisation and biases included. Compared are

    layers    for each layer of Keras its number of parameters and the shape of its output, and ours; `apart` is the
              largest difference between the outputs, for 64 random images. The last line shows the logits
    written   the reference values in tests/helpers/keras_oracle.py, which the tests use where there is no Keras
    pixels    `resize_plain` in training/data/decode.py and tf.image.resize; and files, as `read_resized` reads them
              and as keras.utils.image_dataset_from_directory does
    learning  20 batches of 8, each once, in the same order. In float32, without a bound: Keras; our trainer; our
              network with Adam as Keras computes it (see `learn` in tests/helpers/keras_oracle.py); and Keras from
              weights with a relative error of 1e-7, which shows the effect of rounding. In float64, with Adam as Keras
              computes it, only rounding may differ

The exit code is 1 when a difference is larger than its bound. (Pixels go to 255.)
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
sys.path.insert(0, str(Path(__file__).parent.parent))
import numpy as np
import torch
from PIL import Image

from tests.helpers.keras_oracle import (
    CLASSES,
    LAYERS,
    LOGITS,
    LOSSES,
    OURS,
    TRAINED,
    Weights,
    as_double,
    draw,
    formula,
    learn,
    load,
    logits,
    ours,
    pictures,
)
from training.data.arrays import Floats, Ints
from training.data.decode import read_resized, resize_plain
from training.fitting.trainer import Trainer, prepare_process
from training.networks.registry import build
from training.networks.resnet50 import TruncatedResNet50
from training.recipe import RECIPES

RECIPE = RECIPES["roman-resnet50"]
INSIDE = {"ZeroPadding2D", "Activation", "Add", "GlobalAveragePooling2D"}  # types without a layer of their own in ours
SIZES = ((600, 40), (33, 31), (7, 9), (1, 1), (32, 32), (500, 375))  # width, height
STEPS = 20
failures: list[str] = []


def check_bound(what: str, difference: float, most: float) -> None:
    """Print a difference, and add it to the failures if it is too large."""
    good = difference <= most  # False for NaN
    print(f"{what:66} {difference:8.1e}  {'of at most' if good else 'IS ABOVE'} {most:.0e}")
    if not good:
        failures.append(what)


def network() -> Any:
    """Build Keras's network, in the precision that is set; RGB images (N, 32, 32, 3), 0..255, to logits."""
    import keras

    images = keras.Input((32, 32, 3))
    bgr = keras.applications.resnet50.preprocess_input(images)
    whole = keras.applications.ResNet50(weights=None, input_tensor=bgr, include_top=False)
    pooled = keras.layers.GlobalAveragePooling2D()(whole.get_layer("conv2_block3_out").output)
    model = keras.Model(images, keras.layers.Dense(CLASSES, name="dense")(pooled))
    adam = keras.optimizers.Adam(RECIPE.learning_rate, RECIPE.beta1, RECIPE.beta2, RECIPE.epsilon)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=adam, loss=loss, jit_compile=False)
    return model


def filled(weights: Weights, noise: float = 0.0) -> Any:
    """Build Keras's network with these weights, each with a random relative error."""
    model, random = network(), np.random.default_rng(1)
    for name, arrays in weights.items():
        model.get_layer(name).set_weights(
            [array * (1 + noise * random.standard_normal(array.shape)) for array in arrays]
        )
    return model


def weights_of(keras_model: Any) -> Weights:
    return {name: keras_model.get_layer(name).get_weights() for name, count, *_ in LAYERS if count}


def our_network(weights: Weights, *, double: bool = False) -> TruncatedResNet50:
    """Build our network with these weights, in float32 or float64."""
    model = build(RECIPE, CLASSES)
    load(as_double(model) if double else model, weights)
    return model


def apart(first: Any, second: Any) -> float:
    return float(np.abs(np.asarray(first, np.float64) - np.asarray(second, np.float64)).max())


def train(keras_model: Any, images: Floats, targets: Ints) -> list[float]:
    """Train Keras's network; returns the loss of each batch before its step."""
    losses = []
    for start in range(0, len(images), RECIPE.batch):
        keras_model.reset_metrics()  # else it returns the mean of all so far
        batch = slice(start, start + RECIPE.batch)
        losses.append(float(keras_model.train_on_batch(images[batch], targets[batch])))
    return losses


def compare_layers(weights: Weights, images: Floats) -> None:
    """Print the table, a line for each layer."""
    import keras

    theirs, model = filled(weights), our_network(weights)
    shown = theirs.layers[theirs.layers.index(theirs.get_layer("conv1_pad")) :]  # the layers before it subtract means
    outputs = keras.Model(theirs.inputs, [layer.output for layer in shown]).predict(images, verbose=0)
    own: dict[str, torch.Tensor] = {}
    for name in OURS.values():
        model.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: own.update({name: out}))
    logits(model, ours(images))
    print(f"{'Keras':26} {'parameters':>10}  {'output':14}  {'ours':22} {'parameters':>10}  {'output':14} {'apart':>7}")
    for layer, output in zip(shown, outputs, strict=True):
        keras_cells = f"{layer.count_params():10,}  {_shape(output):14}"
        if layer.name in OURS:
            name = OURS[layer.name]
            own_output = np.moveaxis(own[name].numpy(), 1, -1)
            own_cells = f"{parameters(model.get_submodule(name)):10,}  {_shape(own_output):14}"
            print(f"{layer.name:26} {keras_cells}  {name:22} {own_cells} {apart(output, own_output):7.1e}")
            if own_cells != keras_cells:
                failures.append(layer.name)
        else:
            print(f"{layer.name:26} {keras_cells}  {'inside' if type(layer).__name__ in INSIDE else 'IS NOT THERE'}")
            failures.extend([layer.name] if type(layer).__name__ not in INSIDE else [])
    total = sum(parameters(layer) for layer in model.modules())
    print(f"{'all':26} {theirs.count_params():10,}  {'':14}  {'':22} {total:10,}\n")
    check_bound("parameters", apart(total, theirs.count_params()), 0)
    check_bound(f"logits of {len(images)} random images", apart(outputs[-1], own["dense"]), 1e-4)


def parameters(layer: torch.nn.Module) -> int:
    """Count a layer's own parameters, moving means and variances included."""
    own = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    return sum(value.numel() for name, value in own if name not in {"num_batches_tracked", "means"})


def _shape(output: Any) -> str:
    return " x ".join(str(side) for side in output.shape[1:])


def compare_written() -> None:
    """Check the reference values that the tests use, in float64."""
    wave = formula()
    theirs = filled(draw(build(RECIPE, CLASSES), wave))
    images, targets = pictures(wave, RECIPE.batch * len(LOSSES))
    for name, count, shape, _ in LAYERS:
        layer = theirs.get_layer(name)
        if (layer.count_params(), layer.output.shape[1:]) != (count, shape):
            failures.append(f"{name} in tests/helpers/keras_oracle.py")
    before = theirs.predict(images[:1], verbose=0)[0].tolist()
    losses = train(theirs, images, targets)
    trained = theirs.predict(images[:1], verbose=0)[0].tolist()
    for name, values in (("LOGITS", before), ("LOSSES", losses), ("TRAINED", trained)):
        print(f"{name} = ({', '.join(f'{value:.8f}' for value in values)})")
    check_bound("reference values", apart([*before, *losses, *trained], [*LOGITS, *LOSSES, *TRAINED]), 1e-7)


def compare_pixels(random: np.random.Generator) -> None:
    """Compare resized images of several sizes, and images read from files."""
    import keras
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            image = random.integers(0, 256, (height, width, 3), np.uint8)
            theirs = tf.image.resize(image[None], (32, 32), "bilinear", antialias=False).numpy()
            difference = apart(resize_plain(image, 32), theirs[0])
            check_bound(f"pixels of {width} x {height}, by tf.image.resize", difference, 1e-3)
            for kind in ("png", "jpg"):
                path = Path(folder, kind, "a", f"{width:03}x{height:03}.{kind}")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
        for kind, most in (("png", 1e-3), ("jpg", 8)):  # decoders of JPEG differ, most where all is noise as here
            files = keras.utils.image_dataset_from_directory(Path(folder, kind), image_size=(32, 32), shuffle=False)
            theirs = next(iter(files))[0].numpy()
            own = [read_resized(path, "plain", 32) for path in sorted(Path(folder, kind, "a").iterdir())]
            check_bound(f"pixels of {len(own)} {kind} files, by image_dataset_from_directory", apart(own, theirs), most)


def compare_learning_exactly(weights: Weights, images: Floats, targets: Ints) -> None:
    """Compare training in float64, with Adam as Keras computes it."""
    theirs, model = filled(weights), our_network(weights, double=True)
    losses = apart(train(theirs, images, targets), learn(model, RECIPE, ours(images), targets))
    check_bound(f"losses of {STEPS} batches, float64", losses, 1e-9)
    state = model.state_dict()
    for norm in (name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)):
        _to_biased_variance(state, norm, weights)
    trained = our_network(weights_of(theirs), double=True).state_dict()
    for kind, difference in differences_by_kind(state, trained).items():
        check_bound(f"{kind} after them", difference, 1e-9)


def _to_biased_variance(state: dict[str, torch.Tensor], norm: str, weights: Weights) -> None:
    """Rescale a running variance in place: Keras 3 divides a batch's variance by n, PyTorch, like Keras 2, by n - 1."""
    name, _, shape, _ = next(row for row in LAYERS if row[3] == norm)
    n = RECIPE.batch * shape[0] * shape[1]
    rest = torch.from_numpy(weights[name][3]).double() * (1 - RECIPE.norm_momentum) ** STEPS
    value = state[f"{norm}.running_var"]
    value.copy_(rest + (value - rest) * (n - 1) / n)


def differences_by_kind(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return the largest difference in each kind of weight."""
    largest: dict[str, float] = {}
    for key, value in first.items():
        layer, _, name = key.rpartition(".")
        kind = f"{layer.rpartition('.')[2]} {name}"
        if name != "num_batches_tracked":
            largest[kind] = max(largest.get(kind, 0.0), apart(value, second[key]))
    return largest


def show_learning(weights: Weights, images: Floats, targets: Ints) -> None:
    """Show training in float32, by our trainer."""
    trainer = Trainer(replace(RECIPE, channels_last=False), images, targets, CLASSES, 0)  # rounds as the others do
    load(trainer.model, weights)
    trainer.model.train()
    parts = (torch.from_numpy(ours(images)).split(RECIPE.batch), torch.arange(len(images)).split(RECIPE.batch))
    own_losses = [float(trainer.step(i, *batch)) for i, batch in enumerate(zip(*parts, strict=True))]
    theirs, noisy, exact = filled(weights), filled(weights, 1e-7), our_network(weights)
    losses, noisy_losses = train(theirs, images, targets), train(noisy, images, targets)
    columns = (losses, own_losses, learn(exact, RECIPE, ours(images), targets), noisy_losses)
    print(f"{'loss, float32':20} {'Keras':>9} {'ours':>9} {'its Adam':>9} {'its noise':>9}")
    for step, row in enumerate(zip(*columns, strict=True), 1):
        print(f"{f'batch {step}':20} " + " ".join(f"{value:9.5f}" for value in row))
    trained = our_network(weights_of(theirs)).state_dict()
    states = (trainer.model.state_dict(), exact.state_dict(), our_network(weights_of(noisy)).state_dict())
    differences = [differences_by_kind(state, trained) for state in states]
    print("largest difference from Keras's weights")
    for kind in differences[0]:
        print(f"{kind:20} {'':9} " + " ".join(f"{column[kind]:9.1e}" for column in differences))


def main() -> int:
    """Print everything; returns 1 when a difference is larger than its bound."""
    prepare_process()  # before TensorFlow is loaded: libraries that PyTorch loads later would crash
    import keras

    random = np.random.default_rng(0)
    wave = lambda shape: random.uniform(-1, 1, shape)  # noqa: E731
    weights = draw(build(RECIPE, CLASSES), wave)
    compare_layers(weights, random.integers(0, 256, (64, 32, 32, 3)).astype(np.float32))
    compare_pixels(random)
    images, targets = pictures(wave, STEPS * RECIPE.batch)
    show_learning(weights, images, targets)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    compare_learning_exactly(weights, images, targets)
    compare_written()
    print(f"larger than its bound: {', '.join(failures) or 'nothing'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
