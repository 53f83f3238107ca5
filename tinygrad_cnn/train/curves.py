"""How a training went, as a picture: the loss of every step, and what was measured on held-out data after each epoch.

Drawn by matplotlib (the extra "plot") as SVG. Its text stays text and its dark parts take the colour of the text around
them, so that one picture fits a light page, a dark page and a file of its own.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data.files import atomic_write
from ..errors import ArgumentError, MissingExtraError
from .history import History
from .progress import SMOOTHING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# matplotlib has no "colour of the surrounding text". It gets an ink that nothing else has, and the SVG gets the word.
_INK = "#010203"
_LOSS, _ERROR = "#3b82f6", "#f97316"
_METRICS = ("#10b981", "#a855f7", "#eab308", "#ec4899")

# Any: matplotlib types the names of its settings one by one.
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tinygrad_cnn",  # equal histories give equal files
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "legend.frameon": False,
}


def curves_svg(history: History) -> str:
    """Draw a training's curves.

    Parameters
    ----------
    history : History
        From `fit`; at least one step.

    Returns
    -------
    str
        An SVG document: the loss on the left; if they were measured, the error on held-out data beside it, with the best
        epoch encircled, and on the right the other metrics, such as accuracies.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    ArgumentError
        If no step was done.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing the loss curves", "plot") from error
    if not history.losses:
        raise ArgumentError("curves_svg: the history has no step, so there is no curve to draw")
    errors = [(number, epoch.val_error) for number, epoch in enumerate(history.epochs, 1) if epoch.val_error is not None]
    metrics = list(dict.fromkeys(name for epoch in history.epochs for name in epoch.metrics))
    widths = [3, *([2] if errors else []), *([2] if metrics else [])]
    with rc_context(_STYLE):
        figure = Figure(figsize=(9 if len(widths) < 3 else 12, 3.2), layout="constrained")
        axes = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
        _draw_loss(axes[0], history)
        if errors:
            _draw_error(axes[1], errors)
        if metrics:
            _draw_metrics(axes[-1], history, metrics)
        buffer = io.StringIO()
        # Without metadata: a date would make each file another one.
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return buffer.getvalue().replace(_INK, "currentColor")


def save_curves(path: str | Path, history: History) -> None:
    """Write the drawing of `curves_svg` to a file."""
    content = curves_svg(history).encode()
    with atomic_write(Path(path)) as file:
        file.write(content)


def moving_average(values: npt.ArrayLike, width: int) -> npt.NDArray[np.float64]:
    """The mean of each value and the ``width - 1`` before it, or of as many as there are.

    Examples
    --------
    >>> moving_average([4.0, 2.0, 0.0, 4.0], 2)
    array([4., 3., 1., 2.])
    """
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(values, dtype=np.float64))])
    ends = np.arange(1, len(sums))
    starts = np.maximum(ends - width, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def _draw_loss(axes: "Axes", history: History) -> None:
    """Each step's loss, pale, and its moving average, strong; the epochs are told apart by dotted lines."""
    steps = np.arange(1, len(history.losses) + 1)
    axes.plot(steps, history.losses, color=_LOSS, alpha=0.3, linewidth=0.7, label="each step's batch")
    width = max(1, min(SMOOTHING, len(steps) // 20))
    axes.plot(steps, moving_average(history.losses, width), color=_LOSS, linewidth=2.0, label=f"mean of {width} steps")
    ends = np.cumsum([epoch.steps for epoch in history.epochs])
    for end in ends[:-1]:
        axes.axvline(end + 0.5, color=_INK, alpha=0.4, linewidth=0.8, linestyle=":")
    held_out = [(end, epoch.val_loss) for end, epoch in zip(ends, history.epochs, strict=True) if epoch.val_loss is not None]
    if held_out:
        axes.plot(*zip(*held_out, strict=True), color=_ERROR, linewidth=1.2, marker="o", markersize=4, label="held-out")
    axes.set(title="Training loss (nats, log scale)", xlabel="step", yscale="log", xlim=(0, len(steps) + 1))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y")
    axes.legend(loc="upper right")


def _draw_error(axes: "Axes", errors: list[tuple[int, float]]) -> None:
    """The error after each epoch, in per cent, each point with its number."""
    numbers, percents = [number for number, _ in errors], [100 * error for _, error in errors]
    axes.plot(numbers, percents, color=_ERROR, linewidth=1.8, marker="o", markersize=5)
    for number, percent in zip(numbers, percents, strict=True):
        axes.annotate(f"{percent:.2f}", (number, percent), (4, 5), textcoords="offset points")
    best = int(np.argmin(percents))
    axes.plot(numbers[best], percents[best], marker="o", markersize=11, markerfacecolor="none", color=_ERROR)
    axes.set(title="Error on held-out data (%)", ylim=(0, 1.25 * max(*percents, 0.1)))
    _by_epoch(axes, numbers)


def _draw_metrics(axes: "Axes", history: History, names: list[str]) -> None:
    """A line for each other metric."""
    numbers = list(range(1, len(history.epochs) + 1))
    for i, name in enumerate(names):
        values = [epoch.metrics.get(name, np.nan) for epoch in history.epochs]
        axes.plot(numbers, values, color=_METRICS[i % len(_METRICS)], linewidth=1.8, marker="o", markersize=4, label=name)
    axes.set(title="Measured on held-out data")
    axes.legend(loc="best")
    _by_epoch(axes, numbers)


def _by_epoch(axes: "Axes", numbers: list[int]) -> None:
    """Label the horizontal axis with the epochs, not too many of them."""
    axes.set_xlabel("epoch")
    axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
    axes.set_xticks(numbers if len(numbers) <= 12 else numbers[:: len(numbers) // 6])
    axes.grid(axis="y")
