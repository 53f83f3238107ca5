"""LeNet-5's output layer: Euclidean radial basis functions, and the paper's two criteria for them.

Each class has a centre w_i, drawn as a bitmap of its digit. The output y_i is the squared distance of the features from
it, a *penalty*: small is good, and the answer is the smallest. The centres and the digits themselves are in `nn.rbf`.

References
----------
LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", sections II-B and II-C.
"""

from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float, operands
from ._loss import class_indices, reduced, with_batch
from .activation import softmax
from .loss import nll_loss
from .shape import cat


class EuclideanRBF(Function):
    """Squared distance of each row of x (n, features) from each row of weight (classes, features).

    Gradient
        gx = 2 (x * (sum of gy over the classes) - gy weight), gweight = 2 (weight * (sum of gy over n) - gy' x)
    Saves
        x and weight
    """

    def forward(self, x: Array, weight: Array) -> Array:
        self.save_for_backward(x, weight)
        # Not as x^2 - 2 x weight' + weight^2, which loses all digits where x is near a centre.
        return np.square(x[:, None] - weight).sum(-1)

    def backward(self, gy: Any) -> Any:
        x, weight = self.saved
        gx = 2 * (x * gy.sum(1, keepdim=True) - gy @ weight) if self.needs_input_grad[0] else None
        gweight = 2 * (weight * gy.sum(0).unsqueeze(1) - gy.T @ x) if self.needs_input_grad[1] else None
        return gx, gweight

    def backward_kernel(self, gy: Array) -> Any:
        x, weight = self.saved_arrays
        gx = 2 * (x * gy.sum(1, keepdims=True) - gy @ weight) if self.needs_input_grad[0] else None
        gweight = 2 * (weight * gy.sum(0)[:, None] - gy.T @ x) if self.needs_input_grad[1] else None
        return gx, gweight


class RBFMAPLoss(Function):
    """The discriminative criterion of each row of penalties y (n, classes): y_target + log(e^-j + sum over i of e^-y_i).

    Gradient
        gx_i = gy ([i = target] - p_i), with p_i = e^-y_i / (e^-j + sum over k of e^-y_k)
    Saves
        y and the targets
    """

    j: float

    def forward(self, y: Array, target: Array) -> Array:
        self.save_for_backward(y, target)
        # In units of the largest term, so that no power overflows and they do not all underflow.
        lowest = np.minimum(y.min(1), y.dtype.type(self.j))
        total = np.exp(lowest - self.j) + np.exp(lowest[:, None] - y).sum(1)
        return np.asarray(y[np.arange(len(y)), target] - lowest + np.log(total))

    def probabilities(self, y: Array) -> Array:
        """p of each class, on arrays; what is missing to 1 is the rubbish class's."""
        lowest = np.minimum(y.min(1, keepdims=True), y.dtype.type(self.j))
        powers = np.exp(lowest - y)
        return powers / (np.exp(lowest - self.j) + powers.sum(1, keepdims=True))

    def backward(self, gy: Any) -> Any:
        y, target = self.saved
        rubbish = Tensor(np.full((y.shape[0], 1), -self.j, y.dtype))
        p = softmax(cat([-y, rubbish], 1), 1)[:, :-1]
        chosen = Tensor(target.array[:, None] == np.arange(y.shape[1]))
        return gy.unsqueeze(1) * (chosen - p), None

    def backward_kernel(self, gy: Array) -> Any:
        y, target = self.saved_arrays
        gx = -self.probabilities(y)
        gx[np.arange(len(y)), target] += 1
        return gx * gy[:, None], None


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
    if x.ndim == 2:
        return EuclideanRBF.apply(x, w)
    return EuclideanRBF.apply(x.reshape(-1, x.shape[-1]), w).reshape(*x.shape[:-1], w.shape[0])


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
    y, target, unbatched = _checked("rbf_mse_loss", input, target)
    losses = nll_loss(-y, target, reduction="none")
    return reduced("rbf_mse_loss", losses.squeeze(0) if unbatched else losses, reduction)


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
    y, target, unbatched = _checked("rbf_map_loss", input, target)
    losses = RBFMAPLoss.apply(y, target, j=float(j))
    return reduced("rbf_map_loss", losses.squeeze(0) if unbatched else losses, reduction)


def _checked(name: str, input: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor, bool]:
    """Penalties (n, classes), the targets, which are classes of the layer, and whether one sample came without its batch."""
    y = as_float(input)
    if y.ndim not in (1, 2):
        raise ShapeError(f"{name}: needs penalties of shape (n, classes) or (classes,), got {y.shape}")
    y, target, unbatched = with_batch(y, target)
    return y, Tensor(class_indices(name, y.shape, target)), unbatched
