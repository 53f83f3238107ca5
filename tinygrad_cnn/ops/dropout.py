"""The dropout family: units, channels or whole samples switched off at random while training.

They differ in what is switched off together (one mask entry for each value, each channel, each sample), and in what
keeps the activations' statistics: scaling while training (inverted dropout), scaling at test time (the 2012 paper), or
an affine correction that suits SELU (alpha dropout). One op draws the mask for all of them.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..random import default_generator
from ..tensor import Tensor, TensorLike
from ._arguments import as_float
from .inplace import maybe_in_place
from .rectifier import SELU_ALPHA, SELU_SCALE


class Dropout(Function):
    """Each value set to 0 with probability p and the others multiplied by `scale`, y = x * mask.

    The mask has `mask_shape` and is broadcast: where it has size 1, all values along that dimension live or die together.

    Gradient
        gx = gy * mask
    Saves
        mask: 0 or `scale`
    """

    p: float
    scale: float
    mask_shape: tuple[int, ...]

    @property
    def settings(self) -> dict[str, Any]:
        return {"p": self.p}

    def forward(self, x: Array) -> Array:
        draws = default_generator().random(self.mask_shape, dtype=np.float32)
        mask = (draws >= self.p).astype(x.dtype) * x.dtype.type(self.scale)
        self.save_for_backward(mask)
        return x * mask

    def backward(self, gy: Tensor) -> Any:
        (mask,) = self.saved
        return gy * mask


def _check_probability(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ArgumentError(f"{name}: p is a probability between 0 and 1, got {p}")


def _inverse(keep: float) -> float:
    """1 / keep; where nothing is kept there is nothing to scale."""
    return 1 / keep if keep > 0 else 1.0


# The functions that users call ----------------------------------------------------------------------------------------


def dropout(
    input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False, *, inverted: bool = True
) -> Tensor:
    """Switch units off at random.

    Parameters
    ----------
    input : Tensor
    p : float
        The probability that a unit is switched off.
    training : bool
        Outside training nothing is switched off.
    inplace : bool
        Write the result into `input`.
    inverted : bool
        True: in training the units that stay are divided by 1 - p, and outside training the input is returned as it is.
        False: as in the 2012 papers, they are left as they are in training, and outside training all units are
        multiplied by 1 - p (halved, for p = 0.5). The expected values differ by the factor 1 - p throughout.

    References
    ----------
    Hinton et al. 2012, "Improving neural networks by preventing co-adaptation of feature detectors"; Krizhevsky,
    Sutskever, Hinton 2012, section 4.2: with one softmax layer on top, the halved network is the normalized geometric
    mean of all the networks that the masks make.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.dropout(tg.ones(3), training=False)
    tensor([1., 1., 1.])
    >>> tg.dropout(tg.ones(3), training=False, inverted=False)
    tensor([0.5, 0.5, 0.5])
    """
    _check_probability("dropout", p)
    if not training and not inverted:
        return maybe_in_place(input, inplace, "dropout_", lambda x: x * (1 - p))
    if not training or p == 0:
        return as_float(input)
    scale = _inverse(1 - p) if inverted else 1.0
    return maybe_in_place(input, inplace, "dropout_", lambda x: Dropout.apply(x, p=p, scale=scale, mask_shape=x.shape))


def _drop_channels(dims: int, input: TensorLike, p: float, training: bool, inplace: bool) -> Tensor:
    name = f"dropout{dims}d"
    _check_probability(name, p)

    def compute(x: Tensor) -> Tensor:
        if x.ndim not in (dims + 1, dims + 2):
            raise ShapeError(
                f"{name}: needs an input of {dims + 2} dimensions (n, c, ...), or {dims + 1} without a batch, so that it "
                f"knows the channels; got shape {x.shape}"
            )
        if not training or p == 0:
            return x
        return Dropout.apply(x, p=p, scale=_inverse(1 - p), mask_shape=x.shape[:-dims] + (1,) * dims)

    return maybe_in_place(input, inplace and training and p > 0, f"{name}_", compute)


def dropout1d(input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Switch whole channels off at random, of an input (n, c, width) or (c, width); see `dropout2d`."""
    return _drop_channels(1, input, p, training, inplace)


def dropout2d(input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Switch whole maps off at random: neighbouring pixels say the same, so a single one is not missed.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
        Three dimensions are always one image, as PyTorch has announced; there they still are (n, c, width), with a
        warning. Use `dropout1d` for that.
    p : float
        The probability that a map is set to 0; the others are divided by 1 - p.
    training : bool
        Outside training the input is returned as it is.
    inplace : bool
        Write the result into `input`.

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler 2014, "Efficient object localization using convolutional networks", section 3.2.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> _ = tg.manual_seed(1)
    >>> tg.dropout2d(tg.ones(3, 1, 2), 0.5).flatten()
    tensor([0., 0., 2., 2., 2., 2.])
    """
    return _drop_channels(2, input, p, training, inplace)


def dropout3d(input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Switch whole channels off at random, of an input (n, c, d, h, w) or (c, d, h, w); see `dropout2d`."""
    return _drop_channels(3, input, p, training, inplace)


def _alpha_dropout(
    name: str, input: TensorLike, p: float, training: bool, inplace: bool, mask_shape: Callable[[Tensor], tuple[int, ...]]
) -> Tensor:
    """Set values to SELU's lower limit -a rather than to 0, then restore mean 0 and variance 1.

    With d = -a at probability p, the mean of the masked values is p d and the variance (1 - p) (1 + p d^2).
    """
    _check_probability(name, p)
    lowest = -SELU_ALPHA * SELU_SCALE

    def compute(x: Tensor) -> Tensor:
        shape = mask_shape(x)
        if not training or p == 0:
            return x
        if p == 1:
            return x * 0
        masked = Dropout.apply(x - lowest, p=p, scale=1.0, mask_shape=shape) + lowest
        return (masked - p * lowest) / math.sqrt((1 - p) * (1 + p * lowest**2))

    return maybe_in_place(input, inplace and training and p > 0, f"{name}_", compute)


def alpha_dropout(input: TensorLike, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for networks with `selu`.

    A unit that is switched off takes SELU's lower limit, -1.7581; then a shift and a scale, which depend on p alone,
    bring the mean back to 0 and the variance to 1.

    Parameters
    ----------
    input : Tensor
        Its values should have mean 0 and variance 1.
    p : float
        The probability that a unit is switched off; for p = 1 the result is 0.
    training : bool
        Outside training the input is returned as it is; note the default.
    inplace : bool
        Write the result into `input`.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter 2017, "Self-normalizing neural networks", section 3.
    """
    return _alpha_dropout("alpha_dropout", input, p, training, inplace, lambda x: x.shape)


def feature_alpha_dropout(input: TensorLike, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...)
    p, training, inplace
        As for `alpha_dropout`.

    Raises
    ------
    ShapeError
        For fewer than two dimensions.
    """

    def of_channels(x: Tensor) -> tuple[int, ...]:
        if x.ndim < 2:
            raise ShapeError(f"feature_alpha_dropout: needs (n, c, ...) with at least 2 dimensions, got shape {x.shape}")
        return x.shape[:2] + (1,) * (x.ndim - 2)

    return _alpha_dropout("feature_alpha_dropout", input, p, training, inplace, of_channels)


def stochastic_depth(input: TensorLike, p: float, mode: str, training: bool = True) -> Tensor:
    """Switch a residual branch off at random, for each sample or for the whole batch.

    Applied to the branch before it is added to the shortcut, it takes out the block: training sees shallower networks.

    Parameters
    ----------
    input : Tensor, shape (n, ...)
    p : float
        The probability that a branch is set to 0; one that stays is divided by 1 - p.
    mode : {"row", "batch"}
        "row" decides for each sample of the batch, "batch" once for all of them.
    training : bool
        Outside training the input is returned as it is.

    Raises
    ------
    ArgumentError
        For another mode, and for a p that is no probability.

    References
    ----------
    Huang, Sun, Liu, Sedra, Weinberger 2016, "Deep networks with stochastic depth", section 3. The paper decides for the
    batch and multiplies by 1 - p at test time; dividing in training, as torchvision does, has the same expectation.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> _ = tg.manual_seed(1)
    >>> tg.stochastic_depth(tg.ones(3, 2), 0.5, "row")
    tensor([[0., 0.],
            [2., 2.],
            [2., 2.]])
    """
    _check_probability("stochastic_depth", p)
    if mode not in ("row", "batch"):
        raise ArgumentError(f"stochastic_depth: mode must be 'row' (each sample) or 'batch' (all of them), got {mode!r}")

    def compute(x: Tensor) -> Tensor:
        if mode == "row" and x.ndim == 0:
            raise ShapeError("stochastic_depth: mode 'row' needs a batch dimension, got a tensor of shape ()")
        if not training or p == 0:
            return x
        samples = x.shape[:1] if mode == "row" else (1,) * min(x.ndim, 1)
        return Dropout.apply(x, p=p, scale=_inverse(1 - p), mask_shape=samples + (1,) * (x.ndim - len(samples)))

    return compute(as_float(input))
