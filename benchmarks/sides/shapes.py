"""The shapes of a network's parameters in our order, for frameworks that have no modules to ask."""

from collections.abc import Iterator, Sequence

from .. import networks as net

Shape = tuple[int, ...]


def parameter_shapes(network: net.Network) -> list[Shape]:
    """Those of the body, of the heads and of the classifier."""
    return [shape for layers in (network.body, *network.heads, network.classifier) for shape in shapes_of(layers)]


def shapes_of(layers: Sequence[net.Layer]) -> Iterator[Shape]:
    """Those of some layers."""
    for layer in layers:
        match layer:
            case net.Conv(inputs, outputs, kernel, groups=groups, bias=bias):
                yield (outputs, inputs // groups, kernel, kernel)
                if bias:
                    yield (outputs,)
            case net.Linear(inputs, outputs):
                yield (outputs, inputs)
                yield (outputs,)
            case net.BatchNorm(channels) | net.GroupNorm(_, channels):
                yield (channels,)
                yield (channels,)
            case net.LayerNorm(shape):
                yield shape
                yield shape
            case net.Residual(inner, shortcut):
                yield from shapes_of(inner)
                yield from shapes_of(shortcut)
            case net.Branches(branches):
                for branch in branches:
                    yield from shapes_of(branch)
