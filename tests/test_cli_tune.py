"""``tinygrad-cnn tune``: what it writes, where, and what it says."""

import json

import pytest

from tinygrad_cnn.cli import main
from tinygrad_cnn.kernels import conv_choice, conv_tune

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def _a_quick_clock(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(conv_choice.VARIABLE, raising=False)
    monkeypatch.setattr(
        conv_tune,
        "_times",
        lambda name, geometry: [(kernel, 1.0 if name == "fft" else 1000.0) for kernel in conv_choice.KERNELS],
    )
    conv_choice.forget()
    yield
    conv_choice.forget()


def test_the_users_own_rates(capsys, tmp_path):
    assert main(["tune", "--quiet"]) == 0
    path = tmp_path / "cache" / "tinygrad_cnn" / "conv_rates.json"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"rates written to {path}"
    assert set(json.loads(path.read_text())) == {"machine", "threads", "date", "rates"}
    chosen = [line for line in lines if line.startswith("(64, 16, 32, 32) 16 maps 3x3")]
    assert len(chosen) == 1
    assert chosen[0].split()[-3:] == ["fft"] * 3


def test_another_file_each_measurement_printed(capsys, tmp_path):
    path = tmp_path / "mine.json"
    assert main(["tune", "--out", str(path)]) == 0
    out = capsys.readouterr().out
    assert "planes    conv_weight_grad  (64, 16, 32, 32) 16 maps 3x3" in out
    assert out.endswith(f"rates written to {path}\nthey are used where {conv_choice.VARIABLE}={path}\n")
    assert len(json.loads(path.read_text())["rates"]) == len(conv_choice.ALGORITHMS)
