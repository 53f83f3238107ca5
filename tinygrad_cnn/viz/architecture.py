"""`viz.architecture`: a network as papers draw it, its feature maps as boxes in a row.

`stages` asks `nn.plan` what each module makes, without computing, and keeps what changes a shape or has weights:
convolutions, pooling, linear layers. A module that is more than a chain of such, a residual block or an Inception module, is
one stage. Equal stages in a row are one, with their number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .. import nn
from ..errors import ArgumentError
from ..nn.planning import Call, Plan
from .architecture_svg import architecture_svg
from .render import html_page

StageKind: TypeAlias = Literal["input", "convolution", "pooling", "linear", "block", "other"]

# Modules that keep the shape and have no weights of their own to show.
_UNSHOWN = ("ReLU", "Dropout", "Identity", "Flatten", "BatchNorm", "LocalResponseNorm", "Softmax", "Tanh", "Sigmoid")


@dataclass(frozen=True)
class Stage:
    """A box of the picture: what was done, and the feature maps that came of it.

    Attributes
    ----------
    kind : {"input", "convolution", "pooling", "linear", "block", "other"}
    path : str
        Of the module; ``""`` for the input.
    what : str
        The step in a few words: ``"conv 11x11, stride 4"``.
    shape : tuple of int
        Without the batch: (channels, height, width), or (features,).
    window : tuple of int
        The kernel's height and width, where there is one.
    count : int
        How many equal stages it stands for.
    """

    kind: StageKind
    path: str
    what: str
    shape: tuple[int, ...]
    window: tuple[int, ...] = ()
    count: int = 1


class ArchitectureDrawing:
    """The picture of a network; the last line of a notebook's cell shows it.

    Attributes
    ----------
    stages : tuple of Stage
        The plain data.
    source : str
        The picture, as SVG.
    """

    def __init__(self, stages: Sequence[Stage], title: str | None) -> None:
        self.stages = tuple(stages)
        self._title = title
        self.source = architecture_svg(self.stages, title)

    def render(self, path: str | PathLike[str] = "architecture.svg") -> Path:
        """Write the picture into a file; no program is needed.

        Parameters
        ----------
        path : path
            Ends in .svg, or in .html for a page with the svg in it.

        Returns
        -------
        Path

        Raises
        ------
        ArgumentError
            For another suffix.
        """
        path = Path(path)
        if path.suffix.lower() not in (".svg", ".html"):
            raise ArgumentError(f"an architecture is drawn as .svg or .html, got {path.name!r}")
        page = path.suffix.lower() == ".html"
        text = html_page(self.source, self._title or path.stem) if page else self.source
        path.write_text(text, encoding="utf-8")
        return path

    def _repr_svg_(self) -> str:
        return self.source

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.stages)} stages; .render('architecture.svg') writes it into a file>"


def architecture(net: nn.Module, input_size: Sequence[int], *, title: str | None = None) -> ArchitectureDrawing:
    """Draw a network as a row of boxes, one for the feature maps after each stage.

    Parameters
    ----------
    net : Module
        Left as it was; nothing is computed.
    input_size : tuple of int
        The shape of one sample, without the batch: ``(3, 224, 224)``.
    title : str, optional
        Written above; the class's name if not given.

    Returns
    -------
    ArchitectureDrawing
        A notebook shows it; ``.render("net.svg")`` writes it into a file.

    Raises
    ------
    ShapeError
        Where the shapes do not fit; see `nn.plan`.
    ArgumentError
        If the input is not of channels and two sides, or the network has several inputs.

    Notes
    -----
    Heights and widths of all boxes have one scale, and so have channels, up to a smallest thickness. A vector is a bar whose
    height goes with the square root of its length.

    Examples
    --------
    >>> from tinygrad_cnn import models, viz
    >>> drawing = viz.architecture(models.LeNet(), (1, 28, 28))
    >>> [(stage.what, stage.shape) for stage in drawing.stages][:3]
    [('input', (1, 28, 28)), ('conv 5x5', (20, 24, 24)), ('max pool 2x2, stride 2', (20, 12, 12))]
    """
    sizes = tuple(input_size)
    if len(sizes) != 3 or not all(isinstance(n, int) for n in sizes):
        raise ArgumentError(f"architecture: input_size must be (channels, height, width), got {input_size!r}")
    return ArchitectureDrawing(stages(nn.plan(net, sizes)), type(net).__name__ if title is None else title)


def stages(plan: Plan) -> list[Stage]:
    """What a plan's picture shows, equal neighbours counted.

    Parameters
    ----------
    plan : Plan
        From `nn.plan`, of one input.
    """
    found = [Stage("input", "", "input", tuple(plan.input_shapes[0][1:]))]
    opened: str | None = None
    for call in plan.calls:
        if opened is not None and call.path.startswith(f"{opened}."):
            continue
        within = [other for other in plan.calls if other.path.startswith(f"{call.path}.")] if call.path else plan.calls[1:]
        if within and _is_chain(call, within):
            continue
        opened = call.path
        stage = _stage(call, bool(within))
        if stage is None:
            continue
        last = found[-1]
        if replace(last, path="", count=1) == replace(stage, path=""):
            found[-1] = replace(last, count=last.count + 1)
        else:
            found.append(stage)
    return found


def _is_chain(call: Call, within: Sequence[Call]) -> bool:
    """Whether a module only calls its parts one after the other, or is the network itself."""
    if not call.path or isinstance(call.module, nn.Sequential):
        return True
    parts = [other for other in within if "." not in other.path[len(call.path) + 1 :]]
    weighty = [part for part in parts if _kind(part.module) in ("convolution", "linear")]
    return len(weighty) == 1 and len(parts) <= 3


def _kind(module: nn.Module) -> StageKind:
    name = type(module).__name__
    if "Conv" in name:
        return "convolution"
    if "Pool" in name or "Subsample" in name:
        return "pooling"
    return "linear" if "Linear" in name or name == "RBFOutput" else "other"


def _stage(call: Call, composed: bool) -> Stage | None:
    """The box of one call; None where there is nothing to see."""
    shape, name = call.output_shape, type(call.module).__name__
    if not isinstance(shape, tuple) or not all(isinstance(n, int) for n in shape):
        return None
    kind: StageKind = "block" if composed else _kind(call.module)
    kept_shape = bool(call.input_shapes) and math.prod(call.input_shapes[0]) == math.prod(shape)
    if kind == "other" and (name.startswith(_UNSHOWN) or kept_shape):
        return None
    if kind == "pooling" and call.input_shapes and call.input_shapes[0] == shape:
        return None  # an adaptive pooling that has nothing to do
    window = _pair(getattr(call.module, "kernel_size", None)) if not composed else ()
    return Stage(kind, call.path, _described(call.module, kind, window), tuple(shape[1:]), window)


def _described(module: nn.Module, kind: StageKind, window: tuple[int, ...]) -> str:
    """The step in a few words."""
    name = type(module).__name__
    if kind == "linear":
        return "linear" if "Linear" in name else name
    if kind not in ("convolution", "pooling"):
        return name
    words = "conv" if kind == "convolution" else "max pool" if "Max" in name else "average pool"
    if "Transpose" in name:
        words = "transposed conv"
    if window:
        words += f" {'x'.join(map(str, window))}"
    stride = _pair(getattr(module, "stride", None))
    if stride and set(stride) != {1}:
        words += f", stride {stride[0] if len(set(stride)) == 1 else 'x'.join(map(str, stride))}"
    groups = getattr(module, "groups", 1)
    return words + (f", {groups} groups" if groups != 1 else "")


def _pair(value: Any) -> tuple[int, ...]:
    """A setting for each of two sides."""
    if isinstance(value, int):
        return (value, value)
    return tuple(value) if isinstance(value, tuple) and all(isinstance(n, int) for n in value) else ()
