"""Initial values that several of the networks share: one rule for all weights below a module, biases at a constant."""

from collections.abc import Callable

from .. import nn


def initialize(module: nn.Module, draw: Callable[[nn.Parameter], object], bias: float = 0.0) -> None:
    """Draw the weights of every convolution and fully connected layer; set their biases.

    Parameters
    ----------
    module : Module
        All layers below it, itself included.
    draw : callable
        A function of `nn.init` that fills a weight.
    bias : float
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, bias)


def gaussian(std: float) -> Callable[[nn.Parameter], object]:
    """Weights from N(0, std^2), as in the papers before 2014."""
    return lambda weight: nn.init.normal_(weight, std=std)


def he(mode: str) -> Callable[[nn.Parameter], object]:
    """Weights from N(0, 2 / fan), as He et al. 2015 (equations 10 and 14) for ReLUs; mode is "fan_in" or "fan_out"."""
    return lambda weight: nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="relu")


def glorot_caffe(weight: nn.Parameter) -> None:
    """Caffe's "xavier": weights uniform over +-sqrt(3 / fan_in)."""
    nn.init.kaiming_uniform_(weight, nonlinearity="linear")
