"""What a training here would run on: `python -m training.device` prints it as one JSON object."""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any


def describe(cuda: Any) -> dict[str, Any]:
    """The cores, the GPU if there is one, and what PyTorch has to say about that; `cuda` is `torch.cuda`."""
    with warnings.catch_warnings(record=True) as said:  # such as a driver that is too old
        warnings.simplefilter("always")
        gpu = _gpu(cuda) if cuda.is_available() else None
    words = " ".join(str(said[0].message).split()) if said else ""
    return {"cores": os.cpu_count() or 1, "gpu": gpu, "said": words}


def _gpu(cuda: Any) -> dict[str, Any]:
    """Its name and its memory in bytes, or the error when it does not work."""
    try:
        free, total = cuda.mem_get_info()
        return {"name": cuda.get_device_name(), "free": free, "total": total}
    except RuntimeError as error:
        return {"error": " ".join(str(error).split())}


def main() -> int:
    """Print it, with the version of PyTorch."""
    import torch

    sys.stdout.write(json.dumps({"torch": torch.__version__} | describe(torch.cuda)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
