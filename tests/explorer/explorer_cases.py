"""Networks to explore: small ones with every kind of op, each with the loss behind it."""

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import models, nn
from tinygrad_cnn.models.inception import Branches
from tinygrad_cnn.models.residual import BasicBlock


def lenet(batch=1):
    net = models.LeNet()
    return net, F.cross_entropy(net(tg.rand(batch, 1, 28, 28)), tg.arange(batch))


def residual_block():
    """Its input is used twice, so gradients add up there; batch normalization sees two images."""
    net = nn.Sequential(nn.Conv2d(2, 4, 1), BasicBlock(4, 4))
    return net, net(tg.randn(2, 2, 6, 6)).square().mean()


def inception():
    """Four branches, one of them a pool, which come together in a Cat."""
    branches = Branches()
    branches.add_module("one", nn.Conv2d(3, 2, 1))
    branches.add_module("three", nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1)))
    branches.add_module("five", nn.Conv2d(3, 2, 5, padding=2))
    branches.add_module("pool", nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(3, 2, 1)))
    net = nn.Sequential(nn.Conv2d(1, 3, 1), branches)
    return net, net(tg.randn(1, 1, 5, 6)).square().mean()


def dilated_transposed():
    """A transposed convolution with every option, after a convolution with every option."""
    net = nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
        nn.ConvTranspose2d(6, 4, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2, dilation=(2, 1)),
    )
    return net, net(tg.randn(2, 4, 7, 6)).square().mean()


def pools_and_norms():
    """What is left: average pools, LRN, dropout, and a norm at test time."""
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4, relu=True),
        nn.LocalResponseNorm(3),
        nn.AvgPool2d(2, stride=1, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d((3, 2)),
        nn.Flatten(),
        nn.Linear(24, 3),
    )
    return net, F.cross_entropy(net(tg.randn(2, 1, 8, 8)), tg.tensor([2, 0]))


class Attention(nn.Module):
    """Group norm, resampling, and pixels that look at each other: the ops that are no layer with a window."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.GroupNorm(2, 4)

    def forward(self, x):
        x = F.interpolate(self.norm(self.conv(x)), size=(2, 3), mode="bilinear")
        rows = x.flatten(2)  # (n, 4, 6)
        looks = (rows.transpose(1, 2) @ rows / 2).softmax(2)
        seen = (rows @ looks).tanh()
        return seen.square().sum(2) - seen.exp().mean(2)


def attention():
    net = Attention()
    target = tg.tensor([3, 1])
    return net, F.nll_loss(F.log_softmax(net(tg.randn(2, 1, 6, 7)), 1), target, weight=tg.tensor([1.0, 2.0, 3.0, 0.5]))


ALL = [lenet, residual_block, inception, dilated_transposed, pools_and_norms, attention]
