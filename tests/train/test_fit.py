"""The loop: its arithmetic against plain NumPy, what it counts, what it shows, and how it stops."""

import dataclasses
import json

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import data, nn, optim
from tinygrad_cnn.errors import ArgumentError, DataError
from tinygrad_cnn.train import Best, Callback, EarlyStopping, TrainingError, evaluate, fit

from .conftest import Linear


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


# Updates ------------------------------------------------------------------------------------------------------------------


def weights(model):
    return model.fc.weight.detach().numpy().copy()


def test_gradients_that_accumulate_are_those_of_one_large_batch(pictures):
    """Batches of 8, 8 and 4 together, against one of 20: the small one must not count as much as the others."""
    models = [Linear(), Linear()]
    models[1].load_state_dict(models[0].state_dict())
    small = fit(
        models[0], data.DataLoader(pictures, batch_size=8), epochs=2, optimizer=sgd(models[0]), progress=False, accumulate=3
    )
    large = fit(models[1], data.DataLoader(pictures, batch_size=20), epochs=2, optimizer=sgd(models[1]), progress=False)
    np.testing.assert_allclose(weights(models[0]), weights(models[1]), rtol=1e-6)
    np.testing.assert_allclose(small.losses, large.losses, rtol=1e-6)
    assert [epoch.steps for epoch in small.epochs] == [1, 1]


def test_an_epoch_that_does_not_divide_ends_with_a_smaller_update(model, batches):
    history = fit(model, batches, epochs=2, optimizer=sgd(model), progress=False, accumulate=2)
    assert [(epoch.steps, epoch.images) for epoch in history.epochs] == [(2, 20), (2, 20)]


def test_the_norm_of_the_gradients_is_limited(model, batches):
    """A step of plain descent is as long as the learning rate times the limit, weights and biases together."""
    before = np.concatenate([p.detach().numpy().ravel().copy() for p in model.parameters()])
    one_step = [next(iter(batches))]
    fit(model, one_step, epochs=1, optimizer=sgd(model, lr=0.5), progress=False, clip_norm=1e-3)
    after = np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])
    assert np.linalg.norm(after - before) == pytest.approx(0.5e-3, rel=1e-2)


def test_each_gradient_is_limited(model, batches):
    before = weights(model)
    fit(model, [next(iter(batches))], epochs=1, optimizer=sgd(model, lr=0.5), progress=False, clip_value=1e-3)
    np.testing.assert_allclose(np.abs(weights(model) - before), 0.5e-3, rtol=1e-2)


def test_gradients_that_are_not_finite_stop_the_training(model, batches):
    def loss(scores, targets):
        return (scores * 0).sum().sqrt() + tg.cross_entropy(scores, targets)  # finite, with an infinite slope

    with pytest.raises(TrainingError, match="the norm of the gradients became nan in step 1") as caught:
        fit(model, batches, epochs=1, optimizer=sgd(model), progress=False, loss=loss, clip_norm=1.0)
    assert "limit the gradients" not in str(caught.value)


def test_the_average_is_told_of_each_update_and_measured_in_the_models_place(model, batches, pictures):
    class Average:
        def __init__(self):
            self.module = Linear()
            self.seen = []

        def update_parameters(self, trained):
            self.seen.append(weights(trained))

    average = Average()
    history = fit(model, batches, batches, epochs=1, optimizer=sgd(model), progress=False, ema=average)
    assert len(average.seen) == 3
    np.testing.assert_array_equal(average.seen[-1], weights(model))
    assert history.epochs[0].val_loss == evaluate(average.module, batches).loss != evaluate(model, batches).loss


def test_a_moving_average_of_the_weights(model, batches):
    """The closed form: after the first copy, decay * average + (1 - decay) * weights."""
    seen = []

    class Watch(Callback):
        def on_step_end(self, run):
            seen.append(weights(run.model).astype(np.float64))

    average = optim.AveragedModel(model, multi_avg_fn=optim.get_ema_multi_avg_fn(0.75))
    fit(model, batches, batches, epochs=2, optimizer=sgd(model), progress=False, ema=average, callbacks=[Watch()])
    expected = seen[0]
    for value in seen[1:]:
        expected = 0.75 * expected + 0.25 * value
    np.testing.assert_allclose(average.module.fc.weight.detach().numpy(), expected, rtol=1e-5)


# Schedules ----------------------------------------------------------------------------------------------------------------


def test_a_schedule_by_epochs_is_stepped_after_each(model, batches):
    optimizer = sgd(model, lr=1.0)
    rates = []
    model.register_forward_hook(lambda module, inputs, output: rates.append(optimizer.param_groups[0]["lr"]))
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    fit(model, batches, epochs=2, optimizer=optimizer, scheduler=schedule, scheduler_every="epoch", progress=False)
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5]


def test_a_plateau_schedule_gets_the_monitored_value_whatever_the_others_go_by(model, batches):
    optimizer = sgd(model, lr=1.0)
    seen = []

    class Plateau(optim.lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics, epoch=None):
            seen.append(metrics)
            super().step(metrics)

    schedules = [optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5), Plateau(optimizer)]
    history = fit(
        model, batches, batches, epochs=2, optimizer=optimizer, scheduler=schedules, progress=False, monitor="val_loss"
    )
    assert seen == [epoch.val_loss for epoch in history.epochs]
    assert optimizer.param_groups[0]["lr"] == 0.5**6


def test_a_plateau_schedule_that_takes_the_good_for_the_bad_is_refused(model, batches):
    optimizer = sgd(model)
    options = {"metrics": {"accuracy": lambda result: result.accuracy}, "monitor": "accuracy", "mode": "max"}
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    with pytest.raises(ArgumentError, match=r"ReduceLROnPlateau takes 'min' of the monitored value.*fit takes 'max'"):
        fit(model, batches, batches, epochs=1, optimizer=optimizer, scheduler=plateau, progress=False, **options)
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max")
    fit(model, batches, batches, epochs=1, optimizer=optimizer, scheduler=plateau, progress=False, **options)


# The best epoch -----------------------------------------------------------------------------------------------------------


def scripted(values):
    """A metric that takes these values, epoch by epoch."""
    remaining = iter(values)
    return {"score": lambda result: next(remaining)}


def test_early_stopping_waits_and_gives_the_best_weights_back(model, batches):
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, run):
            seen.append(weights(run.model))

    history = fit(
        model, batches, batches, epochs=9, optimizer=sgd(model), progress=False, metrics=scripted([0.1, 0.7, 0.7, 0.2, 0.9]),
        monitor="score", mode="max", early_stopping=EarlyStopping(patience=2), callbacks=[Watch()],
    )  # fmt: skip
    assert [epoch.metrics["score"] for epoch in history.epochs] == [0.1, 0.7, 0.7, 0.2]
    np.testing.assert_array_equal(weights(model), seen[1])
    assert (seen[1] != seen[3]).any()


def test_without_restoring_the_last_weights_stay(model, batches):
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, run):
            seen.append(weights(run.model))

    stopping = EarlyStopping(patience=1, min_delta=0.5, restore_best=False)
    options = {"monitor": "score", "early_stopping": stopping, "callbacks": [Watch()], "metrics": scripted([1.0, 0.6, 0.0])}
    history = fit(model, batches, batches, epochs=9, optimizer=sgd(model), progress=False, **options)
    assert len(history.epochs) == 2  # 0.6 is not better by as much as 0.5
    np.testing.assert_array_equal(weights(model), seen[1])


@pytest.mark.parametrize(("options", "says"), [({"patience": 0}, "patience"), ({"patience": 1, "min_delta": -1}, "min_delta")])
def test_early_stopping_refuses(options, says):
    with pytest.raises(ArgumentError, match=says):
        EarlyStopping(**options)


def test_a_number_for_early_stopping_is_refused_before_anything_is_trained(model, batches):
    before = weights(model).copy()
    with pytest.raises(ArgumentError, match=r"early_stopping must be an EarlyStopping, got 3: .*EarlyStopping\(patience=3\)"):
        fit(model, batches, epochs=1, optimizer=sgd(model), progress=False, early_stopping=3)
    np.testing.assert_array_equal(weights(model), before)


def test_a_value_that_is_no_number_is_never_the_best():
    best = Best("loss")
    assert [best.see(i, value) for i, value in enumerate([np.nan, 1.0, np.nan], 1)] == [False, True, False]
    assert (best.value, best.epoch, best.waited) == (1.0, 2, 1)


# Rules of one's own -------------------------------------------------------------------------------------------------------


def test_a_loss_module_and_a_rule_of_prediction_of_ones_own(batches):
    """Penalties instead of scores: the smallest wins, in the loss, the error and the metrics."""

    class Penalties(Linear):
        def forward(self, input):
            return super().forward(input).square()

    model = Penalties()
    history = fit(
        model, batches, batches, epochs=30, optimizer=sgd(model, 0.2), progress=False, loss=nn.RBFMAPLoss(0.1),
        predict="argmin", metrics={"top1": lambda result: result.top_k(1)},
    )  # fmt: skip
    last = history.epochs[-1]
    assert last.val_error <= 0.1
    assert last.metrics["top1"] == pytest.approx(1 - last.val_error)
    assert evaluate(model, batches, loss=nn.RBFMAPLoss(0.1)).error == pytest.approx(1 - last.val_error)


def test_metrics_are_in_the_history_and_in_the_line_of_the_epoch(model, batches, capsys):
    history = fit(
        model, batches, batches, epochs=1, optimizer=sgd(model), metrics={"accuracy": lambda result: result.accuracy}
    )
    epoch = history.epochs[0]
    assert epoch.metrics == {"accuracy": 1 - epoch.val_error}
    assert f"accuracy {1 - epoch.val_error:.4f}" in capsys.readouterr().out


# Callbacks ----------------------------------------------------------------------------------------------------------------


def test_callbacks_are_called_at_their_moments(model, batches):
    moments = []

    class Watch(Callback):
        def on_fit_begin(self, run):
            moments.append(("begin", run.step, run.epoch))

        def on_step_end(self, run):
            moments.append(("step", run.step, run.epoch))

        def on_epoch_end(self, run):
            moments.append(("epoch", run.step, len(run.history.epochs)))

        def on_fit_end(self, run):
            moments.append(("end", run.step, run.stop))

    fit(model, batches, epochs=2, optimizer=sgd(model), progress=False, callbacks=[Watch()])
    steps = [("step", step, 1 + (step > 3)) for step in range(1, 7)]
    assert moments == [
        ("begin", 0, 1), *steps[:3], ("epoch", 3, 1), *steps[3:], ("epoch", 6, 2), ("end", 6, ""),
    ]  # fmt: skip


def test_a_callback_can_stop_the_training_and_is_told_of_every_end(model, batches):
    ends = []

    class Stop(Callback):
        def __init__(self, step):
            self.at = step

        def on_step_end(self, run):
            if run.step == self.at:
                run.stop = "enough"

        def on_fit_end(self, run):
            ends.append((run.step, len(run.history.epochs), run.seconds > 0))

    for step in (4, 6):
        fit(model, batches, epochs=9, optimizer=sgd(model), progress=False, callbacks=[Stop(step)])
    with pytest.raises(KeyboardInterrupt):
        fit(model, batches, epochs=9, optimizer=interrupting(model, after=2), progress=False, callbacks=[Stop(9)])
    assert ends == [(4, 1, True), (6, 2, True), (1, 0, True)]


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


def test_ctrl_c_says_how_far_it_was(model, batches):
    with pytest.raises(KeyboardInterrupt, match=r"^4 of 9 steps, 1 of 3 epochs complete$"):
        fit(model, batches, epochs=3, optimizer=interrupting(model, after=5), progress=False)


def test_ctrl_c_in_the_first_step(model, batches):
    with pytest.raises(KeyboardInterrupt, match=r"^0 of 3 steps"):
        fit(model, batches, epochs=1, optimizer=interrupting(model, after=1), progress=False)


def test_a_loss_that_is_not_finite_stops_before_it_can_do_harm(model, batches):
    before = model.fc.weight.detach().numpy().copy()
    message = (
        r"the loss became nan in step 1 at a learning rate of 0\.5, training stopped before the update: lower the learning "
        r"rate.*; limit the gradients \(clip_norm=1\.0\); look for nan"
    )
    with pytest.raises(TrainingError, match=message):
        fit(model, batches, epochs=1, optimizer=sgd(model), progress=False, loss=lambda s, t: tg.cross_entropy(s, t) * np.nan)
    np.testing.assert_array_equal(model.fc.weight.detach().numpy(), before)


def test_an_overflow_is_the_one_error_and_no_warning_besides(model, batches):
    with pytest.raises(TrainingError, match="the loss became inf"):
        fit(model, batches, epochs=1, optimizer=sgd(model), progress=False, loss=lambda s, t: (s * s * 1e30 * 1e30).sum())


@pytest.mark.parametrize("epochs", [0, 1.5, "3"])
def test_epochs_are_a_whole_number_from_1_on(epochs, model, batches):
    with pytest.raises(ArgumentError, match=f"epochs must be a whole number, 1 or more, got {epochs}"):
        fit(model, batches, epochs=epochs, optimizer=sgd(model))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"accumulate": 0}, "accumulate must be a whole number, 1 or more, got 0"),
        ({"log_every": 0}, "log_every must be a whole number, 1 or more, got 0"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0, or None for no limit; got 0.0"),
        ({"clip_value": -1.0}, "clip_value must be above 0"),
        ({"scheduler_every": "step"}, "scheduler_every must be 'batch' or 'epoch', got 'step'"),
        ({"mode": "best"}, "mode must be 'min' or 'max', got 'best'"),
        ({"every": 5}, "say how often to save, but not where: give checkpoint="),
        ({"every": 0, "checkpoint": "folder"}, "every is a number of steps, 1 or more"),
        ({"every_seconds": 0, "checkpoint": "folder"}, "every_seconds a time above 0"),
        ({"monitor": "los"}, "nothing called 'los' is measured: did you mean 'loss'.*because there is no val="),
        ({"metrics": {"top2": None}}, "top2 cannot be measured without held-out data: give val="),
        ({"metrics": {"loss": None}}, "loss of metrics= is measured anyway: call yours by another name"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says, model, batches):
    with pytest.raises(ArgumentError, match=says):
        fit(model, batches, epochs=1, optimizer=sgd(model), progress=False, **options)


def test_batches_that_are_fewer_than_they_say_are_found_out(model, batches):
    class Liar(list):
        def __len__(self):
            return 5

    with pytest.raises(DataError, match=r"ended after 3 steps, but by its length \(5 batches\) there are 5"):
        fit(model, Liar(batches), epochs=1, optimizer=sgd(model), progress=False)


def test_no_batch_is_refused(model, pictures):
    with pytest.raises(DataError, match="no batch"):
        fit(model, data.DataLoader(data.Subset(pictures, []), batch_size=2), epochs=1, optimizer=sgd(model))


@pytest.mark.parametrize("kind", [lambda pictures: pictures, lambda pictures: (pair for pair in [pictures[:8]])])
def test_samples_and_generators_are_no_batches_for_several_epochs(kind, model, pictures):
    with pytest.raises(ArgumentError, match=r"a (TensorDataset|generator) gives none: put the samples into a DataLoader"):
        fit(model, kind(pictures), epochs=1, optimizer=sgd(model))


def test_an_optimizer_of_another_model_is_refused(model, batches):
    before = model.fc.weight.tolist()
    with pytest.raises(ArgumentError, match=r"the SGD holds none of the parameters of this Linear.*model.parameters"):
        fit(model, batches, epochs=1, optimizer=sgd(Linear()), progress=False)
    assert model.fc.weight.tolist() == before


def test_a_metric_that_is_no_number_is_named(model, batches):
    with pytest.raises(ArgumentError, match="the metric 'best' must give a number, it gave a NoneType"):
        fit(model, batches, batches, epochs=1, optimizer=sgd(model), metrics={"best": lambda result: None}, progress=False)


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
