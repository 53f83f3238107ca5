"""The exercises without windows: linear, relu, sigmoid, tanh, softmax, cross_entropy, batch_norm."""

import numpy as np

from ..autograd.function import Array
from .exercise import BATCH_SWITCHES, SPACE_SWITCHES, SUM_WHYS, Arrays, Case, Drawer, Exercise, Wrong, over_batch, over_space

CHAIN_WHY = "The chain rule: the slope of the op is multiplied by gy, the gradient that comes from above."


def linear(wrong: Wrong, gy: Array, x: Array, weight: Array) -> Arrays:
    """The gradients of y = x @ weight.T + bias, with the mistakes that are switched on."""
    gx = gy @ (weight.T if "linear: not transposed | weight" in wrong else weight)
    if "input used for weight" in wrong:
        gx = gy @ x
    gweight = over_batch(wrong, gy[:, :, None] * x[:, None, :])
    if "linear: not transposed | gradient" in wrong:
        gweight = np.swapaxes(gweight, -1, -2)
    if "linear: not transposed | gy" in wrong:
        gweight = gy @ x
    if "weight used for input" in wrong:
        gweight = over_batch(wrong, gy)[..., None] * weight
    return gx, gweight, over_batch(wrong, gy)


def relu(wrong: Wrong, gy: Array, x: Array) -> Arrays:
    """The gradient of max(x, 0), with the mistakes that are switched on."""
    mask = x >= 0 if "relu: >= at 0" in wrong else x > 0
    if "relu: mask from the gradient" in wrong:
        mask = gy > 0
    if "relu: mask from input and gradient" in wrong:
        mask = mask & (gy > 0)
    if "relu: mask inverted" in wrong:
        mask = x <= 0
    slope = np.maximum(x, 0) if "relu: value used for slope" in wrong else mask * 1.0
    if "relu: no mask" in wrong:
        slope = np.ones(x.shape)
    return (slope * (1.0 if "gradient forgotten" in wrong else gy),)


def sigmoid(wrong: Wrong, gy: Array, x: Array) -> Arrays:
    """The gradient of 1 / (1 + exp(-x)), with the mistakes that are switched on."""
    y = 1 / (1 + np.exp(-x))
    if "sigmoid: input used for output" in wrong:
        y = x
    if "sigmoid: applied twice" in wrong:
        y = 1 / (1 + np.exp(-y))
    slope = 1 - y if "sigmoid: a factor is missing | y" in wrong else y * (1 - y)
    if "sigmoid: a factor is missing | 1 - y" in wrong:
        slope = y
    if "sigmoid: tanh's slope" in wrong:
        slope = 1 - y * y
    return (slope * (1.0 if "gradient forgotten" in wrong else gy),)


def tanh(wrong: Wrong, gy: Array, x: Array) -> Arrays:
    """The gradient of tanh, with the mistakes that are switched on."""
    y = x if "tanh: input used for output" in wrong else np.tanh(x)
    if "tanh: applied twice" in wrong:
        y = np.tanh(y)
    slope = 1 - y if "tanh: square forgotten" in wrong else 1 - y * y
    if "tanh: sigmoid's slope" in wrong:
        slope = y * (1 - y)
    return (slope * (1.0 if "gradient forgotten" in wrong else gy),)


def softmax(wrong: Wrong, gy: Array, x: Array) -> Arrays:
    """The gradient of softmax over the last axis, with the mistakes that are switched on."""
    axis = 0 if "softmax: along the batch" in wrong else -1
    e = np.exp(x - x.max(axis, keepdims=True))
    y = e / e.sum(axis, keepdims=True)
    if "softmax: Jacobian's off-diagonal forgotten" in wrong:
        return (gy * y * (1 - y),)
    if "softmax: only y times the gradient" in wrong:
        return (gy * y,)
    if "softmax: sign of the off-diagonal" in wrong:
        return (y * (gy + (gy * y).sum(axis, keepdims=True)),)
    if "softmax: mean over the classes not weighted" in wrong:
        return (y * (gy - gy.sum(axis, keepdims=True)),)
    return (y * (gy - (gy * y).sum(axis, keepdims=True)),)


def cross_entropy(wrong: Wrong, gy: Array, x: Array, target: Array) -> Arrays:
    """The gradient of the mean of -log softmax(x)[target], with the mistakes that are switched on."""
    e = np.exp(x - x.max(1, keepdims=True))
    p = x if "cross-entropy: scores used for probabilities" in wrong else e / e.sum(1, keepdims=True)
    chosen = np.arange(x.shape[1]) == target[:, None]
    if "cross-entropy: target not subtracted" in wrong:
        chosen = np.zeros(x.shape, bool)
    gx = p - chosen
    if "cross-entropy: only the target's class" in wrong:
        gx = gx * chosen
    if "cross-entropy: target minus probability" in wrong:
        gx = -gx
    count = 1 if "cross-entropy: not divided by n" in wrong else len(x)
    if "cross-entropy: divided by all numbers" in wrong:
        count = x.size
    return (gx / count * (1.0 if "gradient forgotten" in wrong else gy),)


def batch_norm(wrong: Wrong, gy: Array, x: Array, weight: Array, *, eps: float) -> Arrays:
    """The gradients of batch normalisation in training, with the mistakes that are switched on."""
    axes = 0 if "batch norm: statistics without space" in wrong else (0, 2, 3)

    def mean(values: Array) -> Array:
        return values.mean(axes, keepdims=True)

    centred = x - mean(x)
    n = x.size / x.shape[1]
    variance = mean(centred**2) * (n / (n - 1) if "batch norm: variance divided by n - 1" in wrong else 1)
    std = np.sqrt(variance) + eps if "batch norm: eps outside of the root" in wrong else np.sqrt(variance + eps)
    xhat = centred / std
    gxhat = gy if "batch norm: weight forgotten" in wrong else gy * weight[:, None, None]
    through_mean, through_variance = mean(gxhat), xhat * mean(gxhat * xhat)
    if "batch norm: mean and variance taken as constants" in wrong or "batch norm: mean taken as a constant" in wrong:
        through_mean = np.zeros(())
    if "batch norm: mean and variance taken as constants" in wrong or "batch norm: variance taken as a constant" in wrong:
        through_variance = np.zeros(())
    gx = (gxhat - through_mean - through_variance) / std
    if "batch norm: not divided by the deviation" in wrong:
        gx = gx * std
    seen = x if "batch norm: input not normalised in the weight's gradient" in wrong else xhat
    return gx, over_space(wrong, over_batch(wrong, gy * seen)), over_space(wrong, over_batch(wrong, gy))


# Cases ----------------------------------------------------------------------------------------------------------------


def _linear_cases() -> list[Case]:
    draw = Drawer(2)
    sizes = ((1, 1, 2), (1, 2, 1), (2, 1, 1), (2, 2, 2), (2, 2, 3), (3, 3, 3), (3, 4, 2))
    return [
        Case({"gy": draw.numbers(n, o), "x": draw.numbers(n, c), "weight": draw.numbers(o, c)}) for n, o, c in sizes
    ]


def _pointwise_cases() -> list[Case]:
    draw = Drawer(4)
    single = ((3.0, 2.0), (-3.0, 2.0), (3.0, -2.0), (-3.0, -2.0), (3.0, 0.0))
    cases = [Case({"gy": np.array([[gradient]]), "x": np.array([[value]])}) for gradient, value in single]
    return [*cases, *(Case({"gy": draw.numbers(*size), "x": draw.numbers(*size)}) for size in ((2, 3), (4, 2)))]


def _softmax_cases() -> list[Case]:
    draw = Drawer(6)
    return [Case({"gy": draw.numbers(*size), "x": draw.numbers(*size)}) for size in ((1, 2), (2, 2), (1, 3), (3, 4), (2, 5))]


def _cross_entropy_cases() -> list[Case]:
    draw, cases = Drawer(8), []
    for n, c, gradient in ((1, 2, 1.0), (2, 2, 1.0), (1, 3, 1.0), (1, 2, -2.0), (3, 4, 1.0), (4, 3, 3.0)):
        cases.append(Case({"gy": np.array(gradient), "x": draw.numbers(n, c), "target": draw.classes(n, c)}))
    return cases


def _batch_norm_cases() -> list[Case]:
    draw, cases = Drawer(9), []
    sizes = ((2, 1, 1, 1), (3, 1, 1, 1), (2, 1, 1, 2), (1, 1, 2, 2), (2, 2, 1, 2), (3, 2, 2, 3))
    for i, (n, c, h, w) in enumerate(sizes):
        inputs = {"gy": draw.numbers(n, c, h, w), "x": draw.different(n, c, h, w), "weight": draw.numbers(c)}
        cases.append(Case(inputs, {"eps": 1.0 if i % 2 else 0.25}))
    return cases


# The exercises --------------------------------------------------------------------------------------------------------

LINEAR_WHYS = {
    "linear: not transposed": (
        "With y = x @ weight.T and weight (out, in): gx = gy @ weight and gweight = gy.T @ x, which has the weight's shape."
    ),
    "weight used for input": "d(weight * x)/d weight is x: in the weight's gradient gy meets the input.",
    "input used for weight": "d(weight * x)/dx is weight: in the input's gradient gy meets the weight.",
    **{name: SUM_WHYS[name] for name in ("no sum over the batch", "averaged over the batch")},
}
RELU_WHYS = {
    "relu: mask from the gradient": "Whether a unit is open was decided by x going forward; the sign of gy has no say in it.",
    "relu: >= at 0": "At 0 there is no slope; the convention, here as in PyTorch, is 0: x > 0.",
    "relu: mask from input and gradient": "That is guided backpropagation, a way to make pictures; it is no gradient.",
    "relu: mask inverted": "Units with x > 0 are open, the others are shut.",
    "relu: value used for slope": "Where x > 0 the slope is 1, whatever x is.",
    "relu: no mask": "Where x < 0 the output stays 0 and nothing flows back.",
    "gradient forgotten": CHAIN_WHY,
}
SIGMOID_WHYS = {
    "sigmoid: input used for output": "In y (1 - y), y is the output: the sigmoid of x.",
    "sigmoid: applied twice": "y (1 - y) needs sigmoid(x), once; here it was put through the sigmoid again.",
    "sigmoid: a factor is missing": "The slope is y (1 - y), both factors.",
    "sigmoid: tanh's slope": "1 - y**2 is tanh's slope; the sigmoid's is y (1 - y).",
    "gradient forgotten": CHAIN_WHY,
}
TANH_WHYS = {
    "tanh: input used for output": "In 1 - y**2, y is the output: tanh(x).",
    "tanh: applied twice": "1 - y**2 needs tanh(x), once; here it was put through tanh again.",
    "tanh: square forgotten": "The slope is 1 - y**2.",
    "tanh: sigmoid's slope": "y (1 - y) is the sigmoid's slope; tanh's is 1 - y**2.",
    "gradient forgotten": CHAIN_WHY,
}
SOFTMAX_WHYS = {
    "softmax: Jacobian's off-diagonal forgotten": (
        "Raising one score lowers all other probabilities: dy[i]/dx[j] = y[i] ((i == j) - y[j])."
    ),
    "softmax: only y times the gradient": "The sum in the denominator depends on x too: subtract sum(gy * y).",
    "softmax: sign of the off-diagonal": "Other probabilities fall when a score rises: the sum is subtracted.",
    "softmax: mean over the classes not weighted": "What is subtracted is sum(gy * y), not sum(gy).",
    "softmax: along the batch": "Each row is one sample: sums go over the classes, the last axis.",
}
CROSS_ENTROPY_WHYS = {
    "cross-entropy: not divided by n": "The loss is a mean over the n samples, so each has the share 1 / n.",
    "cross-entropy: divided by all numbers": "The mean is over the n samples, not over the n * c scores.",
    "cross-entropy: target not subtracted": "The gradient is p - onehot(target): 1 is subtracted at the target's class.",
    "cross-entropy: only the target's class": "The other scores are in the softmax's denominator: their gradient is p.",
    "cross-entropy: target minus probability": "p - onehot, not the reverse: a descent step must raise the target's score.",
    "cross-entropy: scores used for probabilities": "p is the softmax of the scores.",
    "gradient forgotten": "The chain rule: also a loss gets a gy from above, 1 only if nothing is computed from it.",
}
BATCH_NORM_WHYS = {
    "batch norm: mean and variance taken as constants": (
        "Both are computed from x, so x acts through them too: with g = gy weight, "
        "gx = (g - mean(g) - xhat mean(g xhat)) / std."
    ),
    "batch norm: mean taken as a constant": "The mean is computed from x: it takes mean(g) away from the gradient.",
    "batch norm: variance taken as a constant": "The variance is computed from x: it takes xhat * mean(g * xhat) away.",
    "batch norm: weight forgotten": "y = weight * xhat + bias: on the way back to x the gradient passes the weight.",
    "batch norm: variance divided by n - 1": "The variance that normalises has n; n - 1 is for the running estimate.",
    "batch norm: eps outside of the root": "std = sqrt(var + eps).",
    "batch norm: statistics without space": "A channel is normalised over the batch and all positions: axes 0, 2 and 3.",
    "batch norm: not divided by the deviation": "xhat = (x - mean) / std: the slope has the 1 / std as well.",
    "batch norm: input not normalised in the weight's gradient": "y = weight * xhat + bias: gweight = sum of gy * xhat.",
    **SUM_WHYS,
}


def _switches(whys: dict[str, str], *forms: str) -> tuple[str, ...]:
    """One switch for each name, but for those of several forms, which are given."""
    single = [name for name in whys if not any(form.startswith(f"{name} | ") for form in forms)]
    return (*forms, *(name for name in single if name not in forms))


LINEAR = Exercise(
    "linear",
    ("gx", "gweight", "gbias"),
    "y = x @ weight.T + bias",
    linear,
    _linear_cases,
    LINEAR_WHYS,
    _switches(
        LINEAR_WHYS,
        "linear: not transposed | weight",
        "linear: not transposed | gradient",
        "linear: not transposed | gy",
        *BATCH_SWITCHES,
    ),
)
RELU = Exercise("relu", ("gx",), "y = max(x, 0)", relu, _pointwise_cases, RELU_WHYS, _switches(RELU_WHYS))
SIGMOID = Exercise(
    "sigmoid",
    ("gx",),
    "y = 1 / (1 + exp(-x))",
    sigmoid,
    _pointwise_cases,
    SIGMOID_WHYS,
    _switches(SIGMOID_WHYS, "sigmoid: a factor is missing | y", "sigmoid: a factor is missing | 1 - y"),
)
TANH = Exercise("tanh", ("gx",), "y = tanh(x)", tanh, _pointwise_cases, TANH_WHYS, _switches(TANH_WHYS))
SOFTMAX = Exercise(
    "softmax",
    ("gx",),
    "y[n, i] = exp(x[n, i]) / sum of exp(x[n, j]) over j",
    softmax,
    _softmax_cases,
    SOFTMAX_WHYS,
    _switches(SOFTMAX_WHYS),
)
CROSS_ENTROPY = Exercise(
    "cross_entropy",
    ("gx",),
    "y = mean over n of -log softmax(x[n])[target[n]]",
    cross_entropy,
    _cross_entropy_cases,
    CROSS_ENTROPY_WHYS,
    _switches(CROSS_ENTROPY_WHYS),
)
BATCH_NORM = Exercise(
    "batch_norm",
    ("gx", "gweight", "gbias"),
    "y = weight * (x - mean) / sqrt(var + eps) + bias, with each channel's mean and var over n, h, w",
    batch_norm,
    _batch_norm_cases,
    BATCH_NORM_WHYS,
    _switches(BATCH_NORM_WHYS, *BATCH_SWITCHES, *SPACE_SWITCHES),
)
