"""How the tests look at large networks: without drawing their weights, and without computing."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.autograd.mode import STATE


def unfilled(build, *args, **config):
    """A network whose weights are not drawn."""
    return nn.utils.skip_init(build, *args, **config)


def parameters(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@contextmanager
def counted_products() -> Iterator[dict[str, int]]:
    """Replace convolutions and fully connected layers by zeros of the right shape; collect their multiply-adds by path."""
    macs: dict[str, int] = {}

    def zeros(shape, taps):
        macs[STATE.module_path] = int(np.prod(shape)) * taps
        return tg.Tensor(np.zeros(shape, np.float32))

    def conv(input, weight, bias, stride, padding, dilation, groups, *, algo):
        n, channels, *size = input.shape
        o, c, *kernel = weight.shape
        assert channels == c * groups
        assert dilation == (1, 1)
        out = [(s + 2 * p - k) // step + 1 for s, p, k, step in zip(size, padding, kernel, stride, strict=True)]
        return zeros((n, o, *out), c * kernel[0] * kernel[1])

    def linear(input, weight, bias):
        assert input.shape[-1] == weight.shape[1]
        return zeros((*input.shape[:-1], weight.shape[0]), weight.shape[1])

    with mock.patch.object(nn.Conv2d, "_function", staticmethod(conv)), mock.patch.object(nn.functional, "linear", linear):
        yield macs


def trace(net, *input_size: int, training: bool = False) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """The multiply-adds of each layer for one image, and the shape (without the batch) that each module gives."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(path):
        def hook(module, args, output):
            if isinstance(output, tg.Tensor):
                shapes[path] = output.shape[1:]

        return hook

    handles = [module.register_forward_hook(note(path)) for path, module in net.named_modules()]
    net.train(training)
    with counted_products() as macs, tg.no_grad():
        net(tg.zeros(1, *input_size))
    for handle in handles:
        handle.remove()
    return macs, shapes


def order(net, *input_size: int) -> list[str]:
    """The direct children of a network in the order in which they run."""
    names: list[str] = []
    for name, child in net.named_children():
        child.register_forward_hook(lambda module, args, output, name=name: names.append(name))
    trace(net, *input_size)
    return names


def below(macs: dict[str, int], path: str) -> int:
    """The multiply-adds of a module with all that is below it."""
    return sum(count for name, count in macs.items() if name == path or name.startswith(f"{path}."))


def small_head(net, sizes: dict[str, tuple[int, int]]):
    """Put small fully connected layers in the places of large ones, and draw all weights as the layers do by themselves."""
    for path, (inputs, outputs) in sizes.items():
        owner, _, name = path.rpartition(".")
        setattr(net.get_submodule(owner), name, nn.Linear(inputs, outputs))
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()
    return net


def check_that_gradients_reach_every_parameter(net, *input_size: int, batch: int = 2) -> None:
    """One training step's forward and backward; auxiliary scores are learned too."""
    tg.manual_seed(0)
    net.train()
    outputs = net(tg.randn(batch, *input_size))
    scores = outputs if isinstance(outputs, tuple) else (outputs,)
    losses = [tg.cross_entropy(score, tg.arange(batch)) for score in scores]
    sum(losses[1:], losses[0]).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert np.isfinite(parameter.grad.array).all(), name
        assert parameter.grad.array.any(), name
