"""LeNet-5 as the paper of 1998 describes it, unit by unit.

What sets it apart from its descendants in `lenet`: the subsampling layers sum their windows and have a coefficient and a
bias for each map to learn; the second convolution reads the maps below through a table; every unit squashes by a scaled
tanh, those of the subsampling layers too; and the output units measure distances to drawn digits, so that the *smallest*
output is the answer.
"""

from .. import nn
from ..tensor import Tensor

TABLE_1 = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5), (0, 1, 3, 4), (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip
"""The paper's Table I: the maps of S2 that each of the 16 maps of C3 reads."""


class LeNet5(nn.Module):
    """LeNet-5 of 1998: 60,000 trainable parameters, 340,908 connections.

    ===== ================================== ================ ========== ===========
    layer what                               output           parameters connections
    ===== ================================== ================ ========== ===========
    C1    5x5, to 6 maps                     (n, 6, 28, 28)          156     122,304
    S2    2x2 sums, coefficient and bias     (n, 6, 14, 14)           12       5,880
    C3    5x5, to 16 maps through Table I    (n, 16, 10, 10)       1,516     151,600
    S4    2x2 sums, coefficient and bias     (n, 16, 5, 5)            32       2,000
    C5    5x5 on all maps, to 120            (n, 120, 1, 1)       48,120      48,120
    F6    84 units                           (n, 84)              10,164      10,164
    OUT   squared distance to ten bitmaps    (n, 10)                   0         840
    ===== ================================== ================ ========== ===========

    The squash 1.7159 tanh(2 x / 3) follows every layer up to F6. Train it with `nn.RBFMAPLoss` and read it with `predict`.

    Weights begin uniform over +-2.4 / F, with F the inputs of the unit (appendix A; for C3 that is 75, 100 or 150). What the
    paper does not state: biases begin alike, as weights of an input that is always 1, and the coefficients at 1/2. (At 1/4,
    where subsampling is a mean, signals fade by a factor of ten from layer to layer, and the network hardly begins to learn.
    At 1 the sums saturate the squash, and the test error ends some hundredths of a percent higher.)

    References
    ----------
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", section II-B, Figure 2,
    Table I, appendix A.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.models import LeNet5
    >>> net = LeNet5()
    >>> penalties = net(tg.zeros(2, 1, 32, 32))
    >>> penalties.shape, net.predict(penalties).shape
    ((2, 10), (2,))
    >>> sum(parameter.numel() for parameter in net.parameters())
    60000
    """

    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, kernel_size=5)
        self.s2 = nn.Subsample2d(6)
        self.c3 = nn.TableConv2d(6, TABLE_1, kernel_size=5)
        self.s4 = nn.Subsample2d(16)
        self.c5 = nn.Conv2d(16, 120, kernel_size=5)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.RBFOutput()
        self.squash = nn.ScaledTanh()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        gain = 2.4
        for layer in (self.c1, self.c5, self.f6):
            fan_in, _ = nn.init.fan_in_and_fan_out(layer.weight)
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -gain / fan_in, gain / fan_in)
        self.c3.reset_parameters(bounds=gain / self.c3.fan_in())
        for subsampling in (self.s2, self.s4):
            nn.init.constant_(subsampling.weight, 0.5)
            nn.init.zeros_(subsampling.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Images ``(n, 1, 32, 32)`` to penalties ``(n, 10)``, the smaller the better."""
        x = self.squash(self.s2(self.squash(self.c1(input))))
        x = self.squash(self.s4(self.squash(self.c3(x))))
        x = self.squash(self.c5(x)).flatten(1)
        return self.output(self.squash(self.f6(x)))

    predict = staticmethod(nn.RBFOutput.predict)
