"""SmallPebble's side: a minimal autograd on NumPy, channels last.

It has no max(x, 0), so ReLU is its leaky one with a slope of 0. Its backward pass walks every path of the graph and not every
node once, so the residual networks, whose number of paths doubles with each block, and batch normalization are left out.
"""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import smallpebble as sp

from .. import networks as net
from ..values import images, labels, parameter_values
from ..workloads import OneOp, Training, Workload
from . import LEARNING_RATE, MOMENTUM, Options, Prepared, Unsupported
from .layout import channels_first, channels_last, images_last
from .shapes import parameter_shapes

VERSION = version("smallpebble")


def prepare(workload: Workload, options: Options) -> Prepared:
    """See `benchmarks.sides`."""
    if options.variant:
        raise Unsupported(f"SmallPebble has no variants here; got {options.variant!r}")
    if isinstance(workload, OneOp):
        return one_op()
    if isinstance(workload, Training):
        return training(workload, options)
    raise Unsupported("single layers are not written for it")


def training(workload: Training, options: Options) -> Prepared:
    """A training step."""
    network = workload.layers
    params = [sp.Variable(channels_last(value).astype(options.dtype)) for value in parameter_values(parameter_shapes(network))]
    velocities = [np.zeros_like(param.array) for param in params]
    x = images_last(images((workload.batch, *workload.image))).astype(options.dtype)
    target = labels(workload.batch, workload.classes)
    mean = sp.Variable(np.array(1 / workload.batch, dtype=options.dtype))
    for layer in (*network.body, *network.classifier):
        _refuse(layer)

    def loss_and_gradients() -> tuple[Any, list[Any]]:
        scores, taken = sp.Variable(x), iter(params)
        for layer in network.body:
            scores = _apply(layer, taken, scores)
        value = sp.mul(sp.cross_entropy(sp.softmax(scores), target), mean)
        gradients = sp.get_gradients(value)
        return float(value.array), [gradients[param] for param in params]

    def step() -> float:
        value, gradients = loss_and_gradients()
        for param, velocity, gradient in zip(params, velocities, gradients, strict=True):
            velocity *= MOMENTUM
            velocity += gradient
            param.array -= LEARNING_RATE * velocity
        return value

    def check() -> tuple[float, list[Any]]:
        value, gradients = loss_and_gradients()
        return value, [channels_first(gradient) for gradient in gradients]

    return Prepared(step, check)


def one_op() -> Prepared:
    """One multiplication, forward and backward; its gradients are a new dictionary each time."""
    x = sp.Variable(np.ones(1, dtype=np.float32))
    return Prepared(lambda: sp.get_gradients(sp.mul(x, x)) and None)


def _refuse(layer: net.Layer) -> None:
    if isinstance(layer, net.Residual | net.BatchNorm):
        raise Unsupported("its backward pass walks every path of a graph, too many with residual blocks or batch norm")
    if not isinstance(layer, net.Conv | net.Linear | net.ReLU | net.MaxPool | net.Flatten):
        raise Unsupported(f"it has no {type(layer).__name__}")
    if isinstance(layer, net.Conv) and (layer.groups > 1 or layer.stride > 1):
        raise Unsupported("groups and strides are not written for it")


def _apply(layer: net.Layer, params: Iterator[Any], x: Any) -> Any:
    match layer:
        case net.Conv(padding=padding):
            y = sp.conv2d(x, next(params), padding="SAME" if padding else "VALID")
            return sp.add(y, next(params))
        case net.Linear():
            return sp.add(sp.matmul(x, next(params)), next(params))
        case net.ReLU():
            return sp.leaky_relu(x, alpha=0.0)
        case net.MaxPool(kernel, stride):
            return sp.maxpool2d(x, kernel, kernel, "VALID", (stride, stride))
        case net.Flatten():
            n, h, w, c = x.array.shape
            order = np.arange(n * h * w * c).reshape(n, h, w, c).transpose(0, 3, 1, 2).reshape(n, -1)
            return sp.getitem(sp.reshape(x, (n * h * w * c,)), order)
        case _:
            raise Unsupported(f"it has no {type(layer).__name__}")
