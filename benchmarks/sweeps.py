"""Three sweeps: what a training step costs as the batch, the channels, or the depth grow, and with which exponent.

Where the arithmetic dominates, time grows with the batch to the power 1, with the channels to the power 2 and with the depth
to the power 1. The exponent is the slope of a straight line (least squares) through log time against log size. The first
points of a sweep are there to show where the constant costs end; only those from `fitted_from` on are in the fit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .networks import AdaptiveAvgPool, BatchNorm, Conv, Flatten, Layer, Linear, Network, ReLU
from .workloads import Training

IMAGE = (3, 16, 16)


@dataclass(frozen=True)
class Sweep:
    """One quantity that grows.

    Attributes
    ----------
    name : str
    title : str
    sizes : tuple of int
    fitted_from : int
        The smallest size in the fit.
    expected : float
        The exponent where arithmetic is all.
    """

    name: str
    title: str
    sizes: tuple[int, ...]
    fitted_from: int
    expected: float

    def workload(self, size: int) -> Training:
        """The training step of one point."""
        batch = size if self.name == "batch" else 16
        channels = size if self.name == "channels" else 64
        depth = size if self.name == "depth" else 4
        return Training(f"sweep/{self.name}/{size}", f"{self.title}: {size}", stack(channels, depth), batch, IMAGE, classes=10)


SWEEPS = (
    Sweep("batch", "images in the batch (4 convolutions of 64 channels, 16x16)", (1, 4, 16, 32, 64, 128, 256, 512), 64, 1.0),
    Sweep("channels", "channels (4 convolutions, b16 at 16x16)", (16, 32, 64, 128, 256, 512, 1024), 256, 2.0),
    Sweep("depth", "convolutions of 64 channels with batch norm and ReLU (b16 at 16x16)", (1, 2, 4, 8, 16, 32, 64), 8, 1.0),
)


def stack(channels: int, depth: int) -> Network:
    """`depth` 3x3 convolutions with batch normalization and ReLU behind one from 3 channels, and a linear layer."""
    layers: list[Layer] = [Conv(3, channels, 3, padding=1), ReLU()]
    for _ in range(depth):
        layers += [Conv(channels, channels, 3, padding=1, bias=False), BatchNorm(channels), ReLU()]
    return Network((*layers, AdaptiveAvgPool(1), Flatten(), Linear(channels, 10)))


def workloads() -> list[Training]:
    """All points of all sweeps."""
    return [sweep.workload(size) for sweep in SWEEPS for size in sweep.sizes]


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of log seconds against log size, by least squares.

    Examples
    --------
    >>> round(exponent([1, 2, 4], [3.0, 12.0, 48.0]), 6)
    2.0
    """
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in seconds]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    products = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return products / sum((x - x_mean) ** 2 for x in xs)
