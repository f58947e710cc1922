"""Batches of images, where the model is.

On a CPU a batch is gathered from the mapped cache when it is wanted. On a GPU all images move there once if they fit
into half of its free memory; if not, a thread gathers the next batch in pinned memory, and it moves while the one
before is learned from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from training.data.arrays import Ints
from training.data.images import Images

FITS = 0.5  # share of a GPU's free memory that images may take
GROUP = 1024  # images that move there at a time


class BatchLoader:
    """Gives images (N, H, W, 3) as batches (B, 3, H, W) on a device, channels last in memory, in their own type."""

    def __init__(self, images: Images, device: torch.device) -> None:
        self._images, self._device = images, device
        self._there = copy_to_device(images, device) if _fits(images, device) else None

    def batches(self, order: Sequence[Ints]) -> Iterator[Tensor]:
        """The images at each of these groups of positions."""
        if self._there is not None or self._device.type == "cpu":
            yield from map(self._batch, order)
            return
        with ThreadPoolExecutor(1) as thread:
            coming = [thread.submit(self._pinned, positions) for positions in order[:1]]
            for positions in [*order[1:], None]:
                batch = coming.pop().result()
                if positions is not None:
                    coming.append(thread.submit(self._pinned, positions))
                yield batch.to(self._device, non_blocking=True).permute(0, 3, 1, 2)

    def _batch(self, positions: Ints) -> Tensor:
        if self._there is None:
            return torch.from_numpy(self._images[positions]).permute(0, 3, 1, 2)
        return self._there[torch.from_numpy(positions).to(self._device)].permute(0, 3, 1, 2)

    def _pinned(self, positions: Ints) -> Tensor:
        return torch.from_numpy(self._images[positions]).pin_memory()


def copy_to_device(images: Images, device: torch.device, group: int = GROUP) -> Tensor:
    """All images (N, H, W, 3) on a device, moved so many at a time: this machine's own memory may be smaller."""
    first = torch.from_numpy(images[:1])
    there = torch.empty((len(images), *first.shape[1:]), dtype=first.dtype, device=device)
    for start in range(0, len(images), group):
        there[start : start + group] = torch.from_numpy(images[start : start + group])
    return there


def _fits(images: Images, device: torch.device) -> bool:
    if device.type == "cpu" or not len(images):
        return False
    torch.cuda.empty_cache()  # or what the model before this one used would count as taken
    free, _ = torch.cuda.mem_get_info(device)
    return len(images) * images[:1].nbytes < FITS * free
