"""A receptive field drawn on the image: the frame of what a unit can see, and a glow where its gradient is."""

import base64
import io
from collections.abc import Sequence

import numpy as np

from ..errors import MissingExtraError, ShapeError
from ..tensor import Array, Tensor
from .receptive_field import ReceptiveField


def overlay(field: ReceptiveField, image: Tensor | Array, unit: Sequence[int], effective: Array | None = None) -> str:
    """Draw the field of one unit on an image.

    Parameters
    ----------
    field : ReceptiveField
        Of two spatial axes.
    image : Tensor or ndarray, shape (n, c, h, w), (c, h, w) or (h, w)
        The first is drawn, scaled to its range; three channels as colours, others as their mean.
    unit : (int, int)
        Which unit.
    effective : ndarray, shape (h, w), optional
        The effective field, as `effective_field` gives it: drawn in red.

    Returns
    -------
    str
        An SVG with the image inside.

    Raises
    ------
    ShapeError
        If the image is not of the size that the field is of, or there is no such unit.
    MissingExtraError
        Without Pillow, which the extra "plot" brings.
    """
    array = np.asarray(image.array if isinstance(image, Tensor) else image, np.float64)
    array = array[0] if array.ndim == 4 else array
    if array.ndim not in (2, 3) or array.shape[-2:] != field.input_size:
        raise ShapeError(f"overlay: the field is of images of size {field.input_size}, got an image of shape {array.shape}")
    (top, bottom), (left, right) = field.of(unit)
    height, width = field.input_size
    scale = max(1, round(480 / max(height, width)))
    picture = f'<image width="{width}" height="{height}" style="image-rendering:pixelated" href="data:image/png;base64,'
    layers = [_png(_coloured(array))] + ([] if effective is None else [_png(_glow(effective))])
    body = "".join(f'{picture}{layer}"/>' for layer in layers)
    frame = (
        f'<rect x="{left}" y="{top}" width="{right - left + 1}" height="{bottom - top + 1}" fill="none" stroke="#d55e00" '
        f'stroke-width="{2 / scale:.4g}"/>'
    )
    title = f"unit {tuple(unit)} sees rows {top} to {bottom}, columns {left} to {right}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 {width + 2} {height + 2}" width="{(width + 2) * scale}" '
        f'height="{(height + 2) * scale}" role="img" aria-label="{title}"><title>{title}</title>{body}{frame}</svg>'
    )


def _coloured(array: Array) -> Array:
    """Bytes of red, green and blue; the range of the image is stretched to all of them."""
    grey = array if array.ndim == 2 else array.mean(0)
    planes = array if array.ndim == 3 and len(array) == 3 else np.stack([grey] * 3)
    low, high = planes.min(), planes.max()
    return np.rint((planes - low) / (high - low or 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def _glow(effective: Array) -> Array:
    """Red, opaque in proportion to the root of the magnitude, so that weak pixels show."""
    strength = np.sqrt(effective / (effective.max(initial=0) or 1))
    red = np.broadcast_to(np.array([213, 30, 30], np.uint8), (*effective.shape, 3))
    return np.concatenate([red, np.rint(strength * 200).astype(np.uint8)[..., None]], -1)


def _png(pixels: Array) -> str:
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("drawing a receptive field on an image", "plot") from None
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
