"""MixUp and CutMix: shares of images and targets that agree, and a loss that takes them."""

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import nn, random
from tinygrad_cnn.data.transforms import CutMix, MixUp
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_cnn.tensor import Tensor

IMAGES = np.random.default_rng(0).random((5, 2, 8, 6))
CLASSES = np.array([3, 0, 2, 2, 1])


@pytest.mark.parametrize("seed", range(5))
def test_mixup_blends_neighbours(seed: int) -> None:
    images, targets = MixUp(alpha=0.7, num_classes=4)(IMAGES, CLASSES, np.random.default_rng(seed))
    share = np.random.default_rng(seed).beta(0.7, 0.7)
    for place in range(5):
        before = place - 1
        np.testing.assert_allclose(images[place], share * IMAGES[place] + (1 - share) * IMAGES[before], atol=1e-15)
        expected = np.zeros(4)
        expected[CLASSES[place]] += share
        expected[CLASSES[before]] += 1 - share
        np.testing.assert_allclose(targets[place], expected, atol=1e-15)


def test_cutmix_pastes_a_rectangle_and_says_its_share() -> None:
    numbered = np.broadcast_to(np.arange(5.0)[:, None, None, None], (5, 1, 40, 30))
    shares = []
    for seed in range(200):
        images, targets = CutMix(num_classes=5)(numbered, np.arange(5), np.random.default_rng(seed))
        for place in range(5):
            kept = images[place, 0] == place
            assert (images[place, 0][~kept] == (place - 1) % 5).all()
            expected = np.zeros(5)
            expected[place] = kept.mean()
            expected[place - 1] += (~kept).mean()
            np.testing.assert_allclose(targets[place], expected, atol=1e-12)
            pasted = ~kept
            assert pasted.sum() == pasted.any(axis=0).sum() * pasted.any(axis=1).sum()  # it is a rectangle
        shares.append(kept.mean())
    assert min(shares) < 0.2
    assert max(shares) > 0.95


def test_cutmix_rectangle_has_the_proportions_of_the_image() -> None:
    # With its middle in the middle of the image nothing is cut off, and the area is the share drawn.
    class Middle:
        def beta(self, a: float, b: float) -> float:
            return 0.75

        def integers(self, size: int) -> int:
            return size // 2

    numbered = np.broadcast_to(np.arange(2.0)[:, None, None, None], (2, 1, 40, 20))
    images, targets = CutMix(num_classes=2)(numbered, np.arange(2), Middle())  # type: ignore[arg-type]
    pasted = images[1, 0] == 0
    assert (pasted.any(axis=1).sum(), pasted.any(axis=0).sum()) == (20, 10)
    assert targets[1].tolist() == [0.25, 0.75]


@pytest.mark.parametrize("mix", [MixUp(num_classes=4), CutMix(num_classes=4)])
def test_targets_may_be_probabilities_and_all_may_be_tensors(mix: Any) -> None:
    images = IMAGES.astype(np.float32)
    by_class = mix(images, CLASSES, np.random.default_rng(1))
    soft = mix(images, np.eye(4)[CLASSES], np.random.default_rng(1))
    tensors = mix(Tensor(images), Tensor(CLASSES), np.random.default_rng(1))
    for one, other, tensor in zip(by_class, soft, tensors, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other, strict=True)
        assert isinstance(tensor, Tensor)
        np.testing.assert_array_equal(tensor.array, one)
    np.testing.assert_array_equal(images, IMAGES.astype(np.float32))
    with random.drawing_from(np.random.default_rng(1)):
        np.testing.assert_array_equal(mix(images, CLASSES)[0], by_class[0])


@pytest.mark.parametrize("mix", [MixUp(num_classes=4), CutMix(num_classes=4)])
def test_cross_entropy_of_mixed_targets_is_the_mean_over_the_classes(mix: Any) -> None:
    _, targets = mix(IMAGES, CLASSES, np.random.default_rng(2))
    logits = np.random.default_rng(3).standard_normal((5, 4))
    loss = nn.CrossEntropyLoss()(Tensor(logits), Tensor(targets)).item()
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert loss == pytest.approx(-(targets * log_probabilities).sum() / 5, rel=1e-12)


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_errors(kind: Any) -> None:
    with pytest.raises(ArgumentError, match="alpha must be greater than 0, got 0"):
        kind(alpha=0)
    with pytest.raises(ArgumentError, match="num_classes must be 1 or more, got 0"):
        kind(num_classes=0)
    with pytest.raises(ArgumentError, match=rf"{kind.__name__} needs num_classes=4 or more to make .* got None"):
        kind()(IMAGES, CLASSES)
    with pytest.raises(ArgumentError, match=rf"{kind.__name__} needs num_classes=4 or more to make .* got 3"):
        kind(num_classes=3)(IMAGES, CLASSES)
    with pytest.raises(DTypeError, match="blends pixels"):
        kind(num_classes=4)((IMAGES * 255).astype(np.uint8), CLASSES)
    with pytest.raises(DTypeError, match=r"targets of shape \(n,\) must be classes, whole numbers, got float64"):
        kind(num_classes=4)(IMAGES, CLASSES.astype(float))
    with pytest.raises(ShapeError, match=r"needs a batch of images .* and n targets, got the shapes \(5, 2, 8, 6\) and \(3,\)"):
        kind(num_classes=4)(IMAGES, CLASSES[:3])
    assert repr(kind(num_classes=4)) == f"{kind.__name__}(alpha=1.0, num_classes=4)"
