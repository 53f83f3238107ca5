"""TensorBoard's files, read by the few lines that their format takes: length, its checksum, content, its checksum."""

import struct
import sys

import pytest

from tinygrad_cnn import optim
from tinygrad_cnn.errors import MissingExtraError
from tinygrad_cnn.train import TensorBoard, fit


def scalars(file):
    """Every scalar of an event file as (tag, step, value)."""
    from tensorboardX.proto.event_pb2 import Event

    content, found = file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        content = content[12 + length + 4 :]
    return found


def test_losses_rates_and_measures_are_in_the_file(model, batches, tmp_path):
    pytest.importorskip("tensorboardX")
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    history = fit(
        model, batches, batches, epochs=2, optimizer=optimizer, scheduler=schedule, progress=False,
        callbacks=[TensorBoard(tmp_path)],
    )  # fmt: skip
    (file,) = tmp_path.iterdir()
    found = scalars(file)
    assert [(step, pytest.approx(loss)) for tag, step, loss in found if tag.startswith("loss")] == list(
        enumerate(history.losses, 1)
    )
    assert [rate for tag, _, rate in found if tag.startswith("learning")] == [0.5 ** (step + 1) for step in range(1, 7)]
    assert [(step, pytest.approx(error)) for tag, step, error in found if tag == "epoch/val_error"] == [
        (3, history.epochs[0].val_error), (6, history.epochs[1].val_error),
    ]  # fmt: skip


def test_without_tensorboardx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match=r'writing TensorBoard files needs the extra "log": pip install'):
        TensorBoard(tmp_path)
