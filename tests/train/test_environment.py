"""What is said about the installation is what is installed."""

import platform
from importlib import metadata

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import kernels
from tinygrad_cnn.train import environment, extras


def test_the_versions_are_those_that_run():
    found = environment()
    assert (found["tinygrad_cnn"], found["Python"], found["NumPy"]) == (
        tg.__version__, platform.python_version(), np.__version__,
    )  # fmt: skip


def test_the_kernels_are_those_in_force():
    with kernels.use("reference"):
        assert environment()["kernels"] == "reference"
    with kernels.use("auto"):
        assert environment()["kernels"].startswith("auto: NumPy")


def test_the_extras_are_those_of_the_package_and_their_versions_those_installed():
    found = extras()
    assert {"viz", "fast", "data", "plot", "test"} <= found.keys()
    assert found["test"]["pytest"] == metadata.version("pytest")


def test_a_package_that_is_not_there_has_no_version(monkeypatch):
    wanted = ["numpy>=2", 'numpy>=2; extra == "a"', 'no-such_thing[x]>=1.0; python_version > "3" and extra == "a"']
    wanted.append('tinygrad-cnn[a]; extra == "all"')
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    assert extras() == {"a": {"numpy": np.__version__, "no-such_thing": None}}


def test_a_source_tree_that_is_not_installed_has_no_extras(monkeypatch):
    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert extras() == {}
