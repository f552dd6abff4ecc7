"""Random pieces of images, and their mirror images: drawn from a generator, the same in every layout."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe import InputError, Recipe
from pruneframe.engine import Trainable, kernel
from pruneframe.model.augmentation import augmented, cropped
from pruneframe.model.rows import Stream
from pruneframe.model.state import digest
from pruneframe.model.training import train
from pruneframe_problems.lenet import SmallLeNet

BOTH = Recipe(epochs=2, batch=16, crop=2, flip=True)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some(n: int = 200) -> Tensor:
    return torch.randn(n, 3, 5, 6, generator=seeded())


def pieces(image: Tensor, crop: int, flip: bool) -> list[Tensor]:
    """All that may become of an image."""
    padded, (height, width) = F.pad(image, (crop,) * 4), image.shape[1:]
    places = [(top, left) for top in range(2 * crop + 1) for left in range(2 * crop + 1)]
    found = [padded[:, top : top + height, left : left + width] for top, left in places]
    return found + [one.flip(2) for one in found] * flip


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("crop", [0, 1])
def test_every_image_becomes_one_of_its_pieces_and_every_piece_appears(crop: int, flip: bool) -> None:
    images, counted = some(), set[int]()
    for image, found in zip(images, cropped(images, crop, flip, seeded()), strict=True):
        (which,) = [i for i, piece in enumerate(pieces(image, crop, flip)) if torch.equal(piece, found)]
        counted.add(which)
    assert counted == set(range((2 * crop + 1) ** 2 * (1 + flip)))


def test_a_layout_stays_and_changes_nothing() -> None:
    images = some()
    last = images.contiguous(memory_format=torch.channels_last)
    one, other = (cropped(given, 2, True, seeded()) for given in (images, last))
    assert torch.equal(one, other)
    assert one.is_contiguous()
    assert other.is_contiguous(memory_format=torch.channels_last)


def test_what_is_drawn_follows_from_the_generator() -> None:
    one, same, other = (cropped(some(), 2, True, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_rows_are_augmented_whether_they_lie_in_memory_or_not() -> None:
    images, rows = some(), torch.tensor([3, 0, 7])
    stream = Stream(tuple(images.shape), lambda chosen: images[torch.from_numpy(chosen)])
    found = [augmented(source, BOTH, seeded())[rows] for source in (images, stream)]
    assert torch.equal(*found)
    assert torch.equal(found[0], cropped(images[rows], 2, True, seeded()))
    assert augmented(images, Recipe(), seeded()) is images


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[n, channels, height, width\].*\[4, 7\]"):
        augmented(torch.zeros(4, 7), BOTH, seeded())


@pytest.mark.skipif(not kernel(), reason="there is no kernel")
def test_the_kernel_sees_the_images_that_torch_sees() -> None:
    images, labels = torch.randn(48, 1, 8, 8, generator=seeded()), torch.arange(48) % 10
    found = []
    for small in (True, False):
        torch.manual_seed(0)
        module = SmallLeNet()
        learner = Trainable(module, (1, 8, 8), 1e5 if small else 1e9)
        train(module, images, labels, BOTH, seed=1, steps=learner.steps)
        found.append(module.state_dict())
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=1e-2, atol=1e-3)
    torch.manual_seed(0)
    plain = SmallLeNet()
    train(plain, images, labels, Recipe(epochs=2, batch=16), seed=1)
    assert digest(plain.state_dict()) != digest(found[1])


@pytest.mark.parametrize("changes", [{"nesterov": True}, {"label_smoothing": 0.1}])
def test_what_the_kernel_does_not_know_torch_trains(changes: dict[str, object]) -> None:
    """And trains as torch's own optimiser and loss have it."""
    images, labels = torch.randn(24, 1, 8, 8, generator=seeded()), torch.arange(24) % 10
    recipe = Recipe(epochs=3, batch=100, schedule="constant", **changes)  # type: ignore[arg-type]
    torch.manual_seed(0)
    module, expected = SmallLeNet(), SmallLeNet()
    expected.load_state_dict(module.state_dict())
    train(module, images, labels, recipe, seed=1, steps=Trainable(module, (1, 8, 8), 1e5).steps)
    optimiser = torch.optim.SGD(
        expected.train().parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=recipe.nesterov
    )
    loss = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    for _ in range(3):
        optimiser.zero_grad()
        loss(expected(images), labels).backward()
        optimiser.step()
    for one, other in zip(module.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
