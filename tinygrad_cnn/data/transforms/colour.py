"""Other light: brightness, contrast, saturation, hue, and AlexNet's noise along the main colours of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ...errors import ArgumentError, ShapeError
from .base import Images, Transform, ordered_range, require_floats, spread

LUMA = (0.299, 0.587, 0.114)
"""How bright red, green and blue are to the eye: the weights of ITU-R BT.601 (torchvision's, rounded there to 0.2989)."""

Factors = npt.NDArray[np.float64]


class Grayscale(Transform):
    """Take the colour out: every pixel becomes 0.299 red + 0.587 green + 0.114 blue.

    Parameters
    ----------
    num_output_channels : {1, 3}, default 1
        Channels of the result, all equal.

    Raises
    ------
    ArgumentError
        If it is another number.
    DTypeError
        If the images are not of floats.
    ShapeError
        If they have neither one channel nor three.

    Examples
    --------
    >>> Grayscale()(np.array([[[1.0]], [[0.5]], [[0.0]]])).round(4)
    array([[[0.5925]]])
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ArgumentError(f"num_output_channels must be 1 or 3, got {num_output_channels}")
        self.num_output_channels = num_output_channels

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Take the colour out of a batch."""
        require_floats(self, images)
        _require_colours(self, images, (1, 3))
        return np.repeat(luma(images), self.num_output_channels, axis=1)


class ColorJitter(Transform):
    """Change the brightness, contrast, saturation and hue of each image, in an order of its own.

    Each of the first three blends the image with a plain one by a factor f, ``f image + (1 - f) plain``, and cuts off
    what leaves [0, 1]: with black, with the mean of its grey version, and with its grey version. The hue is turned by
    a fraction of the colour circle. An image of one channel has no saturation and no hue, so these change nothing.

    Parameters
    ----------
    brightness, contrast, saturation : float or (float, float), default 0
        The range of the factor, uniform; a number s means from ``max(0, 1 - s)`` to ``1 + s``.
    hue : float or (float, float), default 0
        The range of the turn within -0.5 to 0.5, uniform; a number s means from -s to s.

    Raises
    ------
    ArgumentError
        If an option is out of its range.
    DTypeError
        If the images are not of floats. They should be in [0, 1].
    ShapeError
        If they have neither one channel nor three.

    Notes
    -----
    Eight numbers are drawn for each image, whatever the options.

    Examples
    --------
    >>> ColorJitter(0.4, 0.4, 0.4, 0.1)(np.random.default_rng(0).random((8, 3, 32, 32))).shape
    (8, 3, 32, 32)
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ) -> None:
        self.brightness = _factor_range("brightness", brightness)
        self.contrast = _factor_range("contrast", contrast)
        self.saturation = _factor_range("saturation", saturation)
        self.hue = (-float(hue), float(hue)) if isinstance(hue, int | float) else ordered_range("hue", hue)
        if not -0.5 <= self.hue[0] <= self.hue[1] <= 0.5:
            raise ArgumentError(f"hue must be between 0 and 0.5, or a pair between -0.5 and 0.5, got {hue}")

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Draw factors and an order for each image of a batch, and change it."""
        require_floats(self, images)
        _require_colours(self, images, (1, 3))
        steps: list[tuple[Callable[[Images, Factors], Images], tuple[float, float], tuple[float, float]]] = [
            (adjust_brightness, self.brightness, (1.0, 1.0)),
            (adjust_contrast, self.contrast, (1.0, 1.0)),
        ]
        if images.shape[1] == 3:
            steps += [(adjust_saturation, self.saturation, (1.0, 1.0)), (adjust_hue, self.hue, (0.0, 0.0))]
        drawn = generator.random((len(images), 8))
        order = drawn[:, : len(steps)].argsort(axis=1)
        result = images.copy()
        for turn in order.T:
            for number, (change, bounds, neutral) in enumerate(steps):
                chosen = turn == number
                if chosen.any() and bounds != neutral:
                    result[chosen] = change(result[chosen], spread(bounds, drawn[chosen, 4 + number]))
        return result


class PCAColorNoise(Transform):
    r"""Add a colour to each image, drawn along the directions in which the colours of the data vary.

    .. math:: [p_1\ p_2\ p_3]\,[a_1 \lambda_1,\ a_2 \lambda_2,\ a_3 \lambda_3]^T, \qquad a_i \sim N(0, \mathrm{std}^2)

    p and :math:`\lambda` are the eigenvectors and eigenvalues of the 3 x 3 covariance matrix of red, green and blue
    over all pixels of the training set. a is drawn once for an image, so that the light changes and the objects do not.

    Parameters
    ----------
    std : float, default 0.1
        Standard deviation of the strengths.
    eigenvalues : sequence of 3 floats
        By default those that are widely copied as ImageNet's. (They add up to 0.241, more than the variances of its
        three channels in [0, 1] do: better take those of your own data with `fit`.)
    eigenvectors : array_like, shape (3, 3)
        Rows are red, green and blue; columns are the directions. By default ImageNet's, too.

    Raises
    ------
    ArgumentError
        If `std` is negative, or the shapes are others.
    DTypeError
        If the images are not of floats.
    ShapeError
        If they do not have three channels.

    References
    ----------
    Krizhevsky, Sutskever, Hinton 2012, section 4.1: over 1 % off the top-1 error.

    Examples
    --------
    >>> train = np.random.default_rng(0).random((100, 3, 8, 8))
    >>> noise = PCAColorNoise.fit(train)
    >>> changed = noise(train[0]) - train[0]
    >>> bool(np.ptp(changed, axis=(1, 2)).max() < 1e-12)  # the same for all pixels
    True
    """

    def __init__(
        self,
        std: float = 0.1,
        eigenvalues: Sequence[float] | Factors = (0.2175, 0.0188, 0.0045),
        eigenvectors: Sequence[Sequence[float]] | Factors = (
            (-0.5675, 0.7192, 0.4009),
            (-0.5808, -0.0045, -0.8140),
            (-0.5836, -0.6948, 0.4203),
        ),
    ) -> None:
        self.std = std
        self.eigenvalues = np.asarray(eigenvalues, np.float64)
        self.eigenvectors = np.asarray(eigenvectors, np.float64)
        if std < 0 or self.eigenvalues.shape != (3,) or self.eigenvectors.shape != (3, 3):
            raise ArgumentError(
                f"PCAColorNoise needs std of 0 or more, 3 eigenvalues and 3 x 3 eigenvectors, got {std}, "
                f"{self.eigenvalues.shape} and {self.eigenvectors.shape}"
            )

    @classmethod
    def fit(cls, images: Images, std: float = 0.1) -> PCAColorNoise:
        """Return the noise for data of the colours of these images.

        Parameters
        ----------
        images : ndarray of floats, shape (n, 3, h, w)
            The training set, or enough of it.
        std : float, default 0.1
            See the class.
        """
        require_floats(cls, images)
        _require_colours(cls, images, (3,))
        centred = images - images.mean(axis=(0, 2, 3), dtype=np.float64)[:, None, None]
        covariance = np.einsum("nchw,ndhw->cd", centred, centred) / (images.size // 3)
        values, vectors = np.linalg.eigh(covariance)
        # An eigenvector's sign is arbitrary; noise is symmetric. One rule makes two machines agree.
        signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(3)])
        return cls(std, np.maximum(values[::-1], 0), (vectors * signs)[:, ::-1])

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Draw a colour for each image of a batch, and add it."""
        require_floats(self, images)
        _require_colours(self, images, (3,))
        strengths = generator.standard_normal((len(images), 3)) * self.std
        # A product of matrices would sum in another order for other numbers of images.
        colours = np.einsum("ni,ci->nc", strengths * self.eigenvalues, self.eigenvectors)
        return images + colours[:, :, None, None].astype(images.dtype)


def luma(images: Images) -> Images:
    """Return the grey version (n, 1, h, w) of a batch of one channel or three."""
    if images.shape[1] == 1:
        return images
    red, green, blue = (np.asarray(weight, images.dtype) for weight in LUMA)
    grey: Images = red * images[:, :1] + green * images[:, 1:2] + blue * images[:, 2:]
    return grey


def adjust_brightness(images: Images, factor: Factors) -> Images:
    """Blend each image with black, by a factor of its own."""
    return _blend(images, np.zeros((), images.dtype), factor)


def adjust_contrast(images: Images, factor: Factors) -> Images:
    """Blend each image with the mean of its grey version."""
    return _blend(images, luma(images).mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64).astype(images.dtype), factor)


def adjust_saturation(images: Images, factor: Factors) -> Images:
    """Blend each image with its grey version."""
    return _blend(images, luma(images), factor)


def adjust_hue(images: Images, turn: Factors) -> Images:
    """Turn the hue of each image by a fraction of the colour circle; value and saturation stay.

    In the hexagon model (A. R. Smith, "Color gamut transform pairs", 1978) the largest channel is the value v, the
    difference of largest and smallest is the chroma, and the hue says where on the hexagon red, yellow, green, cyan,
    blue, magenta the colour lies. Channel k of a colour with hue H (in sixths) is
    ``v - chroma * max(0, min(m, 4 - m, 1))`` with ``m = (k + H) mod 6`` and k = 5, 3, 1 for red, green and blue.
    """
    red, green, blue = images[:, 0], images[:, 1], images[:, 2]
    value = images.max(axis=1)
    chroma = value - images.min(axis=1)
    safe = np.where(chroma == 0, np.ones((), images.dtype), chroma)  # grey has no hue: any will do
    sixths = np.where(
        value == red,
        (green - blue) / safe,
        np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turned = sixths + (6 * turn).astype(images.dtype)[:, None, None]
    channels = [np.mod(k + turned, 6) for k in (5, 3, 1)]
    return np.stack([value - chroma * np.clip(np.minimum(m, 4 - m), 0, 1) for m in channels], axis=1)


def _blend(images: Images, plain: Images, factor: Factors) -> Images:
    """Return ``factor * images + (1 - factor) * plain`` within [0, 1]."""
    share = factor[:, None, None, None]
    blended: Images = np.clip(share.astype(images.dtype) * images + (1 - share).astype(images.dtype) * plain, 0, 1)
    return blended


def _factor_range(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    """Return the range of a factor: around 1 for a number."""
    if isinstance(value, int | float):
        if value < 0:
            raise ArgumentError(f"{name} must be 0 or more, or a pair (smallest, largest), got {value}")
        return max(0.0, 1.0 - value), 1.0 + value
    low, high = ordered_range(name, value)
    if low < 0:
        raise ArgumentError(f"{name} must be a pair of factors of 0 or more, got {tuple(value)}")
    return low, high


def _require_colours(transform: object, images: Images, known: tuple[int, ...]) -> None:
    """Raise ShapeError unless the images have one of these numbers of channels."""
    if images.ndim != 4 or images.shape[1] not in known:
        name = transform.__name__ if isinstance(transform, type) else type(transform).__name__
        needs = " or ".join(map(str, known))
        raise ShapeError(f"{name} needs images (n, c, h, w) of {needs} channels (red, green, blue), got {images.shape}")
