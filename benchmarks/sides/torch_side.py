"""PyTorch's side: eager, NCHW; the variant "channels_last" keeps networks and images in that memory format.

ReLUs work in place and ``zero_grad`` drops the gradients, as PyTorch's own recipes have it.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .. import networks as net
from ..values import cotangent, images, labels, loss_target, parameter_values
from ..workloads import Layers, Loss, OneOp, Training, Update, Workload
from . import LEARNING_RATE, MOMENTUM, Options, Prepared, Unsupported

VERSION = torch.__version__


def prepare(workload: Workload, options: Options) -> Prepared:
    """See `benchmarks.sides`."""
    torch.set_num_threads(options.threads)
    if options.variant not in ("", "channels_last"):
        raise Unsupported(f"PyTorch's variants are channels_last; got {options.variant!r}")
    memory = torch.channels_last if options.variant else torch.contiguous_format
    if isinstance(workload, Training):
        return training(workload, options, memory)
    if isinstance(workload, Layers):
        return layers(workload, options, memory)
    if isinstance(workload, Loss):
        return loss(workload, options)
    if isinstance(workload, Update):
        return update(workload)
    assert isinstance(workload, OneOp)
    return one_op()


def training(workload: Training, options: Options, memory: torch.memory_format) -> Prepared:
    """A training step."""
    model = TorchNetwork(workload.layers, dropout=not options.exact)
    fill(model, options)
    model.to(memory_format=memory)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    x = torch.from_numpy(images((workload.batch, *workload.image)).astype(options.dtype)).to(memory_format=memory)
    target = torch.from_numpy(labels(workload.batch, workload.classes))

    def forward_backward() -> torch.Tensor:
        optimizer.zero_grad()
        scores, *heads = model(x)
        value = F.cross_entropy(scores, target)
        for head in heads:
            value = value + net.HEAD_WEIGHT * F.cross_entropy(head, target)
        value.backward()
        return value

    def step() -> torch.Tensor:
        value = forward_backward()
        optimizer.step()
        return value.detach()

    def check() -> tuple[float, list[Any]]:
        value = forward_backward()
        return value.item(), [parameter.grad.numpy() for parameter in model.parameters()]

    return Prepared(step, check)


def layers(workload: Layers, options: Options, memory: torch.memory_format) -> Prepared:
    """Some layers alone."""
    model = sequential(workload.layers, dropout=True)
    if isinstance(workload.layers[0], net.ReLU):  # alone, it must leave its input for the next step
        model = nn.ReLU()
    fill(model, options)
    model.to(memory_format=memory)
    x = (
        torch.from_numpy(images(workload.shape).astype(options.dtype))
        .to(memory_format=memory)
        .requires_grad_(workload.backward)
    )
    if not workload.backward:

        def forward() -> None:
            with torch.no_grad():
                model(x)

        return Prepared(forward)
    gy = torch.from_numpy(cotangent(model(x).shape).astype(options.dtype)).to(memory_format=memory)
    leaves = [x, *model.parameters()]

    def both() -> None:
        for leaf in leaves:
            leaf.grad = None
        model(x).backward(gy)

    def check() -> tuple[float, list[Any]]:
        both()
        value = (model(x).detach() * gy).sum().item()
        return value, [leaf.grad.numpy() for leaf in leaves]

    return Prepared(both, check)


def loss(workload: Loss, options: Options) -> Prepared:
    """A loss, forward and backward."""
    function = getattr(F, workload.kind)
    x = torch.from_numpy(images(workload.shape).astype(options.dtype)).requires_grad_()
    target = loss_target(workload.kind, workload.shape)
    target = torch.from_numpy(target if target.dtype == np.int64 else target.astype(options.dtype))

    def step() -> torch.Tensor:
        x.grad = None
        value = function(x, target)
        value.backward()
        return value.detach()

    return Prepared(step, lambda: (step().item(), [x.grad.numpy()]))


def update(workload: Update) -> Prepared:
    """A step of an optimizer."""
    parameters = [torch.from_numpy(value).requires_grad_() for value in parameter_values(workload.shapes)]
    for parameter in parameters:
        parameter.grad = torch.from_numpy(images(parameter.shape))
    optimizer = getattr(torch.optim, workload.optimizer)(parameters, **dict(workload.options))
    return Prepared(optimizer.step)


def one_op() -> Prepared:
    """One multiplication, forward and backward."""
    x = torch.ones(1, requires_grad=True)

    def step() -> None:
        x.grad = None
        y = x * x
        y.backward()

    return Prepared(step)


def fill(model: nn.Module, options: Options) -> None:
    """Give the parameters the values that all sides have."""
    model.to(getattr(torch, options.dtype))
    parameters = list(model.parameters())
    with torch.no_grad():
        for parameter, value in zip(parameters, parameter_values([tuple(p.shape) for p in parameters]), strict=True):
            parameter.copy_(torch.from_numpy(value))


class TorchNetwork(nn.Module):
    """A `Network`: returns the scores, and those of the heads."""

    def __init__(self, described: net.Network, dropout: bool) -> None:
        super().__init__()
        self.taps = [layer.index if isinstance(layer, net.Tap) else None for layer in described.body]
        self.body = nn.ModuleList(
            nn.Identity() if isinstance(layer, net.Tap) else _layer(layer, dropout) for layer in described.body
        )
        self.heads = nn.ModuleList(sequential(head, dropout) for head in described.heads)
        self.classifier = sequential(described.classifier, dropout)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Images to a list of scores."""
        heads = []
        for tap, layer in zip(self.taps, self.body, strict=True):
            if tap is None:
                x = layer(x)
            else:
                heads.append(self.heads[tap](x))
        return [self.classifier(x), *heads]


class TorchResidual(nn.Module):
    """relu(layers(x) + shortcut(x))."""

    def __init__(self, layers: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps to maps."""
        y = self.layers(x)
        y += self.shortcut(x)
        return F.relu(y, inplace=True)


class TorchZeroPadded(nn.Module):
    """Every `stride`-th pixel, between maps of zeros."""

    def __init__(self, described: net.ZeroPaddedShortcut) -> None:
        super().__init__()
        self.described = described

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps to more and smaller maps."""
        stride, before, after = self.described.stride, self.described.before, self.described.after
        return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, before, after))


class TorchBranches(nn.Module):
    """Layers side by side."""

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps to the maps of all branches."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def sequential(described: tuple[net.Layer, ...], dropout: bool) -> nn.Sequential:
    """The layers one behind the other."""
    return nn.Sequential(*(_layer(layer, dropout) for layer in described))


def _layer(layer: net.Layer, dropout: bool) -> nn.Module:
    match layer:
        case net.Conv(inputs, outputs, kernel, stride, padding, groups, bias):
            return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
        case net.Linear(inputs, outputs):
            return nn.Linear(inputs, outputs)
        case net.BatchNorm(channels, eps, relu):
            norm = nn.BatchNorm2d(channels, eps=eps)
            return nn.Sequential(norm, nn.ReLU()) if relu else norm
        case net.LayerNorm(shape):
            return nn.LayerNorm(shape)
        case net.GroupNorm(groups, channels):
            return nn.GroupNorm(groups, channels)
        case net.ResponseNorm(size, alpha, beta, k):
            return nn.LocalResponseNorm(size, alpha=alpha, beta=beta, k=k)
        case net.ReLU():
            return nn.ReLU(inplace=True)
        case net.MaxPool(kernel, stride, padding, ceil):
            return nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
        case net.AvgPool(kernel, stride):
            return nn.AvgPool2d(kernel, stride)
        case net.AdaptiveAvgPool(size):
            return nn.AdaptiveAvgPool2d((size, size))
        case net.Dropout(p):
            return nn.Dropout(p if dropout else 0.0)
        case net.Flatten():
            return nn.Flatten()
        case net.Residual(layers, shortcut):
            return TorchResidual(sequential(layers, dropout), sequential(shortcut, dropout))
        case net.Branches(branches):
            return TorchBranches([sequential(branch, dropout) for branch in branches])
        case net.ZeroPaddedShortcut():
            return TorchZeroPadded(layer)
        case _:
            raise TypeError(f"no module for {layer}")
