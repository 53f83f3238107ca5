"""GoogLeNet, the paper's and torchvision's: the rows of facts 3, the keys, the heads, where they start, gradients."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn
from tinygrad_cnn.models import GoogLeNetOutputs, GoogLeNetPaper
from tinygrad_cnn.models.googlenet import BasicConv2d, InceptionAux

from .networks import below, order, parameters, small_head, trace, unfilled

# Facts 3: the map's size, the maps in and out, exact parameters, exact multiply-adds.
MODULES = {
    "3a": (28, 192, 256, 163_696, 128_049_152),
    "3b": (28, 256, 480, 388_736, 304_267_264),
    "4a": (14, 480, 512, 376_176, 73_608_192),
    "4b": (14, 512, 512, 449_160, 87_908_352),
    "4c": (14, 512, 512, 510_104, 99_850_240),
    "4d": (14, 512, 528, 605_376, 118_515_712),
    "4e": (14, 528, 832, 868_352, 169_996_288),
    "5a": (7, 832, 832, 1_043_456, 51_079_168),
    "5b": (7, 832, 1024, 1_444_080, 70_697_984),
}
SMALL = {f"{head}.{fc}": size for head in ("aux1", "aux2") for fc, size in (("fc1", (2048, 64)), ("fc2", (64, 5)))}
SMALL["fc"] = (1024, 5)


class TestPaper:
    def test_parameters(self):
        net = unfilled(GoogLeNetPaper)
        assert parameters(net) == 13_378_280
        assert (parameters(net.aux1), parameters(net.aux2)) == (3_188_840, 3_190_888)
        assert (parameters(net.conv1), parameters(net.conv2), parameters(net.conv3)) == (9_472, 4_160, 110_784)
        assert parameters(net.fc) == 1_025_000
        main = unfilled(GoogLeNetPaper, aux_logits=False)
        assert parameters(main) == 6_998_552
        assert sum(p.numel() for name, p in main.named_parameters() if name.endswith("weight")) == 6_990_272

    def test_modules(self):
        net = unfilled(GoogLeNetPaper)
        macs, shapes = trace(net, 3, 224, 224)
        for name, (size, _, maps, count, products) in MODULES.items():
            module = net.get_submodule(f"inception{name}")
            assert parameters(module) == count
            assert below(macs, f"inception{name}") == products
            assert shapes[f"inception{name}"] == (maps, size, size)
        assert below(macs, "conv1") == 118_013_952
        assert not any(path.startswith("aux") for path in macs)

    def test_sizes(self):
        """Pools that round up: 112, 56, 28, 14, 7."""
        _, shapes = trace(unfilled(GoogLeNetPaper), 3, 224, 224)
        wanted = {
            "conv1": (64, 112, 112), "maxpool1": (64, 56, 56), "conv3": (192, 56, 56), "maxpool2": (192, 28, 28),
            "maxpool3": (480, 14, 14), "maxpool4": (832, 7, 7), "avgpool": (1024, 1, 1), "fc": (1000,),
        }  # fmt: skip
        assert {name: shapes[name] for name in wanted} == wanted

    def test_walk_through_3a(self):
        """Facts 3: 64; 96 to 128; 16 to 32; pool, then 32."""
        _, shapes = trace(unfilled(GoogLeNetPaper), 3, 224, 224)
        at = {path.removeprefix("inception3a."): shape for path, shape in shapes.items() if path.startswith("inception3a.")}
        wanted = {"branch1": 64, "branch2.0": 96, "branch2.1": 128, "branch3.0": 16, "branch3.1": 32, "branch4": 32}
        assert {path: at[path] for path in wanted} == {path: (maps, 28, 28) for path, maps in wanted.items()}
        assert at["branch4.0"] == (192, 28, 28)
        kernels = [unfilled(GoogLeNetPaper).inception3a.get_submodule(f"branch{i}.1").conv.kernel_size for i in (2, 3, 4)]
        assert kernels == [(3, 3), (5, 5), (1, 1)]

    def test_branches_are_stacked_in_the_papers_order(self):
        tg.manual_seed(0)
        module = models.get_model("googlenet_paper", num_classes=2, aux_logits=False).inception3a
        x = tg.rand(1, 192, 5, 5)
        parts = [getattr(module, f"branch{i}")(x).array for i in (1, 2, 3, 4)]
        np.testing.assert_array_equal(module(x).array, np.concatenate(parts, axis=1))
        # Every convolution has its ReLU, the reductions too.
        for kind in (nn.Conv2d, nn.ReLU):
            assert sum(isinstance(m, kind) for m in module.modules()) == 6

    def test_layers(self):
        """22 layers with parameters on the way from image to scores, 27 with the pools."""
        net = unfilled(GoogLeNetPaper, aux_logits=False)
        assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in net.modules()) == 3 + 9 * 6 + 1
        assert 3 + 9 * 2 + 1 == 22  # a module is two deep
        pools = [name for name, child in net.named_children() if "pool" in name]
        assert 22 + len(pools) == 27

    def test_normalization_lies_behind_pool1_and_before_pool2(self):
        net = unfilled(GoogLeNetPaper)
        modules = [f"inception{name}" for name in MODULES]
        assert order(net, 3, 64, 64) == [
            "conv1", "maxpool1", "norm1", "conv2", "conv3", "norm2", "maxpool2", *modules[:2], "maxpool3", *modules[2:7],
            "maxpool4", *modules[7:], "avgpool", "dropout", "fc",
        ]  # fmt: skip
        assert (net.norm1.size, net.norm1.alpha, net.norm1.beta, net.norm1.k) == (5, 1e-4, 0.75, 1.0)

    def test_heads(self):
        """Average 5x5 stride 3 to 4x4, a 1x1 to 128, 1024 units, dropout of 0.7."""
        net = unfilled(GoogLeNetPaper, num_classes=7)
        _, shapes = trace(net, 3, 224, 224, training=True)
        for head, maps in (("aux1", 512), ("aux2", 528)):
            assert [shapes[f"{head}.{layer}"] for layer in ("pool", "conv", "fc1", "fc2")] == [
                (maps, 4, 4), (128, 4, 4), (1024,), (7,),
            ]  # fmt: skip
            assert net.get_submodule(head).dropout.p == 0.7
        assert net.dropout.p == 0.4

    def test_initial_values(self):
        tg.manual_seed(0)
        net = small_head(unfilled(GoogLeNetPaper), SMALL)
        net.reset_parameters()
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bound = np.sqrt(3 / layer.weight.array[0].size)
                largest = np.abs(layer.weight.array).max()
                assert 0.9 * bound < largest <= bound * (1 + 1e-6)
                np.testing.assert_array_equal(layer.bias.array, np.float32(0.2))


class TestTorchvision:
    def test_parameters(self):
        """facts 3; 7,005,832 with a real 5x5 in branch3."""
        assert parameters(unfilled(models.googlenet)) == 13_004_888
        net = unfilled(models.googlenet, aux_logits=False)
        assert parameters(net) == 6_624_904
        wider = 0
        for name in MODULES:
            conv = net.get_submodule(f"inception{name}.branch3.1.conv")
            assert conv.kernel_size == (3, 3)
            wider += conv.in_channels * conv.out_channels * (25 - 9)
        assert 6_624_904 + wider == 7_005_832

    @pytest.mark.parametrize("aux_logits", [True, False])
    def test_keys(self, aux_logits):
        def basic(path):
            norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
            return [f"{path}.conv.weight", *(f"{path}.bn.{kind}" for kind in norm)]

        keys = [key for name in ("conv1", "conv2", "conv3") for key in basic(name)]
        for name in MODULES:
            for branch in ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1"):
                keys += basic(f"inception{name}.{branch}")
        for head in ("aux1", "aux2") if aux_logits else ():
            keys += [*basic(f"{head}.conv"), *(f"{head}.{fc}.{kind}" for fc in ("fc1", "fc2") for kind in ("weight", "bias"))]
        keys += ["fc.weight", "fc.bias"]
        assert list(unfilled(models.googlenet, aux_logits=aux_logits).state_dict()) == keys

    def test_sizes(self):
        net = unfilled(models.googlenet, num_classes=7)
        _, shapes = trace(net, 3, 224, 224)
        for name, (size, _, maps, _, _) in MODULES.items():
            assert shapes[f"inception{name}"] == (maps, size, size)
        assert shapes[""] == (7,)
        assert "kernel_size=2, stride=2" in repr(net.maxpool4)
        assert "kernel_size=3, stride=2" in repr(net.maxpool3)
        assert all(m.eps == 0.001 for m in net.modules() if isinstance(m, nn.BatchNorm2d))
        assert (net.dropout.p, net.aux1.dropout.p) == (0.2, 0.7)

    def test_order(self):
        modules = [f"inception{name}" for name in MODULES]
        assert order(unfilled(models.googlenet), 3, 64, 64) == [
            "conv1", "maxpool1", "conv2", "conv3", "maxpool2", *modules[:2], "maxpool3", *modules[2:7], "maxpool4",
            *modules[7:], "avgpool", "dropout", "fc",
        ]  # fmt: skip

    def test_convolution_normalization_relu(self):
        layer = BasicConv2d(2, 3, kernel_size=3, padding=1).eval()
        layer.bn.bias.array[:] = [-0.5, 0.0, 0.5]
        x = tg.randn(2, 2, 5, 5)
        wanted = layer.conv(x).array / np.float32(np.sqrt(1 + 1e-3)) + layer.bn.bias.array.reshape(3, 1, 1)
        np.testing.assert_allclose(layer(x).array, np.maximum(wanted, 0), atol=1e-6)
        assert layer.conv.bias is None

    def test_a_head(self):
        head = InceptionAux(2, 3).eval()
        x = tg.rand(1, 2, 8, 8)
        pooled = tg.tensor(x.array.reshape(1, 2, 4, 2, 4, 2).mean(axis=(3, 5)))
        hidden = np.maximum(head.fc1.weight.array @ head.conv(pooled).array.ravel() + head.fc1.bias.array, 0)
        wanted = head.fc2.weight.array @ hidden + head.fc2.bias.array
        np.testing.assert_allclose(head(x).array[0], wanted, rtol=1e-4, atol=1e-5)

    def test_initial_values(self):
        tg.manual_seed(0)
        net = small_head(unfilled(models.googlenet), SMALL)
        net.reset_parameters()
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                assert abs(layer.weight.array.std() / 0.01 - 1) < 5 / np.sqrt(2 * layer.weight.numel())

    def test_transform_input(self):
        """Undo (x - mean) / std of torchvision's other networks, then (x - 0.5) / 0.5."""
        net, seen = unfilled(models.googlenet, transform_input=True), []
        net.conv1.register_forward_hook(lambda module, args, out: seen.append(args[0].array))
        pixels = np.random.default_rng(0).uniform(size=(1, 3, 32, 32)).astype(np.float32)
        mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        small_head(net, SMALL).eval()(tg.tensor((pixels - mean) / std))
        np.testing.assert_allclose(seen[0], (pixels - 0.5) / 0.5, atol=1e-6)


@pytest.mark.parametrize(("build", "size"), [(GoogLeNetPaper, 224), (models.googlenet, 64)])
def test_what_comes_back_and_where_gradients_go(build, size):
    """All three scores in training; those of a head do not depend on what lies above it."""
    tg.manual_seed(0)
    net = small_head(unfilled(build), SMALL)
    outputs = net(tg.rand(1 if size > 64 else 2, 3, size, size))
    assert isinstance(outputs, GoogLeNetOutputs)
    assert outputs._fields == ("logits", "aux_logits2", "aux_logits1")
    assert {scores.shape[1] for scores in outputs} == {5}
    between, above = net.inception4b.branch1.conv.weight, net.inception4e.branch1.conv.weight
    outputs.aux_logits1.sum().backward(retain_graph=True)
    assert between.grad is None
    outputs.aux_logits2.sum().backward(retain_graph=True)
    assert between.grad is not None
    assert above.grad is None
    outputs.logits.sum().backward()
    for name, parameter in net.named_parameters():
        assert np.isfinite(parameter.grad.array).all(), name
        assert parameter.grad.array.any(), name


@pytest.mark.parametrize("build", [GoogLeNetPaper, models.googlenet])
def test_without_heads_and_in_evaluation_one_tensor_comes_back(build):
    with tg.no_grad():
        net = small_head(unfilled(build), SMALL)
        assert net.eval()(tg.zeros(2, 3, 64, 64)).shape == (2, 5)
        plain = small_head(unfilled(build, aux_logits=False), {"fc": (1024, 5)})
        assert plain.train()(tg.zeros(2, 3, 64, 64)).shape == (2, 5)
