"""Our side: tinygrad_cnn, as a user writes it."""

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn, optim
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.version import __version__ as VERSION

from .. import networks as net
from ..values import Array, cotangent, images, labels, loss_target, parameter_values
from ..workloads import Layers, Loss, OneOp, Training, Update, Workload
from . import LEARNING_RATE, MOMENTUM, Options, Prepared

__all__ = ["VERSION", "build", "prepare"]

MODELS: dict[str, Callable[[], nn.Module]] = {
    "lenet5": models.SmallLeNet5,
    "lenet": models.LeNet,
    "resnet20": models.resnet20,
    "alexnet": models.alexnet,
    "resnet18": models.resnet18,
    "googlenet": models.googlenet,
}
"""The networks that are ours as they stand. The others differ in their size, and are built from the layers' list."""


def prepare(workload: Workload, options: Options) -> Prepared:
    """See `benchmarks.sides`."""
    if isinstance(workload, Training):
        return training(workload, options)
    if isinstance(workload, Layers):
        return layers(workload, options)
    if isinstance(workload, Loss):
        return loss(workload, options)
    if isinstance(workload, Update):
        return update(workload)
    assert isinstance(workload, OneOp)
    return one_op()


def training(workload: Training, options: Options) -> Prepared:
    """A training step."""
    model = build(workload)
    fill(model, options)
    if options.exact:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    x = tg.tensor(images((workload.batch, *workload.image)).astype(options.dtype))
    target = tg.tensor(labels(workload.batch, workload.classes))

    def forward_backward() -> Any:
        optimizer.zero_grad()
        out = model(x)
        if isinstance(out, models.GoogLeNetOutputs):
            value = tg.cross_entropy(out.logits, target)
            for scores in (out.aux_logits1, out.aux_logits2):
                if scores is not None:
                    value = value + net.HEAD_WEIGHT * tg.cross_entropy(scores, target)
        else:
            value = tg.cross_entropy(out, target)
        value.backward()
        return value

    def step() -> Any:
        value = forward_backward()
        optimizer.step()
        return value.detach()

    def check() -> tuple[float, list[Any]]:
        value = forward_backward()
        return value.item(), [_gradient(parameter) for parameter in model.parameters()]

    return Prepared(step, check)


def layers(workload: Layers, options: Options) -> Prepared:
    """Some layers alone."""
    model = sequential(workload.layers)
    fill(model, options)
    x = tg.tensor(images(workload.shape).astype(options.dtype), requires_grad=workload.backward)
    if not workload.backward:

        def forward() -> None:
            with tg.no_grad():
                model(x)

        return Prepared(forward)
    gy = tg.tensor(cotangent(model(x).shape).astype(options.dtype))
    leaves = [x, *model.parameters()]

    def both() -> None:
        for leaf in leaves:
            leaf.grad = None
        model(x).backward(gy)

    def check() -> tuple[float, list[Any]]:
        both()
        value = (model(x).detach() * gy).sum().item()
        return value, [_gradient(leaf) for leaf in leaves]

    return Prepared(both, check)


def loss(workload: Loss, options: Options) -> Prepared:
    """A loss, forward and backward."""
    function = getattr(F, workload.kind)
    x = tg.tensor(images(workload.shape).astype(options.dtype), requires_grad=True)
    values = loss_target(workload.kind, workload.shape)
    target = tg.tensor(values if values.dtype == np.int64 else values.astype(options.dtype))

    def step() -> Any:
        x.grad = None
        value = function(x, target)
        value.backward()
        return value.detach()

    return Prepared(step, lambda: (step().item(), [_gradient(x)]))


def update(workload: Update) -> Prepared:
    """A step of an optimizer."""
    parameters = [tg.tensor(value, requires_grad=True) for value in parameter_values(workload.shapes)]
    for parameter in parameters:
        parameter.grad = tg.tensor(images(parameter.shape))
    optimizer = getattr(optim, workload.optimizer)(parameters, **dict(workload.options))
    return Prepared(optimizer.step)


def one_op() -> Prepared:
    """One multiplication, forward and backward."""
    x = tg.ones(1, requires_grad=True)

    def step() -> None:
        x.grad = None
        y = x * x
        y.backward()

    return Prepared(step)


def _gradient(leaf: tg.Tensor) -> Array:
    assert leaf.grad is not None
    return leaf.grad.numpy()


def fill(model: nn.Module, options: Options) -> None:
    """Give the parameters the values that all sides have."""
    model.to(options.dtype)
    parameters = list(model.parameters())
    with tg.no_grad():
        for parameter, value in zip(parameters, parameter_values([p.shape for p in parameters]), strict=True):
            parameter.copy_(tg.tensor(value))


def build(workload: Training) -> nn.Module:
    """The network of a workload."""
    if isinstance(workload.network, str) and workload.network in MODELS:
        return MODELS[workload.network]()
    return sequential(workload.layers.body)


def sequential(described: tuple[net.Layer, ...]) -> nn.Sequential:
    """The layers one behind the other."""
    return nn.Sequential(*map(_layer, described))


def _layer(layer: net.Layer) -> nn.Module:
    """One layer; residual and side-by-side ones come in `models` only."""
    match layer:
        case net.Conv(inputs, outputs, kernel, stride, padding, groups, bias):
            return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
        case net.Linear(inputs, outputs):
            return nn.Linear(inputs, outputs)
        case net.BatchNorm(channels, eps, relu):
            return nn.BatchNorm2d(channels, eps=eps, relu=relu)
        case net.LayerNorm(shape):
            return nn.LayerNorm(shape)
        case net.GroupNorm(groups, channels):
            return nn.GroupNorm(groups, channels)
        case net.ResponseNorm(size, alpha, beta, k):
            return nn.LocalResponseNorm(size, alpha=alpha, beta=beta, k=k)
        case net.ReLU():
            return nn.ReLU()
        case net.MaxPool(kernel, stride, padding, ceil):
            return nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
        case net.AvgPool(kernel, stride):
            return nn.AvgPool2d(kernel, stride)
        case net.AdaptiveAvgPool(size):
            return nn.AdaptiveAvgPool2d((size, size))
        case net.Dropout(p):
            return nn.Dropout(p)
        case net.Flatten():
            return nn.Flatten()
        case _:
            raise TypeError(f"our side takes a network with {type(layer).__name__} from tinygrad_cnn.models only")
