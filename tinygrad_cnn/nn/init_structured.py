"""Initial values that have a structure: the identity, an identity convolution, orthogonal and sparse matrices."""

import math

import numpy as np

from ..autograd.mode import no_grad
from ..errors import ArgumentError, ShapeError
from ..random import default_generator
from ..tensor import Array, Tensor
from .skip_init import unless_skipped


def _write(tensor: Tensor, values: Array) -> Tensor:
    with no_grad():
        return tensor.copy_(values.astype(tensor.dtype))


@unless_skipped
def eye_(tensor: Tensor) -> Tensor:
    """Set a matrix to the identity, so that a linear layer hands on as many inputs as it can.

    Parameters
    ----------
    tensor : Tensor, shape (out, in)

    Raises
    ------
    ShapeError
        For anything but two dimensions.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> eye_(tg.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: needs a matrix (out, in), got shape {tensor.shape}; dirac_ is for the weight of a convolution")
    return _write(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


@unless_skipped
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Make a convolution hand on its input: each output map is one input map, as far as there are enough of them.

    The kernel of output map d of a group is 1 at its centre for input map d of that group, and 0 elsewhere. With odd
    kernels, and a padding that keeps the size, the output is then the input.

    Parameters
    ----------
    tensor : Tensor, shape (out, in / groups, kernel...)
        Of one to three spatial dimensions.
    groups : int
        Those of the convolution; must divide `out`.

    Raises
    ------
    ShapeError
        For a weight without a kernel.
    ArgumentError
        For groups that do not divide the outputs.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> dirac_(tg.empty(1, 1, 3, 3))
    tensor([[[[0., 0., 0.],
              [0., 1., 0.],
              [0., 0., 0.]]]])
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: needs the weight of a convolution (out, in / groups, kernel...), got shape {tensor.shape}")
    out = tensor.shape[0]
    if groups < 1 or out % groups:
        raise ArgumentError(f"dirac_: groups {groups} does not divide the {out} outputs of a weight of shape {tensor.shape}")
    centre = tuple(size // 2 for size in tensor.shape[2:])
    values = np.zeros(tensor.shape)
    for group in range(groups):
        for d in range(min(out // groups, tensor.shape[1])):
            values[(group * (out // groups) + d, d, *centre)] = 1
    return _write(tensor, values)


@unless_skipped
def orthogonal_(tensor: Tensor, gain: float = 1) -> Tensor:
    """Draw a (semi-)orthogonal matrix: its shorter side's vectors have length `gain` and right angles between them.

    Signals and gradients keep their lengths through such a layer, at any depth. The matrix is the Q of a Gaussian one's QR
    decomposition, with signs such that all orthogonal matrices are equally likely. Dimensions after the first are taken as
    one.

    Parameters
    ----------
    tensor : Tensor, shape (out, in, ...)
    gain : float

    Raises
    ------
    ShapeError
        For fewer than two dimensions.

    References
    ----------
    Saxe, McClelland, Ganguli 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks".
    Mezzadri 2007, "How to generate random matrices from the classical compact groups" (the signs).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> w = orthogonal_(tg.empty(3, 5))
    >>> bool(((w @ w.T - tg.eye(3)).abs() < 1e-6).all())
    True
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: needs a weight of at least two dimensions (out, in, ...), got shape {tensor.shape}")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    drawn = default_generator().normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.sign(np.diagonal(r))
    return _write(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


@unless_skipped
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    """Draw from N(0, std^2), with the same number of zeros in each column: each input goes to a few units only.

    Parameters
    ----------
    tensor : Tensor, shape (out, in)
    sparsity : float
        The part of each column that is set to 0, rounded up to whole elements; from 0 to 1.
    std : float

    Raises
    ------
    ShapeError
        For anything but two dimensions.
    ArgumentError
        For a `sparsity` outside [0, 1].

    References
    ----------
    Martens 2010, "Deep learning via Hessian-free optimization", section 5.
    """
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_: needs a matrix (out, in), got shape {tensor.shape}")
    if not 0 <= sparsity <= 1:
        raise ArgumentError(f"sparse_: sparsity is the part of zeros, from 0 to 1; got {sparsity}")
    rows, columns = tensor.shape
    generator = default_generator()
    values = generator.normal(0.0, std, tensor.shape)
    zeros = math.ceil(sparsity * rows)
    for column in range(columns):
        values[generator.permutation(rows)[:zeros], column] = 0
    return _write(tensor, values)
