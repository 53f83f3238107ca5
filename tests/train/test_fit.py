"""The loop: its arithmetic against plain NumPy, what it counts, what it shows, and how it stops."""

import dataclasses
import json

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import data, optim
from tinygrad_cnn.errors import ArgumentError, DataError
from tinygrad_cnn.train import TrainingError, evaluate, fit


def sgd(model, lr=0.5, **options):
    return optim.SGD(model.parameters(), lr=lr, **options)


def test_every_step_is_that_of_gradient_descent(model, batches, pictures):
    """The same descent in NumPy: softmax minus one-hot, averaged over the batch."""
    weight, bias = (p.detach().numpy().astype(np.float64) for p in (model.fc.weight, model.fc.bias))
    fit(model, batches, epochs=2, optimizer=sgd(model), progress=False)
    images, labels = (np.asarray(rows) for rows in pictures.tensors)
    for start in (0, 8, 16) * 2:
        x, y = images[start : start + 8].reshape(-1, 4), labels[start : start + 8]
        powers = np.exp(x @ weight.T + bias)
        gradient = (powers / powers.sum(1, keepdims=True) - np.eye(2)[y]) / len(x)
        weight, bias = weight - 0.5 * gradient.T @ x, bias - 0.5 * gradient.sum(0)
    np.testing.assert_allclose(model.fc.weight.detach().numpy(), weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.fc.bias.detach().numpy(), bias, rtol=1e-4, atol=1e-6)


def test_it_learns(model, batches):
    before = evaluate(model, batches)
    fit(model, batches, epochs=30, optimizer=sgd(model, 2.0), progress=False)
    after = evaluate(model, batches)
    assert after.error == 0
    assert after.loss < before.loss / 2


def test_the_history_counts_steps_images_and_epochs(model, batches, pictures):
    held_out = data.DataLoader(data.Subset(pictures, range(5)), batch_size=5)
    history = fit(model, batches, held_out, epochs=3, optimizer=sgd(model), progress=False)
    assert len(history.losses) == 9
    assert [(epoch.steps, epoch.images) for epoch in history.epochs] == [(3, 20)] * 3
    final = evaluate(model, held_out)
    assert (history.epochs[-1].val_loss, history.epochs[-1].val_error) == (final.loss, final.error)
    assert history.seconds == sum(epoch.seconds for epoch in history.epochs) > 0
    assert history.images_per_second == pytest.approx(60 / history.seconds)


def test_the_loss_of_an_epoch_is_the_mean_over_its_images(model, batches):
    history = fit(model, batches, epochs=1, optimizer=sgd(model), progress=False)
    assert history.epochs[0].loss == pytest.approx(np.average(history.losses, weights=[8, 8, 4]))


def test_without_held_out_data_nothing_is_measured_on_them(model, batches):
    epoch = fit(model, batches, epochs=1, optimizer=sgd(model), progress=False).epochs[0]
    assert (epoch.val_loss, epoch.val_error) == (None, None)


def test_the_history_is_plain_data(model, batches):
    history = fit(model, batches, batches, epochs=1, optimizer=sgd(model), progress=False)
    assert len(json.loads(json.dumps(dataclasses.asdict(history)))["losses"]) == 3


def test_the_model_trains_in_training_mode_and_is_measured_in_the_other(model, batches):
    modes = []
    model.register_forward_hook(lambda module, inputs, output: modes.append(module.training))
    model.eval()
    fit(model, batches, batches, epochs=2, optimizer=sgd(model), progress=False)
    assert modes == ([True] * 3 + [False] * 3) * 2


def test_the_schedule_is_stepped_after_every_batch(model, batches):
    optimizer = sgd(model, lr=1.0)
    rates = []
    model.register_forward_hook(lambda module, inputs, output: rates.append(optimizer.param_groups[0]["lr"]))
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    fit(model, batches, epochs=2, optimizer=optimizer, scheduler=schedule, progress=False)
    assert rates == [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]


def test_another_loss_is_used(model, batches):
    history = fit(
        model, batches, batches, epochs=1, optimizer=sgd(model), progress=False, loss=lambda s, t: tg.cross_entropy(s, t) + 7
    )
    assert min(history.losses) > 7
    assert history.epochs[0].val_loss > 7


def test_a_checkpoint_is_asked_for_after_each_epoch(model, batches):
    epochs = []

    def checkpoint(history):
        epochs.append(len(history.epochs))

    fit(model, batches, epochs=3, optimizer=sgd(model), progress=False, checkpoint=checkpoint)
    assert epochs == [1, 2, 3]


# Stopping ---------------------------------------------------------------------------------------------------------------


def interrupting(model, after):
    """An optimizer whose step number `after` is as if the user pressed Ctrl-C in it."""
    optimizer = sgd(model)
    step, count = optimizer.step, iter(range(1, 1000))

    def interrupted():
        if next(count) == after:
            raise KeyboardInterrupt
        step()

    optimizer.step = interrupted
    return optimizer


def test_ctrl_c_asks_for_a_checkpoint_and_says_how_far_it_was(model, batches):
    saved = []
    with pytest.raises(KeyboardInterrupt, match=r"^4 of 9 steps, 1 of 3 epochs complete$"):
        fit(
            model,
            batches,
            epochs=3,
            optimizer=interrupting(model, after=5),
            progress=False,
            checkpoint=lambda history: saved.append((len(history.losses), len(history.epochs))),
        )
    assert saved == [(3, 1), (4, 1)]


def test_ctrl_c_without_checkpoints_just_stops(model, batches):
    with pytest.raises(KeyboardInterrupt, match=r"^0 of 3 steps"):
        fit(model, batches, epochs=1, optimizer=interrupting(model, after=1), progress=False)


def test_a_loss_that_is_not_finite_stops_before_it_can_do_harm(model, batches):
    before = model.fc.weight.detach().numpy().copy()
    with pytest.raises(TrainingError, match="the loss became nan, training stopped: lower the learning rate"):
        fit(model, batches, epochs=1, optimizer=sgd(model), progress=False, loss=lambda s, t: tg.cross_entropy(s, t) * np.nan)
    np.testing.assert_array_equal(model.fc.weight.detach().numpy(), before)


def test_an_overflow_is_the_one_error_and_no_warning_besides(model, batches):
    with pytest.raises(TrainingError, match="the loss became inf"):
        fit(model, batches, epochs=1, optimizer=sgd(model), progress=False, loss=lambda s, t: (s * s * 1e30 * 1e30).sum())


def test_less_than_one_epoch_is_refused(model, batches):
    with pytest.raises(ArgumentError, match="epochs must be 1 or more, got 0"):
        fit(model, batches, epochs=0, optimizer=sgd(model))


def test_no_batch_is_refused(model, pictures):
    with pytest.raises(DataError, match="no batch"):
        fit(model, data.DataLoader(data.Subset(pictures, []), batch_size=2), epochs=1, optimizer=sgd(model))


# Showing ----------------------------------------------------------------------------------------------------------------


def test_the_bar_tells_epoch_loss_speed_and_time_left(model, batches, capsys):
    history = fit(model, batches, batches, epochs=2, optimizer=sgd(model))
    shown = capsys.readouterr()
    last = shown.err.split("\r")[-1]
    assert last.startswith("epoch 2/2 100% |")
    assert "00:00 left" in last
    assert f"loss {np.mean(history.losses):.4f}" in last
    assert last.rstrip().endswith("images/s")
    assert [line.split(":")[0] for line in shown.out.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    epoch = history.epochs[1]
    assert f"loss {epoch.loss:.4f}, held-out loss {epoch.val_loss:.4f}, error {100 * epoch.val_error:.2f} %" in shown.out


def test_without_held_out_data_the_line_of_an_epoch_has_its_loss_only(model, batches, capsys):
    epoch = fit(model, batches, epochs=1, optimizer=sgd(model)).epochs[0]
    assert capsys.readouterr().out.strip() == f"epoch 1/1: loss {epoch.loss:.4f}, {epoch.seconds:.1f} s"


def test_without_progress_nothing_is_printed(model, batches, capsys):
    fit(model, batches, batches, epochs=1, optimizer=sgd(model), progress=False)
    assert capsys.readouterr() == ("", "")
