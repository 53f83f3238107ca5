"""summary: what a network consists of, as a table: output shapes, parameters, multiply-adds and memory of each layer."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ArgumentError
from .module import Module
from .parameter import WithoutValues
from .parts import join_path
from .planning import ParameterSize, Plan, plan

_COLUMNS = ("layer", "output shape", "parameters", "mult-adds", "activations")


@dataclass(frozen=True)
class Row:
    """One module of a `Summary`. Numbers are of the module with all its parts.

    Attributes
    ----------
    path : str
        Such as ``"features.3"``; ``""`` for the network.
    kind : str
        The class's name.
    depth : int
        0 for the network, 1 for its parts, and so on.
    output_shape : tuple of int, or tuple of such, or None
        Of the last call; None for a module that did not run.
    parameters : int
        Elements of the parameters that no row above has counted.
    mult_adds : int
        Multiply-adds of all calls; a bias is not counted.
    activation_bytes : int
        What its ops made in all calls, views not counted.
    calls : int
        How often it ran.
    shared : bool
        Whether all its parameters belong to rows above.
    same_as : str
        The path in a row above under which this very module is listed with its parts; ``""`` if there is none.
    """

    path: str
    kind: str
    depth: int
    output_shape: Any
    parameters: int
    mult_adds: int
    activation_bytes: int
    calls: int
    shared: bool
    same_as: str = ""


@dataclass(frozen=True)
class Summary:
    """What `summary` returns: prints as a table; the numbers are in its attributes.

    Attributes
    ----------
    rows : list of Row
        Every module, in the order of the tree.
    input_shapes : tuple of shapes
        With the batch.
    total_params, trainable_params : int
        Elements of all parameters, each shared one counted once, and of those that require a gradient.
    total_mult_adds : int
    param_bytes, buffer_bytes : int
        Memory of the parameters and of the buffers.
    activation_bytes : int
        Memory of everything that the ops make in a forward pass, views not counted: what training keeps, about.
    depth : int
        Down to which level the table goes.
    """

    rows: list[Row] = field(repr=False)
    input_shapes: tuple[tuple[int, ...], ...]
    total_params: int
    trainable_params: int
    total_mult_adds: int
    param_bytes: int
    buffer_bytes: int
    activation_bytes: int
    depth: int

    def _lines(self) -> list[tuple[str, ...]]:
        """The cells of the table, a tuple for each row."""
        lines: list[tuple[str, ...]] = []
        for row in self.rows:
            if row.depth > self.depth:
                continue
            name = "  " * row.depth + (f"{row.path.rpartition('.')[2]}: {row.kind}" if row.path else row.kind)
            ran = row.calls > 0 or row.mult_adds > 0 or row.activation_bytes > 0
            lines.append(
                (
                    name + (f" x{row.calls}" if row.calls > 1 else ""),
                    f"is {row.same_as}" if row.same_as else _shape_text(row.output_shape) if ran else "did not run",
                    "shared" if row.shared else f"{row.parameters:,}" if row.parameters else "-",
                    f"{row.mult_adds:,}" if row.mult_adds else "-",
                    _bytes_text(row.activation_bytes) if row.activation_bytes else "-",
                )
            )
        return lines

    def _totals(self) -> list[tuple[str, str]]:
        frozen = self.total_params - self.trainable_params
        return [
            ("input", ", ".join(map(_shape_text, self.input_shapes))),
            ("parameters", f"{self.total_params:,}" + (f" ({frozen:,} frozen)" if frozen else "")),
            ("mult-adds", f"{self.total_mult_adds:,}"),
            (
                "memory",
                f"{_bytes_text(self.param_bytes)} parameters + {_bytes_text(self.buffer_bytes)} buffers + "
                f"{_bytes_text(self.activation_bytes)} activations",
            ),
        ]

    def __str__(self) -> str:
        lines = [_COLUMNS, *self._lines()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
        table = [
            "  ".join(cell.ljust(n) if i < 2 else cell.rjust(n) for i, (cell, n) in enumerate(zip(line, widths, strict=True)))
            for line in lines
        ]
        rule = "-" * len(table[0])
        totals = [f"{name:<12}{text}" for name, text in self._totals()]
        return "\n".join([table[0].rstrip(), rule, *(line.rstrip() for line in table[1:]), rule, *totals])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table for a notebook."""
        head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
        body = ""
        for name, *cells in self._lines():
            indent = len(name) - len(name.lstrip())
            first = f'<td style="text-align:left;padding-left:{indent}em">{html.escape(name.strip())}</td>'
            body += f"<tr>{first}{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
        totals = "<br>".join(f"{name}: {html.escape(text)}" for name, text in self._totals())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{totals}</p>"


def summary(
    model: Module, input_size: Sequence[Any], *, batch_size: int = 1, depth: int | None = None, dtype: Any = None
) -> Summary:
    """Say what a network consists of, without running it: shapes come from `plan`.

    Multiply-adds are those of convolutions (output elements times in / groups times kernel taps), of linear layers and of
    matrix products; biases, activations, pooling and normalization are not counted. A module may count for itself: its
    method ``mult_adds(output_shape)`` is asked, if it has one.

    Parameters
    ----------
    model : Module
        Left as it was.
    input_size : tuple of int, or sequence of such
        The shape of one sample, without the batch; one for each argument of `forward`.
    batch_size : int
        How many samples; shapes, multiply-adds and activations are for all of them.
    depth : int, optional
        Down to which level the table goes; all levels if not given. The numbers of what is left out are in its owner's.
    dtype : dtype, optional
        Of the inputs; that of the parameters if not given.

    Returns
    -------
    Summary

    Raises
    ------
    ShapeError
        Where shapes do not fit; see `plan`.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 12 * 12, 10))
    >>> nn.summary(net, (1, 28, 28))
    layer           output shape    parameters  mult-adds  activations
    ------------------------------------------------------------------
    Sequential      (1, 10)             11,738    126,720     40.5 KiB
      0: Conv2d     (1, 8, 24, 24)         208    115,200     18.0 KiB
      1: ReLU       (1, 8, 24, 24)           -          -     18.0 KiB
      2: MaxPool2d  (1, 8, 12, 12)           -          -      4.5 KiB
      3: Flatten    (1, 1152)                -          -            -
      4: Linear     (1, 10)             11,530     11,520         40 B
    ------------------------------------------------------------------
    input       (1, 1, 28, 28)
    parameters  11,738
    mult-adds   126,720
    memory      45.9 KiB parameters + 0 B buffers + 40.5 KiB activations
    """
    if depth is not None and depth < 0:
        raise ArgumentError(f"summary: depth must be at least 0, which is the network alone; got {depth}")
    planned = plan(model, input_size, batch_size=batch_size, dtype=dtype)
    sizes = {size.key: size for call in planned.calls for size in call.parameters}
    for parameter in model.parameters():
        if id(parameter) not in sizes and not isinstance(parameter, WithoutValues):
            sizes[id(parameter)] = ParameterSize.of(parameter)
    rows: list[Row] = []
    _add_rows(rows, model, "", 0, set(), {}, sizes, planned)
    buffers = [buffer for buffer in model.buffers() if not isinstance(buffer, WithoutValues)]
    return Summary(
        rows,
        planned.input_shapes,
        total_params=sum(size.elements for size in sizes.values()),
        trainable_params=sum(size.elements for size in sizes.values() if size.trainable),
        total_mult_adds=planned.mult_adds,
        param_bytes=sum(size.bytes for size in sizes.values()),
        buffer_bytes=sum(buffer.array.nbytes for buffer in buffers),
        activation_bytes=sum(call.activation_bytes for call in planned.calls),
        depth=max(row.depth for row in rows) if depth is None else depth,
    )


def count_mult_adds(model: Module, input_size: Sequence[Any]) -> int:
    """The multiply-adds of one forward pass of one sample; see `summary`.

    Examples
    --------
    >>> from tinygrad_cnn import models, nn
    >>> nn.count_mult_adds(models.LeNet(), (1, 28, 28))
    2293000
    """
    return plan(model, input_size).mult_adds


def _add_rows(
    rows: list[Row],
    module: Module,
    path: str,
    depth: int,
    counted: set[int],
    listed: dict[int, str],
    sizes: dict[int, ParameterSize],
    planned: Plan,
) -> None:
    """The rows of a module and of all below it; `counted` are the parameters of the rows before, `listed` their modules."""
    within = [call for call in planned.calls if not path or call.path == path or call.path.startswith(f"{path}.")]
    calls = [call for call in within if call.path == path]
    own = {id(parameter) for parameter in module.parameters()}
    rows.append(
        Row(
            path,
            type(module).__name__,
            depth,
            calls[-1].output_shape if calls else None,
            sum(sizes[key].elements for key in own - counted if key in sizes),
            sum(call.mult_adds for call in within),
            sum(call.activation_bytes for call in within),
            len(calls),
            bool(own) and own <= counted,
            listed.get(id(module), ""),
        )
    )
    if id(module) in listed:
        return
    listed[id(module)] = path
    for name, child in module._modules.items():
        if child is not None:
            _add_rows(rows, child, join_path(path, name), depth + 1, counted, listed, sizes, planned)
    counted |= own


def _shape_text(shape: Any) -> str:
    if isinstance(shape, dict):
        return ", ".join(f"{key}: {_shape_text(part)}" for key, part in shape.items())
    if isinstance(shape, tuple) and not all(isinstance(n, int) for n in shape):
        return ", ".join(map(_shape_text, shape))
    return "-" if shape is None else str(shape)


def _bytes_text(count: int) -> str:
    """``40.5 KiB``; units of 1024."""
    if count < 1024:
        return f"{count} B"
    size = count / 1024
    for unit in ("KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
