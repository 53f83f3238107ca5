"""What the page has to know of an op to explain a cell: which numbers it was made from, by index arithmetic.

Most ops need nothing beyond their formula. Those here have a geometry, or statistics that a cell has seen; they are
written down as plain data, under a `kind` that the page's script knows:

``conv``
    Every operator that is linear in an input X, a kernel W and an output Y of a convolution. `roles` says which of the
    three each argument is and `out` which one the op computes, so one index rule serves the convolution, the transposed
    one, the fully connected layer (no spatial axes), and the gradients of all of them.
``choose``
    Pools that remember positions. ``average``: pools that divide a sum. ``mask``: values that pass or are shut.
``batchnorm``, ``standardize``, ``affine``, ``lrn``, ``softmax``, ``logsoftmax``
    The statistics and windows of the normalizations; ``batchnorm`` with a `mask` where it holds a ReLU, too.
``power``, ``reduce``, ``matmul``, ``resample``, ``likelihood``
    Sums over cells that the op's parameters name; what is computed cell by cell the script knows by the op's name.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..kernels.geometry import ConvGeometry, PoolGeometry
from ..kernels.numpy_pool import divisors
from ..ops.activation import LogSoftmax, ReLU, Softmax
from ..ops.conv import Conv, ConvInputGrad, ConvWeightGrad
from ..ops.conv_transpose import ConvTranspose
from ..ops.dropout import Dropout
from ..ops.elementwise import Power
from ..ops.group_norm import Standardize
from ..ops.linalg import Linear, MatMul
from ..ops.loss import NLLLoss
from ..ops.norm import BatchNorm, ChannelAffine, LocalResponseNorm
from ..ops.pool import AvgPool, ChoosingPool, MaxPool
from ..ops.pool_adaptive import AdaptiveAvgPool
from ..ops.reduce import Mean, Sum
from ..ops.resample import Resample
from ..recording import Recording

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
    return {"kind": "mask"}, {"mask": _gate(node.saved_arrays[0])}


def _gate(y: Array) -> Array:
    return (y > 0).astype(np.float32)


def _dropout(node: Function, recording: Recording) -> tuple[Rule, Arrays]:
    return {"kind": "mask"}, {"mask": np.broadcast_to(node.saved_arrays[0], node.shape)}


def _batch_norm(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    x, weight, mean, rstd, *rectified = node.saved_arrays
    along = (1, -1) + (1,) * (x.ndim - 2)
    over = tuple(axis for axis in range(x.ndim) if axis != 1)
    gy = recording.gradients.get(node)
    arrays = {"mean": mean.ravel(), "rstd": rstd.ravel()}
    if rectified:
        arrays["mask"] = _gate(rectified[0])
        gy = None if gy is None else np.where(arrays["mask"], gy, 0)
    if gy is not None:
        gxhat = gy.astype(np.float64) if weight is None else gy.astype(np.float64) * weight.reshape(along)
        xhat = (x.astype(np.float64) - mean.reshape(along)) * rstd.reshape(along)
        arrays |= {"mean_gxhat": gxhat.mean(over), "mean_gxhat_xhat": (gxhat * xhat).mean(over)}
    return {"kind": "batchnorm", "affine": weight is not None, "relu": bool(rectified)}, arrays


def _local_response(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    rule = {"kind": "lrn", "size": node.size, "alpha": node.alpha, "beta": node.beta, "k": node.k}
    return rule, {"d": node.saved_arrays[1]}


def _softmax(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    kind = "logsoftmax" if isinstance(node, LogSoftmax) else "softmax"
    return {"kind": kind, "dim": node.dim % len(node.shape)}, {}


def _standardize(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    x, mean, rstd = node.saved_arrays
    gy = recording.gradients.get(node)
    arrays = {"mean": mean.ravel(), "rstd": rstd.ravel()}
    if gy is not None:
        gy = gy.astype(np.float64)
        y = (x.astype(np.float64) - mean.reshape(-1, 1)) * rstd.reshape(-1, 1)
        arrays |= {"mean_gy": gy.mean(1), "mean_gy_y": (gy * y).mean(1)}
    return {"kind": "standardize"}, arrays


def _plain(kind: str) -> Callable[[Any, Recording], tuple[Rule, Arrays]]:
    """The rule of an op of which the script needs to know no more than what it is."""
    return lambda node, recording: ({"kind": kind}, {})


def _power(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    return {"kind": "power", "exponent": float(node.exponent)}, {}


def _reduce(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    rule = {"kind": "reduce", "dims": list(node.dims), "keepdim": node.keepdim, "mean": isinstance(node, Mean)}
    return rule, {}


def _resample(node: Any, recording: Recording) -> tuple[Rule, Arrays]:
    taps = [{"index": along.index.tolist(), "weight": along.weight.tolist()} for along in node.taps]
    return {"kind": "resample", "taps": taps}, {}


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
    **dict.fromkeys((Softmax, LogSoftmax), _softmax),
    Standardize: _standardize,
    ChannelAffine: _plain("affine"),
    Power: _power,
    **dict.fromkeys((Sum, Mean), _reduce),
    MatMul: _plain("matmul"),
    Resample: _resample,
    NLLLoss: _plain("likelihood"),
}
