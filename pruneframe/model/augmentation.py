"""Images as an epoch sees them: cropped at random and mirrored, a batch at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .recipe import Recipe
from .rows import Source, Stream


def augmented(images: Source, recipe: Recipe, generator: torch.Generator) -> Source:
    """The same images, each batch cropped and flipped as the recipe says, anew whenever it is read.

    Raises InputError where they are not images [n, channels, height, width].
    """
    if not recipe.augments:
        return images
    if len(images.shape) != 4:
        raise InputError(
            f"crop and flip need images [n, channels, height, width], but these are {list(images.shape)}; leave them "
            "out of the recipe"
        )
    source = images if isinstance(images, Stream) else _stream(images)
    return source.then(lambda batch: cropped(batch, recipe.crop, recipe.flip, generator))


def _stream(images: Tensor) -> Stream:
    return Stream(tuple(images.shape), lambda rows: images[torch.from_numpy(rows).to(images.device)])


def cropped(images: Tensor, crop: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Of images [n, c, h, w] padded by `crop` zeros all around, a random piece [h, w] of each, mirrored or not.

    What is drawn comes from a generator of the processor, wherever the images are, and is the same for all channels.
    """
    n, _, height, width = images.shape
    tops, lefts = (torch.randint(2 * crop + 1, (n, 1), generator=generator) for _ in range(2))
    rows, columns = tops + torch.arange(height), lefts + torch.arange(width)
    if flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    padded = F.pad(images, (crop, crop, crop, crop))
    at = [one.to(images.device) for one in (torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :])]
    pieces = padded.permute(0, 2, 3, 1)[at[0], at[1], at[2]]
    layout = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    return pieces.permute(0, 3, 1, 2).contiguous(memory_format=layout)
