"""MyGrad's side: an autograd on NumPy. It has no optimizers, so the update is written out on its arrays."""

from collections.abc import Iterator, Sequence
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu
from mygrad.nnet.layers import batchnorm, conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from .. import networks as net
from ..values import images, labels, parameter_values
from ..workloads import OneOp, Training, Workload
from . import LEARNING_RATE, MOMENTUM, Options, Prepared, Unsupported
from .shapes import parameter_shapes

VERSION = mg.__version__


def prepare(workload: Workload, options: Options) -> Prepared:
    """See `benchmarks.sides`."""
    if options.variant:
        raise Unsupported(f"MyGrad has no variants here; got {options.variant!r}")
    if isinstance(workload, OneOp):
        return one_op()
    if isinstance(workload, Training):
        return training(workload, options)
    raise Unsupported("single layers are not written for it")


def training(workload: Training, options: Options) -> Prepared:
    """A training step."""
    network = workload.layers
    params = [mg.tensor(value.astype(options.dtype)) for value in parameter_values(parameter_shapes(network))]
    velocities = [np.zeros_like(param.data) for param in params]
    x = images((workload.batch, *workload.image)).astype(options.dtype)
    target = labels(workload.batch, workload.classes)
    run(network.body, iter(params), mg.tensor(x[:1], constant=True))  # refuses at once what it cannot do

    def forward_backward() -> Any:
        for param in params:
            param.null_grad()
        scores = run(network.body, iter(params), mg.tensor(x, constant=True))
        value = softmax_crossentropy(scores, target)
        value.backward()
        return value

    def step() -> Any:
        value = forward_backward()
        for param, velocity in zip(params, velocities, strict=True):
            velocity *= MOMENTUM
            velocity += param.grad
            param.data -= LEARNING_RATE * velocity
        return value.item()

    def check() -> tuple[float, list[Any]]:
        value = forward_backward()
        return value.item(), [param.grad for param in params]

    return Prepared(step, check)


def one_op() -> Prepared:
    """One multiplication, forward and backward."""
    x = mg.tensor(np.ones(1, dtype=np.float32))

    def step() -> None:
        x.null_grad()
        y = x * x
        y.backward()

    return Prepared(step)


def run(described: Sequence[net.Layer], params: Iterator[Any], x: Any) -> Any:
    """Layers one behind the other."""
    for layer in described:
        x = _apply(layer, params, x)
    return x


def _apply(layer: net.Layer, params: Iterator[Any], x: Any) -> Any:
    match layer:
        case net.Conv(_, _, _, stride, padding, 1, bias):
            y = _conv(x, next(params), stride, padding)
            return y + next(params).reshape(1, -1, 1, 1) if bias else y
        case net.Linear():
            weight, bias = next(params), next(params)
            return mg.matmul(x, weight.T) + bias
        case net.BatchNorm(_, eps, with_relu):
            y = batchnorm(x, gamma=next(params), beta=next(params), eps=eps)
            return relu(y) if with_relu else y
        case net.ReLU():
            return relu(x)
        case net.MaxPool(kernel, stride, 0, False):
            return max_pool(x, (kernel, kernel), stride)
        case net.AdaptiveAvgPool(1):
            return x.mean(axis=(2, 3), keepdims=True)
        case net.Flatten():
            return x.reshape(len(x), -1)
        case net.Residual(inner, shortcut):
            y = run(inner, params, x)
            return relu(y + run(shortcut, params, x))
        case net.ZeroPaddedShortcut(stride, before, after):
            x = x[:, :, ::stride, ::stride]
            n, _, h, w = x.shape
            zeros = [np.zeros((n, maps, h, w), dtype=x.dtype) for maps in (before, after)]
            return mg.concatenate([zeros[0], x, zeros[1]], axis=1)
        case _:
            raise Unsupported(f"{layer} is not to be had there")


def _conv(x: Any, weight: Any, stride: int, padding: int) -> Any:
    """Where the windows leave rows over, MyGrad refuses; here these are the padding behind, which is then not added."""
    size, kernel = x.shape[2], weight.shape[2]
    if (size + 2 * padding - kernel) % stride == 0:
        return conv_nd(x, weight, stride=stride, padding=padding)
    if (size + padding - kernel) % stride:
        raise Unsupported("its convolutions refuse windows that leave rows over")
    n, c, h, w = x.shape
    x = mg.concatenate([np.zeros((n, c, padding, w), dtype=x.dtype), x], axis=2)
    x = mg.concatenate([np.zeros((n, c, h + padding, padding), dtype=x.dtype), x], axis=3)
    return conv_nd(x, weight, stride=stride)
