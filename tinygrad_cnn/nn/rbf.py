"""LeNet-5's output layer: each class has a centre, the bitmap of its digit, and its output is the distance from it.

The digits are those of the paper's Figure 3. They are drawn so that characters that look alike have bitmaps that are
alike, which is why the layer was made so: for a whole set of characters, a confusion then costs little, and what comes
next can tell by the context.
"""

from typing import Any

import numpy as np

from ..creation import as_tensor
from ..errors import ArgumentError, ShapeError
from ..tensor import Array, Tensor
from . import functional as F
from .loss import Loss
from .module import Module
from .parameter import Parameter

DIGIT_ROWS = (
    "3E 00 1C 36 63 63 63 63 36 1C 00 00",
    "0C 1C 3C 0C 0C 0C 0C 0C 0C 3F 00 00",
    "3E 00 3E 63 43 06 1C 30 60 7F 00 00",
    "7F 03 06 0C 1E 03 03 03 63 3E 00 00",
    "3E 00 00 33 33 73 63 63 67 3F 03 03",
    "3E 00 7F 60 60 3C 1E 03 63 3E 00 00",
    "1E 30 60 60 7E 73 63 63 73 3E 00 00",
    "7F 03 03 06 0C 0C 18 18 18 18 00 00",
    "3E 63 63 63 3E 63 63 63 63 3E 00 00",
    "3E 67 63 63 67 3F 03 03 06 3C 00 00",
)
"""The digits 0 to 9, a byte for each of 12 rows from the top; bits 6 to 0 are the 7 columns from the left, 1 is ink."""


def digit_bitmaps() -> Array:
    """The digits of LeNet-5's output layer as pictures.

    Returns
    -------
    ndarray of float32, shape (10, 12, 7)
        1 where there is ink, -1 elsewhere.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", Figure 3.

    Examples
    --------
    >>> for row in digit_bitmaps()[7]:
    ...     print("".join("#" if pixel > 0 else "." for pixel in row))
    #######
    .....##
    .....##
    ....##.
    ...##..
    ...##..
    ..##...
    ..##...
    ..##...
    ..##...
    .......
    .......
    """
    rows = np.array([list(bytes.fromhex(digit)) for digit in DIGIT_ROWS], np.uint8)
    ink = np.unpackbits(rows[..., None], axis=-1)[..., 1:]
    return ink.astype(np.float32) * 2 - 1


class RBFOutput(Module):
    """Squared distances of the features from a centre for each class, y_i = sum over j of (x_j - w_ij)^2.

    A *penalty*: the smallest is the answer, see `predict`. Train it with `RBFMSELoss` or `RBFMAPLoss`.

    Parameters
    ----------
    weight : Tensor, shape (classes, features), optional
        The centres; the paper's bitmaps of the ten digits by default, for 84 features.
    learnable : bool
        Whether the centres are learned (a parameter), or stay (a buffer), as in the paper at least to begin with. Both
        are called ``weight`` in the state.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", section II-B and
    equation 7.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.RBFOutput()
    >>> layer(tg.zeros(1, 84))
    tensor([[84., 84., 84., 84., 84., 84., 84., 84., 84., 84.]])
    >>> layer.predict(layer(layer.weight))
    tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """

    weight: Tensor

    def __init__(self, weight: Any = None, learnable: bool = False) -> None:
        super().__init__()
        centres = as_tensor(digit_bitmaps().reshape(10, -1) if weight is None else weight)
        if centres.ndim != 2 or not centres.is_floating_point():
            raise ShapeError(
                f"RBFOutput: weight holds a centre for each class, floats of shape (classes, features); got {centres.dtype} of "
                f"shape {centres.shape}"
            )
        self.learnable = learnable
        if learnable:
            self.weight = Parameter(centres)
        else:
            self.register_buffer("weight", centres)

    def forward(self, input: Tensor) -> Tensor:
        """``(..., features)`` to penalties ``(..., classes)``."""
        return F.euclidean_rbf(input, self.weight)

    @staticmethod
    def predict(penalties: Tensor) -> Tensor:
        """The class with the smallest penalty; the first, if several have it."""
        return penalties.argmin(-1)

    def extra_repr(self) -> str:
        classes, features = self.weight.shape
        return f"in_features={features}, out_features={classes}" + (", learnable=True" if self.learnable else "")


class RBFMSELoss(Loss):
    """The penalty of the right class (equation 8); with learned centres, use `RBFMAPLoss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Penalties ``(n, classes)`` and classes ``(n,)`` to the loss."""
        return F.rbf_mse_loss(input, target, self.reduction)


class RBFMAPLoss(Loss):
    """The discriminative criterion (equation 9), y_target + log(e^-j + sum over i of e^-y_i), in nats.

    Parameters
    ----------
    j : float
        The penalty of a "rubbish" class that competes with the others; the paper says only that it is positive.
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, j: float, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if not 0 < j < np.inf:
            raise ArgumentError(f"RBFMAPLoss: j must be positive, got {j}")
        self.j = j

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Penalties ``(n, classes)`` and classes ``(n,)`` to the loss."""
        return F.rbf_map_loss(input, target, self.j, self.reduction)

    def extra_repr(self) -> str:
        return f"j={self.j}"
