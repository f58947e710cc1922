"""Recipes: every training choice (hyperparameters), frozen.

A run is one recipe on one dataset; nothing else can change its numbers.
`python -m training.recipe NAME` prints a recipe as JSON. A team's own recipe is a .toml or .json file that holds every
field of `Recipe`; wherever a name is asked for, the path of such a file is accepted too.
"""

from __future__ import annotations

import argparse
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
# Pixels a side: a network halves it several times, and BatchNorm cannot learn from one image that became one pixel.
MIN_IMAGE_SIZE = {"resnet50-conv2": 8, "resnet50": 33, "efficientnet-lite0": 33}
MAX_IMAGE_SIZE = 1024
PRETRAINED = {"resnet50-conv2": "", "resnet50": "imagenet1k-v1", "efficientnet-lite0": "efficientnet-lite0"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a training run depends on besides the images, their splits and their labels."""

    name: str
    network: str  # "resnet50-conv2": ResNet-50 up to the end of its stage conv2, "resnet50", ...; see networks/
    weights: str  # initial weights: "" = random numbers, else pretrained ones, see weights.py
    resize: str  # "plain": from the four nearest pixels; "antialias": from all pixels covered; see data/decode.py
    image_size: int  # pixels a side; images are resized to a square of it
    augment: str  # "none", or "crop-flip": a random part of each train image, half of the time mirrored
    crop_area: float  # the smallest share of an image's area that "crop-flip" takes
    crop_size: int  # pixels a side that such a part is resized to
    batch: int  # images a step
    epochs: int
    least_steps: int  # with few images there are more epochs, until there are at least this many steps
    learning_rate: float  # of Adam, at its peak
    beta1: float  # of Adam
    beta2: float  # of Adam
    epsilon: float  # of Adam, added before bias correction, as in Keras
    weight_decay: float  # of kernels, decoupled from the gradient, as in AdamW
    schedule: str  # "constant", or "cosine" down to 0 at the last step
    warmup: float  # share of all steps during which the learning rate rises from 0
    norm_momentum: float  # weight of the newest batch in BatchNorm's running mean and variance
    precision: str  # "fp32", or "bf16": mixed precision by autocast where the hardware has it, else fp32
    channels_last: bool  # memory format; faster, and changes the last bits
    folds: int  # of the cross-validation of train images; below 2 = none
    average_from: float  # share of the epochs after which the folds' probabilities are averaged
    max_images: int  # train and val together
    seed: int

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise RecipeError(f"recipe {self.name!r}: {problem}")

    @property
    def digest(self) -> str:
        """Fingerprint of every field but the name: 16 hexadecimal characters of a SHA-256."""
        choices = {key: value for key, value in asdict(self).items() if key != "name"}
        canonical = json.dumps(choices, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def with_min_steps(self, images: int) -> Recipe:
        """Return a copy with enough epochs to make `least_steps` steps on this number of images."""
        steps = math.ceil(images / self.batch)  # in one epoch
        return replace(self, epochs=max(self.epochs, math.ceil(self.least_steps / steps)))

    @property
    def first_averaged(self) -> int:
        """The first epoch (counted from 1) whose probabilities go into the folds' average."""
        return max(1, math.ceil(self.average_from * self.epochs - 1e-9))

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as it stands in JSON: name, digest, and every other field."""
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
            yield f"{key} must be below 1, or Adam never uses a gradient"
    yield from _network_problems(recipe)


def _network_problems(recipe: Recipe) -> Iterator[str]:
    for key in ("image_size", "crop_size"):
        if not MIN_IMAGE_SIZE[recipe.network] <= getattr(recipe, key) <= MAX_IMAGE_SIZE:
            yield f"{key} must lie between {MIN_IMAGE_SIZE[recipe.network]} and {MAX_IMAGE_SIZE} for {recipe.network}"
    if recipe.weights not in ("", PRETRAINED[recipe.network]):
        yield f"weights {recipe.weights!r} are of another network than {recipe.network}"


RECIPES = {
    recipe.name: recipe
    for recipe in (
        # A data-centric competition's fixed model: 2,880 images of Roman numerals, i to x. Its Keras
        # numbers, kept exactly; a run of this recipe on them has a validation accuracy of 0.67-0.68.
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
        # Photographs: the whole network, pretrained on ImageNet. The schedule is short on few images, because
        # pretrained weights need few steps, and long on many.
        Recipe(
            name="resnet50",
            network="resnet50",
            # Not v2, which was trained with label smoothing: such vectors transfer worse (Kornblith et al., "Why do
            # better loss functions lead to less transferable features?", 2021).
            weights="imagenet1k-v1",
            resize="antialias",
            image_size=224,  # what the weights were trained at
            augment="crop-flip",
            crop_area=0.35,  # a smaller part may miss the thing that the label names
            # Things look larger in a random part than in the whole image: torchvision's own recipe has 176 for 224
            # (Touvron et al., "Fixing the train-test resolution discrepancy", 2019).
            crop_size=176,
            batch=32,
            epochs=12,
            least_steps=500,  # as Kolesnikov et al., "Big Transfer", 2020, for small data sets
            learning_rate=3e-4,  # what else was tried, with figures: docs/measurements.md
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


def load_recipe(name: str) -> Recipe:
    """Return the built-in recipe of this name, or the one in this .toml or .json file.

    `@N` after either raises the recipe's seed by N, as in `roman-resnet50@1`.

    Raises RecipeError for an unknown name, a file that cannot be read, and fields missing or unknown.
    """
    base, _, offset = name.rpartition("@")
    if base and offset.isdecimal():
        recipe = load_recipe(base)
        return replace(recipe, name=f"{recipe.name}@{offset}", seed=recipe.seed + int(offset))
    if name in RECIPES:
        return RECIPES[name]
    if not name.endswith((".toml", ".json")):
        raise RecipeError(
            f"there is no recipe {name!r}; there are {', '.join(RECIPES)}, or give a recipe file (.json or .toml)"
        )
    return parse_recipe(_read(Path(name)), name)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".json":
            values = json.loads(text)
        else:
            import tomllib

            values = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: not a recipe that can be read ({error})") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a table of fields, not a {type(values).__name__}")
    return values


def parse_recipe(values: dict[str, Any], where: str) -> Recipe:
    """Build a recipe from its fields; `where` begins every error message. A `digest` among them is ignored.

    Raises RecipeError when a field is missing, unknown or of the wrong type.
    """
    types = {"int": int, "float": float, "str": str, "bool": bool}
    expected = {field.name: types[str(field.type)] for field in fields(Recipe)}
    unknown = sorted(values.keys() - expected.keys() - {"digest"})
    missing = sorted(expected.keys() - values.keys())
    if unknown or missing:
        problems = [f"{what}: {', '.join(keys)}" for what, keys in (("unknown", unknown), ("missing", missing)) if keys]
        raise RecipeError(f"{where}: fields {'; '.join(problems)}")
    return Recipe(**{key: _check_type(values[key], kind, f"{where}: {key}") for key, kind in expected.items()})


def _check_type(value: Any, expected: type, where: str) -> Any:
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        raise RecipeError(f"{where} is {value!r}; it must be of type {expected.__name__}")
    return value


HELP = """\
Print a recipe, every choice of a training, as JSON: its name, its digest (a fingerprint of all other fields), and
every field.

Built-in recipes:
{recipes}

Examples:
  python -m training.recipe roman-resnet50
  python -m training.recipe roman-resnet50 > mine.json    a recipe file to change: give it a name of its own
  python -m training.recipe mine.json                     check it, and print its digest
  python -m training.recipe roman-resnet50@1              the same recipe with its seed raised by 1
"""


def _parser() -> argparse.ArgumentParser:
    lines = (
        f"  {recipe.name:15} {recipe.network}, {recipe.image_size} pixels a side, "
        f"from {recipe.weights or 'random numbers'}, {recipe.epochs} epochs"
        for recipe in RECIPES.values()
    )
    description = HELP.format(recipes="\n".join(lines))
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m training.recipe", description=description, formatter_class=shape)
    parser.add_argument("name", metavar="NAME", help="a built-in recipe, or a .toml or .json file with all fields")
    return parser


def main(arguments: list[str]) -> int:
    """Print one recipe as JSON and return 0; on an error print one line to stderr and return 2."""
    options = _parser().parse_args(arguments)
    try:
        sys.stdout.write(json.dumps(load_recipe(options.name).as_dict(), indent=1) + "\n")
    except RecipeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
