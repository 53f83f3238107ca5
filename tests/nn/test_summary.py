"""summary: parameters, multiply-adds and memory against closed forms and the published counts; its table."""

import re

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ArgumentError, ShapeError


def count(model, size):
    return nn.count_mult_adds(model, size)


@pytest.mark.parametrize(
    ("model", "size", "mult_adds"),
    [
        (nn.Conv2d(6, 8, (3, 5), stride=2, padding=1, groups=2), (6, 9, 11), 8 * 5 * 5 * 3 * 15),
        (nn.Conv1d(2, 3, 4), (2, 10), 3 * 7 * 2 * 4),
        (nn.Conv3d(2, 3, 2), (2, 4, 5, 6), 3 * 3 * 4 * 5 * 2 * 8),
        # Each input pixel is multiplied by every tap, for each output map of its group.
        (nn.ConvTranspose2d(4, 6, 3, 2, groups=2), (4, 5, 6), 4 * 5 * 6 * 3 * 9),
        (nn.Linear(7, 5), (7,), 35),
        (nn.Linear(7, 5, bias=False), (3, 7), 105),
        (nn.TableConv2d(3, [(0, 1), (1, 2), (0,)], 3), (3, 8, 7), 6 * 5 * 5 * 9),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(3)), (3, 8, 8), 0),
    ],
)
def test_multiply_adds(model, size, mult_adds):
    assert count(model, size) == mult_adds


def test_multiply_adds_of_functions():
    class Functional(nn.Module):
        def forward(self, x):
            y = tg.conv2d(x, tg.zeros(4, 2, 3, 3)).flatten(2) @ tg.zeros(9, 5)
            y = tg.einsum("ncj,jk->nck", y, tg.zeros(5, 3))
            return tg.einsum("nck,c->nck", y, tg.zeros(4))

    assert count(Functional(), (2, 5, 5)) == 4 * 9 * 18 + 4 * 9 * 5 + 4 * 5 * 3


# Facts: the columns "MACs (calc)" of the literature's networks.
@pytest.mark.parametrize(
    ("name", "size", "mult_adds", "parameters"),
    [
        ("AlexNetPaper", 227, 724_406_816, 60_965_224),
        ("vgg11", 224, 7_609_090_048, 132_863_336),
        ("vgg16", 224, 15_470_264_320, 138_357_544),
        ("resnet18", 224, 1_814_073_344, 11_689_512),
        ("resnet50", 224, 4_089_184_256, 25_557_032),
    ],
)
def test_published_counts(name, size, mult_adds, parameters):
    found = nn.summary(nn.utils.skip_init(getattr(models, name)), (3, size, size))
    assert found.total_mult_adds == mult_adds
    assert found.total_params == parameters
    assert found.rows[0].parameters == parameters
    assert found.rows[0].mult_adds == mult_adds


def small():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))


def test_numbers_of_a_small_network():
    found = nn.summary(small(), (1, 8, 8), batch_size=2)
    assert found.total_params == 40 + 8 + 1450
    assert found.param_bytes == 4 * 1498
    assert found.buffer_bytes == 4 * 8 + 8
    assert found.total_mult_adds == 2 * (4 * 36 * 9 + 1440)
    # The convolution's, the norm's and the ReLU's maps, and the scores; the flattened maps are a view.
    assert found.activation_bytes == 2 * 4 * (3 * 144 + 10)
    assert found.input_shapes == ((2, 1, 8, 8),)
    assert [(row.path, row.kind, row.depth, row.parameters) for row in found.rows] == [
        ("", "Sequential", 0, 1498), ("0", "Conv2d", 1, 40), ("1", "BatchNorm2d", 1, 8), ("2", "ReLU", 1, 0),
        ("3", "Flatten", 1, 0), ("4", "Linear", 1, 1450),
    ]  # fmt: skip
    assert [row.output_shape for row in found.rows[1:]] == [(2, 4, 6, 6)] * 3 + [(2, 144), (2, 10)]
    assert nn.summary(small().double(), (1, 8, 8)).param_bytes == 8 * 1498


def test_frozen_parameters_are_told_apart():
    net = small()
    net[0].requires_grad_(False)
    found = nn.summary(net, (1, 8, 8))
    assert (found.total_params, found.trainable_params) == (1498, 1458)
    assert "parameters  1,498 (40 frozen)" in str(found)


class Sharing(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.again = self.first
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.first.weight
        self.unused = nn.Linear(2, 3)
        self.heads = nn.ModuleList([nn.Linear(4, 1)])

    def forward(self, x):
        return self.heads[0](self.tied(self.again(self.first(x))))


def test_shared_modules_are_counted_once():
    found = nn.summary(Sharing(), (4,))
    assert found.total_params == 20 + 9 + 5 == sum(p.numel() for p in Sharing().parameters())
    rows = {row.path: row for row in found.rows}
    assert rows["first"].parameters == 20
    assert rows["first"].calls == 2
    assert rows["first"].mult_adds == 32
    assert (rows["again"].parameters, rows["again"].shared) == (0, True)
    assert (rows["tied"].parameters, rows["tied"].shared, rows["tied"].mult_adds) == (0, True, 16)
    assert (rows["unused"].parameters, rows["unused"].calls) == (9, 0)
    assert rows["heads"].mult_adds == 4
    assert found.total_mult_adds == 32 + 16 + 4
    text = str(found)
    assert re.search(r"first: Linear x2 +\(1, 4\) +20 +32 ", text)
    assert rows["again"].same_as == "first"
    assert re.search(r"again: Linear +is first +shared ", text)
    assert re.search(r"unused: Linear +did not run +9 ", text)
    assert re.search(r"tied: Linear +\(1, 4\) +shared ", text)
    assert re.search(r"heads: ModuleList +- +5 ", text)


def test_lazy_layers_are_counted_as_what_they_become_and_stay_lazy():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(10))
    assert nn.summary(net, (1, 8, 8)).total_params == 1498
    assert type(net[3]) is nn.LazyLinear


def test_the_table():
    lines = str(nn.summary(small(), (1, 8, 8))).split("\n")
    assert lines[0] == "layer             output shape  parameters  mult-adds  activations"
    assert lines[1] == "-" * len(lines[0])
    assert lines[2] == "Sequential        (1, 10)            1,498      2,736      1.7 KiB"
    assert lines[4] == "  1: BatchNorm2d  (1, 4, 6, 6)           8          -        576 B"
    assert {len(line) for line in lines[:8]} == {len(lines[0])}
    assert lines[8:] == [
        lines[1],
        "input       (1, 1, 8, 8)",
        "parameters  1,498",
        "mult-adds   2,736",
        "memory      5.9 KiB parameters + 40 B buffers + 1.7 KiB activations",
    ]


def test_depth_hides_rows_and_no_numbers():
    net = nn.Sequential(small(), nn.ReLU())
    whole, shallow = nn.summary(net, (1, 8, 8)), nn.summary(net, (1, 8, 8), depth=1)
    assert "BatchNorm2d" in str(whole)
    assert "BatchNorm2d" not in str(shallow)
    assert "  0: Sequential  (1, 10)            1,498      2,736      1.7 KiB" in str(shallow)
    assert shallow.rows == whole.rows
    assert str(shallow).split("\n")[-4:] == str(whole).split("\n")[-4:]
    assert len(str(nn.summary(net, (1, 8, 8), depth=0)).split("\n")) == 8


def test_html():
    class Odd(nn.Module):
        def forward(self, x):
            return x, {"a&b": x}

    text = nn.summary(nn.Sequential(small()), (1, 8, 8))._repr_html_()
    assert text.count("<tr>") == 8
    assert '<td style="text-align:left;padding-left:4em">1: BatchNorm2d</td><td>(1, 4, 6, 6)</td><td>8</td>' in text
    assert "parameters: 1,498" in text
    assert "a&amp;b: (1, 3)" in nn.summary(Odd(), (3,))._repr_html_()


def test_large_numbers_of_bytes():
    text = str(nn.summary(nn.ReLU(), (3, 1024, 1024), batch_size=1024))
    assert "12.0 GiB" in text
    assert "12.0 TiB" in str(nn.summary(nn.ReLU(), (3, 1024, 1024), batch_size=1024**2))
    assert repr(nn.summary(nn.ReLU(), (3,))) == str(nn.summary(nn.ReLU(), (3,)))


def test_errors():
    with pytest.raises(ArgumentError, match="summary: depth must be at least 0, which is the network alone; got -1"):
        nn.summary(small(), (1, 8, 8), depth=-1)
    with pytest.raises(ShapeError, match="plan: 4 does not fit"):
        nn.summary(small(), (1, 9, 9))


def test_is_public_twice():
    assert tg.summary is nn.summary


def test_a_module_may_count_for_itself():
    class Sparse(nn.Linear):
        def mult_adds(self, output_shape):
            return 7 * output_shape[0]

    found = nn.summary(nn.Sequential(Sparse(5, 3), nn.Linear(3, 2)), (5,), batch_size=4)
    assert [row.mult_adds for row in found.rows] == [28 + 24, 28, 24]


def test_lenet5_as_in_the_paper():
    """C3 has 60 kernels, 1,516 weights and biases, at each of 100 places; S2 and S4 scale and do not convolve."""
    rows = {row.path: row for row in nn.summary(models.LeNet5(), (1, 32, 32)).rows}
    assert rows[""].parameters == 60_000
    assert rows["c3"].mult_adds == 60 * 25 * 100
    assert rows[""].mult_adds == 6 * 784 * 25 + 150_000 + 120 * 400 + 84 * 120
