"""Describe the device that a training would run on (GPU or CPU): `python -m training.device` prints a JSON object."""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any


def describe(cuda: Any) -> dict[str, Any]:
    """Return the number of cores, the GPU if there is one, and PyTorch's warning about it; `cuda` is `torch.cuda`."""
    with warnings.catch_warnings(record=True) as caught:  # such as a driver that is too old
        warnings.simplefilter("always")
        gpu = _describe_gpu(cuda) if cuda.is_available() else None
    warning = " ".join(str(caught[0].message).split()) if caught else ""
    return {"cores": os.cpu_count() or 1, "gpu": gpu, "said": warning}


def _describe_gpu(cuda: Any) -> dict[str, Any]:
    """Return the GPU's name and its free and total memory in bytes, or the error if it does not work."""
    try:
        free, total = cuda.mem_get_info()
        return {"name": cuda.get_device_name(), "free": free, "total": total}
    except RuntimeError as error:
        return {"error": " ".join(str(error).split())}


def main() -> int:
    """Print the description, with the version of PyTorch."""
    import torch

    sys.stdout.write(json.dumps({"torch": torch.__version__} | describe(torch.cuda)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
