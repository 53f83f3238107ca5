"""What is timed: each workload is plain data with a name, by which a worker finds it.

Four families, a class for each:

- `Training`: a whole training step of a network: zero grad, forward, backward, update (SGD with momentum).
- `Layers`: some layers alone, forward (nothing recorded), or forward and backward for the input and the parameters.
- `Loss` and `Update`: a loss forward and backward; an optimizer's step on given gradients.
- `OneOp`: what recording costs, where there is next to no arithmetic.

Everything is float32. `sweeps` adds workloads of its own under names that begin with ``sweep/``.
"""

from dataclasses import dataclass
from functools import cache

from .networks import (
    NETWORKS,
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    GroupNorm,
    Layer,
    LayerNorm,
    MaxPool,
    Network,
    ReLU,
    ResponseNorm,
)


@dataclass(frozen=True)
class Training:
    """A training step: `network` names one of `networks.NETWORKS`, or is one."""

    name: str
    title: str
    network: str | Network
    batch: int
    image: tuple[int, int, int]
    classes: int

    @property
    def layers(self) -> Network:
        """The network."""
        return NETWORKS[self.network]() if isinstance(self.network, str) else self.network


@dataclass(frozen=True)
class Layers:
    """Some layers on an input of shape `shape`; `backward` is false for the forward pass alone, with nothing recorded."""

    name: str
    title: str
    layers: tuple[Layer, ...]
    shape: tuple[int, ...]
    backward: bool


@dataclass(frozen=True)
class Loss:
    """A loss of `shape` scores, forward and backward; `kind` is PyTorch's name of the function."""

    name: str
    title: str
    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Update:
    """One step of an optimizer over parameters of these shapes, whose gradients are there; PyTorch's names."""

    name: str
    title: str
    optimizer: str
    options: tuple[tuple[str, float], ...]
    shapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class OneOp:
    """``x.grad = None; y = x * x; y.backward()`` for an x of one element that requires a gradient."""

    name: str
    title: str


Workload = Training | Layers | Loss | Update | OneOp

TRAINING = (
    Training("lenet5", "LeNet-5 (6, 16 maps) b64, 28x28", "lenet5", 64, (1, 28, 28), 10),
    Training("lenet", "simplified LeNet (20, 50 maps) b64", "lenet", 64, (1, 28, 28), 10),
    Training("resnet20", "CIFAR ResNet-20 b64", "resnet20", 64, (3, 32, 32), 10),
    Training("vgg11", "VGG-11 convolutions b16 at 64x64", "vgg11", 16, (3, 64, 64), 10),
    Training("alexnet", "AlexNet b8 at 224", "alexnet", 8, (3, 224, 224), 1000),
    Training("alexnet_paper", "AlexNet of the paper, groups and LRN, b8 at 224", "alexnet_paper", 8, (3, 224, 224), 1000),
    Training("resnet18", "ResNet-18 b8 at 112", "resnet18", 8, (3, 112, 112), 1000),
    Training("googlenet", "GoogLeNet b4 at 112", "googlenet", 4, (3, 112, 112), 1000),
)

ONE_OP = OneOp("one_op", "one recorded op on a 1-element tensor, forward and backward")

# Batch and height (and width) of the input, and the convolution.
CONVS = (
    (64, 28, Conv(1, 6, 5, padding=2)),
    (64, 14, Conv(6, 16, 5)),
    (64, 12, Conv(20, 50, 5)),
    (64, 32, Conv(3, 16, 3, padding=1)),
    (64, 32, Conv(16, 16, 3, padding=1)),
    (64, 16, Conv(32, 32, 3, padding=1)),
    (64, 32, Conv(16, 32, 3, stride=2, padding=1)),
    (8, 56, Conv(64, 64, 3, padding=1)),
    (8, 28, Conv(128, 128, 3, padding=1)),
    (8, 14, Conv(256, 256, 3, padding=1)),
    (8, 7, Conv(512, 512, 3, padding=1)),
    (8, 56, Conv(64, 128, 3, stride=2, padding=1)),
    (8, 56, Conv(64, 64, 1)),
    (8, 28, Conv(192, 64, 1)),
    (8, 14, Conv(512, 512, 1)),
    (8, 28, Conv(256, 512, 1, stride=2)),
    (8, 28, Conv(32, 96, 5, padding=2)),
    (8, 27, Conv(96, 256, 5, padding=2, groups=2)),
    (8, 112, Conv(3, 64, 7, stride=2, padding=3)),
    (8, 28, Conv(64, 64, 7, padding=3)),
    (8, 224, Conv(3, 96, 11, stride=4, padding=2)),
    (8, 28, Conv(128, 128, 3, padding=1, groups=8)),
    (8, 56, Conv(64, 64, 3, padding=1, groups=64)),
    (8, 28, Conv(256, 256, 5, padding=2, groups=256)),
    (8, 56, Conv(128, 128, 3, stride=2, padding=1, groups=128)),
)

# A name, the layer, and the shape of its input.
PLAIN_LAYERS: tuple[tuple[str, Layer, tuple[int, ...]], ...] = (
    ("max pool 2x2", MaxPool(2, 2), (32, 64, 56, 56)),
    ("max pool 3x3 stride 2", MaxPool(3, 2), (32, 64, 55, 55)),
    ("max pool 3x3 stride 1", MaxPool(3, 1, padding=1), (8, 256, 14, 14)),
    ("average pool 2x2", AvgPool(2, 2), (32, 64, 56, 56)),
    ("global average pool", AdaptiveAvgPool(1), (32, 512, 7, 7)),
    ("ReLU", ReLU(), (32, 64, 56, 56)),
    ("batch norm", BatchNorm(64), (32, 64, 56, 56)),
    ("batch norm, narrow", BatchNorm(16), (64, 16, 32, 32)),
    ("batch norm and ReLU", BatchNorm(64, relu=True), (32, 64, 56, 56)),
    ("batch norm and ReLU, narrow", BatchNorm(16, relu=True), (64, 16, 32, 32)),
    ("layer norm", LayerNorm((64, 28, 28)), (32, 64, 28, 28)),
    ("group norm", GroupNorm(8, 64), (32, 64, 28, 28)),
    ("response norm", ResponseNorm(), (8, 96, 55, 55)),
)

LOSSES = (
    ("cross_entropy", (64, 10)),
    ("cross_entropy", (256, 1000)),
    ("mse_loss", (256, 1000)),
    ("smooth_l1_loss", (256, 1000)),
    ("binary_cross_entropy_with_logits", (256, 1000)),
)

LENET_SHAPES = ((20, 1, 5, 5), (20,), (50, 20, 5, 5), (50,), (500, 800), (500,), (10, 500), (10,))
MANY_SMALL = ((64, 64, 3, 3), (64,), (64,)) * 60
ONE_LARGE = ((4096, 4096),)
OPTIMIZERS: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = (
    ("SGD", (("lr", 1e-4), ("momentum", 0.9))),
    ("Adam", (("lr", 1e-4),)),
    ("AdamW", (("lr", 1e-4),)),
    ("RMSprop", (("lr", 1e-4),)),
)


def _single_convs() -> list[Workload]:
    found: list[Workload] = []
    for batch, size, conv in CONVS:
        options = "".join(
            f" {word}{value}"
            for word, value, plain in (("stride ", conv.stride, 1), ("groups ", conv.groups, 1))
            if value != plain
        )
        what = f"{conv.in_channels} to {conv.out_channels}, {conv.kernel}x{conv.kernel}{options}, b{batch} at {size}x{size}"
        key = f"{conv.in_channels}-{conv.out_channels}-k{conv.kernel}-s{conv.stride}-g{conv.groups}-b{batch}-{size}"
        shape = (batch, conv.in_channels, size, size)
        found.append(Layers(f"conv/{key}/forward", f"conv {what}: forward", (conv,), shape, backward=False))
        found.append(Layers(f"conv/{key}/both", f"conv {what}: forward and backward", (conv,), shape, backward=True))
    return found


def _single_layers() -> list[Workload]:
    found: list[Workload] = []
    for name, layer, shape in PLAIN_LAYERS:
        size = "x".join(map(str, shape))
        key = f"layer/{name.replace(' ', '-').replace(',', '')}"
        found.append(Layers(f"{key}/forward", f"{name}, {size}: forward", (layer,), shape, backward=False))
        found.append(Layers(f"{key}/both", f"{name}, {size}: forward and backward", (layer,), shape, backward=True))
    return found


def _losses() -> list[Workload]:
    return [
        Loss(
            f"loss/{kind}/{'x'.join(map(str, shape))}",
            f"{kind}, {'x'.join(map(str, shape))}: forward and backward",
            kind,
            shape,
        )
        for kind, shape in LOSSES
    ]


def _updates() -> list[Workload]:
    sets = (("LeNet", LENET_SHAPES), ("180 small", MANY_SMALL), ("4096x4096", ONE_LARGE))
    return [
        Update(
            f"update/{optimizer}/{title.replace(' ', '-')}",
            f"{optimizer}, parameters: {title}: step",
            optimizer,
            options,
            shapes,
        )
        for optimizer, options in OPTIMIZERS
        for title, shapes in sets
    ]


@cache
def registry() -> dict[str, Workload]:
    """Every workload by its name, in the order of the tables."""
    from .sweeps import workloads

    single = _single_convs() + _single_layers() + _losses() + _updates()
    return {workload.name: workload for workload in (*TRAINING, ONE_OP, *single, *workloads())}


def select(patterns: list[str]) -> list[Workload]:
    """The workloads whose names are given, or begin with a name given that ends in a slash; "training" is all networks.

    Raises
    ------
    SystemExit
        For a name that is none.
    """
    chosen: dict[str, Workload] = {}
    for pattern in patterns:
        if pattern == "training":
            found = [workload.name for workload in TRAINING]
        else:
            found = [name for name in registry() if name == pattern or (pattern.endswith("/") and name.startswith(pattern))]
        if not found:
            groups = sorted({name.split("/")[0] + "/" for name in registry() if "/" in name})
            names = ["training", *(name for name in registry() if "/" not in name), *groups]
            raise SystemExit(f"benchmarks: no workload is called {pattern!r}; there are {', '.join(names)}")
        chosen |= {name: registry()[name] for name in found}
    return list(chosen.values())
