"""Elastic distortion: every pixel displaced a little, its neighbours nearly the same way, as ink written by a hand."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError
from .base import Images, Transform, require_floats
from .frame import Fill
from .warp import require_interpolation, warp


class ElasticTransform(Transform):
    r"""Displace the pixels of each image by a smooth random field of its own.

    .. math:: y[i, j] = x(i + \alpha\, (g_\sigma * u)_{ij},\ j + \alpha\, (g_\sigma * v)_{ij})

    u and v are noise, uniform in [-1, 1) and independent from pixel to pixel; :math:`g_\sigma` is a Gaussian. The noise
    is 0 outside of the image, so that its border moves less than its middle.

    Parameters
    ----------
    alpha : float or (float, float), default 50.0
        Strength, in pixels; a pair is for x and for y. The displacements in the middle have the standard deviation
        ``alpha / (sigma * sqrt(12 pi))``. (torchvision's alpha moves half as far.)
    sigma : float or (float, float), default 5.0
        Width of the Gaussian, in pixels: large for gentle waves, small for a trembling hand.
    interpolation, fill
        As of `RandomAffine`.

    Raises
    ------
    ArgumentError
        If an option is out of its range.
    DTypeError
        If the images are not of floats.

    References
    ----------
    P. Y. Simard, D. Steinkraus and J. C. Platt, "Best practices for convolutional neural networks applied to visual
    document analysis", ICDAR 2003, section 2: sigma = 4 and alpha = 34 for digits.

    Examples
    --------
    >>> digits = np.random.default_rng(0).random((64, 1, 28, 28), dtype=np.float32)
    >>> ElasticTransform(alpha=34.0, sigma=4.0)(digits).shape
    (64, 1, 28, 28)
    """

    def __init__(
        self,
        alpha: float | Sequence[float] = 50.0,
        sigma: float | Sequence[float] = 5.0,
        interpolation: str = "bilinear",
        fill: Fill = 0,
    ) -> None:
        self.alpha = _for_x_and_y("alpha", alpha)
        self.sigma = _for_x_and_y("sigma", sigma)
        if min(self.alpha) < 0 or min(self.sigma) <= 0:
            raise ArgumentError(f"alpha must be 0 or more and sigma greater than 0, got alpha={alpha} and sigma={sigma}")
        self.interpolation = require_interpolation(interpolation)
        self.fill = fill

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Draw a field for each image of a batch, and displace its pixels."""
        require_floats(self, images)
        n, _, h, w = images.shape
        noise = generator.random((n, 2, h, w), np.float32 if images.dtype == np.float32 else np.float64)
        noise *= 2
        noise -= 1
        down, right = (
            alpha * (_gaussian(h, sigma, noise.dtype) @ field @ _gaussian(w, sigma, noise.dtype))
            for field, alpha, sigma in (
                (noise[:, 1], self.alpha[1], self.sigma[1]),
                (noise[:, 0], self.alpha[0], self.sigma[0]),
            )
        )
        y = down.astype(images.dtype) + np.arange(h, dtype=images.dtype)[:, None]
        x = right.astype(images.dtype) + np.arange(w, dtype=images.dtype)
        return warp(images, y, x, self.fill, self.interpolation)


@functools.lru_cache(maxsize=64)
def _gaussian(size: int, sigma: float, dtype: np.dtype[Any]) -> Images:
    """Return the matrix that smooths an axis, ``g(i - j)``: shape (size, size), symmetric."""
    distance = np.arange(-size, size + 1)
    weight = np.exp(-(distance**2) / (2 * sigma**2))
    full = np.arange(-int(np.ceil(8 * sigma)), int(np.ceil(8 * sigma)) + 1)  # what lies farther is less than 1e-13
    total = np.exp(-(full**2) / (2 * sigma**2)).sum()
    rows = np.arange(size)
    matrix: Images = (weight / total)[rows[:, None] - rows + size].astype(dtype)
    matrix.flags.writeable = False  # it is kept for the next batch
    return matrix


def _for_x_and_y(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    """Return a number twice, and a pair as it is."""
    if isinstance(value, int | float):
        return float(value), float(value)
    if len(value) != 2:
        raise ArgumentError(f"{name} must be a number or a pair (for x, for y), got {tuple(value)}")
    return float(value[0]), float(value[1])
