"""The adapter's second half: convolutions, pools, normalizations, resampling, losses."""

from typing import Any

import numpy as np

from tinygrad_cnn import ops
from tinygrad_cnn.tensor import Tensor

from .adapter import OPS, Node, UnsupportedError, _ints, op


def _per_axis(node: Node, name: str, dims: int) -> tuple[int, ...]:
    return tuple(_ints(node.get(name) or [1] * dims))


def _window_pads(node: Node, size: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """(before, after) of every spatial axis; `auto_pad` spelled out."""
    dims = len(size)
    stride, dilation = _per_axis(node, "strides", dims), _per_axis(node, "dilations", dims)
    auto = node.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pairs = []
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            small, large = total // 2, total - total // 2
            pairs.append((small, large) if auto == "SAME_UPPER" else (large, small))
        return tuple(pairs)
    pads = _ints(node.get("pads") or [0] * (2 * dims)) if auto == "NOTSET" else [0] * (2 * dims)
    return tuple(zip(pads[:dims], pads[dims:], strict=True))


def _by_dims(family: str, dims: int) -> Any:
    return getattr(ops, f"{family}{dims}d")


@op("Conv")
def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    dims = x.ndim - 2
    pads = _window_pads(node, x.shape[2:], weight.shape[2:])
    stride, dilation = _per_axis(node, "strides", dims), _per_axis(node, "dilations", dims)
    return _by_dims("conv", dims)(x, weight, bias, stride, pads, dilation, node.get("group", 1))


@op("ConvTranspose")
def _conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    dims = x.ndim - 2
    stride, dilation = _per_axis(node, "strides", dims), _per_axis(node, "dilations", dims)
    extra = tuple(_ints(node.get("output_padding") or [0] * dims))
    pads = _window_pads(node, x.shape[2:], weight.shape[2:])
    auto, wanted = node.get("auto_pad", "NOTSET"), node.get("output_shape")
    if wanted or auto in ("SAME_UPPER", "SAME_LOWER"):
        out = _ints(wanted)[-dims:] if wanted else [n * s for n, s in zip(x.shape[2:], stride, strict=True)]
        reach = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
        total = [s * (n - 1) + e + r - o for n, s, e, r, o in zip(x.shape[2:], stride, extra, reach, out, strict=True)]
        if min(total) < 0:
            extra = tuple(e - min(t, 0) for e, t in zip(extra, total, strict=True))
            total = [max(t, 0) for t in total]
        halves = [(t // 2, t - t // 2) if auto == "SAME_UPPER" else (t - t // 2, t // 2) for t in total]
        pads = tuple(halves)
    return _by_dims("conv_transpose", dims)(x, weight, bias, stride, pads, extra, node.get("group", 1), dilation)


@op("MaxPool")
def _max_pool(node: Node, x: Tensor) -> Any:
    dims, kernel = x.ndim - 2, tuple(_ints(node.get("kernel_shape")))
    pads = _window_pads(node, x.shape[2:], kernel)
    if x.dtype.kind != "f":
        return _max_pool(node, x.double()).to(x.dtype)
    stride, dilation = _per_axis(node, "strides", dims), _per_axis(node, "dilations", dims)
    ceil_mode = bool(node.get("ceil_mode", 0))
    if any(2 * max(pair) > k for pair, k in zip(pads, kernel, strict=True)):
        # More padding than half a window, which ours (like PyTorch's) refuses: the border as part of the input.
        if node.outputs > 1:
            raise UnsupportedError("indices under padding of more than half a window")
        x, pads = ops.pad(x, [n for pair in reversed(pads) for n in pair], value=-np.inf), ((0, 0),) * dims
    y, places = _by_dims("max_pool", dims)(x, kernel, stride, pads, dilation, ceil_mode, return_indices=True)
    if node.outputs == 1:
        return y
    return y, Tensor(_over_the_tensor(places.array, x.shape, bool(node.get("storage_order", 0))))


def _over_the_tensor(places: np.ndarray, shape: tuple[int, ...], column_major: bool) -> np.ndarray:
    """Positions in a plane as positions in the whole tensor."""
    n, c, *size = shape
    if column_major:
        places = np.ravel_multi_index(np.unravel_index(places, size), size, order="F")
    planes = np.arange(n * c).reshape((n, c) + (1,) * len(size)) * int(np.prod(size))
    return np.asarray(places + planes, np.int64)


@op("MaxUnpool")
def _max_unpool(node: Node, x: Tensor, places: Tensor, output_shape: Tensor | None = None) -> Tensor:
    dims, kernel = x.ndim - 2, tuple(_ints(node.get("kernel_shape")))
    stride = _per_axis(node, "strides", dims)
    natural = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], stride, kernel, strict=True)]
    size = _ints(output_shape)[2:] if output_shape is not None else natural
    # ONNX counts in the tensor that was pooled, whose planes have the natural size.
    plane = int(np.prod(natural))
    within = np.unravel_index(places.array % plane, natural)
    moved = Tensor(np.ravel_multi_index(within, size).astype(np.int64))
    return _by_dims("max_unpool", dims)(x, moved, kernel, stride, output_size=tuple(size))


@op("AveragePool")
def _average_pool(node: Node, x: Tensor) -> Tensor:
    dims, kernel = x.ndim - 2, tuple(_ints(node.get("kernel_shape")))
    if any(d != 1 for d in _per_axis(node, "dilations", dims)):
        raise UnsupportedError("dilated average pooling")
    pads = _window_pads(node, x.shape[2:], kernel)
    stride, ceil_mode = _per_axis(node, "strides", dims), bool(node.get("ceil_mode", 0))
    include = bool(node.get("count_include_pad", 0))
    pool = _by_dims("avg_pool", dims)
    if all(2 * max(pair) <= k for pair, k in zip(pads, kernel, strict=True)):
        return pool(x, kernel, stride, pads, ceil_mode, include)
    border = [n for pair in reversed(pads) for n in pair]
    inside = ops.pad(Tensor(np.full(x.shape, 1.0, x.dtype)), border, value=float(include))
    return pool(ops.pad(x, border), kernel, stride, 0, ceil_mode) / pool(inside, kernel, stride, 0, ceil_mode)


@op("GlobalAveragePool")
def _global_average(node: Node, x: Tensor) -> Tensor:
    return _by_dims("global_avg_pool", x.ndim - 2)(x)


@op("GlobalMaxPool")
def _global_max(node: Node, x: Tensor) -> Tensor:
    return _by_dims("global_max_pool", x.ndim - 2)(x)


@op("LpPool")
def _lp_pool(node: Node, x: Tensor) -> Tensor:
    dims, kernel = x.ndim - 2, tuple(_ints(node.get("kernel_shape")))
    if any(d != 1 for d in _per_axis(node, "dilations", dims)):
        raise UnsupportedError("dilated Lp pooling")
    pads = _window_pads(node, x.shape[2:], kernel)
    x = ops.abs(ops.pad(x, [n for pair in reversed(pads) for n in pair]))  # ours, as PyTorch's, sums x^p with its sign
    stride, ceil_mode = _per_axis(node, "strides", dims), bool(node.get("ceil_mode", 0))
    return _by_dims("lp_pool", dims)(x, node.get("p", 2), kernel, stride, ceil_mode)


@op("BatchNormalization")
def _batch_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Any:
    eps = node.get("epsilon", 1e-5)
    if not node.get("training_mode", 0):
        return ops.batch_norm(x, mean, var, scale, bias, eps=eps)
    batch_mean, batch_var = mean.clone(), var.clone()
    y = ops.batch_norm(x, batch_mean, batch_var, scale, bias, training=True, momentum=1.0, eps=eps)
    # ONNX keeps the biased variance, and its momentum weighs the old value.
    n, kept = x.numel() // x.shape[1], node.get("momentum", 0.9)
    return y, mean * kept + batch_mean * (1 - kept), var * kept + batch_var * ((n - 1) / n) * (1 - kept)


@op("InstanceNormalization")
def _instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return ops.instance_norm(x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5))


@op("GroupNormalization")
def _group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return ops.group_norm(x, node.get("num_groups"), scale, bias, node.get("epsilon", 1e-5))


@op("LayerNormalization")
def _layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
    axis, eps = node.get("axis", -1) % x.ndim, node.get("epsilon", 1e-5)
    dims = tuple(range(axis, x.ndim))
    bias = None if bias is None else bias.expand(x.shape[axis:])
    y = ops.layer_norm(x, x.shape[axis:], scale.expand(x.shape[axis:]), bias, eps)
    var = ops.var(x, dims, correction=0, keepdim=True)
    return y, ops.mean(x, dims, keepdim=True), (var + eps).rsqrt()


@op("MeanVarianceNormalization")
def _mean_variance(node: Node, x: Tensor) -> Tensor:
    dims = tuple(_ints(node.get("axes") or [0, 2, 3]))
    return (x - ops.mean(x, dims, keepdim=True)) / (ops.std(x, dims, correction=0, keepdim=True) + 1e-9)


@op("LpNormalization")
def _lp_normalization(node: Node, x: Tensor) -> Tensor:
    length = ops.norm(x, node.get("p", 2), node.get("axis", -1), keepdim=True)
    return ops.where(length == 0, 0.0, x / ops.where(length == 0, 1.0, length))


@op("LRN")
def _lrn(node: Node, x: Tensor) -> Tensor:
    return ops.local_response_norm(x, node.get("size"), node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0))


@op("Dropout")
def _dropout(node: Node, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None) -> Any:
    p = 0.5 if ratio is None else ratio.item()
    if training is not None and training.item() and p > 0:
        raise UnsupportedError("dropout's mask from NumPy's old generator")
    return ops.dropout(x, p, training=False), Tensor(np.ones(x.shape, bool))


@op("Col2Im")
def _col2im(node: Node, x: Tensor, image: Tensor, block: Tensor) -> Tensor:
    dims = len(_ints(image))
    if dims != 2:
        raise UnsupportedError("fold over other than two dimensions")
    pads = _ints(node.get("pads") or [0] * 4)
    if pads[:2] != pads[2:]:
        raise UnsupportedError("fold with unequal padding")
    dilation, stride = _per_axis(node, "dilations", dims), _per_axis(node, "strides", dims)
    return ops.fold(x, tuple(_ints(image)), tuple(_ints(block)), dilation, tuple(pads[:2]), stride)


@op("Resize")
def _resize(node: Node, x: Tensor, roi: Any = None, scales: Tensor | None = None, sizes: Tensor | None = None) -> Tensor:
    mode, how = node.get("mode", "nearest"), node.get("coordinate_transformation_mode", "half_pixel")
    for name, value in {"antialias": 0, "exclude_outside": 0, "axes": None, "keep_aspect_ratio_policy": "stretch"}.items():
        if node.get(name, value) != value:
            raise UnsupportedError(f"resize with {name}")
    if x.ndim != 4:
        raise UnsupportedError("resize of other than 4 dimensions")
    known = {
        ("nearest", "asymmetric"): "nearest", ("linear", "half_pixel"): "bilinear", ("linear", "align_corners"): "bilinear",
        ("cubic", "half_pixel"): "bicubic", ("cubic", "align_corners"): "bicubic",
    }  # fmt: skip
    rounding = node.get("nearest_mode", "round_prefer_floor")
    if (mode, how) not in known or (mode == "nearest" and rounding != "floor"):
        raise UnsupportedError(f"resize {mode} with coordinates {how}, rounding {rounding}")
    if node.get("cubic_coeff_a", -0.75) != -0.75:
        raise UnsupportedError("a cubic kernel with another coefficient than PyTorch's")
    align = {"align_corners": how == "align_corners"} if mode != "nearest" else {}
    if sizes is not None and sizes.numel():
        return ops.interpolate(x, size=tuple(_ints(sizes)[2:]), mode=known[mode, how], **align)
    assert scales is not None
    factors = tuple(float(s) for s in scales.tolist()[2:])
    if align and how == "align_corners" and any(n * f % 1 for n, f in zip(x.shape[2:], factors, strict=True)):
        raise UnsupportedError("resize by the unrounded size")
    return ops.interpolate(x, scale_factor=factors, mode=known[mode, how], recompute_scale_factor=False, **align)


@op("GridSample")
def _grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    if x.ndim != 4:
        raise UnsupportedError("grid_sample of volumes")
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(node.get("mode", "linear"), node.get("mode", "linear"))
    align = bool(node.get("align_corners", 0))
    return ops.grid_sample(x, grid, mode, node.get("padding_mode", "zeros"), align_corners=align)


@op("AffineGrid")
def _affine_grid(node: Node, theta: Tensor, size: Tensor) -> Tensor:
    if size.numel() != 4:
        raise UnsupportedError("affine_grid of volumes")
    return ops.affine_grid(theta, tuple(_ints(size)), align_corners=bool(node.get("align_corners", 0)))


@op("NegativeLogLikelihoodLoss")
def _nll(node: Node, x: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    return ops.nll_loss(x, target, weight, node.get("ignore_index", -100), node.get("reduction", "mean"))


@op("SoftmaxCrossEntropyLoss")
def _cross_entropy(node: Node, x: Tensor, target: Tensor, weight: Tensor | None = None) -> Any:
    loss = ops.cross_entropy(x, target, weight, node.get("ignore_index", -100), node.get("reduction", "mean"))
    return loss, ops.log_softmax(x, 1)


__all__ = ["OPS"]
