"""The tables of workloads: their networks are those of `models`, and their arithmetic is counted right."""

import re

import numpy as np
import pytest

from benchmarks.flops import operations
from benchmarks.sides import Options
from benchmarks.sides.ours import MODELS, build, prepare
from benchmarks.sides.shapes import parameter_shapes
from benchmarks.sweeps import SWEEPS, exponent
from benchmarks.workloads import CONVS, TRAINING, Training, registry, select
from tinygrad_cnn import nn

# Published numbers of parameters; VGG-11's convolutions have 9,220,480, its linear layer here 20,490.
PARAMETERS = {
    "lenet5": 61_706,
    "lenet": 431_080,
    "resnet20": 269_722,
    "vgg11": 9_240_970,
    "alexnet": 61_100_840,
    "alexnet_paper": 60_965_224,
    "resnet18": 11_689_512,
    "googlenet": 13_004_888,
}


@pytest.mark.parametrize("workload", TRAINING, ids=lambda workload: workload.name)
def test_the_listed_layers_are_the_network(workload: Training) -> None:
    model = nn.utils.skip_init(build, workload)
    listed = parameter_shapes(workload.layers)
    assert [tuple(parameter.shape) for parameter in model.parameters()] == listed
    assert sum(int(np.prod(shape)) for shape in listed) == PARAMETERS[workload.name]


def test_the_workloads_of_the_issue_are_there() -> None:
    assert [workload.name for workload in TRAINING] == list(PARAMETERS)
    assert set(MODELS) == set(PARAMETERS) - {"vgg11", "alexnet_paper"}
    kernels = {conv.kernel for _, _, conv in CONVS}
    assert kernels == {1, 3, 5, 7, 11}
    assert {conv.stride for _, _, conv in CONVS} >= {1, 2}
    assert {min(conv.in_channels for _, _, conv in CONVS), max(conv.in_channels for _, _, conv in CONVS)} == {1, 512}
    assert any(conv.groups == conv.in_channels > 1 for _, _, conv in CONVS)
    assert any(1 < conv.groups < conv.in_channels for _, _, conv in CONVS)


def test_operations_of_a_step_are_three_products_less_the_first_input_gradient() -> None:
    # 20 maps of 24x24 by 25 taps; 50 of 8x8 by 20 x 25; 800 to 500; 500 to 10: one image's multiply-adds.
    first, rest = 288_000, 1_600_000 + 400_000 + 5_000
    assert operations(registry()["lenet"]) == 64 * 2 * (2 * first + 3 * rest)


def test_operations_of_a_layer() -> None:
    once = 2 * 64 * 16 * 16 * 32 * 32 * 9
    assert operations(registry()["conv/16-16-k3-s1-g1-b64-32/forward"]) == once
    assert operations(registry()["conv/16-16-k3-s1-g1-b64-32/both"]) == 3 * once
    assert operations(registry()["layer/ReLU/both"]) is None
    assert operations(registry()["one_op"]) is None


def test_names_find_workloads() -> None:
    assert [workload.name for workload in select(["training", "one_op", "lenet"])] == [*PARAMETERS, "one_op"]
    assert {workload.name.split("/")[0] for workload in select(["loss/", "update/"])} == {"loss", "update"}
    assert len({workload.title for workload in registry().values()}) == len(registry())


def test_an_unknown_workload_is_named_with_those_that_there_are() -> None:
    with pytest.raises(SystemExit, match=re.escape("no workload is called 'lenet6'; there are training, lenet5, lenet,")):
        select(["lenet6"])


def test_the_exponent_is_the_slope_of_the_logarithms() -> None:
    sizes = [2.0, 4.0, 8.0, 16.0]
    assert exponent(sizes, [0.3 * size**1.7 for size in sizes]) == pytest.approx(1.7)
    # By hand: the logarithms to base 2 are (1, 2, 3) and (0, 3, 3): slope (-1 * -2 + 0 * 1 + 1 * 1) / 2.
    assert exponent([2, 4, 8], [1, 8, 8]) == pytest.approx(1.5)


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.name)
def test_the_arithmetic_of_a_sweep_grows_as_expected(sweep: object) -> None:
    sizes = [size for size in sweep.sizes if size >= sweep.fitted_from]
    counts = [operations(sweep.workload(size)) for size in sizes]
    assert len(sizes) >= 3
    assert exponent(sizes, counts) == pytest.approx(sweep.expected, rel=0.05)


CHEAP = ["one_op", "loss/", "update/Adam/LeNet", "layer/max-pool-3x3-stride-1/", "layer/batch-norm-narrow/"]


@pytest.mark.parametrize("name", [workload.name for workload in select(CHEAP)])
def test_a_workload_runs_again_and_again(name: str) -> None:
    prepared = prepare(registry()[name], Options())
    first = prepared.step()
    second = prepared.step()
    assert (first is None) == (second is None)
    if name.startswith("loss/"):
        assert first.item() == second.item()


def test_training_learns() -> None:
    """A step updates: the loss of the same batch goes down."""
    step = prepare(registry()["lenet5"], Options()).step
    losses = [float(step()) for _ in range(6)]
    assert losses[-1] < losses[0]
