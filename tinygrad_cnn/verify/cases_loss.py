"""Cases of the losses; scalars of `math`, element after element and sample after sample, as the reference.

Margins and limits lie between the values drawn, so that no element sits on a kink, and the weights differ from class to
class and from element to element, so that each has to be in its place.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import ops
from ..ops import activation, elementwise, rbf, reduce, smooth
from ..ops.loss import NLLLoss
from ..ops.loss_binary import BinaryCrossEntropy
from ..tensor import Tensor
from .case import Array, Case, Draw, distinct, normal, positive

Formula = Callable[..., float]

_CLASS_WEIGHT = np.array([0.5, 2.0, 3.0, 1.0])
_SIGNS = np.array([[1, -1, -1], [-1, 1, 1]])
_LABELS = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


def _reduced(losses: Any, reduction: str) -> Any:
    losses = np.asarray(losses)
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / max(losses.size, 1)}[reduction]


def _unit(*shape: int) -> Draw:
    """Between 0.1 and 0.9."""
    return lambda generator: generator.uniform(0.1, 0.9, shape)


def _elementwise(
    op: type, label: str, call: Callable[..., Tensor], formula: Formula, draws: tuple[Draw, ...], reduction: str = "mean",
    linear_in: tuple[int, ...] = (),
) -> Case:  # fmt: skip
    losses = np.vectorize(formula, otypes=[np.float64])
    return Case(
        op, label, partial(call, reduction=reduction), draws, lambda *xs: _reduced(losses(*xs), reduction), linear_in
    )


# Against classes ------------------------------------------------------------------------------------------------------


def _log_softmax(scores: Array) -> list[float]:
    log_sum = math.log(math.fsum(math.exp(s) for s in scores))
    return [float(s) - log_sum for s in scores]


def _rows(x: Array) -> dict[tuple[int, ...], Array]:
    """The scores (n, c, ...) of each place (n, ...)."""
    last = np.moveaxis(x, 1, -1)
    return {at: last[at] for at in np.ndindex(*last.shape[:-1])}


def _cross_entropy(label: str, shape: tuple[int, ...], target: Any, **options: Any) -> Case:
    classes = np.array(target)
    weight, smoothing = options.get("weight"), options.get("label_smoothing", 0.0)

    def expected(x: Array) -> Any:
        losses, total = np.zeros(classes.shape), 0.0
        for at, scores in _rows(x).items():
            y, log_p = int(classes[at]), _log_softmax(scores)
            if y == options.get("ignore_index", -100):
                continue
            w = [1.0] * len(scores) if weight is None else weight.array.tolist()
            spread = math.fsum(w[i] * log_p[i] for i in range(len(scores))) / len(scores)
            losses[at] = -(1 - smoothing) * w[y] * log_p[y] - smoothing * spread
            total += w[y]
        reduction = options.get("reduction", "mean")
        return losses.sum() / total if reduction == "mean" else _reduced(losses, reduction)

    return Case(
        NLLLoss, f"cross_entropy, {label}", lambda x: ops.cross_entropy(x, Tensor(classes), **options), (normal(*shape),),
        expected,
    )  # fmt: skip


def _soft_cross_entropy(label: str, *shape: int, **options: Any) -> Case:
    weight, smoothing = options.get("weight"), options.get("label_smoothing", 0.0)

    def expected(x: Array, target: Array) -> Any:
        losses, probabilities = np.zeros(shape[:1] + shape[2:]), _rows(target)
        for at, scores in _rows(x).items():
            w = [1.0] * len(scores) if weight is None else weight.array.tolist()
            losses[at] = -math.fsum(
                w[i] * ((1 - smoothing) * probabilities[at][i] + smoothing / len(scores)) * log_p
                for i, log_p in enumerate(_log_softmax(scores))
            )
        return _reduced(losses, options.get("reduction", "mean"))

    return Case(
        activation.LogSoftmax, f"cross_entropy, probabilities, {label}",
        lambda x, target: ops.cross_entropy(x, target, **options), (normal(*shape), _unit(*shape)), expected, (1,),
    )  # fmt: skip


def _focal(label: str, shape: tuple[int, ...], target: Any, **options: Any) -> Case:
    classes, alpha, gamma = np.array(target), options.get("alpha"), options.get("gamma", 2.0)

    def expected(x: Array) -> Any:
        losses, count = np.zeros(classes.shape), 0
        for at, scores in _rows(x).items():
            y = int(classes[at])
            if y != options.get("ignore_index", -100):
                log_p = _log_softmax(scores)[y]
                losses[at] = -(1.0 if alpha is None else alpha.array[y]) * (1 - math.exp(log_p)) ** gamma * log_p
                count += 1
        reduction = options.get("reduction", "mean")
        return losses.sum() / count if reduction == "mean" else _reduced(losses, reduction)

    return Case(
        reduce.LogSumExp, f"focal_loss, {label}", lambda x: ops.focal_loss(x, Tensor(classes), **options),
        (normal(*shape),), expected,
    )  # fmt: skip


def _multi_margin(label: str, target: list[int], **options: Any) -> Case:
    weight = options.get("weight")

    def expected(x: Array) -> Any:
        losses = []
        for scores, y in zip(x, target, strict=True):
            lacking = [max(0.0, options.get("margin", 1.0) - scores[y] + s) for i, s in enumerate(scores) if i != y]
            share = 1.0 if weight is None else weight.array[y]
            losses.append(share * math.fsum(v ** options.get("p", 1) for v in lacking) / len(scores))
        return _reduced(losses, options.get("reduction", "mean"))

    return Case(
        activation.ReLU, f"multi_margin_loss, {label}", lambda x: ops.multi_margin_loss(x, np.array(target), **options),
        (distinct(3, 4),), expected,
    )  # fmt: skip


def _multilabel_margin(reduction: str) -> Case:
    target = [[3, 0, -1, 1], [1, -1, -1, -1], [2, 2, 0, -1], [-1, 0, 1, 2]]

    def expected(x: Array) -> Any:
        losses = []
        for scores, row in zip(x, target, strict=True):
            named = row[: row.index(-1)]
            others = [i for i in range(4) if i not in named]
            losses.append(math.fsum(max(0.0, 1 - scores[j] + scores[i]) for j in named for i in others) / 4)
        return _reduced(losses, reduction)

    return Case(
        activation.ReLU, f"multilabel_margin_loss, {reduction}",
        lambda x: ops.multilabel_margin_loss(x, np.array(target), reduction), (distinct(4, 4),), expected,
    )  # fmt: skip


def _kl(t: float, x: float) -> float:
    return t * (math.log(t) - x)


_CLASSES = [
    _cross_entropy("mean", (3, 4), [1, 3, 0]),
    _cross_entropy("weights", (3, 4), [1, 3, 0], weight=Tensor(_CLASS_WEIGHT)),
    _cross_entropy("weights, ignored, smoothed", (4, 4), [1, 2, 0, 2], weight=Tensor(_CLASS_WEIGHT), ignore_index=0,
                   label_smoothing=0.3),
    _cross_entropy("smoothed", (3, 4), [1, -100, 0], label_smoothing=0.2),
    _cross_entropy("smoothed, sum", (3, 4), [1, -100, 0], label_smoothing=1.0, reduction="sum"),
    _cross_entropy("pixels, smoothed, none", (2, 4, 1, 2), [[[0, 1]], [[3, 3]]], weight=Tensor(_CLASS_WEIGHT),
                   label_smoothing=0.3, reduction="none"),
    _soft_cross_entropy("mean", 3, 4),
    _soft_cross_entropy("weights, smoothed", 2, 4, 2, weight=Tensor(_CLASS_WEIGHT), label_smoothing=0.3),
    _soft_cross_entropy("none", 2, 4, 2, weight=Tensor(_CLASS_WEIGHT), reduction="none"),
    _focal("mean", (3, 4), [1, 3, 0]),
    _focal("alpha, ignored", (4, 4), [1, -100, 0, 3], gamma=0.5, alpha=Tensor(_CLASS_WEIGHT)),
    _focal("pixels, none", (2, 3, 2), [[0, 1], [2, 2]], gamma=3.0, reduction="none"),
    _multi_margin("mean", [1, 3, 0]),
    _multi_margin("squared, weights", [1, 3, 0], p=2, margin=0.8, weight=Tensor(_CLASS_WEIGHT)),
    _multi_margin("none", [2, 2, 1], weight=Tensor(_CLASS_WEIGHT), reduction="none"),
    _multilabel_margin("mean"),
    _multilabel_margin("none"),
    _elementwise(elementwise.Log, "kl_div", ops.kl_div, lambda x, t: _kl(t, x), (normal(2, 3), _unit(2, 3)), "sum", (0,)),
    _elementwise(elementwise.Exp, "kl_div, logarithms", partial(ops.kl_div, log_target=True),
                 lambda x, t: math.exp(t) * (t - x), (normal(2, 3), normal(2, 3)), "none", (0,)),
    Case(elementwise.Log, "kl_div, batchmean", lambda x, t: ops.kl_div(x, t, "batchmean"), (normal(2, 3), _unit(2, 3)),
         lambda x, t: np.vectorize(_kl)(t, x).sum() / 2, (0,)),
]  # fmt: skip


# Against numbers ------------------------------------------------------------------------------------------------------


def _huber(x: float, y: float, delta: float) -> float:
    d = abs(x - y)
    return d * d / 2 if d <= delta else delta * (d - delta / 2)


def _weighted(x: Array, y: Array, w: Array, power: int) -> float:
    errors = [abs(a - b) ** power for a, b in zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)]
    return math.fsum(v * e for v, e in zip(w.ravel().tolist(), errors, strict=True)) / math.fsum(w.ravel().tolist())


def _poisson(x: float, t: float, full: bool) -> float:
    stirling = t * math.log(t) - t + math.log(2 * math.pi * t) / 2 if full and t > 1 else 0.0
    return math.exp(x) - t * x + stirling


def _gaussian(x: float, t: float, v: float, constant: float = 0.0) -> float:
    return (math.log(v) + (x - t) ** 2 / v) / 2 + constant


_TWO = (distinct(2, 4), distinct(2, 4, offset=0.11))

_NUMBERS = [
    *(
        _elementwise(elementwise.Power, f"mse_loss, {reduction}", ops.mse_loss, lambda x, y: (x - y) ** 2, _TWO, reduction)
        for reduction in ("mean", "sum", "none")
    ),
    Case(elementwise.Power, "mse_loss, weights", lambda x, y, w: ops.mse_loss(x, y, weight=w), (*_TWO, positive(2, 4)),
         lambda x, y, w: _weighted(x, y, w, 2)),
    _elementwise(elementwise.Abs, "l1_loss", ops.l1_loss, lambda x, y: abs(x - y), _TWO),
    Case(elementwise.Abs, "l1_loss, weights", lambda x, y, w: ops.l1_loss(x, y, weight=w), (*_TWO, positive(2, 4)),
         lambda x, y, w: _weighted(x, y, w, 1)),
    *(
        _elementwise(elementwise.Clamp, f"huber_loss, delta {delta}", partial(ops.huber_loss, delta=delta),
                     partial(_huber, delta=delta), _TWO, reduction)
        for delta, reduction in ((0.7, "none"), (2.0, "mean"))
    ),
    Case(elementwise.Clamp, "huber_loss, weights", lambda x, y, w: ops.huber_loss(x, y, weight=w), (*_TWO, positive(2, 4)),
         lambda x, y, w: (np.vectorize(_huber)(x, y, 1.0) * w).sum() / 8),
    _elementwise(elementwise.Clamp, "smooth_l1_loss", partial(ops.smooth_l1_loss, beta=0.7),
                 lambda x, y: _huber(x, y, 0.7) / 0.7, _TWO),
    _elementwise(elementwise.Abs, "smooth_l1_loss, beta 0", partial(ops.smooth_l1_loss, beta=0.0),
                 lambda x, y: abs(x - y), _TWO, "none"),
    _elementwise(elementwise.Exp, "poisson_nll_loss", ops.poisson_nll_loss, lambda x, t: _poisson(x, t, False),
                 (normal(2, 3), positive(2, 3)), "none", (1,)),
    _elementwise(elementwise.Exp, "poisson_nll_loss, full", partial(ops.poisson_nll_loss, full=True),
                 lambda x, t: _poisson(x, t, True), (normal(2, 3), positive(2, 3))),
    _elementwise(elementwise.Log, "poisson_nll_loss, counts", partial(ops.poisson_nll_loss, log_input=False, eps=0.1),
                 lambda x, t: x - t * math.log(x + 0.1), (positive(2, 3), positive(2, 3)), "sum", (1,)),
    _elementwise(elementwise.Log, "gaussian_nll_loss", ops.gaussian_nll_loss, _gaussian,
                 (normal(2, 3), normal(2, 3), positive(2, 3)), "none"),
    _elementwise(elementwise.Log, "gaussian_nll_loss, one variance a row, full", partial(ops.gaussian_nll_loss, full=True),
                 partial(_gaussian, constant=math.log(2 * math.pi) / 2), (normal(2, 3), normal(2, 3), positive(2, 1))),
    Case(elementwise.Log, "gaussian_nll_loss, without the last dimension", ops.gaussian_nll_loss,
         (normal(2, 3), normal(2, 3), positive(2)), lambda x, t, v: np.vectorize(_gaussian)(x, t, v[:, None]).sum() / 6),
]  # fmt: skip


# Yes or no ------------------------------------------------------------------------------------------------------------


def _bce(p: float, t: float, pos_weight: float = 1.0) -> float:
    return -(pos_weight * t * math.log(p) + (1 - t) * math.log(1 - p))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _with_logits(x: float, t: float, pos_weight: float = 1.0) -> float:
    return _bce(_sigmoid(x), t, pos_weight)


def _sigmoid_focal(x: float, t: float, alpha: float, gamma: float) -> float:
    p = _sigmoid(x) if t else 1 - _sigmoid(x)
    factor = 1.0 if alpha < 0 else alpha if t else 1 - alpha
    return -factor * (1 - p) ** gamma * math.log(p)


def _focal_case(label: str, alpha: float, gamma: float, reduction: str) -> Case:
    return Case(
        smooth.Softplus, f"sigmoid_focal_loss, {label}",
        lambda x: ops.sigmoid_focal_loss(x, Tensor(_LABELS), alpha, gamma, reduction), (normal(2, 3),),
        lambda x: _reduced(np.vectorize(_sigmoid_focal)(x, _LABELS, alpha, gamma), reduction),
    )  # fmt: skip


def _sign_case(op: type, label: str, call: Callable[..., Tensor], formula: Formula, *draws: Draw, reduction: str) -> Case:
    """A loss of signs."""
    losses = np.vectorize(formula, otypes=[np.float64])
    return Case(
        op, f"{label}, {reduction}", lambda *xs: call(*xs, _SIGNS, reduction=reduction), draws,
        lambda *xs: _reduced(losses(*xs, _SIGNS), reduction),
    )  # fmt: skip


_BINARY = [
    _elementwise(BinaryCrossEntropy, "mean", ops.binary_cross_entropy, _bce, (_unit(2, 3), _unit(2, 3)), "mean", (1,)),
    _elementwise(BinaryCrossEntropy, "none", ops.binary_cross_entropy, _bce, (_unit(2, 3), _unit(2, 3)), "none", (1,)),
    Case(BinaryCrossEntropy, "weights", lambda x, t, w: ops.binary_cross_entropy(x, t, w),
         (_unit(2, 3), _unit(2, 3), positive(3)), lambda x, t, w: (np.vectorize(_bce)(x, t) * w).sum() / 6, (1, 2)),
    _elementwise(smooth.Softplus, "binary_cross_entropy_with_logits", ops.binary_cross_entropy_with_logits, _with_logits,
                 (normal(2, 3), _unit(2, 3)), "none", (1,)),
    Case(smooth.Softplus, "binary_cross_entropy_with_logits, weights",
         lambda x, t, w, p: ops.binary_cross_entropy_with_logits(x, t, w, pos_weight=p),
         (normal(2, 3), _unit(2, 3), positive(2, 1), positive(3)),
         lambda x, t, w, p: (np.vectorize(_with_logits)(x, t, p) * w).sum() / 6, (1, 2, 3)),
    Case(smooth.Softplus, "multilabel_soft_margin_loss, weights, none",
         lambda x, t, w: ops.multilabel_soft_margin_loss(x, t, w, "none"), (normal(2, 3), _unit(2, 3), positive(3)),
         lambda x, t, w: (np.vectorize(_with_logits)(x, t) * w).sum(1) / 3, (1, 2)),
    _elementwise(smooth.Softplus, "multilabel_soft_margin_loss", ops.multilabel_soft_margin_loss, _with_logits,
                 (normal(2, 3), _unit(2, 3))),
    _focal_case("plain", 0.25, 2.0, "none"),
    _focal_case("no alpha, root", -1.0, 0.5, "mean"),
    _focal_case("gamma 0", 0.4, 0.0, "sum"),
    _sign_case(smooth.Softplus, "soft_margin_loss", ops.soft_margin_loss, lambda x, t: math.log(1 + math.exp(-t * x)),
               normal(2, 3), reduction="mean"),
    _sign_case(elementwise.Clamp, "hinge_loss", ops.hinge_loss, lambda x, t: max(0.0, 1 - t * x), distinct(2, 3),
               reduction="none"),
    _sign_case(elementwise.Clamp, "hinge_loss, squared", partial(ops.hinge_loss, margin=0.8, squared=True),
               lambda x, t: max(0.0, 0.8 - t * x) ** 2, distinct(2, 3), reduction="mean"),
    _sign_case(elementwise.Clamp, "hinge_embedding_loss", partial(ops.hinge_embedding_loss, margin=0.4),
               lambda x, t: x if t == 1 else max(0.0, 0.4 - x), distinct(2, 3), reduction="none"),
    _sign_case(elementwise.Clamp, "margin_ranking_loss", partial(ops.margin_ranking_loss, margin=0.6),
               lambda a, b, t: max(0.0, 0.6 - t * (a - b)), distinct(2, 3), distinct(2, 3, offset=0.11), reduction="mean"),
]  # fmt: skip


# Vectors --------------------------------------------------------------------------------------------------------------


def _dot(a: Any, b: Any) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def _cosine(a: Array, b: Array) -> float:
    return _dot(a, b) / math.sqrt(_dot(a, a) * _dot(b, b))


def _distance(a: Array, b: Array, p: float, eps: float = 1e-6) -> float:
    sizes = [abs(x - y + eps) for x, y in zip(a, b, strict=True)]
    return max(sizes) if p == math.inf else math.fsum(v**p for v in sizes) ** (1 / p)


def _triplet(p: float, swap: bool, reduction: str) -> Case:
    def expected(anchor: Array, positive: Array, negative: Array) -> Any:
        losses = []
        for a, b, c in zip(anchor, positive, negative, strict=True):
            far = min(_distance(a, c, p), _distance(b, c, p)) if swap else _distance(a, c, p)
            losses.append(max(0.0, _distance(a, b, p) - far + 1.5))
        return _reduced(losses, reduction)

    return Case(
        elementwise.Clamp, f"triplet_margin_loss, p {p:g}{', swap' * swap}",
        lambda a, b, c: ops.triplet_margin_loss(a, b, c, 1.5, p, swap=swap, reduction=reduction), (normal(4, 3),) * 3,
        expected,
    )  # fmt: skip


def _cosine_loss(a: Array, b: Array) -> Array:
    cosines = [_cosine(x, y) for x, y in zip(a, b, strict=True)]
    return np.array([1 - c if t == 1 else max(0.0, c - 0.2) for c, t in zip(cosines, (1, -1, -1, 1), strict=True)])


def _rbf(x: Array, weight: Array) -> Array:
    return np.array([[math.fsum((v - w) ** 2 for v, w in zip(row, centre, strict=True)) for centre in weight] for row in x])


def _rbf_map(y: Array, target: list[int], j: float) -> Any:
    rubbish = math.exp(-j)
    return sum(row[t] + math.log(rubbish + sum(math.exp(-v) for v in row)) for row, t in zip(y, target, strict=True)) / len(y)


_VECTORS = [
    *(
        Case(reduce.Norm if p == 2 else elementwise.Abs, f"pairwise_distance, p {p:g}",
             partial(ops.pairwise_distance, p=p, eps=0.05), _TWO if p < math.inf else (normal(2, 4),) * 2,
             lambda a, b, p=p: [_distance(x, y, p, 0.05) for x, y in zip(a, b, strict=True)])
        for p in (1.0, 2.0, 3.0, math.inf)
    ),
    Case(reduce.Norm, "cosine_similarity", lambda a, b: ops.cosine_similarity(a, b), (normal(2, 3, 2), normal(1, 3, 1)),
         lambda a, b: [[_cosine(a[i, :, j], b[0, :, 0]) for j in range(2)] for i in range(2)]),
    Case(reduce.Norm, "cosine_similarity, short vectors", lambda a, b: ops.cosine_similarity(a, b, -1, eps=10.0),
         (normal(2, 3), normal(2, 3)), lambda a, b: [_dot(x, y) / 100 for x, y in zip(a, b, strict=True)], (0, 1)),
    *(
        Case(elementwise.Sqrt, f"cosine_embedding_loss, {reduction}",
             lambda a, b, r=reduction: ops.cosine_embedding_loss(a, b, np.array([1, -1, -1, 1]), 0.2, r),
             (normal(4, 3), normal(4, 3)), lambda a, b, r=reduction: _reduced(_cosine_loss(a, b), r))
        for reduction in ("mean", "none")
    ),
    _triplet(2.0, False, "none"),
    _triplet(1.0, True, "mean"),
    _triplet(3.0, True, "sum"),
    Case(rbf.EuclideanRBF, "euclidean_rbf", ops.euclidean_rbf, (normal(3, 4), normal(2, 4)), _rbf),
    Case(NLLLoss, "rbf_mse_loss", lambda y: ops.rbf_mse_loss(y, np.array([2, 0])), (positive(2, 3),),
         lambda y: (y[0, 2] + y[1, 0]) / 2, (0,)),
    Case(rbf.RBFMAPLoss, "rbf_map_loss", lambda y: ops.rbf_map_loss(y, np.array([2, 0]), 0.3), (positive(2, 3),),
         lambda y: _rbf_map(y, [2, 0], 0.3)),
]  # fmt: skip

CASES: list[Case] = [*_CLASSES, *_NUMBERS, *_BINARY, *_VECTORS]
