"""Load a trained model from a run directory, to use it in Python: `training.load_model(run_folder)`."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

import numpy as np
import torch
from PIL import Image

from training.data.arrays import Bytes, Floats
from training.data.cache import Rows
from training.data.decode import read_resized, resize_opened
from training.fitting import trainer
from training.networks.base import Network
from training.recipe import Recipe
from training.runs import directory

ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image
"""The path of an image file, or an image that Pillow has opened."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A trained model with its classes and its preprocessing; see `load_model`.

    `module` takes RGB images (N, 3, H, W), float32 0..255, to logits (N, K), and is in evaluation mode; its `embed`
    returns the vectors before the last layer, (N, F). `classes` are the K labels in the order of the logits, `folders`
    the names of their folders, as predictions.csv has them. `recipe` is what it was trained with.
    """

    module: Network
    classes: list[str]
    folders: list[str]
    recipe: Recipe

    def preprocess(self, image: ImageLike) -> torch.Tensor:
        """Decode and resize one image as for the training: (3, H, W), float32 0..255, on the CPU.

        H and W are the recipe's `image_size`. Of a large JPEG give the path: a file is decoded at a reduced size, and
        an opened image is not. Raises DataError for an image that cannot be decoded.
        """
        pixels = np.array(self._square(image), np.float32)  # (H, W, 3)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()

    def predict(self, images: Iterable[ImageLike] | ImageLike) -> Floats:
        """Predict the probabilities of N images, (N, K) float32, each row with the sum 1.

        Decodes a batch at a time and computes in the recipe's precision. Equal to what `python -m training.predict`
        predicts for the same files, up to float32 rounding. Raises DataError for an image that cannot be decoded.
        """
        inputs: list[ImageLike] = [images] if isinstance(images, str | os.PathLike | Image.Image) else list(images)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # TF32 keeps 3 digits
            return trainer.predict(self.module, _Undecoded(inputs, self._square), self.recipe)

    def _square(self, image: ImageLike) -> Floats | Bytes:
        resize, size = self.recipe.resize, self.recipe.image_size
        if isinstance(image, Image.Image):
            return resize_opened(image, resize, size)
        return read_resized(Path(image), resize, size)


@dataclass(frozen=True, slots=True)
class _Undecoded:
    """Images that are decoded when they are indexed; a `training.data.images.Images`."""

    images: list[ImageLike]
    decode: Callable[[ImageLike], Rows]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, where: slice) -> Rows:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.stack(list(pool.map(self.decode, self.images[where])))


def load_model(run_folder: str | os.PathLike[str], device: str | torch.device | None = None) -> LoadedModel:
    """Load the model of a run directory, such as `.sheetsync/runs/<run>`, in evaluation mode.

    `device` None = a GPU if there is one, else the CPU. Changes no settings of this process, neither its threads nor
    its random numbers. Raises TrainingError when the folder is no run directory or its weights cannot be read.
    """
    folder = Path(run_folder)
    recipe, folders = directory.read_run(folder)
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with torch.random.fork_rng(devices=[]):  # a fresh network draws random numbers, which the weights then replace
        module = trainer.load(folder / directory.WEIGHTS, recipe, len(folders), target)
    module.eval()
    return LoadedModel(module, [label_from_folder(name) for name in folders], folders, recipe)


def label_from_folder(folder: str) -> str:
    """Read the label from the name of its folder, where what no folder may be called is escaped as in URLs.

    >>> label_from_folder("a%2Fb"), label_from_folder("50%")
    ('a/b', '50%')
    """
    return unicodedata.normalize("NFC", unquote(folder))
