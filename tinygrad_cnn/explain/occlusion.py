"""Which part of the picture does the answer rest on? Cover it, piece by piece, and watch the score.

References
----------
Zeiler, Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2.
"""

from collections.abc import Callable

import numpy as np

from ..autograd.mode import no_grad
from ..errors import ShapeError
from ..kernels.spelling import PerAxis, per_axis
from ..tensor import Array, Tensor


def occlusion(
    model: Callable[[Tensor], Tensor],
    image: Tensor,
    target: int,
    size: PerAxis = 8,
    stride: PerAxis = 1,
    value: float = 0.0,
    *,
    batch_size: int = 32,
) -> Array:
    """Slide a grey square over an image and record a score at each place.

    Parameters
    ----------
    model : callable
        From images (n, c, h, w) to scores (n, classes); call ``eval()`` on it first.
    image : Tensor, shape (1, c, h, w) or (c, h, w)
    target : int
        Which score to record.
    size, stride : int or (int, int)
        Of the square and of its steps, in pixels.
    value : float
        What the square is filled with: grey, which is 0 in images of mean 0.
    batch_size : int
        How many covered images to score at once.

    Returns
    -------
    ndarray, shape (rows, columns)
        The score with the square at row ``i * stride`` and column ``j * stride``; low where what is covered matters.

    Raises
    ------
    ShapeError
        If there is not one image, or the square is larger than it.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> image = tg.tensor([[[1.0, 2.0, 3.0]]])
    >>> occlusion(lambda x: x.sum((1, 2, 3)).unsqueeze(1), image, 0, size=1)
    array([[5., 4., 3.]], dtype=float32)
    """
    picture = image.array[None] if image.ndim == 3 else image.array
    (kh, kw), (sh, sw) = (
        per_axis("occlusion", name, given, 2, at_least=1) for name, given in (("size", size), ("stride", stride))
    )
    if picture.ndim != 4 or len(picture) != 1 or kh > picture.shape[2] or kw > picture.shape[3]:
        raise ShapeError(
            f"explain.occlusion: needs one image (c, h, w) or (1, c, h, w) at least as large as the square {(kh, kw)}; got "
            f"shape {image.shape}"
        )
    rows, columns = range(0, picture.shape[2] - kh + 1, sh), range(0, picture.shape[3] - kw + 1, sw)
    places = [(i, j) for i in rows for j in columns]
    scores = []
    with no_grad():
        for first in range(0, len(places), batch_size):
            some = places[first : first + batch_size]
            covered = np.repeat(picture, len(some), 0)
            for one, (i, j) in zip(covered, some, strict=True):
                one[:, i : i + kh, j : j + kw] = value
            scores.append(model(Tensor(covered)).array[:, target])
    return np.concatenate(scores).reshape(len(rows), len(columns))
