"""Helpers around a training step: limits on gradients, all parameters as one vector, and normalized weights."""

import math
from collections.abc import Iterable

import numpy as np

from ..autograd.mode import no_grad
from ..errors import ArgumentError, AutogradError, ShapeError
from ..ops import cat
from ..tensor import Array, Tensor
from .parameter import WithoutValues
from .reparametrize import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from .skip_init import skip_init

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "skip_init",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    several = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for parameter in several:
        if isinstance(parameter, WithoutValues):
            raise parameter.not_ready()
    return [parameter.grad for parameter in several if parameter.grad is not None]


def _norm_to_the_p(array: Array, p: float) -> float:
    """The sum of |x|^p in float64; the largest |x| for p = inf."""
    if math.isinf(p):
        return float(np.max(np.abs(array), initial=0.0))
    powers = np.square(array) if p == 2 else np.abs(array) ** p
    return float(powers.sum(dtype=np.float64))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients down together, so that their norm as one vector is at most `max_norm`.

    ``g <- g * min(1, max_norm / (norm + 1e-6))``: the direction is kept, the step bounded.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without a gradient are left out.
    max_norm : float
    norm_type : float
        p of the p-norm; ``inf`` for the largest absolute value.
    error_if_nonfinite : bool
        Raise if the norm is infinite or NaN; otherwise it spreads to the gradients.

    Returns
    -------
    Tensor, shape ()
        The norm before clipping.

    Raises
    ------
    AutogradError
        For a norm that is not finite, with `error_if_nonfinite`; the gradients are left as they were.
    ArgumentError
        For a negative `max_norm` or a `norm_type` that is not positive.

    References
    ----------
    Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks", algorithm 1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([3.0, 4.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> clip_grad_norm_(x, 1.0)
    tensor(10.)
    >>> x.grad
    tensor([0.6, 0.8])
    """
    if not max_norm >= 0:
        raise ArgumentError(f"clip_grad_norm_: max_norm must not be negative, got {max_norm}")
    gradients = _gradients(parameters)
    norm = _norm("clip_grad_norm_", gradients, norm_type, error_if_nonfinite)
    _scale_down(gradients, max_norm, norm, "clip_grad_norm_")
    return Tensor(np.asarray(norm, gradients[0].dtype if gradients else None))


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The norm of tensors, gradients for instance, as one vector.

    Parameters
    ----------
    tensors : Tensor or iterable of Tensor
    norm_type, error_if_nonfinite
        As for `clip_grad_norm_`.

    Returns
    -------
    Tensor, shape ()

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> get_total_norm([tg.tensor([3.0]), tg.tensor([[4.0]])])
    tensor(5.)
    """
    several = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    norm = _norm("get_total_norm", several, norm_type, error_if_nonfinite)
    return Tensor(np.asarray(norm, several[0].dtype if several else None))


def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor | float) -> None:
    """Scale all gradients down by ``min(1, max_norm / (total_norm + 1e-6))``, for a norm that is known.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
    max_norm : float
    total_norm : Tensor of one element, or float
        What `get_total_norm` gave.

    Raises
    ------
    ArgumentError
        For a negative `max_norm`.
    """
    if not max_norm >= 0:
        raise ArgumentError(f"clip_grads_with_norm_: max_norm must not be negative, got {max_norm}")
    _scale_down(_gradients(parameters), max_norm, float(total_norm), "clip_grads_with_norm_")


def _norm(name: str, tensors: list[Tensor], norm_type: float, error_if_nonfinite: bool) -> float:
    if not norm_type > 0:
        raise ArgumentError(f"{name}: norm_type must be a positive number or inf, got {norm_type}")
    parts = [_norm_to_the_p(tensor.array, norm_type) for tensor in tensors]
    norm = max(parts, default=0.0) if math.isinf(norm_type) else sum(parts) ** (1 / norm_type)
    if error_if_nonfinite and not math.isfinite(norm):
        raise AutogradError(
            f"{name}: the gradients' {norm_type}-norm is {norm}; look for the first NaN or inf with "
            "autograd.detect_anomaly(), or pass error_if_nonfinite=False"
        )
    return norm


def _scale_down(gradients: list[Tensor], max_norm: float, norm: float, name: str) -> None:
    # Compared this way round, so that a NaN scales too and is not taken for a norm within the limit.
    if not norm + 1e-6 <= max_norm:
        for gradient in gradients:
            np.multiply(gradient.array, max_norm / (norm + 1e-6), out=gradient.array)
            gradient._wrote(name)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each element of each gradient to [-clip_value, clip_value].

    Raises
    ------
    ArgumentError
        For a negative limit.
    """
    if not clip_value >= 0:
        raise ArgumentError(f"clip_grad_value_: clip_value must not be negative, got {clip_value}")
    for gradient in _gradients(parameters):
        np.clip(gradient.array, -clip_value, clip_value, out=gradient.array)
        gradient._wrote("clip_grad_value_")


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters one after the other in one vector, through which gradients flow.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> parameters_to_vector(nn.Linear(3, 2).parameters()).shape
    (8,)
    """
    parts = [parameter.reshape(-1) for parameter in parameters]
    if not parts:
        raise ArgumentError("parameters_to_vector: got no parameters; give at least one (an iterator can be used once only)")
    return cat(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the values of one vector into parameters, in the order of `parameters_to_vector`.

    Raises
    ------
    ShapeError
        If the vector is not as long as the parameters together; nothing is written.
    """
    targets = list(parameters)
    count = sum(target.numel() for target in targets)
    if vec.shape != (count,):
        raise ShapeError(f"vector_to_parameters: the parameters have {count} elements together, the vector has {vec.shape}")
    start = 0
    with no_grad():
        for target in targets:
            target.copy_(vec[start : start + target.numel()].reshape(target.shape))
            start += target.numel()
