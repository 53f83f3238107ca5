"""Weights that are computed from other parameters before every call: weight and spectral normalization.

The layer's parameter ``weight`` is taken away and others are put in its place, which are learned, saved and loaded
instead. A hook computes ``weight`` from them before each call of the layer, as a tensor with a history, so that gradients
reach them. The names are those of PyTorch's ``torch.nn.utils.weight_norm`` and ``spectral_norm``.
"""

from typing import TypeVar

import numpy as np

from ..autograd.mode import no_grad
from ..errors import ArgumentError, ShapeError
from ..ops import norm
from ..random import default_generator
from ..tensor import Array, Tensor
from .conv_transpose import _ConvTranspose
from .hooks import ComputesWeight
from .module import Module
from .parameter import Parameter

AnyModule = TypeVar("AnyModule", bound=Module)


class _WeightNorm(ComputesWeight):
    what = "weight_norm"

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def length(self, v: Tensor) -> Tensor:
        """The Euclidean length of each slice along `dim`, shape (1, ..., n, ..., 1); of the whole tensor, shape ()."""
        if self.dim is None:
            return norm(v)
        others = [d for d in range(v.ndim) if d != self.dim]
        return norm(v, dim=others, keepdim=True) if others else v.abs()

    def compute(self, module: Module, training: bool) -> Tensor:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / self.length(v))


class _SpectralNorm(ComputesWeight):
    what = "spectral_norm"

    def __init__(self, name: str, n_power_iterations: int, eps: float, dim: int) -> None:
        super().__init__(name)
        self.n_power_iterations = n_power_iterations
        self.eps = eps
        self.dim = dim

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight with one row for each output."""
        outputs_first = weight.permute(self.dim, *[d for d in range(weight.ndim) if d != self.dim])
        return outputs_first.reshape(outputs_first.shape[0], -1)

    def unit(self, vector: Array) -> Array:
        """A vector of length 1 in the same direction."""
        return vector / max(float(np.linalg.norm(vector)), self.eps)

    def compute(self, module: Module, training: bool) -> Tensor:
        weight = getattr(module, f"{self.name}_orig")
        left, right = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = self.matrix(weight)
        # New arrays: the graph keeps them, and the next call must not write into what it keeps.
        u, v = left.array.copy(), right.array.copy()
        if training:
            for _ in range(self.n_power_iterations):
                v = self.unit(matrix.array.T @ u)
                u = self.unit(matrix.array @ v)
            with no_grad():
                left.copy_(u)
                right.copy_(v)
        sigma = (Tensor(u) * (matrix @ Tensor(v))).sum()
        return weight / sigma


def _hook_of(module: Module, kind: type[ComputesWeight], name: str) -> ComputesWeight | None:
    return next((hook for hook in module._forward_pre_hooks if isinstance(hook, kind) and hook.name == name), None)


def _taken(module: Module, kind: type[ComputesWeight], name: str) -> Parameter:
    """The parameter, which the module has no longer afterwards."""
    if _hook_of(module, kind, name) is not None:
        raise ArgumentError(
            f"{kind.what}: {name!r} of {type(module).__name__} is normalized already; remove_{kind.what} it first"
        )
    parameter = module._parameters.get(name)
    if parameter is None:
        there = ", ".join(repr(n) for n, p in module._parameters.items() if p is not None) or "none"
        raise ArgumentError(
            f"{kind.what}: {type(module).__name__} has no parameter {name!r} of its own; it has {there} (apply it to each "
            "layer of a network, not to the network)"
        )
    del module._parameters[name]
    if parameter.name == name:
        parameter.name = None  # to be named anew
    return parameter


def _checked_dim(what: str, dim: int, parameter: Tensor) -> None:
    if not 0 <= dim < parameter.ndim:
        raise ShapeError(
            f"{what}: dim {dim} is not a dimension of a parameter of shape {parameter.shape}; count from 0 to "
            f"{parameter.ndim - 1}"
        )


def _removed(module: AnyModule, kind: type[ComputesWeight], name: str, parts: tuple[str, ...]) -> AnyModule:
    """Make the computed value a parameter again."""
    hook = _hook_of(module, kind, name)
    if hook is None:
        raise ArgumentError(f"remove_{kind.what}: {name!r} of {type(module).__name__} has no {kind.what}")
    with no_grad():
        weight = hook.compute(module, training=False)
    module._forward_pre_hooks.remove(hook)
    for part in (name, *(f"{name}_{part}" for part in parts)):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module


def weight_norm(module: AnyModule, name: str = "weight", dim: int | None = 0) -> AnyModule:
    """Learn a weight's length and its direction separately, w = g * v / |v|.

    Parameters
    ----------
    module : Module
        Is changed, and returned.
    name : str
        Of its parameter w. In its place come ``name_g``, the length, and ``name_v``, the direction; w itself is computed
        from them before each call.
    dim : int or None
        What has a length of its own: each slice along this dimension (0: each output), or None for the whole weight.

    Raises
    ------
    ArgumentError
        If the module has no such parameter of its own, or it is normalized already.
    ShapeError
        For a dimension that the parameter does not have. (To PyTorch, -1 is another way to say None.)

    References
    ----------
    Salimans, Kingma 2016, "Weight normalization", eq. 2.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> layer = nn.utils.weight_norm(nn.Linear(20, 40))
    >>> {name: tensor.shape for name, tensor in layer.state_dict().items()}
    {'bias': (40,), 'weight_g': (40, 1), 'weight_v': (40, 20)}
    """
    hook = _WeightNorm(name, dim)
    if dim is not None and module._parameters.get(name) is not None:
        _checked_dim("weight_norm", dim, getattr(module, name))
    weight = _taken(module, _WeightNorm, name)
    module.register_parameter(f"{name}_g", Parameter(hook.length(weight.detach())))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    hook(module, ())
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: AnyModule, name: str = "weight") -> AnyModule:
    """Make the weight a parameter again, with the value that it has now; undoes `weight_norm`.

    Raises
    ------
    ArgumentError
        If it is not normalized.
    """
    return _removed(module, _WeightNorm, name, ("g", "v"))


def spectral_norm(
    module: AnyModule, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> AnyModule:
    """Divide a weight by its largest singular value, so that the layer lengthens no vector: w / sigma(w).

    sigma = u' W v, with W the weight as a matrix of one row for each output, and u, v estimates of its first singular
    vectors. In training each call brings them closer by power iteration, v <- W' u / |W' u|, u <- W v / |W v|; the
    gradient takes them as constants.

    Parameters
    ----------
    module : Module
        Is changed, and returned.
    name : str
        Of its parameter. In its place come ``name_orig``, which is learned, and the buffers ``name_u`` and ``name_v``.
    n_power_iterations : int
        In each call in training; in evaluation there are none.
    eps : float
        The smallest length that a vector is divided by.
    dim : int, optional
        The dimension of the outputs; 0, and 1 for transposed convolutions.

    Raises
    ------
    ArgumentError
        If the module has no such parameter of its own, it is normalized already, or there are no iterations.
    ShapeError
        For a dimension that the parameter does not have.

    References
    ----------
    Miyato, Kataoka, Koyama, Yoshida 2018, "Spectral normalization for generative adversarial networks", eq. 8 and
    algorithm 1.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> layer = nn.utils.spectral_norm(nn.Linear(20, 40))
    >>> {name: tensor.shape for name, tensor in layer.state_dict().items()}
    {'bias': (40,), 'weight_orig': (40, 20), 'weight_u': (40,), 'weight_v': (20,)}
    """
    if n_power_iterations < 1:
        raise ArgumentError(f"spectral_norm: n_power_iterations must be at least 1, got {n_power_iterations}")
    outputs = (1 if isinstance(module, _ConvTranspose) else 0) if dim is None else dim
    hook = _SpectralNorm(name, n_power_iterations, eps, outputs)
    if module._parameters.get(name) is not None:
        _checked_dim("spectral_norm", outputs, getattr(module, name))
    weight = _taken(module, _SpectralNorm, name)
    rows, columns = hook.matrix(weight.detach()).shape
    module.register_parameter(f"{name}_orig", weight)
    for vector, size in (("u", rows), ("v", columns)):
        drawn = default_generator().standard_normal(size).astype(weight.dtype)
        module.register_buffer(f"{name}_{vector}", Tensor(hook.unit(drawn)))
    setattr(module, name, hook.compute(module, training=False))
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: AnyModule, name: str = "weight") -> AnyModule:
    """Make the weight a parameter again, with the value that it has now; undoes `spectral_norm`.

    Raises
    ------
    ArgumentError
        If it is not normalized.
    """
    return _removed(module, _SpectralNorm, name, ("orig", "u", "v"))
