"""Is the fixed network Keras's? `python benchmarks/keras_parity.py`, about a minute, in an environment that has Keras.

Keras is no dependency of this project. An environment for this script alone, and the script:

    python3 -m venv .parity && .parity/bin/pip install . keras tensorflow-cpu
    .parity/bin/python benchmarks/keras_parity.py

Both networks get the same weights, normalisation and biases included, and then there are compared

    layers    of each layer of Keras's its parameters and the shape of its output, and ours; `apart` is the largest
              difference between the outputs, for 64 random images. The last line are the logits
    written   what tests/keras_oracle.py says that Keras gives, by which the tests know it without Keras
    pixels    training.data.plain and tf.image.resize; and files, as training.data reads and resizes them, and as
              keras.utils.image_dataset_from_directory does
    learning  20 batches of 8, each once, in the same order. In float32, with no bound: Keras; ours by training.trainer,
              as it comes; ours with Adam as Keras computes it (see `learn` in tests/keras_oracle.py); and Keras from
              weights that are off by 1e-7 of themselves, which shows what rounding can do. In float64, with
              Adam as Keras computes it, nothing may be apart but by rounding

It ends with 1 when something is further apart than it may be. (Pixels go to 255.)
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
INSIDE = {"ZeroPadding2D", "Activation", "Add", "GlobalAveragePooling2D"}  # kinds that are no layers in ours
SIZES = ((600, 40), (33, 31), (7, 9), (1, 1), (32, 32), (500, 375))  # width, height
STEPS = 20
failures: list[str] = []


def bound(what: str, found: float, most: float) -> None:
    """Print a difference, and note whether it is too large."""
    good = found <= most  # not so for NaN
    print(f"{what:66} {found:8.1e}  {'of at most' if good else 'IS ABOVE'} {most:.0e}")
    if not good:
        failures.append(what)


def network() -> Any:
    """Keras's, in the precision that is set; RGB images (N, 32, 32, 3), 0..255, to logits."""
    import keras

    images = keras.Input((32, 32, 3))
    bgr = keras.applications.resnet50.preprocess_input(images)
    whole = keras.applications.ResNet50(weights=None, input_tensor=bgr, include_top=False)
    pooled = keras.layers.GlobalAveragePooling2D()(whole.get_layer("conv2_block3_out").output)
    made = keras.Model(images, keras.layers.Dense(CLASSES, name="dense")(pooled))
    adam = keras.optimizers.Adam(RECIPE.learning_rate, RECIPE.beta1, RECIPE.beta2, RECIPE.epsilon)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(optimizer=adam, loss=loss, jit_compile=False)
    return made


def filled(weights: Weights, noise: float = 0.0) -> Any:
    """Keras's network with these weights, each off by so much of itself."""
    made, random = network(), np.random.default_rng(1)
    for name, arrays in weights.items():
        made.get_layer(name).set_weights(
            [array * (1 + noise * random.standard_normal(array.shape)) for array in arrays]
        )
    return made


def weights_of(keras_model: Any) -> Weights:
    return {name: keras_model.get_layer(name).get_weights() for name, count, *_ in LAYERS if count}


def same(weights: Weights, *, double: bool = False) -> TruncatedResNet50:
    """Our network with these weights, in float32 or float64."""
    model = build(RECIPE, CLASSES)
    load(as_double(model) if double else model, weights)
    return model


def apart(first: Any, second: Any) -> float:
    return float(np.abs(np.asarray(first, np.float64) - np.asarray(second, np.float64)).max())


def train(keras_model: Any, images: Floats, targets: Ints) -> list[float]:
    """The loss of each batch, before it was learned from."""
    losses = []
    for start in range(0, len(images), RECIPE.batch):
        keras_model.reset_metrics()  # or it gives the mean of all so far
        some = slice(start, start + RECIPE.batch)
        losses.append(float(keras_model.train_on_batch(images[some], targets[some])))
    return losses


def layers(weights: Weights, images: Floats) -> None:
    """The table, a line a layer."""
    import keras

    theirs, model = filled(weights), same(weights)
    shown = theirs.layers[theirs.layers.index(theirs.get_layer("conv1_pad")) :]  # what comes before takes means away
    outputs = keras.Model(theirs.inputs, [layer.output for layer in shown]).predict(images, verbose=0)
    found: dict[str, torch.Tensor] = {}
    for name in OURS.values():
        model.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: found.update({name: out}))
    logits(model, ours(images))
    print(f"{'Keras':26} {'parameters':>10}  {'output':14}  {'ours':22} {'parameters':>10}  {'output':14} {'apart':>7}")
    for layer, output in zip(shown, outputs, strict=True):
        there = f"{layer.count_params():10,}  {_shape(output):14}"
        if layer.name in OURS:
            name = OURS[layer.name]
            here = np.moveaxis(found[name].numpy(), 1, -1)
            mine = f"{parameters(model.get_submodule(name)):10,}  {_shape(here):14}"
            print(f"{layer.name:26} {there}  {name:22} {mine} {apart(output, here):7.1e}")
            if mine != there:
                failures.append(layer.name)
        else:
            print(f"{layer.name:26} {there}  {'inside' if type(layer).__name__ in INSIDE else 'IS NOT THERE'}")
            failures.extend([layer.name] if type(layer).__name__ not in INSIDE else [])
    total = sum(parameters(layer) for layer in model.modules())
    print(f"{'all':26} {theirs.count_params():10,}  {'':14}  {'':22} {total:10,}\n")
    bound("parameters", apart(total, theirs.count_params()), 0)
    bound(f"logits of {len(images)} random images", apart(outputs[-1], found["dense"]), 1e-4)


def parameters(layer: torch.nn.Module) -> int:
    """Its own, moving means and variances included."""
    own = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    return sum(value.numel() for name, value in own if name not in {"num_batches_tracked", "means"})


def _shape(output: Any) -> str:
    return " x ".join(str(side) for side in output.shape[1:])


def written() -> None:
    """Is what the tests believe of Keras still so? In float64."""
    wave = formula()
    theirs = filled(draw(build(RECIPE, CLASSES), wave))
    images, targets = pictures(wave, RECIPE.batch * len(LOSSES))
    for name, count, shape, _ in LAYERS:
        layer = theirs.get_layer(name)
        if (layer.count_params(), layer.output.shape[1:]) != (count, shape):
            failures.append(f"{name} in tests/keras_oracle.py")
    found = theirs.predict(images[:1], verbose=0)[0].tolist()
    losses = train(theirs, images, targets)
    trained = theirs.predict(images[:1], verbose=0)[0].tolist()
    for name, values in (("LOGITS", found), ("LOSSES", losses), ("TRAINED", trained)):
        print(f"{name} = ({', '.join(f'{value:.8f}' for value in values)})")
    bound("from what is written", apart([*found, *losses, *trained], [*LOGITS, *LOSSES, *TRAINED]), 1e-7)


def pixels(random: np.random.Generator) -> None:
    """Sizes and files."""
    import keras
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            image = random.integers(0, 256, (height, width, 3), np.uint8)
            theirs = tf.image.resize(image[None], (32, 32), "bilinear", antialias=False).numpy()
            bound(f"pixels of {width} x {height}, by tf.image.resize", apart(resize_plain(image, 32), theirs[0]), 1e-3)
            for kind in ("png", "jpg"):
                path = Path(folder, kind, "a", f"{width:03}x{height:03}.{kind}")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
        for kind, most in (("png", 1e-3), ("jpg", 8)):  # decoders of JPEG differ, most where all is noise as here
            files = keras.utils.image_dataset_from_directory(Path(folder, kind), image_size=(32, 32), shuffle=False)
            theirs = next(iter(files))[0].numpy()
            mine = [read_resized(path, "plain", 32) for path in sorted(Path(folder, kind, "a").iterdir())]
            bound(f"pixels of {len(mine)} {kind} files, by image_dataset_from_directory", apart(mine, theirs), most)


def learning_exactly(weights: Weights, images: Floats, targets: Ints) -> None:
    """In float64, as Keras computes it."""
    theirs, model = filled(weights), same(weights, double=True)
    losses = apart(train(theirs, images, targets), learn(model, RECIPE, ours(images), targets))
    bound(f"losses of {STEPS} batches, float64", losses, 1e-9)
    mine = model.state_dict()
    for norm in (name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)):
        _as_biased(mine, norm, weights)
    kept = same(weights_of(theirs), double=True).state_dict()
    for kind, most in kinds(mine, kept).items():
        bound(f"{kind} after them", most, 1e-9)


def _as_biased(state: dict[str, torch.Tensor], norm: str, weights: Weights) -> None:
    """Keras 3 divides a batch's variance by n, and PyTorch the one it keeps by n - 1, as Keras 2 did."""
    name, _, shape, _ = next(row for row in LAYERS if row[3] == norm)
    n = RECIPE.batch * shape[0] * shape[1]
    rest = torch.from_numpy(weights[name][3]).double() * (1 - RECIPE.norm_momentum) ** STEPS
    value = state[f"{norm}.running_var"]
    value.copy_(rest + (value - rest) * (n - 1) / n)


def kinds(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> dict[str, float]:
    """The largest difference in each kind of weight."""
    found: dict[str, float] = {}
    for key, value in first.items():
        layer, _, name = key.rpartition(".")
        kind = f"{layer.rpartition('.')[2]} {name}"
        if name != "num_batches_tracked":
            found[kind] = max(found.get(kind, 0.0), apart(value, second[key]))
    return found


def learning_as_it_comes(weights: Weights, images: Floats, targets: Ints) -> None:
    """In float32, by our trainer."""
    trainer = Trainer(replace(RECIPE, channels_last=False), images, targets, CLASSES, 0)  # rounds as the others do
    load(trainer.model, weights)
    trainer.model.train()
    batches = (each.split(RECIPE.batch) for each in (torch.from_numpy(ours(images)), torch.arange(len(images))))
    mine = [float(trainer.step(i, *batch)) for i, batch in enumerate(zip(*batches, strict=True))]
    theirs, noisy, exact = filled(weights), filled(weights, 1e-7), same(weights)
    losses, others = train(theirs, images, targets), train(noisy, images, targets)
    columns = (losses, mine, learn(exact, RECIPE, ours(images), targets), others)
    print(f"{'loss, float32':20} {'Keras':>9} {'ours':>9} {'its Adam':>9} {'its noise':>9}")
    for step, row in enumerate(zip(*columns, strict=True), 1):
        print(f"{f'batch {step}':20} " + " ".join(f"{value:9.5f}" for value in row))
    kept = same(weights_of(theirs)).state_dict()
    after = (trainer.model.state_dict(), exact.state_dict(), same(weights_of(noisy)).state_dict())
    found = [kinds(state, kept) for state in after]
    print("largest difference from Keras's weights")
    for kind in found[0]:
        print(f"{kind:20} {'':9} " + " ".join(f"{each[kind]:9.1e}" for each in found))


def main() -> int:
    """Print everything; 1 when something is further apart than it may be."""
    prepare_process()  # before TensorFlow is loaded, after which what PyTorch loads here would crash
    import keras

    random = np.random.default_rng(0)
    wave = lambda shape: random.uniform(-1, 1, shape)  # noqa: E731
    weights = draw(build(RECIPE, CLASSES), wave)
    layers(weights, random.integers(0, 256, (64, 32, 32, 3)).astype(np.float32))
    pixels(random)
    images, targets = pictures(wave, STEPS * RECIPE.batch)
    learning_as_it_comes(weights, images, targets)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    learning_exactly(weights, images, targets)
    written()
    print(f"further apart than it may be: {', '.join(failures) or 'nothing'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
