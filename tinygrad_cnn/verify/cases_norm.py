"""Cases of the normalizations within a sample and around a pixel; each value with its loops over what it is compared to.

eps is 0.1 rather than 1e-5, so that a rule which forgets it is found out.
"""

import math
from collections.abc import Iterator

import numpy as np

from .. import ops
from ..ops.conv import Conv
from ..ops.group_norm import Standardize
from ..ops.norm import BatchNorm, ChannelAffine
from ..ops.pool import AvgPool
from ..tensor import Tensor
from .case import Array, Case, normal, positive

_EPS = 0.1


def _standardized(x: Array) -> Array:
    """All the values of an array together."""
    values = x.ravel().tolist()
    mean = math.fsum(values) / len(values)
    var = math.fsum((v - mean) ** 2 for v in values) / len(values)
    return (x - mean) / math.sqrt(var + _EPS)


def _group_norm(x: Array, groups: int, weight: Array | None = None, bias: Array | None = None) -> Array:
    y, size = np.empty_like(x), x.shape[1] // groups
    for n in range(x.shape[0]):
        for g in range(groups):
            y[n, g * size : (g + 1) * size] = _standardized(x[n, g * size : (g + 1) * size])
        for c in range(x.shape[1]):
            y[n, c] = y[n, c] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return y


def _group_norm_cases(label: str, groups: int, *shape: int) -> list[Case]:
    c = shape[1]

    def call(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        return ops.group_norm(x, groups, weight, bias, _EPS)

    def expected(x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
        return _group_norm(x, groups, weight, bias)

    return [
        Case(Standardize, label, call, (normal(*shape),), expected),
        Case(Standardize, f"{label}, affine", call, (normal(*shape), normal(c), normal(c)), expected, (1, 2)),
    ]


def _layer_norm(x: Array, dims: int, weight: Array | None = None, bias: Array | None = None) -> Array:
    y = np.empty_like(x)
    for at in np.ndindex(*x.shape[: x.ndim - dims]):
        y[at] = _standardized(x[at]) * (1 if weight is None else weight) + (0 if bias is None else bias)
    return y


def _layer_norm_case(label: str, dims: int, shape: tuple[int, ...], parameters: int) -> Case:
    over = shape[len(shape) - dims :]

    def call(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        return ops.layer_norm(x, over, weight, bias, _EPS)

    def expected(x: Array, *affine: Array) -> Array:
        return _layer_norm(x, dims, *affine)

    return Case(Standardize, label, call, (normal(*shape), *[normal(*over)] * parameters), expected, (1, 2)[:parameters])


def _batch_norm(x: Array) -> Array:
    return np.stack([_standardized(x[:, c]) for c in range(x.shape[1])], 1)


def _instance_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return ops.instance_norm(x, weight=weight, bias=bias, eps=_EPS)


def _instance_norm_at_test_time(x: Tensor, weight: Tensor) -> Tensor:
    mean, var = Tensor(np.array([-1.0, 0.5])), Tensor(np.array([0.5, 2.0]))
    return ops.instance_norm(x, mean, var, weight, use_input_stats=False, eps=_EPS)


def _within_channel(x: Array) -> Array:
    """Caffe's: the squares of 3 by 3 pixels, those outside counting as 0, over 9."""
    y = np.empty_like(x)
    for n, c, j, k in np.ndindex(*x.shape):
        window = x[n, c, max(0, j - 1) : j + 2, max(0, k - 1) : k + 2]
        energy = math.fsum(v * v for v in window.ravel().tolist()) / 9
        y[n, c, j, k] = x[n, c, j, k] * (2.0 + 0.5 * energy) ** -0.75
    return y


def _window(x: Array, j: int, k: int, size: int, sigma: float) -> Iterator[tuple[float, Array]]:
    """Each weight of the window around a pixel that lies inside the image, and the pixel's values in all channels."""
    reach = size // 2
    for p in range(-reach, reach + 1):
        for q in range(-reach, reach + 1):
            if 0 <= j + p < x.shape[1] and 0 <= k + q < x.shape[2]:
                yield math.exp(-(p * p + q * q) / (2 * sigma * sigma)), x[:, j + p, k + q]


def _around(x: Array, size: int, sigma: float) -> Array:
    """The weighted mean around each pixel of one image (c, h, w), over all channels."""
    y = np.empty(x.shape[1:])
    for j, k in np.ndindex(*y.shape):
        parts = list(_window(x, j, k, size, sigma))
        y[j, k] = math.fsum(w * v for w, values in parts for v in values) / (len(x) * math.fsum(w for w, _ in parts))
    return y


def _subtractive(x: Array, size: int, sigma: float) -> Array:
    return np.stack([image - _around(image, size, sigma) for image in x])


def _divisive(x: Array, size: int, sigma: float, floor: float | None = None) -> Array:
    images = []
    for image in x:
        s = np.sqrt(_around(image * image, size, sigma))
        images.append(image / np.maximum(s, s.mean() if floor is None else floor))
    return np.stack(images)


CASES: list[Case] = [
    *_group_norm_cases("two groups", 2, 2, 4, 3),
    *_group_norm_cases("one group", 1, 2, 3, 1, 2),
    *_group_norm_cases("rows", 2, 3, 6),
    *_group_norm_cases("a group for each channel", 2, 2, 2, 3),
    Case(ChannelAffine, "group norm, weight alone", lambda x, w: ops.group_norm(x, 2, w, eps=_EPS),
         (normal(2, 4, 2), normal(4)), lambda x, w: _group_norm(x, 2, w), (1,)),
    Case(ChannelAffine, "group norm, bias alone", lambda x, b: ops.group_norm(x, 2, bias=b, eps=_EPS),
         (normal(2, 4, 2), normal(4)), lambda x, b: _group_norm(x, 2, None, b), (1,)),
    Case(BatchNorm, "weight alone", lambda x, w: ops.batch_norm(x, None, None, w, training=True, eps=_EPS),
         (normal(3, 2, 2), normal(2)), lambda x, w: _batch_norm(x) * w[:, None], (1,)),
    Case(BatchNorm, "bias alone", lambda x, b: ops.batch_norm(x, None, None, None, b, training=True, eps=_EPS),
         (normal(3, 2, 2), normal(2)), lambda x, b: _batch_norm(x) + b[:, None], (1,)),
    Case(Standardize, "instance norm", lambda x: ops.instance_norm(x, eps=_EPS), (normal(2, 3, 4),),
         lambda x: _group_norm(x, 3)),
    Case(Standardize, "instance norm, affine", _instance_norm, (normal(2, 2, 2, 3), normal(2), normal(2)),
         lambda x, w, b: _group_norm(x, 2, w, b), (1, 2)),
    Case(ChannelAffine, "instance norm, running statistics", _instance_norm_at_test_time, (normal(2, 2, 3), normal(2)),
         lambda x, w: np.stack([(x[:, 0] + 1) / math.sqrt(0.6) * w[0], (x[:, 1] - 0.5) / math.sqrt(2.1) * w[1]], 1), (0, 1)),
    _layer_norm_case("layer norm", 1, (3, 5), 0),
    _layer_norm_case("layer norm, affine", 1, (2, 2, 3), 2),
    _layer_norm_case("layer norm, weight alone", 1, (3, 4), 1),
    _layer_norm_case("layer norm over two dimensions", 2, (2, 3, 2), 2),
    _layer_norm_case("layer norm over everything", 2, (2, 3), 0),
    Case(AvgPool, "LRN within a channel",
         lambda x: ops.local_response_norm(x, 3, 0.5, 0.75, 2.0, norm_region="within_channel"), (normal(2, 2, 4, 3),),
         _within_channel),
    Case(Conv, "subtractive norm", lambda x: ops.subtractive_norm(x, 3, 0.9), (normal(2, 2, 3, 4),),
         lambda x: _subtractive(x, 3, 0.9), (0,)),
    Case(Conv, "subtractive norm, window larger than the image", lambda x: ops.subtractive_norm(x, 7), (normal(1, 1, 2, 3),),
         lambda x: _subtractive(x, 7, 1.75), (0,)),
    Case(Conv, "divisive norm", lambda x: ops.divisive_norm(x, 3, 0.9), (normal(2, 2, 2, 3),), lambda x: _divisive(x, 3, 0.9)),
    Case(Conv, "divisive norm, floor", lambda x: ops.divisive_norm(x, 3, floor=0.9), (positive(1, 2, 2, 3),),
         lambda x: _divisive(x, 3, 0.75, 0.9)),
    Case(Conv, "local contrast norm", lambda x: ops.local_contrast_norm(x, 3, 0.9), (normal(1, 2, 3, 3),),
         lambda x: _divisive(_subtractive(x, 3, 0.9), 3, 0.9)),
    Case(Conv, "local contrast norm, one image", lambda x: ops.local_contrast_norm(x, 3), (normal(2, 3, 2),),
         lambda x: _divisive(_subtractive(x[None], 3, 0.75), 3, 0.75)[0]),
]  # fmt: skip
