"""What an op does, in words: its formula for one element, and why a single effect is as large as it is."""

import inspect
import re

import numpy as np

from ..autograd.function import Function
from ..kernels.geometry import ConvGeometry
from ..ops.activation import ReLU
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.dropout import Dropout
from ..ops.elementwise import Add, Clamp, Mul, Neg, PiecewiseConstant, Sub
from ..ops.linalg import Linear
from ..ops.norm import BatchNorm, BatchNormReLU, LocalResponseNorm
from ..ops.pool import AvgPool, ChoosingPool
from ..ops.rectifier import Hardtanh
from ..ops.reduce import Mean, Sum
from ..ops.shape import Cat, Expand, GetItem, Pad, Permute, PutItem, Reshape

Index = tuple[int, ...]

_MOVES = (Reshape, Permute, GetItem, PutItem, Pad, Cat, Expand)
_GATES = (ReLU, Clamp, Hardtanh)


def argument_name(node: Function, argument: int) -> str:
    """What the op's forward calls an argument."""
    names = [p.name for p in inspect.signature(node.forward).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    return names[argument] if argument < len(names) else f"input {argument}"


def formula(node: Function, argument: int, index: Index) -> str:
    """The gradient of one element of an argument; for convolutions and linear layers with its indices put in."""
    gradient = f"g{argument_name(node, argument)}[{', '.join(map(str, index))}]"
    if isinstance(node, Conv | ConvTranspose):
        return f"{gradient} = {_conv_formula(node, argument, index)}"
    if isinstance(node, Linear):
        i = ", ".join(map(str, index))
        sums = (
            f"sum over o of weight[o, {index[-1]}] * gy[{index[0]}, o]",
            f"sum over n of x[n, {index[-1]}] * gy[n, {index[0]}]",
            f"sum over n of gy[n, {i}]",
        )
        return f"{gradient} = {sums[argument]}"
    name = argument_name(node, argument)
    return _documented(node, name) or f"{gradient} = sum over out of dy[out]/d{name} * gy[out]"


def _documented(node: Function, name: str) -> str:
    """What the Gradient section of the op's docstring says of an argument; the section, where it names none."""
    section = re.search(r"^Gradient\n((?: +.*(?:\n|$))+)", inspect.getdoc(type(node)) or "", re.MULTILINE)
    text = " ".join(section[1].split()) if section else ""
    of_argument = re.search(rf"\bg{re.escape(name)} = .*?(?=[,;] g\w+ = |$)", text)
    return of_argument[0] if of_argument else text


def _conv_formula(node: Function, argument: int, index: Index) -> str:
    g: ConvGeometry = node.params["geometry"]
    transposed = isinstance(node, ConvTranspose)
    steps = "ijk"[: g.dims] if g.dims > 1 else "i"
    inner, outer = g.in_channels // g.groups, g.out_channels // g.groups
    if argument == 2:
        return f"sum over n, {', '.join(steps)} of gy[n, {index[0]}, {', '.join(steps)}]"
    if argument == 1:
        o, c = index[:2]
        places = [
            _affine(s, stride, t * dilation - before)
            for s, stride, t, dilation, (before, _) in zip(steps, g.stride, index[2:], g.dilation, g.padding, strict=True)
        ]
        window, image = ("x", "gy") if transposed else ("gy", "x")
        big = f"{image}[n, {o // outer * inner + c}, {', '.join(places)}]"
        small = f"{window}[n, {o}, {', '.join(steps)}]"
        first, second = (small, big) if transposed else (big, small)
        return f"sum over n, {', '.join(steps)} of {first} * {second}"
    taps = ["kw"] if g.dims == 1 else ["kh", "kw"] if g.dims == 2 else ["kd", "kh", "kw"]
    meets = "the place of the tap" if transposed else "the window with the pixel under the tap"
    channels = "c" if transposed else "o"
    tap = ", ".join(taps)
    pair = f"{index[1]}, c" if transposed else f"o, {index[1] % inner}"
    return f"sum over {channels}, {tap} of weight[{pair}, {tap}] * gy at {meets}"


def _affine(step: str, stride: int, shift: int) -> str:
    scaled = step if stride == 1 else f"{stride}{step}"
    return scaled if shift == 0 else f"{scaled} {'+' if shift > 0 else '-'} {abs(shift)}"


def place(node: Function) -> str:
    """The path of the module that an op ran in, or the op's name: short enough for a row of steps."""
    return node.module or node.op_name


def moves(node: Function) -> bool:
    """Whether the op only puts elements elsewhere, so that a gradient passes as it is."""
    return isinstance(node, _MOVES)


def note(node: Function, argument: int, index: Index, output: Index, factor: float) -> str:
    """Why one effect is what it is: ``gate open``, ``won window [0, 3]``."""
    if isinstance(node, _GATES):
        return "gate open" if factor else "gate shut"
    if isinstance(node, ChoosingPool):
        return f"{'won' if factor else 'lost'} window {list(output[2:])}"
    if isinstance(node, Dropout):
        return "kept" if factor else "dropped"
    if isinstance(node, BatchNormReLU) and not factor and node.saved_arrays[4][output] <= 0:
        return "gate shut"
    if isinstance(node, BatchNorm) and argument == 0:
        return "itself" if output == index else "by mean and variance"
    if isinstance(node, LocalResponseNorm):
        return "itself" if output == index else f"near channel {output[1]}"
    if argument_name(node, argument) in ("bias", "shift"):
        return "added as it is"
    return _plain_note(node, factor)


def _plain_note(node: Function, factor: float) -> str:
    if isinstance(node, _MOVES):
        return "moved"
    if isinstance(node, Add | Sub | Neg | Sum):
        return f"times {factor:+g}"
    if isinstance(node, Mean | AvgPool):
        whole = factor and np.isclose(1 / factor, round(1 / factor))
        return f"1/{round(1 / factor)} of it" if whole else "its share"
    if isinstance(node, Mul):
        return "the other factor"
    return "flat here" if isinstance(node, PiecewiseConstant) else "the slope here"
