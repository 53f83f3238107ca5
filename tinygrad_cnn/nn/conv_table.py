"""A convolution whose maps do not all see each other: each output map reads the input maps that a table lists.

LeNet-5's third layer is one. Its 16 maps read three, four or six of the six maps below, which breaks their symmetry (maps
that are fed differently learn different features) and, in 1998, saved a third of the connections.
"""

from collections.abc import Sequence

import numpy as np

from ..autograd.mode import no_grad
from ..creation import empty
from ..errors import ArgumentError
from ..kernels.spelling import PerAxis, integer, per_axis
from ..ops.shape import PutItem
from ..tensor import Array, Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter
from .skip_init import unless_skipped


class TableConv2d(Module):
    """Convolution in which output map o reads the input maps ``table[o]`` only.

    Only the kernels that exist are parameters; for the product they are put into a weight of all pairs of maps, with
    zeros where the table has no connection.

    Parameters
    ----------
    in_channels : int
    table : sequence of sequence of int
        For each output map, the input maps that it reads.
    kernel_size, stride, padding : int or (int, int)
        In pixels.

    Attributes
    ----------
    connected : ndarray of bool, shape (out_channels, in_channels)
        The table as a matrix.
    weight : Parameter, shape (connections, kh, kw)
        One kernel for each connection: those of the first output map, in the order of their input maps, then those of the
        second, and so on. Initially uniform over +-1 / sqrt(fan_in), where a map's fan-in is kh kw times the input maps that
        it reads.
    bias : Parameter, shape (out_channels,)
        Initially alike.

    Raises
    ------
    ArgumentError
        For an empty table or row, a map that does not exist, or one that a row names twice.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", section II-B and
    Table I. In Torch 7 this is ``SpatialConvolutionMap``.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.TableConv2d(3, table=[(0, 1), (1, 2), (0, 1, 2)], kernel_size=5)
    >>> layer
    TableConv2d(3, 3, kernel_size=(5, 5), stride=(1, 1), connections=7)
    >>> layer(tg.zeros(1, 3, 9, 9)).shape
    (1, 3, 5, 5)
    """

    weight: Parameter
    bias: Parameter

    def __init__(
        self,
        in_channels: int,
        table: Sequence[Sequence[int]],
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: PerAxis = 0,
    ) -> None:
        super().__init__()
        self.in_channels = integer("TableConv2d", "in_channels", in_channels, at_least=1)
        self.table = tuple(tuple(sorted(int(c) for c in row)) for row in table)
        self._check_table()
        self.out_channels = len(self.table)
        self.kernel_size = per_axis("TableConv2d", "kernel_size", kernel_size, 2, at_least=1)
        self.stride = per_axis("TableConv2d", "stride", stride, 2, at_least=1)
        self.padding = per_axis("TableConv2d", "padding", padding, 2, at_least=0)
        self.connected = np.zeros((self.out_channels, self.in_channels), bool)
        for o, row in enumerate(self.table):
            self.connected[o, row] = True
        self.weight = Parameter(empty(int(self.connected.sum()), *self.kernel_size))
        self.bias = Parameter(empty(self.out_channels))
        self.reset_parameters()

    def _check_table(self) -> None:
        if not self.table:
            raise ArgumentError("TableConv2d: table is empty; give the input maps of each output map")
        for o, row in enumerate(self.table):
            if not row or len(set(row)) < len(row) or not all(0 <= c < self.in_channels for c in row):
                raise ArgumentError(
                    f"TableConv2d: output map {o} reads {row}; give it one or more of the input maps 0 to "
                    f"{self.in_channels - 1}, each once"
                )

    def fan_in(self) -> Array:
        """The inputs of a unit of each output map, shape (out_channels,)."""
        return self.connected.sum(1) * (self.kernel_size[0] * self.kernel_size[1])

    def reset_parameters(self, bounds: Array | None = None) -> None:
        """Draw the initial values anew, uniform over +-`bounds`, one for each output map; 1 / sqrt(fan_in) by default."""
        if bounds is None:
            bounds = 1 / np.sqrt(self.fan_in())
        for parameter, scale in ((self.weight, bounds[np.nonzero(self.connected)[0], None, None]), (self.bias, bounds)):
            _draw_(parameter, scale)

    def dense_weight(self) -> Tensor:
        """The kernels of all pairs of maps, shape (out_channels, in_channels, kh, kw): 0 where nothing is connected."""
        return PutItem.apply(self.weight, index=self.connected, to_shape=(*self.connected.shape, *self.kernel_size))

    def forward(self, input: Tensor) -> Tensor:
        """``(n, in_channels, h, w)`` to ``(n, out_channels, oh, ow)``."""
        return F.conv2d(input, self.dense_weight(), self.bias, self.stride, self.padding)

    def mult_adds(self, output_shape: Sequence[int]) -> int:
        """Multiply-adds for an output of a shape, of the connected pairs of maps only; `nn.summary` asks for them."""
        n, _, oh, ow = output_shape
        return n * oh * ow * self.weight.numel()

    def extra_repr(self) -> str:
        padding = f", padding={self.padding}" if any(self.padding) else ""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}{padding}, "
            f"connections={len(self.weight)}"
        )


@unless_skipped  # as a whole: multiplying what happened to be in memory may overflow
def _draw_(tensor: Tensor, scale: Array) -> Tensor:
    """Draw from the uniform distribution over +-`scale`."""
    init.uniform_(tensor, -1, 1)
    with no_grad():
        return tensor.mul_(Tensor(scale.astype(tensor.dtype)))
