"""Why the shapes of a network do not fit together: the message of `plan`.

An op that refuses its inputs knows their shapes only. The notes of the run know more: which module was running, which one
gave it what it got, and what the numbers in the shapes were before they were flattened. From these come the arithmetic and
the nearest fixes: another argument of the layer that refuses, a layer that is missing before it, or another size of the
input, found by planning again.
"""

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError
from .conv import _Conv
from .group_norm import GroupNorm
from .linear import Linear
from .module import Module
from .norm import _BatchNorm, _Norm
from .planning import Call, Shape, Watch

_FARTHEST = 48  # pixels that the size of the input is changed by, looking for one that fits


def explained(
    error: ShapeError, watch: Watch, model: Module, sizes: Sequence[Shape], batch_size: int, dtype: Any
) -> ShapeError:
    """The error to raise instead: where, how the shapes came about, and what would fit."""
    call = watch.running[-1] if watch.running else Call("", model, ())
    where = call.path or f"the forward pass of {type(model).__name__}"
    lines, fixes = _reasons(error, call, watch)
    if _has_batch(watch, model, sizes, batch_size, dtype):
        fixes.insert(0, f"the size of one sample, without the batch: {', '.join(str(size[1:]) for size in sizes)}")
    elif (instead := _other_input(model, sizes, batch_size, dtype)) is not None:
        fixes.append(f"an input of {_by(instead)} instead of {_by(sizes[0][1:])}")
    if fixes:
        lines.append(f"Nearest fix: {', or '.join(fixes)}.")
    return ShapeError(f"plan: {where} does not fit.\n  " + "\n  ".join(lines))


def _has_batch(refused: Watch, model: Module, sizes: Sequence[Shape], batch_size: int, dtype: Any) -> bool:
    """Whether the sizes seem to be those of batches of maps, for without their first axis the network gets farther."""
    if any(len(size) < 4 for size in sizes):
        return False
    again = Watch()
    try:
        again.run(model, [(batch_size, *size[1:]) for size in sizes], dtype)
    except ShapeError:
        return len(again.calls) > len(refused.calls)
    return True


def _reasons(error: ShapeError, call: Call, watch: Watch) -> tuple[list[str], list[str]]:
    """Lines of explanation, and fixes; for the layers whose numbers must be those of their input, then for all else."""
    module, name = call.module, call.path or "the model"
    shape = call.input_shapes[0] if call.input_shapes else ()
    if isinstance(module, Linear) and shape and shape[-1] != module.in_features:
        return _of_linear(module, name, call, watch)
    if isinstance(module, _Conv) and len(shape) == module._dims + 2 and shape[1] != module.in_channels:
        settings = repr(module).partition("(")[2].partition(", ")[2]
        fixes = [f"{name} = {type(module).__name__}({shape[1]}, {settings}"]
        if shape[-1] == module.in_channels:
            fixes.insert(0, f"x.permute({_channels_first(len(shape))}) before {name}, since the channels seem to come last")
        return [f"{_given(call, watch)}, but {name} is {module!r} and expects {module.in_channels} channels."], fixes
    if isinstance(module, (_Norm, GroupNorm)) and len(shape) > 1:
        expected = module.num_channels if isinstance(module, GroupNorm) else module.num_features
        if shape[1] != expected:
            rest = repr(module).partition("(")[2].partition(", ")[2]
            fixed = f"({shape[1]}, {rest}" if isinstance(module, _Norm) else f"({module.num_groups}, {shape[1]})"
            line = f"{_given(call, watch)}, but {name} is {type(module).__name__} of {expected} channels."
            return [line], [f"{name} = {type(module).__name__}{fixed}"]
    if isinstance(module, _BatchNorm) and len(shape) in (3, 4, 5) and len(shape) not in module._dims:
        takes = " or ".join(map(str, module._dims))
        line = f"{_given(call, watch)}, but {name} is {type(module).__name__}, for {takes} dimensions."
        relu = ", relu=True" if module.relu else ""
        return [line], [f"{name} = BatchNorm{len(shape) - 2}d({module.num_features}{relu})"]
    lines = [f"{_given(call, watch)}."] if call.input_shapes else []
    lines.append(f"{Exception.__str__(error)}.".replace("..", "."))
    return _of_two_shapes(str(error), lines, call, watch)


def _of_linear(layer: Linear, name: str, call: Call, watch: Watch) -> tuple[list[str], list[str]]:
    shape = call.input_shapes[0]
    expects = f"but {name} is Linear({layer.in_features}, {layer.out_features}) and expects {layer.in_features}"
    source = _source(call, watch)
    if len(shape) > 2 and math.prod(shape[1:]) == layer.in_features:
        product = "*".join(map(str, shape[1:]))
        line = f"{source[0]} gives {_shown(shape)}, {expects}: it is not flattened ({product} = {layer.in_features})."
        return [line], [f"nn.Flatten() before {name}"]
    bias = "" if layer.bias is not None else ", bias=False"
    before, how = source
    if len(shape) > 3:
        # Of maps, not of rows: a layer as wide as the last axis would fit, but it is not what anybody means.
        flat = f"nn.Flatten() before {name} = Linear({math.prod(shape[1:])}, {layer.out_features}{bias})"
        pooled = f"nn.AdaptiveAvgPool{len(shape) - 2}d(1) and nn.Flatten() before {name}"
        line = f"{before} gives {_shown(shape)}, {expects}: these are maps, and it takes rows."
        return [line], [pooled if shape[1] == layer.in_features else flat]
    fix = f"{name} = Linear({shape[-1]}, {layer.out_features}{bias})"
    arithmetic = ""
    if how != shape:
        arithmetic = f"; flattened {'*'.join(map(str, how[1:]))} = {math.prod(how[1:])}"
    return [f"{before} gives {_shown(how)}{arithmetic}, {expects}."], [fix]


def _of_two_shapes(message: str, lines: list[str], refused: Call, watch: Watch) -> tuple[list[str], list[str]]:
    """Two tensors that were to be added or joined: who made each, and what would make them equal."""
    found = [tuple(map(int, re.findall(r"\d+", text))) for text in re.findall(r"\(\d+(?:, ?\d+)+\)", message)]
    pairs = [shape for i, shape in enumerate(found) if shape not in found[:i] and len(shape) > 2]
    makers = {shape: path for path, shape in watch.made if path}
    known = [shape for shape in pairs if shape in makers]
    if len(pairs) > 1:
        lines += [f"{_shown(shape)} was last made by {makers[shape]}." for shape in known]
    if len(pairs) != 2 or len(pairs[0]) != len(pairs[1]):
        return lines, []
    # The shortcut is the larger map, and among equals the one that came in as it is, or has fewer channels.
    large, small = sorted(pairs, key=lambda shape: (shape[2:], shape in refused.input_shapes, -shape[1]), reverse=True)
    steps = {m / n for m, n in zip(large[2:], small[2:], strict=True)}
    fixes = []
    step = steps.pop() if len(steps) == 1 else 0.0
    if step == int(step) >= 1 and "broadcast" in message:
        stride = f", stride={int(step)}" if step > 1 else ""
        projection = f"Conv{len(large) - 2}d({large[1]}, {small[1]}, kernel_size=1{stride})"
        fixes.append(f"a projection of the shortcut, {projection}")
    convolutions = [c for c in watch.calls if isinstance(c.module, _Conv) and c.output_shape[2:] == small[2:]]
    # The one that took the missing pixels away, or else the last.
    lost = next((c for c in convolutions if c.input_shapes[0][2:] == large[2:]), None)
    call = lost or next((c for c in reversed(convolutions) if c.output_shape == small), None)
    if call is not None and isinstance(call.module, _Conv) and small[2:] != large[2:]:
        more = [m - n for m, n in zip(large[2:], small[2:], strict=True)]
        given = call.module.padding
        padding = [p for p in given if isinstance(p, int)] if isinstance(given, tuple) else []
        if set(call.module.stride) == {1} and not any(n % 2 for n in more) and len(padding) == len(more):
            wider = tuple(p + n // 2 for p, n in zip(padding, more, strict=True))
            fixes.insert(0, f"padding={wider[0] if len(set(wider)) == 1 else wider} at {call.path}")
    return lines, fixes


def _given(call: Call, watch: Watch) -> str:
    """Who gives a module what it gets."""
    return f"{_source(call, watch)[0]} gives {_shown(call.input_shapes[0])}"


def _source(refused: Call, watch: Watch) -> tuple[str, Shape]:
    """The last layer that gave as many numbers as a call was refused, before they were flattened, and their shape."""
    shape = refused.input_shapes[0]
    size = math.prod(shape)
    exact: tuple[str, Shape] | None = None
    earlier = itertools.takewhile(lambda call: call is not refused, watch.calls)
    for call in reversed([call for call in earlier if not any(call.module.children())]):
        given = call.output_shape
        if not _is_shape(given) or math.prod(given) != size:
            break
        name = call.path or type(call.module).__name__
        if len(given) > len(shape):
            return name, given
        if given == shape and exact is None:
            exact = name, given
    first = watch.calls[0].input_shapes if watch.calls else ()
    if first and math.prod(first[0]) == size and (exact is None or len(first[0]) > len(shape)):
        return "the input", first[0]
    return exact or ("what comes before", shape)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(n, int) for n in value)


def _shown(shape: Shape) -> str:
    """A shape with its batch as n."""
    return f"({', '.join(['n', *map(str, shape[1:])])})"


def _by(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _channels_first(ndim: int) -> str:
    return ", ".join(map(str, [0, ndim - 1, *range(1, ndim - 1)]))


def _other_input(model: Module, sizes: Sequence[Shape], batch_size: int, dtype: Any) -> Shape | None:
    """The nearest size of the first input that fits, all its spatial axes changed alike; None if there is none near."""
    spatial = sizes[0][1:]
    if not spatial:
        return None
    for distance in range(1, _FARTHEST + 1):
        for change in (-distance, distance):
            size = tuple(n + change for n in spatial)
            # Half of the size is no misjudged input any more; and maps of one pixel broadcast to all others.
            if any(2 * m <= n for m, n in zip(size, spatial, strict=True)):
                continue
            try:
                shapes = [(batch_size, sizes[0][0], *size), *((batch_size, *other) for other in sizes[1:])]
                Watch().run(model, shapes, dtype)
            except ShapeError:
                continue
            return size
    return None
