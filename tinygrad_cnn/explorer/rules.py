"""What the page has to know of an op to explain a cell: which numbers it was made from, by index arithmetic.

Most ops need nothing beyond their formula. Those here have a geometry, or statistics that a cell has seen; they are
written down as plain data, under a `kind` that the page's script knows:

``conv``
    Every operator that is linear in an input X, a kernel W and an output Y of a convolution. `roles` says which of the
    three each argument is and `out` which one the op computes, so one index rule serves the convolution, the transposed
    one, the fully connected layer (no spatial axes), and the gradients of all of them.
``choose``
    Pools that remember positions. ``average``: pools that divide a sum. ``mask``: values that pass or are shut.
``batchnorm``, ``lrn``, ``logsoftmax``: the statistics and windows of the normalizations.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..kernels.geometry import ConvGeometry, PoolGeometry
from ..kernels.numpy_pool import divisors
from ..ops.activation import LogSoftmax, ReLU
from ..ops.conv import Conv, ConvInputGrad, ConvWeightGrad
from ..ops.conv_transpose import ConvTranspose
from ..ops.dropout import Dropout
from ..ops.linalg import Linear
from ..ops.norm import BatchNorm, LocalResponseNorm
from ..ops.pool import AvgPool, ChoosingPool, MaxPool
from ..ops.pool_adaptive import AdaptiveAvgPool
from .record import Recording

Rule = dict[str, Any]
Arrays = dict[str, Array]


def rule_of(node: Function, recording: Recording) -> tuple[Rule, Arrays]:
    """The rule of a node as plain data, and the arrays that it refers to by name.

    Parameters
    ----------
    node : Function
    recording : Recording
        With the values and gradients that statistics are computed from.

    Returns
    -------
    rule : dict
        Empty where the page needs nothing.
    arrays : dict of str to ndarray
    """
    for op, rule in _RULES.items():
        if isinstance(node, op):
            return rule(node, recording)
    return {}, {}


def _conv(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    roles, out = _ROLES[type(node)]
    return {"kind": "conv", "roles": roles, "out": out, "geometry": _conv_geometry(node.geometry)}, {}


def _linear(node: Function, recording: Recording) -> tuple[Rule, Arrays]:
    geometry: dict[str, Any] = {"groups": 1, "kernel": [], "stride": [], "before": [], "dilation": [], "in": [], "out": []}
    (batch, features), (outputs, _) = node.input_shapes[:2]
    geometry |= {"batch": batch, "in_channels": features, "out_channels": outputs}
    return {"kind": "conv", "roles": ["X", "W"], "out": "Y", "geometry": geometry}, {}


def _conv_geometry(g: ConvGeometry) -> dict[str, Any]:
    counts = {"batch": g.batch, "in_channels": g.in_channels, "out_channels": g.out_channels, "groups": g.groups}
    return counts | {
        "kernel": list(g.kernel_size),
        "stride": list(g.stride),
        "before": [before for before, _ in g.padding],
        "dilation": list(g.dilation),
        "in": list(g.in_size),
        "out": list(g.out_size),
    }


def _pool_geometry(g: PoolGeometry) -> dict[str, Any]:
    return {
        "kernel": list(g.kernel_size),
        "stride": list(g.stride),
        "before": [before for before, _ in g.padding],
        "dilation": list(g.dilation),
        "in": list(g.in_size),
        "out": list(g.out_size),
    }


def _choosing(node: Function, recording: Recording) -> tuple[Rule, Arrays]:
    rule: Rule = {"kind": "choose", "in": list(node.input_shapes[0][2:])}
    if isinstance(node, MaxPool):
        rule["geometry"] = _pool_geometry(node.geometry)
    return rule, {"indices": node.saved_arrays[0]}


def _average(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    by = divisors(node.geometry, node.count_include_pad, node.divisor_override, np.dtype(np.float64))
    divisor = np.broadcast_to(by, node.shape[2:])
    return {"kind": "average", "geometry": _pool_geometry(node.geometry)}, {"divisor": divisor}


def _adaptive(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    return {"kind": "average", "adaptive": {"in": list(node.input_shapes[0][2:]), "out": list(node.shape[2:])}}, {}


def _relu(node: Function, recording: Recording) -> tuple[Rule, Arrays]:
    return {"kind": "mask"}, {"mask": (node.saved_arrays[0] > 0).astype(np.float32)}


def _dropout(node: Function, recording: Recording) -> tuple[Rule, Arrays]:
    return {"kind": "mask"}, {"mask": np.broadcast_to(node.saved_arrays[0], node.shape)}


def _batch_norm(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    x, weight, mean, rstd = node.saved_arrays
    along = (1, -1) + (1,) * (x.ndim - 2)
    over = tuple(axis for axis in range(x.ndim) if axis != 1)
    gy = recording.gradients.get(node)
    arrays = {"mean": mean.ravel(), "rstd": rstd.ravel()}
    if gy is not None:
        gxhat = gy.astype(np.float64) if weight is None else gy.astype(np.float64) * weight.reshape(along)
        xhat = (x.astype(np.float64) - mean.reshape(along)) * rstd.reshape(along)
        arrays |= {"mean_gxhat": gxhat.mean(over), "mean_gxhat_xhat": (gxhat * xhat).mean(over)}
    return {"kind": "batchnorm", "affine": weight is not None}, arrays


def _local_response(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    rule = {"kind": "lrn", "size": node.size, "alpha": node.alpha, "beta": node.beta, "k": node.k}
    return rule, {"d": node.saved_arrays[1]}


def _log_softmax(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    return {"kind": "logsoftmax", "dim": node.dim % len(node.shape)}, {}


_ROLES: dict[type[Function], tuple[list[str], str]] = {
    Conv: (["X", "W"], "Y"),
    ConvTranspose: (["Y", "W"], "X"),
    ConvInputGrad: (["Y", "W"], "X"),
    ConvWeightGrad: (["X", "Y"], "W"),
}

_RULES: dict[type, Callable[[Any, Recording], tuple[Rule, Arrays]]] = {
    **dict.fromkeys(_ROLES, _conv),
    Linear: _linear,
    ChoosingPool: _choosing,
    AvgPool: _average,
    AdaptiveAvgPool: _adaptive,
    ReLU: _relu,
    Dropout: _dropout,
    BatchNorm: _batch_norm,
    LocalResponseNorm: _local_response,
    LogSoftmax: _log_softmax,
}
