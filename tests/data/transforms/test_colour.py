"""Colours against the standard library's arithmetic and closed forms."""

import colorsys
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.data.transforms import ColorJitter, Grayscale, PCAColorNoise
from tinygrad_cnn.data.transforms.colour import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, luma
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError

IMAGES = np.random.default_rng(0).random((4, 3, 6, 5))
IMAGES[0, :, 0] = 0.5  # grey
IMAGES[0, :, 1] = [[1.0], [0.0], [0.0]]
IMAGES[0, :, 2] = 0.0


def grey(pixel: np.ndarray) -> float:
    return float(0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2])


def each_pixel(images: np.ndarray, function: Any) -> np.ndarray:
    """Apply a function to every image and pixel, in loops."""
    result = np.empty_like(images)
    for place, image in enumerate(images):
        for row in range(images.shape[2]):
            for column in range(images.shape[3]):
                result[place, :, row, column] = function(image, image[:, row, column], place)
    return result


FACTORS = np.array([0.0, 0.5, 1.0, 1.7])


def blended(pixel: np.ndarray, plain: float, factor: float) -> np.ndarray:
    return np.minimum(np.maximum(factor * pixel + (1 - factor) * plain, 0), 1)


@pytest.mark.parametrize(
    ("change", "plain"),
    [
        (adjust_brightness, lambda image, pixel: 0.0),
        (adjust_saturation, lambda image, pixel: grey(pixel)),
        (adjust_contrast, lambda image, pixel: np.mean([grey(image[:, i, j]) for i in range(6) for j in range(5)])),
    ],
)
def test_blends_by_loops(change: Any, plain: Any) -> None:
    expected = each_pixel(IMAGES, lambda image, pixel, place: blended(pixel, plain(image, pixel), FACTORS[place]))
    np.testing.assert_allclose(change(IMAGES, FACTORS), expected, atol=1e-14)


@pytest.mark.parametrize("turns", [[0.0, 0.25, -0.5, 0.5], [0.1, -0.1, 1 / 3, 0.4]])
def test_hue_is_that_of_colorsys(turns: list[float]) -> None:
    def turned(image: np.ndarray, pixel: np.ndarray, place: int) -> Any:
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        return colorsys.hsv_to_rgb((hue + turns[place]) % 1.0, saturation, value)

    np.testing.assert_allclose(adjust_hue(IMAGES, np.array(turns)), each_pixel(IMAGES, turned), atol=1e-12)


def test_third_turns_of_the_hue_change_the_channels_round() -> None:
    np.testing.assert_allclose(adjust_hue(IMAGES, np.full(4, 1 / 3)), IMAGES[:, [2, 0, 1]], atol=1e-12)


def test_jitter_of_one_kind() -> None:
    for option, change in (
        ("brightness", adjust_brightness),
        ("contrast", adjust_contrast),
        ("saturation", adjust_saturation),
        ("hue", adjust_hue),
    ):
        value = 0.3
        jittered = ColorJitter(**{option: (value, value)})(IMAGES)
        np.testing.assert_allclose(jittered, change(IMAGES, np.full(4, value)), atol=1e-14)


def test_jitter_of_nothing_changes_nothing() -> None:
    np.testing.assert_array_equal(ColorJitter()(IMAGES), IMAGES)


def test_orders_differ_from_image_to_image() -> None:
    twins = np.broadcast_to(IMAGES[3:], (400, *IMAGES.shape[1:]))
    jittered = ColorJitter((1.4, 1.4), (0.5, 0.5), (1.5, 1.5), (0.2, 0.2))(twins, np.random.default_rng(0))
    # Only the order is random here. Which of the 24 give different bits depends on what is cut off.
    assert 6 <= len({image.round(12).tobytes() for image in jittered}) <= 24


def test_factors_fill_their_range() -> None:
    flat = np.full((2000, 1, 1, 1), 0.5)
    factors = ColorJitter(brightness=0.4)(flat, np.random.default_rng(0)).ravel() / 0.5
    assert 0.6 <= factors.min() < 0.61
    assert 1.39 < factors.max() <= 1.4
    assert ColorJitter(brightness=1.5).brightness == (0.0, 2.5)


def test_one_channel_has_neither_saturation_nor_hue() -> None:
    image = IMAGES[:, :1]
    np.testing.assert_array_equal(ColorJitter(saturation=0.5, hue=0.5)(image), image)
    assert not np.array_equal(ColorJitter(contrast=0.5)(image), image)


def test_grayscale() -> None:
    expected = each_pixel(IMAGES, lambda image, pixel, place: grey(pixel))
    np.testing.assert_allclose(Grayscale(3)(IMAGES), expected, atol=1e-15)
    np.testing.assert_allclose(Grayscale()(IMAGES), expected[:, :1], atol=1e-15)
    np.testing.assert_array_equal(luma(IMAGES[:, :1]), IMAGES[:, :1])


# AlexNet's noise ------------------------------------------------------------------------------------------------------


def test_default_directions_are_orthonormal_as_far_as_they_are_printed() -> None:
    vectors = PCAColorNoise().eigenvectors
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-4)


def test_fit_finds_the_colours_that_were_put_in() -> None:
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    deviations = np.array([0.3, 0.1, 0.02])
    pixels = (rng.standard_normal((50 * 20 * 20, 3)) * deviations) @ directions.T + [0.4, 0.5, 0.6]
    noise = PCAColorNoise.fit(pixels.reshape(50, 20, 20, 3).transpose(0, 3, 1, 2))
    np.testing.assert_allclose(noise.eigenvalues, deviations**2, rtol=0.03)
    np.testing.assert_allclose(np.abs(np.sum(noise.eigenvectors * directions, axis=0)), 1, atol=1e-3)


def test_fit_is_the_eigendecomposition_of_the_covariance() -> None:
    noise = PCAColorNoise.fit(IMAGES, std=0.2)
    pixels = IMAGES.transpose(1, 0, 2, 3).reshape(3, -1)
    covariance = np.cov(pixels, bias=True)
    np.testing.assert_allclose(noise.eigenvectors @ np.diag(noise.eigenvalues) @ noise.eigenvectors.T, covariance, atol=1e-14)
    assert noise.std == 0.2
    assert (np.diff(noise.eigenvalues) <= 0).all()
    assert (np.take_along_axis(noise.eigenvectors, np.abs(noise.eigenvectors).argmax(0)[None], 0) > 0).all()


def test_noise_has_the_covariance_of_the_formula() -> None:
    noise = PCAColorNoise(0.1)
    images = np.zeros((20_000, 3, 1, 2))
    added = noise(images, np.random.default_rng(0))
    np.testing.assert_array_equal(added[..., 0], added[..., 1])  # one colour for all pixels
    # P diag(lambda) a with a ~ N(0, std^2): its covariance is std^2 P diag(lambda^2) P'.
    vectors, values = noise.eigenvectors, noise.eigenvalues
    expected = 0.01 * vectors @ np.diag(values**2) @ vectors.T
    np.testing.assert_allclose(np.cov(added[:, :, 0, 0].T), expected, atol=0.03 * expected.max())


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ColorJitter(brightness=-0.1), r"brightness must be 0 or more, or a pair \(smallest, largest\), got -0.1"),
        (lambda: ColorJitter(contrast=(-0.1, 1)), r"contrast must be a pair of factors of 0 or more, got \(-0.1, 1\)"),
        (lambda: ColorJitter(saturation=(2, 1)), "saturation must be a pair"),
        (lambda: ColorJitter(hue=0.6), "hue must be between 0 and 0.5, or a pair between -0.5 and 0.5, got 0.6"),
        (lambda: ColorJitter(hue=-0.1), "hue must be between 0 and 0.5"),
        (lambda: ColorJitter(hue=(-0.6, 0)), "hue must be between"),
        (lambda: Grayscale(2), "num_output_channels must be 1 or 3, got 2"),
        (lambda: PCAColorNoise(-1), "PCAColorNoise needs std of 0 or more, 3 eigenvalues and 3 x 3 eigenvectors, got -1"),
        (lambda: PCAColorNoise(eigenvalues=(1, 2)), "PCAColorNoise needs std"),
        (lambda: PCAColorNoise(eigenvectors=np.eye(2)), "PCAColorNoise needs std"),
    ],
)
def test_options_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("transform", [ColorJitter(), Grayscale(), PCAColorNoise(), PCAColorNoise.fit])
def test_other_images_are_refused(transform: Any) -> None:
    name = getattr(transform, "__self__", transform)
    name = (name if isinstance(name, type) else type(name)).__name__
    with pytest.raises(ShapeError, match=rf"{name} needs images \(n, c, h, w\) of .*3 channels .*, got \(1, 2, 4, 4\)"):
        transform(np.zeros((1, 2, 4, 4)))
    with pytest.raises(DTypeError, match=rf"{name} blends pixels"):
        transform(np.zeros((1, 3, 4, 4), np.uint8))
