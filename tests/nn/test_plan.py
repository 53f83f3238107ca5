"""plan: the shapes it infers are those of a real forward pass, at no cost; the model is left as it was."""

import threading
import time
import tracemalloc

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.nn import functional as F

# Every layer class, with the shapes of its inputs (without the batch).
LAYERS = {
    "nn.AdaptiveAvgPool1d(3)": [(2, 7)],
    "nn.AdaptiveAvgPool2d((None, 3))": [(2, 7, 5)],
    "nn.AdaptiveAvgPool3d(2)": [(2, 3, 4, 5)],
    "nn.AdaptiveMaxPool1d(3)": [(2, 7)],
    "nn.AdaptiveMaxPool2d((4, 3), return_indices=True)": [(2, 7, 5)],
    "nn.AdaptiveMaxPool3d(2)": [(2, 3, 4, 5)],
    "nn.AlphaDropout(0.3)": [(5,)],
    "nn.AvgPool1d(3, 2)": [(2, 8)],
    "nn.AvgPool2d(3, 2, 1, ceil_mode=True)": [(2, 8, 7)],
    "nn.AvgPool3d(2)": [(2, 4, 5, 6)],
    "nn.BCELoss(reduction='none')": [(5,), (5,)],
    "nn.BCEWithLogitsLoss()": [(5,), (5,)],
    "nn.BatchNorm1d(4)": [(4, 5)],
    "nn.BatchNorm2d(4)": [(4, 5, 6)],
    "nn.BatchNorm2d(4, relu=True)": [(4, 5, 6)],
    "nn.BatchNorm3d(4, momentum=None)": [(4, 2, 3, 2)],
    "nn.CELU()": [(4,)],
    "nn.ChannelShuffle(2)": [(4, 3, 3)],
    "nn.Conv1d(2, 3, 3, padding='same')": [(2, 9)],
    "nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=1, dilation=2, groups=2)": [(4, 9, 8)],
    "nn.Conv2d(4, 6, 3, padding=1, padding_mode='reflect')": [(4, 9, 8)],
    "nn.Conv3d(1, 2, 2)": [(1, 4, 5, 6)],
    "nn.ConvTranspose1d(2, 3, 3)": [(2, 9)],
    "nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2)": [(4, 5, 6)],
    "nn.ConvTranspose3d(1, 2, 2, 2)": [(1, 2, 3, 4)],
    "nn.CosineSimilarity()": [(5,), (5,)],
    "nn.Dropout()": [(4, 5)],
    "nn.Dropout1d()": [(4, 5)],
    "nn.Dropout2d()": [(4, 5, 5)],
    "nn.Dropout3d()": [(4, 2, 2, 2)],
    "nn.ELU()": [(4,)],
    "nn.FeatureAlphaDropout()": [(4, 5)],
    "nn.Flatten()": [(4, 5, 6)],
    "nn.Fold((4, 5), (2, 3))": [(12, 9)],
    "nn.FractionalMaxPool2d(2, output_size=(3, 4))": [(2, 9, 9)],
    "nn.GELU()": [(4,)],
    "nn.GLU(1)": [(4, 3)],
    "nn.GaussianNLLLoss()": [(4,), (4,), (4,)],
    "nn.GlobalAvgPool1d()": [(4, 5)],
    "nn.GlobalAvgPool2d()": [(4, 5, 6)],
    "nn.GlobalAvgPool3d()": [(4, 5, 6, 2)],
    "nn.GlobalMaxPool1d()": [(4, 5)],
    "nn.GlobalMaxPool2d()": [(4, 5, 6)],
    "nn.GlobalMaxPool3d()": [(4, 5, 6, 2)],
    "nn.GroupNorm(2, 4)": [(4, 5, 6)],
    "nn.Hardshrink()": [(4,)],
    "nn.Hardsigmoid()": [(4,)],
    "nn.Hardswish()": [(4,)],
    "nn.Hardtanh()": [(4,)],
    "nn.HuberLoss()": [(4,), (4,)],
    "nn.Identity()": [(4,)],
    "nn.InstanceNorm1d(4)": [(4, 5)],
    "nn.InstanceNorm2d(4, affine=True, track_running_stats=True)": [(4, 5, 6)],
    "nn.InstanceNorm3d(4)": [(4, 2, 3, 2)],
    "nn.KLDivLoss('batchmean')": [(4,), (4,)],
    "nn.L1Loss()": [(4,), (4,)],
    "nn.LPPool1d(2, 3)": [(4, 9)],
    "nn.LPPool2d(2, 3)": [(4, 9, 8)],
    "nn.LPPool3d(2, 2)": [(4, 4, 5, 6)],
    "nn.LayerNorm((5, 6))": [(4, 5, 6)],
    "nn.LeakyReLU()": [(4,)],
    "nn.Linear(5, 3)": [(4, 5)],
    "nn.Linear(5, 3, bias=False)": [(5,)],
    "nn.LocalContrastNorm(3)": [(2, 6, 7)],
    "nn.LocalResponseNorm(5)": [(8, 3, 3)],
    "nn.LocalResponseNorm(3, norm_region='within_channel')": [(8, 5, 5)],
    "nn.LogSigmoid()": [(4,)],
    "nn.LogSoftmax(1)": [(4,)],
    "nn.MSELoss()": [(4,), (4,)],
    "nn.MaxPool1d(3)": [(4, 9)],
    "nn.MaxPool2d(3, 2, 1, ceil_mode=True, return_indices=True)": [(4, 9, 8)],
    "nn.MaxPool3d(2)": [(4, 4, 5, 6)],
    "nn.Maxout(2)": [(4, 3)],
    "nn.Mish()": [(4,)],
    "nn.MultiLabelSoftMarginLoss()": [(4,), (4,)],
    "nn.PReLU(4)": [(4, 3)],
    "nn.PairwiseDistance()": [(4,), (4,)],
    "nn.PixelShuffle(2)": [(8, 3, 4)],
    "nn.PixelUnshuffle(2)": [(2, 6, 4)],
    "nn.PoissonNLLLoss()": [(4,), (4,)],
    "nn.RReLU()": [(4,)],
    "nn.ReLU()": [(4,)],
    "nn.ReLU(inplace=True)": [(4,)],
    "nn.ReLU6()": [(4,)],
    "nn.SELU()": [(4,)],
    "nn.ScaledTanh()": [(4,)],
    "nn.SiLU()": [(4,)],
    "nn.Sigmoid()": [(4,)],
    "nn.SmoothL1Loss()": [(4,), (4,)],
    "nn.Softmax(1)": [(4, 3)],
    "nn.Softmin(1)": [(4,)],
    "nn.Softplus()": [(4,)],
    "nn.Softshrink()": [(4,)],
    "nn.Softsign()": [(4,)],
    "nn.StochasticDepth(0.5, 'row')": [(4, 5)],
    "nn.StochasticPool1d(2)": [(4, 8)],
    "nn.StochasticPool2d(2)": [(4, 8, 6)],
    "nn.Subsample2d(4)": [(4, 8, 6)],
    "nn.TableConv2d(3, [(0, 1), (1, 2)], 3)": [(3, 8, 7)],
    "nn.Tanh()": [(4,)],
    "nn.Tanhshrink()": [(4,)],
    "nn.Threshold(0.1, 2.0)": [(4,)],
    "nn.TripletMarginLoss()": [(4,), (4,), (4,)],
    "nn.Unfold((2, 3), padding=1)": [(2, 5, 6)],
    "nn.Upsample(scale_factor=2)": [(2, 5, 6)],
    "nn.Upsample((9, 4), mode='bicubic')": [(2, 5, 6)],
    "nn.LazyLinear(3)": [(5,)],
    "nn.LazyConv2d(3, 2)": [(5, 6, 7)],
    "nn.LazyConvTranspose1d(3, 2)": [(5, 6)],
    "nn.LazyBatchNorm2d()": [(5, 6, 7)],
    "nn.CircularPad1d((1, 2))": [(2, 6)],
    "nn.CircularPad2d(1)": [(2, 6, 5)],
    "nn.CircularPad3d(1)": [(2, 3, 3, 3)],
    "nn.ConstantPad1d((1, 2), 3.0)": [(2, 6)],
    "nn.ConstantPad2d((1, -2, 0, 3), 3.0)": [(2, 6, 5)],
    "nn.ConstantPad3d(1, 3.0)": [(2, 3, 3, 3)],
    "nn.ReflectionPad1d((1, 2))": [(2, 6)],
    "nn.ReflectionPad2d((1, 0, 3, 2))": [(2, 6, 5)],
    "nn.ReflectionPad3d(1)": [(2, 3, 3, 3)],
    "nn.ReplicationPad1d((1, 2))": [(2, 6)],
    "nn.ReplicationPad2d((1, 0, 3, 2))": [(2, 6, 5)],
    "nn.ReplicationPad3d(1)": [(2, 3, 3, 3)],
    "nn.ZeroPad1d((1, 2))": [(2, 6)],
    "nn.ZeroPad2d((1, 0, 3, 2))": [(2, 6, 5)],
    "nn.ZeroPad3d(1)": [(2, 3, 3, 3)],
    "nn.Softmax2d()": [(2, 6, 5)],
    "nn.Unflatten(1, (2, -1))": [(6, 5)],
    "nn.UpsamplingBilinear2d(scale_factor=2)": [(2, 6, 5)],
    "nn.UpsamplingNearest2d((4, 9))": [(2, 6, 5)],
    "nn.utils.weight_norm(nn.Conv2d(2, 3, 2))": [(2, 4, 5)],
    "nn.utils.spectral_norm(nn.Linear(4, 3))": [(4,)],
}

# These are tested elsewhere, have no forward, or need targets whose values matter.
NOT_PLANNED = {
    "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential",
    "CosineEmbeddingLoss", "CrossEntropyLoss", "FocalLoss", "HingeLoss", "MultiLabelMarginLoss", "MultiMarginLoss", "NLLLoss",
    "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "RBFMAPLoss", "RBFMSELoss", "RBFOutput", "SigmoidFocalLoss",
    "HingeEmbeddingLoss", "MarginRankingLoss", "SoftMarginLoss",
}  # fmt: skip


def real_shapes(model, sizes, batch):
    """The output shape of every module, from a real forward pass."""
    shapes, handles = {}, []

    def note(path):
        def hook(module, args, output):
            shapes[path] = shape_of(output)

        return hook

    for path, module in model.named_modules():
        handles.append(module.register_forward_hook(note(path)))
    with tg.no_grad():
        model(*(tg.rand(batch, *size) * 0.5 + 0.25 for size in sizes))
    for handle in handles:
        handle.remove()
    return shapes


def shape_of(output):
    return tuple(map(shape_of, output)) if isinstance(output, tuple) else output.shape


@pytest.mark.parametrize("expression", LAYERS)
def test_every_layer_as_a_real_pass(expression):
    tg.manual_seed(0)
    layer, sizes = eval(expression, {"nn": nn}), LAYERS[expression]
    shapes = nn.plan(layer, sizes, batch_size=3).shapes
    assert shapes == real_shapes(layer, sizes, 3)


def test_every_layer_class_is_in_the_table():
    used = " ".join(LAYERS)
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)}
    missing = {name for name in classes - NOT_PLANNED if f"nn.{name}(" not in used}
    assert missing <= {name for name in classes if name.startswith("Lazy")}


SMALL = {
    "LeNet": (1, 28, 28),
    "SmallLeNet5": (1, 28, 28),
    "LeNet5": (1, 32, 32),
    "DigitNet": (1, 28, 28),
    "resnet20": (3, 32, 32),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("training", [True, False])
def test_models_as_a_real_pass(name, training):
    model = getattr(models, name)().train(training)
    shapes = nn.plan(model, SMALL[name], batch_size=2).shapes
    assert shapes == real_shapes(model, [SMALL[name]], 2)


class Odd(nn.Module):
    """Whatever a user may write in a forward."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.fc = nn.Linear(8, 4)
        self.scale = nn.Parameter(tg.ones(8, 1, 1))

    def forward(self, x, mask):
        y = F.relu(self.conv(x)) * self.scale
        small, indices = self.pool(y)
        y = y + F.interpolate(F.max_unpool2d(small, indices, 2), size=y.shape[-2:], mode="bilinear") if y.ndim == 4 else y
        y = tg.cat([y, y.flip(-1), x.mean(1, keepdim=True).expand(-1, 8, -1, -1)], dim=1)
        y = y[:, ::3, 1:-1].permute(0, 2, 3, 1).reshape(x.shape[0], -1, 8)
        attention = (y @ y.transpose(1, 2)).softmax(-1) @ y
        y = tg.einsum("nij,kj->nik", attention, self.fc.weight) + tg.arange(4.0)
        y[:, 0] = 0
        y = tg.where(mask.unsqueeze(1).unsqueeze(2) > 0, y, tg.zeros(1))
        a, b = y.std(1).chunk(2, dim=1)
        padded = F.pad(a.clamp(min=0).unsqueeze(1), (1, 2), mode="replicate")
        return {"a": padded, "parts": (tg.stack([a, b]), y.sum(), y.argmax(1))}


def test_arbitrary_forward_code():
    net = Odd()
    real = net(tg.randn(2, 3, 6, 8), tg.ones(2))
    planned = nn.plan(net, [(3, 6, 8), ()], batch_size=2).output_shape
    assert planned["a"] == real["a"].shape
    assert planned["parts"] == tuple(t.shape for t in real["parts"])


def test_a_module_that_runs_several_times_keeps_every_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3)

        def forward(self, x):
            return self.conv(self.conv(x))

    planned = nn.plan(Twice(), (2, 9, 9))
    assert [call.output_shape for call in planned.calls] == [(1, 2, 5, 5), (1, 2, 7, 7), (1, 2, 5, 5)]
    assert planned["conv"] == (1, 2, 5, 5)
    assert planned.input_shapes == ((1, 2, 9, 9),)
    with pytest.raises(KeyError, match="no module ran at 'fc'; there are '', 'conv'"):
        planned["fc"]


def test_dtype_is_that_of_the_model_or_as_asked():
    class Table(nn.Module):
        def forward(self, index):
            assert index.dtype == np.int64
            return index.float()

    assert nn.plan(Table(), (4,), dtype="int64").output_shape == (1, 4)
    assert nn.plan(nn.Linear(4, 3).double(), (4,)).calls[0].activation_bytes == 24


# At no cost --------------------------------------------------------------------------------------------------------


def test_a_large_network_at_once_and_in_little_memory():
    net = nn.utils.skip_init(models.vgg16)
    nn.plan(net, (3, 224, 224))
    tracemalloc.start()
    started = time.perf_counter()
    planned = nn.plan(net, (3, 224, 224), batch_size=64)
    seconds = time.perf_counter() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert planned.output_shape == (64, 1000)
    assert seconds < 0.5
    assert peak < 10_000_000, "a single map of the first layer would take 822 MB"


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.RReLU(), nn.StochasticPool2d(2), nn.AlphaDropout(0.1), nn.Dropout2d()])
def test_nothing_large_is_drawn(layer):
    assert nn.plan(layer, (64, 32, 32)).output_shape[:2] == (1, 64)
    tracemalloc.start()
    planned = nn.plan(layer, (64, 512, 512), batch_size=16)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert planned.output_shape[:2] == (16, 64)
    assert peak < 2_000_000, "one map of all samples takes 1 GB"


# The model is left as it was ---------------------------------------------------------------------------------------


def test_nothing_changes():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.LazyBatchNorm2d(), nn.Flatten())
            self.head = nn.LazyLinear(3)
            self.seen = 0

        def forward(self, x):
            self.seen += 1
            return self.head(self.body(x))

    tg.manual_seed(1)
    net = Counting()
    before = {name: buffer.array.copy() for name, buffer in net.body[1].named_buffers()}
    arrays = [b.array for b in net.body[1].buffers()]
    versions = [t._version for t in (*net.body[1].buffers(), net.body[0].weight)]
    text, draws = repr(net), tg.get_rng_state()
    assert nn.plan(net, (1, 8, 8), batch_size=4).output_shape == (4, 3)
    assert repr(net) == text
    assert net.seen == 0
    assert type(net.head) is nn.LazyLinear
    assert type(net.body[3].running_mean) is nn.UninitializedBuffer
    assert tg.get_rng_state() == draws
    for name, buffer in net.body[1].named_buffers():
        np.testing.assert_array_equal(buffer.array, before[name])
    assert all(b.array is a for b, a in zip(net.body[1].buffers(), arrays, strict=True))
    assert [t._version for t in (*net.body[1].buffers(), net.body[0].weight)] == versions
    assert net._forward_hooks == net.head._forward_pre_hooks == []
    y = net(tg.randn(4, 1, 8, 8))
    assert np.isfinite(y.detach().numpy()).all()


def test_nothing_changes_after_an_error():
    net = nn.Sequential(nn.BatchNorm2d(2), nn.LazyLinear(3), nn.Linear(4, 4))
    text = repr(net)
    with pytest.raises(ValueError, match="does not fit"):
        nn.plan(net, (2, 5, 5))
    assert repr(net) == text
    assert net[0].num_batches_tracked.item() == 0
    assert net[0]._forward_hooks == []


def test_kernels_and_observer_are_put_back():
    from tinygrad_cnn import kernels
    from tinygrad_cnn.autograd.mode import STATE

    bound = {name: getattr(kernels, name) for name in kernels.NAMES}
    with tg.autograd.detect_anomaly() as block:
        nn.plan(nn.Conv2d(1, 2, 3), (1, 5, 5))
        assert STATE.observer is block
    assert {name: getattr(kernels, name) for name in kernels.NAMES} == bound


def test_another_thread_computes_meanwhile():
    x, weight = tg.randn(1, 1, 5, 5), tg.randn(1, 1, 3, 3)
    expected, found = tg.conv2d(x, weight).numpy(), []

    class Waiting(nn.Module):
        def forward(self, x):
            thread = threading.Thread(target=lambda: found.append(tg.conv2d(self.x, self.weight).numpy()))
            thread.start()
            thread.join()
            return x

    net = Waiting()
    net.x, net.weight = x, weight
    nn.plan(net, (2,))
    np.testing.assert_array_equal(found[0], expected)


def test_inside_another_forward():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(3, 2))

        def forward(self, x):
            return nn.plan(self.inner, (3,)).shapes

    assert nn.Sequential(Outer())(tg.zeros(1, 3)) == {"": (1, 2), "0": (1, 2)}


# What cannot be planned --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "look", [lambda x: x.sum().item(), lambda x: bool(x.sum() > 0), lambda x: float(x.mean()), lambda x: x.tolist()]
)
def test_a_path_that_depends_on_values_is_refused(look):
    class Looking(nn.Module):
        def forward(self, x):
            return x if look(x) else x * 2

    with pytest.raises(ArgumentError, match=r"the forward pass looks at a value .* a plan has shapes only"):
        nn.plan(Looking(), (3,))


def test_a_forward_pass_that_differentiates_is_refused():
    class Penalized(nn.Module):
        def forward(self, x):
            with tg.enable_grad():
                x = x.detach().requires_grad_()
                return tg.autograd.grad((x * x).sum(), x)[0]

    with pytest.raises(ArgumentError, match="the forward pass computes gradients, and a plan follows the forward pass only"):
        nn.plan(Penalized(), (3,))


@pytest.mark.parametrize("size", [3.5, "abc", (3, "x"), (3, -1), [], [(3, 4), 5]])
def test_input_sizes_that_are_none(size):
    with pytest.raises(ArgumentError, match="plan: input_size must be the shape of one sample without the batch"):
        nn.plan(nn.ReLU(), size)
