"""LeNet-5's output layer: Euclidean radial basis functions, and the paper's two criteria for them.

Each class has a centre w_i, drawn as a bitmap of its digit. The output y_i is the squared distance of the features from
it, a *penalty*: small is good, and the answer is the smallest. The centres and the digits themselves are in `nn.rbf`.

References
----------
LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", sections II-B and II-C.
"""

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float, as_tensor, operands
from ._loss import class_indices, with_batch
from .loss import cross_entropy, nll_loss
from .shape import cat


def euclidean_rbf(input: TensorLike, weight: TensorLike) -> Tensor:
    """Squared distances from centres, ``y_i = sum over j of (x_j - w_ij)^2`` (equation 7).

    Parameters
    ----------
    input : Tensor, shape (..., features)
    weight : Tensor, shape (classes, features)
        The centres.

    Returns
    -------
    Tensor, shape (..., classes)

    Raises
    ------
    ShapeError
        If the centres have another number of features.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.euclidean_rbf(tg.tensor([1.0, -1.0]), tg.tensor([[1.0, -1.0], [1.0, 1.0]]))
    tensor([0., 4.])
    """
    x, w = operands(as_float(input), weight)
    if w.ndim != 2 or x.ndim == 0 or x.shape[-1] != w.shape[1]:
        raise ShapeError(
            f"euclidean_rbf: an input of shape {x.shape} has {x.shape[-1] if x.ndim else 0} features, but the centres have "
            f"shape {w.shape} (classes, features); the last dimensions must agree"
        )
    return (x.unsqueeze(-2) - w).square().sum(-1)


def rbf_mse_loss(input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """The penalty of the right class, ``y_target`` (equation 8): mean squared error with the centres as targets.

    It does not push the other classes away. With centres that are learned too, all of them collapse into one point where
    every penalty is 0: use `rbf_map_loss` then.

    Parameters
    ----------
    input : Tensor, shape (n, classes) or (classes,)
        Penalties, as `euclidean_rbf` gives them.
    target : Tensor of int64, shape (n,) or ()
        Class indices.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.rbf_mse_loss(tg.tensor([[1.0, 4.0, 9.0]]), tg.tensor([1]))
    tensor(4.)
    """
    y, target = _checked("rbf_mse_loss", input, target)
    return nll_loss(-y, target, reduction=reduction)


def rbf_map_loss(input: TensorLike, target: TensorLike, j: float, reduction: str = "mean") -> Tensor:
    """The discriminative criterion, ``y_target + log(e^-j + sum over i of e^-y_i)`` (equation 9), in nats; 0 or more.

    It is the cross-entropy of the scores -y and one more class, "rubbish", whose score is the constant -j: it pulls down
    the penalty of the right class and pushes up the others, up to about j, where rubbish is more likely than they are.
    Without overflow or underflow at any size of penalty.

    Parameters
    ----------
    input : Tensor, shape (n, classes) or (classes,)
        Penalties, as `euclidean_rbf` gives them.
    target : Tensor of int64, shape (n,) or ()
        Class indices.
    j : float
        The penalty of the rubbish class. The paper says of it only that it is positive.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> y = tg.tensor([[1.0, 4.0, 9.0]], requires_grad=True)
    >>> loss = tg.rbf_map_loss(y, tg.tensor([0]), j=0.1)
    >>> loss.backward()
    >>> loss.item(), y.grad
    (1.255..., tensor([[ 7.1508e-01, -1.4185e-02, -9.5581e-05]]))
    """
    if not 0 < j < np.inf:
        raise ArgumentError(f"rbf_map_loss: j must be positive, got {j}")
    y, target = _checked("rbf_map_loss", input, target)
    rubbish = Tensor(np.full(y.shape[:-1] + (1,), -j, y.dtype))
    return cross_entropy(cat([-y, rubbish], -1), target, reduction=reduction)


def _checked(name: str, input: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    """Penalties (n, classes) or (classes,), and targets that are classes of the layer: not the rubbish one, none ignored."""
    y = as_float(input)
    if y.ndim not in (1, 2):
        raise ShapeError(f"{name}: needs penalties of shape (n, classes) or (classes,), got {y.shape}")
    rows, classes, _ = with_batch(y, target)
    class_indices(name, rows.shape, classes)
    return y, as_tensor(target)
