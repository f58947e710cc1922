"""Random crops of images."""

import torch

from training.data.augment import ASPECTS, crop_flip, draw_boxes


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def ramps(count, size=64):
    """Images whose red is the place from left to right, -1..1, whose green that from top to bottom; blue is 7."""
    places = (torch.arange(size) * 2 + 1) / size - 1
    red, green = places.expand(size, size), places[:, None].expand(size, size)
    return torch.stack([red, green, torch.full((size, size), 7.0)]).expand(count, 3, size, size)


def test_a_part_lies_within_its_image_and_covers_a_share_of_it_between_the_smallest_and_all():
    boxes = draw_boxes(4000, 0.35, generator())
    width, height = boxes[:, 0, 0].abs(), boxes[:, 1, 1]
    assert bool(((boxes[:, 0, 2].abs() + width <= 1.0001) & (boxes[:, 1, 2].abs() + height <= 1.0001)).all())
    share = width * height
    assert 0.349 < float(share.min()) < 0.36
    assert 0.95 < float(share.max()) <= 1
    aspect = (width / height)[share < 0.5]  # large ones are cut at the border
    assert ASPECTS[0] * 0.999 <= float(aspect.min()) < 0.77
    assert 1.3 < float(aspect.max()) <= ASPECTS[1] * 1.001


def test_half_are_mirrored_and_none_stands_on_its_head():
    boxes = draw_boxes(4000, 0.35, generator())
    assert 0.47 < float((boxes[:, 0, 0] < 0).float().mean()) < 0.53
    assert bool((boxes[:, 1, 1] > 0).all())


def test_what_is_cut_out_is_what_was_drawn():
    parts = crop_flip(ramps(50), 32, 0.35, generator(3))
    boxes = draw_boxes(50, 0.35, generator(3))
    places = (torch.arange(32) * 2 + 1) / 32 - 1
    inside = slice(2, -2)  # at the border of the image the last value is held
    for part, box in zip(parts, boxes, strict=True):
        red, green = box[0, 0] * places + box[0, 2], box[1, 1] * places + box[1, 2]
        torch.testing.assert_close(part[0, inside, inside], red.expand(32, 32)[inside, inside], atol=0.02, rtol=0)
        torch.testing.assert_close(
            part[1, inside, inside], green[:, None].expand(32, 32)[inside, inside], atol=0.02, rtol=0
        )
        torch.testing.assert_close(part[2], torch.full((32, 32), 7.0))


def test_bytes_keep_their_range_and_the_same_generator_gives_the_same_parts():
    images = torch.randint(0, 256, (5, 3, 40, 40), dtype=torch.uint8, generator=generator())
    first, again, other = (crop_flip(images, 48, 0.5, generator(seed)) for seed in (1, 1, 2))
    assert first.shape == (5, 3, 48, 48)
    assert first.dtype == torch.float32
    assert 0 <= float(first.min()) < float(first.max()) <= 255
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
