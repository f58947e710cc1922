"""Every training choice, frozen. A run is one recipe on one dataset; nothing else can change its numbers.

`python -m training.recipe NAME` prints a recipe as JSON. A team's own recipe is a .toml or .json file that
holds every field of `Recipe`; wherever a name is asked for, the path of such a file does as well.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from training.errors import RecipeError

CHOICES = {
    "network": ("resnet50-conv2", "resnet50", "efficientnet-lite0"),
    "weights": ("", "imagenet1k-v1", "efficientnet-lite0"),
    "resize": ("plain", "antialias"),
    "augment": ("none", "crop-flip"),
    "schedule": ("constant", "cosine"),
    "precision": ("fp32", "bf16"),
}
# Pixels a side: a network halves it so often, and BatchNorm cannot learn from one image that became one pixel.
SMALLEST = {"resnet50-conv2": 8, "resnet50": 33, "efficientnet-lite0": 33}
LARGEST = 1024
PRETRAINED = {"resnet50-conv2": "", "resnet50": "imagenet1k-v1", "efficientnet-lite0": "efficientnet-lite0"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a training run depends on besides the images, their splits and their labels."""

    name: str
    network: str  # "resnet50-conv2": ResNet-50 up to the end of its stage conv2, "resnet50", ...; see model.py
    weights: str  # what it starts from: "" = random numbers, else pretrained weights, see weights.py
    resize: str  # "plain": a value mixes the four pixels nearest to it; "antialias": all that it covers; see data.py
    image_size: int  # pixels a side; images are resized to a square of it
    augment: str  # "none", or "crop-flip": what is learned from is a random part, half of the time mirrored
    crop_area: float  # the smallest part of an image's area that "crop-flip" takes
    crop_size: int  # pixels a side that such a part is resized to
    batch: int  # images a step
    epochs: int
    least_steps: int  # of few images more epochs are made, until there are so many steps
    learning_rate: float  # of Adam, at its highest
    beta1: float  # of Adam
    beta2: float  # of Adam
    epsilon: float  # of Adam, added before the bias of its start is taken out, as in Keras
    weight_decay: float  # of kernels, apart from the gradient, as AdamW does
    schedule: str  # "constant", or "cosine" down to 0 at the last step
    warmup: float  # share of all steps in which the learning rate rises from 0
    norm_momentum: float  # weight of the newest batch in BatchNorm's running mean and variance
    precision: str  # "fp32", or "bf16": mixed, by autocast, on hardware that has it; else fp32
    channels_last: bool  # memory format; faster, and changes the last bits
    folds: int  # cross-validation of the train images; below 2 = none
    average_from: float  # share of the epochs after which the folds' probabilities are averaged
    max_images: int  # train and val together
    seed: int

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise RecipeError(f"recipe {self.name!r}: {problem}")

    @property
    def digest(self) -> str:
        """16 hexadecimal characters that change with every field but the name."""
        choices = {key: value for key, value in asdict(self).items() if key != "name"}
        canonical = json.dumps(choices, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def with_min_steps(self, images: int) -> Recipe:
        """The same with as many epochs as it takes to make `least_steps` steps with this number of images."""
        steps = math.ceil(images / self.batch)  # an epoch
        return replace(self, epochs=max(self.epochs, math.ceil(self.least_steps / steps)))

    @property
    def first_averaged(self) -> int:
        """The first epoch (counted from 1) whose probabilities go into the folds' average."""
        return max(1, math.ceil(self.average_from * self.epochs - 1e-9))

    def as_dict(self) -> dict[str, Any]:
        """The recipe as JSON shows it: name, digest, and every other field."""
        return {"name": self.name, "digest": self.digest} | asdict(self)


def _problems(recipe: Recipe) -> Iterator[str]:
    for key, allowed in CHOICES.items():
        if getattr(recipe, key) not in allowed:
            yield f"{key} is {getattr(recipe, key)!r}; it can be {', '.join(allowed)}"
    for key in ("batch", "epochs", "max_images", "learning_rate", "epsilon"):
        if not 0 < getattr(recipe, key) < math.inf:
            yield f"{key} must be above 0"
    for key in ("beta1", "beta2", "warmup", "norm_momentum", "average_from", "crop_area", "weight_decay"):
        if not 0 <= getattr(recipe, key) <= 1:
            yield f"{key} must lie between 0 and 1"
    if not 0 <= recipe.least_steps <= 1_000_000:
        yield "least_steps must lie between 0 and 1000000"
    for key in ("beta1", "beta2"):
        if getattr(recipe, key) == 1:
            yield f"{key} must be below 1, or Adam never takes in a gradient"
    yield from _network_problems(recipe)


def _network_problems(recipe: Recipe) -> Iterator[str]:
    for key in ("image_size", "crop_size"):
        if not SMALLEST[recipe.network] <= getattr(recipe, key) <= LARGEST:
            yield f"{key} must lie between {SMALLEST[recipe.network]} and {LARGEST} for {recipe.network}"
    if recipe.weights not in ("", PRETRAINED[recipe.network]):
        yield f"weights {recipe.weights!r} are of another network than {recipe.network}"


RECIPES = {
    recipe.name: recipe
    for recipe in (
        # A data-centric competition's fixed model: 2,880 images of Roman numerals, i to x. Its Keras
        # numbers, kept exactly; a run of this recipe there gives a validation accuracy of 0.67-0.68.
        Recipe(
            name="roman-resnet50",
            network="resnet50-conv2",
            weights="",
            resize="plain",  # tf.image.resize's bilinear, and its values are not rounded
            image_size=32,
            augment="none",
            crop_area=1.0,
            crop_size=32,
            batch=8,
            epochs=100,
            least_steps=0,
            learning_rate=1e-4,
            beta1=0.9,
            beta2=0.999,
            epsilon=1e-7,  # Keras's default; PyTorch's is 1e-8
            weight_decay=0.0,
            schedule="constant",
            warmup=0.0,
            norm_momentum=0.01,  # Keras writes the same as 0.99
            precision="fp32",
            channels_last=True,  # 25 % faster than without, same numbers up to rounding
            folds=5,
            average_from=0.2,  # epochs 20-100 find wrong labels with AP .506, the last epoch alone .381
            max_images=10_000,  # the competition's limit
            seed=0,
        ),
        # The same network and input on a short schedule, for a first try. Figures: benchmarks/demo_recipe.py,
        # 1,797 digits with 3 % wrong labels, mean of two seeds; val accuracy .962 (at best .97), average
        # precision of finding the wrong labels .998, 59 processor seconds for the main model and five folds.
        Recipe(
            name="demo-resnet50",
            network="resnet50-conv2",
            weights="",
            resize="plain",
            image_size=32,
            augment="none",
            crop_area=1.0,
            crop_size=32,
            batch=64,  # with bf16, 1.7 times the images a second of batch 8 in fp32
            epochs=6,  # 4: val .964, AP .996, 45 s; 8: val .964, AP .999, 73 s
            least_steps=0,
            learning_rate=3e-3,  # at batch 64 and with the schedule below
            beta1=0.9,
            beta2=0.999,
            epsilon=1e-7,
            weight_decay=0.0,
            schedule="cosine",  # constant 1e-3: val .946, AP .993
            warmup=0.1,
            norm_momentum=0.1,  # 0.01 is too slow for 138 steps: val .492, AP .134
            precision="bf16",  # fp32: val .965, AP .995, 90 s
            channels_last=True,
            folds=5,
            average_from=0.4,  # the last epoch alone is as good here (AP .999); on harder data it is not
            max_images=10_000,
            seed=0,
        ),
        # Photographs: the whole network, from what it learned of ImageNet. A schedule that is short on few images, for
        # pretrained weights need few steps, and long on many.
        Recipe(
            name="resnet50",
            network="resnet50",
            weights="imagenet1k-v1",  # v2 learned with smoothed labels, which makes vectors that transfer worse:
            resize="antialias",  # Kornblith et al., "Why do better loss functions lead to less transferable features?"
            image_size=224,  # what the weights were trained at
            augment="crop-flip",
            crop_area=0.35,  # a smaller one may cut the thing out that the label is about
            crop_size=176,  # a random part shows things larger than the whole does: torchvision's own recipe takes 176
            batch=32,  # for 224 (Touvron et al., "Fixing the train-test resolution discrepancy", 2019)
            epochs=12,
            least_steps=500,  # as Kolesnikov et al., "Big Transfer", 2020, for small data sets
            learning_rate=3e-4,  # figures of what was tried: README, "Tried and dropped"
            beta1=0.9,
            beta2=0.999,
            epsilon=1e-8,
            weight_decay=0.05,  # Touvron et al., "Training data-efficient image transformers", 2020
            schedule="cosine",
            warmup=0.1,
            norm_momentum=0.1,
            precision="bf16",
            channels_last=True,
            folds=5,
            average_from=0.4,
            max_images=100_000,
            seed=0,
        ),
    )
}


def load(name: str) -> Recipe:
    """The recipe of this name, or the one in this .toml or .json file.

    `@N` after either is the same recipe with its seed raised by N, as `roman-resnet50@1`.

    Raises RecipeError for an unknown name, a file that cannot be read, and fields missing or unknown.
    """
    base, _, more = name.rpartition("@")
    if base and more.isdecimal():
        found = load(base)
        return replace(found, name=f"{found.name}@{more}", seed=found.seed + int(more))
    if name in RECIPES:
        return RECIPES[name]
    if not name.endswith((".toml", ".json")):
        raise RecipeError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}, or give a .toml file")
    return parse(_read(Path(name)), name)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".json":
            found = json.loads(text)
        else:
            import tomllib

            found = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: not a recipe that can be read ({error})") from error
    if not isinstance(found, dict):
        raise RecipeError(f"{path}: a recipe is a table of fields, not a {type(found).__name__}")
    return found


def parse(found: dict[str, Any], where: str) -> Recipe:
    """A recipe from its fields; `where` stands at the start of errors. A digest among them is left aside.

    Raises RecipeError when a field is missing, unknown or of the wrong type.
    """
    kinds = {"int": int, "float": float, "str": str, "bool": bool}
    wanted = {field.name: kinds[str(field.type)] for field in fields(Recipe)}
    unknown = sorted(found.keys() - wanted.keys() - {"digest"})
    missing = sorted(wanted.keys() - found.keys())
    if unknown or missing:
        said = [f"{what}: {', '.join(keys)}" for what, keys in (("unknown", unknown), ("missing", missing)) if keys]
        raise RecipeError(f"{where}: fields {'; '.join(said)}")
    return Recipe(**{key: _typed(found[key], kind, f"{where}: {key}") for key, kind in wanted.items()})


def _typed(value: Any, kind: type, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise RecipeError(f"{where} is {value!r}; it must be of type {kind.__name__}")
    return value


def main(arguments: list[str]) -> int:
    """Print one recipe as JSON; 2 and one line on stderr when there is none of that name."""
    if len(arguments) != 1:
        sys.stderr.write(f"usage: python -m training.recipe NAME; names: {', '.join(RECIPES)}\n")
        return 2
    try:
        sys.stdout.write(json.dumps(load(arguments[0]).as_dict(), indent=1) + "\n")
    except RecipeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
