"""ResNet: every count of facts 5, the keys, blocks and shortcuts by their formula, the paper's variants, gradients."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ArgumentError, AutogradError
from tinygrad_cnn.models import BasicBlock, Bottleneck, ResNet
from tinygrad_cnn.models.residual import ResidualBlock, ZeroPaddedShortcut

from .networks import check_that_gradients_reach_every_parameter, order, parameters, trace, unfilled

# Facts 5, by depth: blocks in each stage, parameters with options A, B, C, multiply-adds of torchvision's, entries of the
# state_dict, trainable tensors.
NETWORKS = {
    18: ((2, 2, 2, 2), (11_515_688, 11_689_512, 12_043_816), 1_814_073_344, 122, 62),
    34: ((3, 4, 6, 3), (21_623_848, 21_797_672, 22_716_840), 3_663_761_408, 218, 110),
    50: ((3, 4, 6, 3), (22_780_456, 25_557_032, 40_128_552), 4_089_184_256, 320, 161),
    101: ((3, 4, 23, 3), (41_772_584, 44_549_160, 76_981_288), 7_801_405_440, 626, 314),
    152: ((3, 8, 36, 3), (57_416_232, 60_192_808, 107_335_720), 11_513_626_624, 932, 467),
}


def build(depth, **config):
    return unfilled(getattr(models, f"resnet{depth}"), **config)


@pytest.mark.parametrize("depth", NETWORKS)
def test_counts(depth):
    _, by_option, products, entries, tensors = NETWORKS[depth]
    for shortcut, count in zip("ABC", by_option, strict=True):
        assert parameters(build(depth, shortcut=shortcut)) == count
    net = build(depth)
    assert len(net.state_dict()) == entries
    assert len(list(net.parameters())) == tensors
    macs, shapes = trace(net, 3, 224, 224)
    assert sum(macs.values()) == products
    e = 1 if depth < 50 else 4
    wanted = {
        "conv1": (64, 112, 112), "maxpool": (64, 56, 56), "layer1": (64 * e, 56, 56), "layer2": (128 * e, 28, 28),
        "layer3": (256 * e, 14, 14), "layer4": (512 * e, 7, 7), "avgpool": (512 * e, 1, 1), "": (1000,),
    }  # fmt: skip
    assert {name: shapes[name] for name in wanted} == wanted


@pytest.mark.parametrize("depth", NETWORKS)
def test_keys(depth):
    """Downsample in the first block of layers 2 to 4, and of layer1 for bottlenecks."""

    def norm(path):
        return [f"{path}.{kind}" for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]

    keys = ["conv1.weight", *norm("bn1")]
    for stage, blocks in enumerate(NETWORKS[depth][0], 1):
        for i in range(blocks):
            for j in (1, 2) if depth < 50 else (1, 2, 3):
                keys += [f"layer{stage}.{i}.conv{j}.weight", *norm(f"layer{stage}.{i}.bn{j}")]
            if i == 0 and (stage > 1 or depth >= 50):
                keys += [f"layer{stage}.{i}.downsample.0.weight", *norm(f"layer{stage}.{i}.downsample.1")]
    assert list(build(depth).state_dict()) == [*keys, "fc.weight", "fc.bias"]


@pytest.mark.parametrize("depth", [18, 34])
def test_plain_networks(depth):
    """As many parameters as with option A, and no addition anywhere."""
    net = unfilled(getattr(models, f"plain{depth}"), num_classes=10)
    assert parameters(net) - 512 * 10 - 10 == NETWORKS[depth][1][0] - 512 * 1000 - 1000
    assert all(block.plain and block.downsample is None for block in net.modules() if isinstance(block, BasicBlock))
    block = BasicBlock(2, 2, plain=True).eval()
    x = tg.randn(1, 2, 4, 4)
    names, node = [], block(x).grad_fn
    while node.edges:
        names.append(node.op_name)
        node = node.edges[0] if node.edges[0] is not None else node.edges[1]
    assert "Add" not in names
    assert names.count("ReLU") == 2


class TestBlocks:
    @pytest.mark.parametrize(("block", "maps"), [(BasicBlock, 6), (Bottleneck, 24)])
    def test_without_their_convolutions_they_are_the_shortcut(self, block, maps):
        """relu(0 + x): the ReLU comes behind the addition, and cuts what is negative in x."""
        net = block(maps, 6).eval()
        nn.init.zeros_((net.bn3 if block is Bottleneck else net.bn2).weight)
        x = tg.randn(2, maps, 5, 5)
        np.testing.assert_array_equal(net(x).array, np.maximum(x.array, 0))

    @pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
    def test_the_residual_is_added(self, block):
        net = block(4 * block.expansion, 4, downsample=nn.Conv2d(4 * block.expansion, 4 * block.expansion, 1)).eval()
        x = tg.randn(2, 4 * block.expansion, 5, 5)
        wanted = np.maximum(net.residual(x).array + net.downsample(x).array, 0)
        np.testing.assert_array_equal(net(x).array, wanted)
        assert (net.residual(x).array < 0).any()

    @pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
    def test_the_residual_is_convolution_normalization_relu(self, block):
        """Each normalization but the last has a ReLU behind it; a fresh one in evaluation only divides by sqrt(1 + eps)."""
        net = block(8, 4).eval()
        convolutions = [net.conv1, net.conv2, *([net.conv3] if block is Bottleneck else [])]
        x = tg.randn(2, 8, 5, 5)
        y = x
        for i, conv in enumerate(convolutions):
            y = conv(y) / np.float32(np.sqrt(1 + 1e-5))
            if i < len(convolutions) - 1:
                y = tg.tensor(np.maximum(y.array, 0))
        np.testing.assert_allclose(net.residual(x).array, y.array, atol=1e-6)
        assert all(conv.bias is None for conv in convolutions)

    def test_a_block_needs_a_residual(self):
        with pytest.raises(AutogradError, match=re.escape("ResidualBlock has no residual: define residual(self, input)")):
            ResidualBlock(False).residual(tg.zeros(1))

    def test_option_a(self):
        x = tg.randn(2, 3, 5, 5)
        y = ZeroPaddedShortcut(3, 8, 2)(x).array
        assert y.shape == (2, 8, 3, 3)
        np.testing.assert_array_equal(y[:, 2:5], x.array[:, :, ::2, ::2])
        assert not y[:, :2].any()
        assert not y[:, 5:].any()
        assert repr(ZeroPaddedShortcut(3, 8, 2)) == "ZeroPaddedShortcut(zeros=(2, 3), stride=2)"

    @pytest.mark.parametrize(
        ("stride_in", "strides"), [("3x3", ((1, 1), (2, 2), (1, 1))), ("1x1", ((2, 2), (1, 1), (1, 1)))]
    )
    def test_stride_of_a_bottleneck(self, stride_in, strides):
        net = Bottleneck(8, 4, 2, nn.Conv2d(8, 16, 1, stride=2), stride_in=stride_in)
        assert (net.conv1.stride, net.conv2.stride, net.conv3.stride) == strides
        assert net(tg.zeros(2, 8, 6, 6)).shape == (2, 16, 3, 3)


def test_order():
    layers = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"]
    assert order(build(18), 3, 64, 64) == layers


class TestVariants:
    def test_the_papers_stride(self):
        """facts 5: 3,857,973,248 multiply-adds, "3.8e9" in table 1; as many parameters."""
        net = build(50, stride_in="1x1")
        assert sum(trace(net, 3, 224, 224)[0].values()) == 3_857_973_248
        assert parameters(net) == 25_557_032

    @pytest.mark.parametrize(("size", "out"), [(224, 56), (128, 32), (228, 57)])
    def test_caffes_pool(self, size, out):
        """No padding and rounding up gives as many rows; a last window may reach over the edge, the first does not."""
        net = build(18, ceil_pool=True)
        _, shapes = trace(net, 3, size, size)
        assert shapes["maxpool"] == (64, out, out)
        x = tg.arange(64.0).reshape(1, 1, 8, 8)
        np.testing.assert_array_equal(net.maxpool(x).array[0, 0, 0], [18, 20, 22, 23])
        np.testing.assert_array_equal(build(18).maxpool(x).array[0, 0, 0], [9, 11, 13, 15])

    def test_option_c_projects_everywhere(self):
        for depth in (18, 50):
            blocks = [m for m in build(depth, shortcut="C").modules() if isinstance(m, ResidualBlock)]
            assert all(block.downsample[0].kernel_size == (1, 1) for block in blocks)

    def test_initial_values(self):
        tg.manual_seed(0)
        net = models.resnet18(num_classes=3)
        for name, module in net.named_modules():
            if isinstance(module, nn.Conv2d):
                std = np.sqrt(2 / (module.out_channels * module.weight.array[0, 0].size))
                assert abs(module.weight.array.std() / std - 1) < 5 / np.sqrt(2 * module.weight.numel()), name
        # fc is PyTorch's default layer: uniform over +-1 / sqrt(512).
        assert 0.95 / np.sqrt(512) < np.abs(net.fc.weight.array).max() <= 1 / np.sqrt(512)

    @pytest.mark.parametrize("depth", [18, 50])
    def test_zero_init_residual(self, depth):
        for zero in (False, True):
            net = build(depth, zero_init_residual=zero)
            net.reset_convolutions()
            for block in net.modules():
                if isinstance(block, ResidualBlock):
                    norms = [block.bn1, block.bn2, *([block.bn3] if depth == 50 else [])]
                    assert [norm.weight.array.any() for norm in norms] == [True] * (len(norms) - 1) + [not zero]
            assert net.bn1.weight.array.all()

    def test_errors(self):
        with pytest.raises(ArgumentError, match="shortcut must be 'A', 'B', 'C' or 'none' "):
            models.resnet18(shortcut="D")
        with pytest.raises(ArgumentError, match="BasicBlock has 3x3 convolutions only, so stride_in cannot be '1x1'"):
            models.resnet34(stride_in="1x1")
        with pytest.raises(ArgumentError, match="stride_in must be '3x3' or '1x1', got '5x5'"):
            models.resnet50(stride_in="5x5")
        with pytest.raises(ArgumentError, match=re.escape("give the number of blocks of each; got [2, 2]")):
            ResNet(BasicBlock, [2, 2])


@pytest.mark.parametrize(
    ("block", "config"),
    [
        (BasicBlock, {}),
        (BasicBlock, {"shortcut": "none"}),
        (Bottleneck, {"shortcut": "A", "stride_in": "1x1"}),
        (Bottleneck, {"shortcut": "C", "ceil_pool": True}),
    ],
)
def test_gradients(block, config):
    net = ResNet(block, [2, 1, 1, 1], 5, **config)
    check_that_gradients_reach_every_parameter(net, 3, 40, 33, batch=3)
