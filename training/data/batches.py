"""Data loader: batches of images on the device of the model.

On a CPU a batch is gathered from the memory-mapped cache when it is needed. On a GPU all images are copied there once
if they fit into half of its free memory; if not, a thread gathers the next batch in pinned memory (prefetching), and it
is copied while the model learns from the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from training.data.arrays import Ints
from training.data.images import Images

MAX_GPU_SHARE = 0.5  # of a GPU's free memory, that images may take
COPY_GROUP = 1024  # images copied to a device at a time


class BatchLoader:
    """Loads images (N, H, W, 3) as batches (B, 3, H, W) on a device, channels last in memory, in their own type."""

    def __init__(self, images: Images, device: torch.device) -> None:
        self._images, self._device = images, device
        self._on_device = copy_to_device(images, device) if _fit_on(device, images) else None

    def batches(self, groups: Sequence[Ints]) -> Iterator[Tensor]:
        """Yield the images at each of these groups of positions."""
        if self._on_device is not None or self._device.type == "cpu":
            yield from map(self._batch, groups)
            return
        with ThreadPoolExecutor(1) as thread:
            pending = [thread.submit(self._pinned_batch, positions) for positions in groups[:1]]
            for positions in [*groups[1:], None]:
                batch = pending.pop().result()
                if positions is not None:
                    pending.append(thread.submit(self._pinned_batch, positions))
                yield batch.to(self._device, non_blocking=True).permute(0, 3, 1, 2)

    def _batch(self, positions: Ints) -> Tensor:
        if self._on_device is None:
            return torch.from_numpy(self._images[positions]).permute(0, 3, 1, 2)
        return self._on_device[torch.from_numpy(positions).to(self._device)].permute(0, 3, 1, 2)

    def _pinned_batch(self, positions: Ints) -> Tensor:
        return torch.from_numpy(self._images[positions]).pin_memory()


def copy_to_device(images: Images, device: torch.device, group: int = COPY_GROUP) -> Tensor:
    """Copy all images (N, H, W, 3) to a device, `group` at a time: the memory of the CPU may be smaller."""
    first = torch.from_numpy(images[:1])
    copied = torch.empty((len(images), *first.shape[1:]), dtype=first.dtype, device=device)
    for start in range(0, len(images), group):
        copied[start : start + group] = torch.from_numpy(images[start : start + group])
    return copied


def _fit_on(device: torch.device, images: Images) -> bool:
    if device.type == "cpu" or not len(images):
        return False
    torch.cuda.empty_cache()  # else memory that the previous model used would count as taken
    free, _ = torch.cuda.mem_get_info(device)
    return len(images) * images[:1].nbytes < MAX_GPU_SHARE * free
