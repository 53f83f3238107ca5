"""`animate_conv`: watch a convolution work, forward or backward, in a README, a notebook or a page to step through.

The three steps are elsewhere: `frames` makes plain data from the op's own geometry, `stage` draws it; what is here finds
the geometry and packs the drawing into a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from os import PathLike
from pathlib import Path
from string import Template

from ..autograd.function import Function
from ..errors import ArgumentError
from ..kernels.geometry import ConvGeometry
from ..kernels.spelling import Padding, PerAxis, integer, per_axis
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..tensor import Tensor
from .frames import Frame, Show, Story, story
from .stage import MOST_ROWS, Stage, headline

MOST_CELLS_ACROSS = 64
SVG_FRAMES = 100

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
:root { color-scheme: light dark; }
body {
  margin: 0 auto; padding: 1rem; max-width: 60rem; font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  background: #fff; color: #16191f;
}
@media (prefers-color-scheme: dark) { body { background: #101318; color: #e8eaee; } }
svg { width: 100%; height: auto; max-width: ${width}px; display: block; }
.controls { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; margin: 0.75rem 0; max-width: ${width}px; }
button { font: inherit; min-width: 2.75rem; padding: 0.35rem 0.7rem; }
input { flex: 1; min-width: 8rem; }
:focus-visible { outline: 2px solid #2563eb; outline-offset: 2px; }
</style>
</head>
<body>
<main>
$svg
<div class="controls">
<button id="back" aria-label="Previous step">&#9664;</button>
<button id="play" aria-pressed="false">Play</button>
<button id="on" aria-label="Next step">&#9654;</button>
<input id="slider" type="range" min="0" max="$last" value="0" aria-label="Step">
<span id="count"></span>
</div>
<p id="said" role="status" aria-live="polite"></p>
<p>Arrow keys step, the space bar plays, Home and End jump. Same colour and letter: these two cells are multiplied.</p>
</main>
<script>
"use strict";
const slider = document.getElementById("slider"), play = document.getElementById("play"), last = $last;
let at = 0, timer = 0;
const layers = (i) => document.querySelectorAll('[data-f="' + i + '"]');
function show(i) {
  for (const layer of layers(at)) layer.setAttribute("visibility", "hidden");
  at = (i + last + 1) % (last + 1);
  for (const layer of layers(at)) layer.setAttribute("visibility", "visible");
  slider.value = at;
  const said = [...layers(at)].pop().querySelector("text").textContent;
  slider.setAttribute("aria-valuetext", said);
  document.getElementById("said").textContent = said;
  document.getElementById("count").textContent = (at + 1) + " of " + (last + 1);
}
function toggle() {
  if (timer) { clearInterval(timer); timer = 0; } else { timer = setInterval(() => show(at + 1), $milliseconds); }
  play.textContent = timer ? "Pause" : "Play";
  play.setAttribute("aria-pressed", String(Boolean(timer)));
  document.getElementById("said").setAttribute("aria-live", timer ? "off" : "polite");
}
document.getElementById("back").onclick = () => show(at - 1);
document.getElementById("on").onclick = () => show(at + 1);
play.onclick = toggle;
slider.oninput = () => show(Number(slider.value));
document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
  if (step !== undefined) { show(step); event.preventDefault(); }
  if (event.key === " " && event.target.tagName !== "BUTTON") { toggle(); event.preventDefault(); }
});
show(0);
</script>
</body>
</html>
""")


class Animation:
    """A convolution to watch; the last line of a notebook's cell shows it.

    Attributes
    ----------
    story : Story
        The plain data.
    """

    def __init__(self, story: Story, seconds: float) -> None:
        self.story = story
        self.seconds = seconds

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Every sum, in order: which cells are read, with which taps, into which cell."""
        return self.story.frames

    def _drawn(self) -> list[Frame]:
        return [frame for frame in self.frames if frame.group < MOST_ROWS]

    def svg(self, *, still: int | None = None) -> str:
        """Draw an SVG that moves by itself: CSS keyframes and no script, so that a README shows it.

        Parameters
        ----------
        still : int, optional
            Draw only this step, without motion; -1 is the last.

        Returns
        -------
        str
            Of more than 100 steps, 100 are drawn, evenly spaced; the picture says so. Who asks for reduced motion in
            their system sees the first.
        """
        frames = self._drawn()
        if still is not None:
            return Stage(self.story, frames).draw(seconds=self.seconds, still=still)
        if len(frames) > SVG_FRAMES:
            frames = [frames[i * (len(frames) - 1) // (SVG_FRAMES - 1)] for i in range(SVG_FRAMES)]
        return Stage(self.story, frames).draw(seconds=self.seconds)

    def html(self) -> str:
        """Write a page of its own, with every step: buttons, a slider, and the keyboard."""
        stage = Stage(self.story, self._drawn())
        return PAGE.substitute(
            title=escape(headline(self.story)),
            svg=stage.draw(seconds=self.seconds, scripted=True),
            last=len(stage.chosen) - 1,
            milliseconds=round(1000 * self.seconds),
            width=stage.width,
        )

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a file: .svg moves by itself, .html can be stepped through, .json is the plain data.

        Raises
        ------
        ArgumentError
            For another suffix.
        """
        path = Path(path)
        makers = {".svg": self.svg, ".html": self.html, ".json": self.story.to_json}
        if path.suffix.lower() not in makers:
            raise ArgumentError(f"save() writes .svg, .html or .json, by the suffix of the name; got {path.name!r}")
        path.write_text(makers[path.suffix.lower()](), encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"<Animation: {headline(self.story)}; {len(self.frames)} frames; .save('conv.svg') or .save('conv.html')>"


def animate_conv(
    y: Tensor | None = None,
    *,
    input: Sequence[int] | None = None,
    kernel: PerAxis = 3,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    transposed: bool = False,
    output_padding: PerAxis = 0,
    show: Show = "forward",
    seconds: float = 0.8,
) -> Animation:
    """Animate a convolution: one frame for each number that it computes.

    Either of a real call, from its output, or of the sizes given; over one or two spatial axes.

    Parameters
    ----------
    y : Tensor, optional
        What `conv1d`, `conv2d` or one of their transposed forms (or a layer of them) returned, recorded because the input
        or the weight requires a gradient.
    input : (h, w) or (w,), optional
        The size of the op's input, in cells, if no `y` is given.
    kernel, stride, dilation : int or sequence of int
    padding : int, sequence of int, ((top, bottom), (left, right)), "valid" or "same"
    groups : int
        Each group is drawn in a row of its own, the first three at most.
    transposed : bool
        Whether it is the transposed convolution that is animated.
    output_padding : int or sequence of int
        Of a transposed convolution.
    show : {"forward", "input_grad", "weight_grad"}
        Which sums: those of the output, of the input's gradient, or of the weight's.
    seconds : float
        How long each frame stays.

    Returns
    -------
    Animation
        ``.frames`` are plain data, ``.save("conv.svg")`` is for a README, ``.save("conv.html")`` to step through.

    Raises
    ------
    ArgumentError
        Neither or both of `y` and `input`, a `y` that no convolution made, more than 64 cells across, more than 2 axes.
    ShapeError
        Sizes that do not fit, with the arithmetic.

    References
    ----------
    Dumoulin, Visin 2016, "A guide to convolution arithmetic for deep learning".

    Examples
    --------
    >>> from tinygrad_cnn import learn
    >>> animation = learn.animate_conv(input=(4, 4), kernel=3, padding=1, stride=2)
    >>> animation
    <Animation: conv2d, forward, stride 2, padding 1; 4 frames; .save('conv.svg') or .save('conv.html')>
    >>> animation.frames[0].target, animation.frames[0].terms[0]
    ((0, 0), Term(source=(-1, -1), factor=(0, 0), padding=True))
    """
    if (y is None) == (input is None):
        raise ArgumentError(
            "animate_conv: give either the output of a convolution, animate_conv(y), or sizes, animate_conv(input=(7, 7), "
            "kernel=3)"
        )
    if not seconds > 0:
        raise ArgumentError(f"animate_conv: seconds must be positive; got {seconds!r}")
    if y is not None:
        geometry, transposed = recorded_geometry(y)
    else:
        assert input is not None
        if isinstance(input, int):
            raise ArgumentError(f"animate_conv: input must be a size for each axis, such as ({input}, {input}); got {input}")
        geometry = _drawn_geometry(input, kernel, stride, padding, dilation, groups, transposed, output_padding)
    if geometry.dims > 2:
        raise ArgumentError("animate_conv: draws 1 or 2 spatial axes; got 3: give one slice's sizes as input=(h, w)")
    across = max(*geometry.in_size, *geometry.out_size)
    if across > MOST_CELLS_ACROSS:
        raise ArgumentError(
            f"animate_conv: {across} cells across could not be read, at most {MOST_CELLS_ACROSS} can: animate the same "
            "settings on a smaller input, such as input=(9, 9)"
        )
    return Animation(story(geometry, transposed, show), seconds)


def recorded_geometry(y: Tensor) -> tuple[ConvGeometry, bool]:
    """Read the geometry of the convolution that made a tensor, and whether it was a transposed one."""
    if not isinstance(y, Tensor):
        raise ArgumentError(f"animate_conv: needs the tensor that a convolution returned; got {type(y).__name__}")
    node: Function | None = y.grad_fn
    if node is not None and node.op_name == "Reshape" and node.edges and len(node.shape) < len(node.input_shapes[0]):
        node = node.edges[0]  # an input without a batch was given one for the op
    if isinstance(node, (Conv, ConvTranspose)):
        return node.geometry, isinstance(node, ConvTranspose)
    if node is None:
        raise ArgumentError(
            "animate_conv: this tensor has no recorded op: let the input or the weight require a gradient, and do not compute "
            "it under no_grad"
        )
    raise ArgumentError(f"animate_conv: this tensor was made by {node.described}: pass what the convolution itself returned")


def _drawn_geometry(
    input: Sequence[int],
    kernel: PerAxis,
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
    groups: int,
    transposed: bool,
    output_padding: PerAxis,
) -> ConvGeometry:
    """The geometry of a convolution with one channel in each group."""
    op = "animate_conv"
    dims = len(input)
    sizes = per_axis(op, "input", tuple(input), dims, at_least=1)
    kernel_size = per_axis(op, "kernel", kernel, dims, at_least=1)
    groups = integer(op, "groups", groups, at_least=1)
    x_shape, weight_shape = (1, groups, *sizes), (groups, 1, *kernel_size)
    if transposed:
        return ConvGeometry.for_transpose(x_shape, weight_shape, stride, padding, output_padding, dilation, groups)
    if per_axis(op, "output_padding", output_padding, dims, at_least=0) != (0,) * dims:
        raise ArgumentError(
            f"animate_conv: output_padding {output_padding} belongs to a transposed convolution: add transposed=True"
        )
    return ConvGeometry.of(x_shape, weight_shape, stride, padding, dilation, groups)
