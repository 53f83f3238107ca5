"""Arrays as small pictures: PNG, written by Pillow (the extra "plot").

The first sample is shown, its channels as a grid. Values go from black to white; gradients from blue over white to red, with
white at zero, so that their sign can be seen.
"""

import base64
import io
import math
from typing import Any

import numpy as np

from ..autograd.function import Array
from ..errors import MissingExtraError

# Channels and pixels of which a small picture is made, at most.
MOST_CHANNELS = 16
LARGEST = 64
NEGATIVE, POSITIVE = np.array([33, 102, 172]), np.array([178, 24, 43])


def png(array: Array, *, signed: bool) -> str | None:
    """A picture of an array, in base64.

    Parameters
    ----------
    array : ndarray, shape (n, c, h, w), (n, features) or (c,)
    signed : bool
        Whether zero is in the middle.

    Returns
    -------
    str, or None for an array without anything to see: one number, or none.

    Raises
    ------
    MissingExtraError
        Without Pillow.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("viz.graph(pictures=True)", "plot") from None
    grid = _grid(np.asarray(array, np.float64))
    if grid is None:
        return None
    pixels = _coloured(grid, signed)
    # Whole pixels, so that a picture which is drawn larger is not blurred.
    factor = max(1, LARGEST * 2 // max(pixels.shape[:2]))
    file = io.BytesIO()
    Image.fromarray(pixels.repeat(factor, 0).repeat(factor, 1)).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _grid(array: Array) -> Array | None:
    """Rows and columns of pixels, NaN where there is nothing."""
    if array.size < 2:
        return None
    if array.ndim < 3:
        # A vector, or the features of a batch: a row of pixels for each sample, broken where it is long.
        row = array.reshape(-1)[: LARGEST * LARGEST // 4] if array.ndim == 1 or len(array) == 1 else None
        if row is None:
            return array[:LARGEST, :LARGEST]
        width = min(len(row), LARGEST)
        return np.pad(row, (0, -len(row) % width), constant_values=np.nan).reshape(-1, width)
    maps = array.reshape(-1, *array.shape[-2:]) if array.ndim == 3 else array[0].reshape(-1, *array.shape[-2:])
    maps = maps[:MOST_CHANNELS]
    columns = math.ceil(math.sqrt(len(maps)))
    step = max(1, math.ceil(max(maps.shape[1:]) * columns / (4 * LARGEST)))
    maps = np.pad(maps[:, ::step, ::step], ((0, -len(maps) % columns), (0, 1), (0, 1)), constant_values=np.nan)
    rows = maps.reshape(-1, columns, *maps.shape[1:])
    return rows.swapaxes(1, 2).reshape(rows.shape[0] * rows.shape[2], -1)[:-1, :-1]


def _coloured(grid: Array, signed: bool) -> Any:
    """RGB of each pixel; the gaps in the grid are white."""
    known = grid[np.isfinite(grid)]
    shown = np.nan_to_num(grid, nan=0.0, posinf=0.0, neginf=0.0)
    if signed:
        share = (shown / (np.abs(known).max(initial=0.0) or 1.0))[..., None]
        pixels = 255 + np.abs(share) * (np.where(share < 0, NEGATIVE, POSITIVE) - 255)
    else:
        low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
        share = (shown - low) / ((high - low) or 1.0) if known.size else shown
        pixels = np.repeat(255 * share[..., None], 3, axis=-1)
    pixels[~np.isfinite(grid)] = 255
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
