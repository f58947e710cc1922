"""Train a fixed network on a folder of images, and predict every image in it, out of sample.

    model = training.load_model(run_folder)
    model.predict(["one.png", "two.png"])  # (2, K) probabilities of model.classes

Knows folders only: a tree `<split>/<label>/<image>` goes in, a run directory comes out. `python -m training`
lists the programs, of which `train` makes a run. Importing this package imports nothing heavy; `load_model` imports
PyTorch. The folders, in reading order:

    recipe.py    every training choice, frozen
    data/        a folder of images -> arrays on disk -> batches
    networks/    the fixed networks
    weights.py   pretrained weights: found, verified, downloaded
    parallel/    jobs in worker processes
    fitting/     the training loop, checkpoints, cross-validation, metrics
    embedding/   vectors from a frozen network, and a linear classifier on them
    runs/        the run directory: while it is made, and when it is complete
    inference.py a trained model, for use in Python
    train.py, predict.py, provisional.py    the programs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.errors import DataError, RecipeError, TrainingError

if TYPE_CHECKING:
    from training.inference import LoadedModel, load_model

__all__ = ["DataError", "LoadedModel", "RecipeError", "TrainingError", "load_model"]


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'training' has no attribute {name!r}")
    from training import inference

    return getattr(inference, name)
