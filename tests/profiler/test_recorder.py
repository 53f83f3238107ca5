"""What a profile sees, and whose seconds are whose. Times are those of a clock that the test turns."""

import gc
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import data, models, nn, optim
from tinygrad_cnn.autograd import detect_anomaly
from tinygrad_cnn.autograd.mode import STATE
from tinygrad_cnn.autograd.observers import Observer, joined
from tinygrad_cnn.errors import AnomalyError, AutogradError
from tinygrad_cnn.kernels import parallel
from tinygrad_cnn.profiler import record_function, recorder

from .profiler_cases import Failing, Outer, beginnings_told, slow


def leaf(*shape):
    return tg.ones(*shape, requires_grad=True)


def names(p):
    return [call.name for call in p.calls]


# What is seen -------------------------------------------------------------------------------------------------------


def test_every_op_and_rule_of_a_network_with_its_module_and_shapes():
    net = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), nn.Flatten(), nn.Linear(32, 3))
    with tg.profile() as p:
        net(tg.randn(5, 1, 6, 6)).sum().backward()
    seen = [(call.name, call.module) for call in p.calls]
    forward = [("Conv2d", "0.0"), ("ReLU", "0.1"), ("Reshape", "1"), ("Linear", "2"), ("Sum", "")]
    assert seen == [*forward, *((f"{name}Backward", module) for name, module in reversed(forward))]
    conv, rule = p.calls[0], p.calls[-1]
    assert (conv.kind, rule.kind) == ("forward", "backward")
    assert (conv.input_shapes, conv.output_shapes) == (((5, 1, 6, 6), (2, 1, 3, 3), (2,)), ((5, 2, 4, 4),))
    assert (rule.input_shapes, rule.output_shapes) == (((5, 2, 4, 4),), (None, (2, 1, 3, 3), (2,)))
    assert [call.forward for call in p.calls] == [None] * 5 + [4, 3, 2, 1, 0]
    assert conv.dtype == rule.dtype == "float32"


def test_ops_without_gradients_too():
    with tg.no_grad(), tg.profile() as p:
        nn.Sequential(nn.Linear(3, 2), nn.ReLU())(tg.ones(1, 3))
    assert [(call.name, call.module) for call in p.calls] == [("Linear", "0"), ("ReLU", "1")]


def test_a_graph_that_is_differentiated_twice():
    with tg.profile() as p:
        y = leaf(3).exp()
        for _ in range(2):
            y.backward(tg.ones(3), retain_graph=True)
    assert names(p) == ["Exp", "ExpBackward", "ExpBackward"]
    assert [call.forward for call in p.calls] == [None, 0, 0]


def test_gradients_of_gradients():
    x = tg.tensor([2.0, 3.0], requires_grad=True)
    with tg.profile() as p:
        y = (x**3).sum()
        (g,) = tg.autograd.grad(y, x, create_graph=True)
        (h,) = tg.autograd.grad(g.sum(), x)
    assert h.tolist() == [12.0, 18.0]
    first, rest = names(p)[:4], names(p)[4:]
    # A rule is one call; the ops that it consisted of are seen when they are differentiated themselves.
    assert first == ["Power", "Sum", "SumBackward", "PowerBackward"]
    assert rest[0] == "Sum"
    assert set(rest[1:]) >= {"SumBackward", "MulBackward", "PowerBackward"}
    unseen = [call for call in p.calls[5:] if call.forward is None]
    assert unseen
    assert all(call.kind == "backward" for call in p.calls[5:])


def test_a_graph_made_outside():
    y = leaf(3).exp().sum()
    with tg.profile() as p:
        y.backward()
    assert [(call.name, call.forward) for call in p.calls] == [("SumBackward", None), ("ExpBackward", None)]


def test_other_threads_are_not_seen():
    with tg.profile() as p:
        thread = threading.Thread(target=lambda: leaf(2).exp())
        thread.start()
        thread.join()
        leaf(2).sin()
    assert names(p) == ["Sin"]


def test_a_graph_is_freed_as_it_would_be():
    gc.disable()
    try:
        with tg.profile() as p:
            y = leaf(4).exp()
            node, array = weakref.ref(y.grad_fn), weakref.ref(y.array)
            del y
            assert node() is None
            assert array() is None
    finally:
        gc.enable()
    assert names(p) == ["Exp"]


# Whose seconds ------------------------------------------------------------------------------------------------------


def test_seconds_of_ops_and_rules(clock):
    x = leaf(2)
    with tg.profile() as p:
        y = slow(clock, slow(clock, x, 0.5), 2.0)
        y.backward(tg.ones(2))
        clock.now += 4
    assert [(call.start, call.seconds) for call in p.calls] == [(0.0, 0.5), (0.5, 2.0), (2.5, 6.0), (8.5, 1.5)]
    assert (p.seconds, p.op_seconds, p.other_seconds, p.own_seconds) == (14.0, 10.0, 4.0, 0.0)
    assert p.seconds_of(y.grad_fn) == (2.0, 6.0)
    assert p.seconds_of(x._edge()) is None


def test_what_the_program_does_between_ops_is_not_theirs_where_beginnings_are_told(clock, monkeypatch):
    with beginnings_told(monkeypatch), tg.profile() as p:
        clock.now += 10
        y = slow(clock, leaf(2), 0.5)
        clock.now += 20
        y.backward(tg.ones(2))
    assert [(call.start, call.seconds) for call in p.calls] == [(10.0, 0.5), (30.5, 1.5)]
    assert (p.seconds, p.op_seconds, p.other_seconds) == (32.0, 2.0, 30.0)


def test_ops_inside_an_op_are_counted_once(clock, monkeypatch):
    with beginnings_told(monkeypatch), tg.profile() as p:
        Outer.apply(leaf(2), clock=clock, seconds=0.0)
    assert [(call.name, call.start, call.seconds, call.inner) for call in p.calls] == [
        ("Slow", 1.0, 5.0, 0.0),
        ("Outer", 0.0, 8.0, 5.0),
    ]
    assert p.op_seconds == p.seconds == 8.0


def test_an_op_that_fails_is_no_call_and_costs_the_next_one_nothing(clock, monkeypatch):
    with beginnings_told(monkeypatch), tg.profile() as p:
        with p.region("attempt"):
            with pytest.raises(ValueError, match="no"):
                Failing.apply(leaf(1), clock=clock)
            slow(clock, leaf(1), 0.5)
        slow(clock, leaf(1), 0.25)
    assert [(call.name, call.seconds) for call in p.calls] == [("Slow", 0.5), ("Slow", 0.25)]
    (region,) = p.regions
    assert (region.seconds, region.inner, region.own_seconds) == (1.5, 0.5, 1.0)
    assert (p.op_seconds, p.region_seconds, p.other_seconds) == (0.75, 1.0, 0.0)


def test_an_op_that_failed_is_not_kept_after_the_block(clock, monkeypatch):
    node = Failing(clock=clock)
    kept = weakref.ref(node)
    p = tg.profile()
    with beginnings_told(monkeypatch), p, pytest.raises(ValueError, match="no"):
        node(leaf(1))
    del node
    gc.collect()
    assert kept() is None


def test_regions_within_regions(clock):
    with tg.profile() as p:
        with p.region("step"):
            slow(clock, leaf(1), 2.0)
            with record_function("inner"):
                clock.now += 4
            clock.now += 1
        clock.now += 8
    found = [(region.name, region.start, region.seconds, region.own_seconds) for region in p.regions]
    assert found == [("inner", 2.0, 4.0, 4.0), ("step", 0.0, 7.0, 1.0)]
    assert p.seconds == p.op_seconds + p.region_seconds + p.other_seconds == 15.0


def test_a_region_ends_with_an_exception(clock):
    with tg.profile() as p:
        with pytest.raises(KeyError), p.region("bad"):
            clock.now += 3
            raise KeyError
        clock.now += 1
    assert [(region.name, region.seconds) for region in p.regions] == [("bad", 3.0)]
    assert p.other_seconds == 1.0


def test_seconds_of_a_real_step_add_up(monkeypatch):
    # The clock of this thread's own work: others on the machine do not disturb it. So this thread has to do all of it.
    monkeypatch.setattr(recorder, "perf_counter", time.thread_time)
    monkeypatch.setattr(parallel, "_threads", 1)
    net, images, targets = models.SmallLeNet5(), tg.randn(256, 1, 28, 28), tg.zeros(256, dtype="int64")
    optimizer = optim.SGD(net.parameters(), lr=0.01)

    def step():
        optimizer.zero_grad()
        tg.cross_entropy(net(images), targets).backward()
        optimizer.step()

    step()
    before = time.thread_time()
    with tg.profile() as p:
        step()
    wall = time.thread_time() - before
    assert p.seconds == pytest.approx(wall, rel=0.02, abs=1e-4)
    parts = p.op_seconds + p.region_seconds + p.other_seconds + p.own_seconds
    assert parts == pytest.approx(wall, rel=0.02, abs=1e-4)
    assert p.op_seconds + p.region_seconds > 0.6 * wall
    assert min(p.op_seconds, p.region_seconds, p.other_seconds, p.own_seconds) > 0
    ends = [call.start + call.seconds for call in p.calls]
    assert all(end <= call.start for end, call in zip(ends, p.calls[1:], strict=False))


# Blocks within blocks -----------------------------------------------------------------------------------------------


def test_profiles_within_one_another(clock):
    with tg.profile() as outer:
        slow(clock, leaf(1), 1.0)
        with tg.profile() as inner, outer.region("both"):
            slow(clock, leaf(1), 2.0)
        slow(clock, leaf(1), 4.0)
    assert [call.seconds for call in outer.calls] == [1.0, 2.0, 4.0]
    assert [call.seconds for call in inner.calls] == [2.0]
    assert (outer.seconds, inner.seconds) == (7.0, 2.0)
    assert [region.name for region in inner.regions] == [region.name for region in outer.regions] == ["both"]


class Ponders(Observer):
    """Takes a second of the clock over everything."""

    def __init__(self, clock):
        self.clock = clock
        self.heard = []

    def before_forward(self, node, inputs):
        self._ponder("before forward")

    def after_forward(self, node, inputs, output):
        self._ponder("after forward")

    def before_backward(self, node, gradient):
        self._ponder("before backward")

    def after_backward(self, node, gradient, gradients):
        self._ponder("after backward")

    def _ponder(self, what):
        self.clock.now += 1
        self.heard.append(what)


@pytest.mark.parametrize("first", [True, False])
def test_what_another_observer_does_is_not_the_ops_time(clock, monkeypatch, first):
    other, p = Ponders(clock), tg.profile()
    monkeypatch.setattr(STATE, "observer", other if first else None)
    with beginnings_told(monkeypatch), p:
        if not first:
            monkeypatch.setattr(STATE, "observer", joined(STATE.observer, other))
        slow(clock, leaf(1), 0.5).backward(tg.ones(1))
    assert other.heard == ["before forward", "after forward", "before backward", "after backward"]
    assert [call.seconds for call in p.calls] == [0.5, 1.5]
    assert p.own_seconds == 2.0  # what comes after the ops


def test_nor_the_next_ops_where_beginnings_are_not_told(clock, monkeypatch):
    other = Ponders(clock)
    monkeypatch.setattr(STATE, "observer", other)
    with tg.profile() as p:
        slow(clock, leaf(1), 0.5)
        slow(clock, leaf(1), 0.25)
    assert [call.seconds for call in p.calls] == [0.5, 0.25]


@pytest.mark.parametrize("order", ["anomaly outside", "anomaly inside"])
def test_together_with_detect_anomaly(order):
    blocks = [detect_anomaly(), p := tg.profile()]
    outer, inner = blocks if order == "anomaly outside" else blocks[::-1]
    with outer, inner:
        leaf(2).exp()
        with pytest.raises(AnomalyError, match="forward of Log made nan"):
            (leaf(2) * -1).log()
        with pytest.raises(AnomalyError, match="backward of Sqrt"), detect_anomaly(check_inf=True):
            (leaf(1) - 1).sqrt().backward()
    assert names(p) == ["Exp", "Mul", "Log", "Sub", "Sqrt", "SqrtBackward"]
    assert STATE.observer is None


def test_an_inner_detect_anomaly_decides_what_is_looked_for():
    with tg.profile() as p, detect_anomaly(), detect_anomaly(check_nan=False):
        tg.tensor([-1.0]).log()
    assert names(p) == ["Log"]


def test_the_observer_is_put_back_after_an_exception():
    with pytest.raises(ZeroDivisionError), tg.profile() as p:
        leaf(2).exp()
        raise ZeroDivisionError
    assert STATE.observer is None
    leaf(2).exp()
    assert names(p) == ["Exp"]
    with p:
        leaf(2).sin()
    assert names(p) == ["Exp", "Sin"]


def test_entered_again_it_goes_on(clock):
    p = tg.profile()
    for _ in range(2):
        with p:
            slow(clock, leaf(1), 1.0)
        clock.now += 50
    assert [(call.start, call.seconds) for call in p.calls] == [(0.0, 1.0), (1.0, 1.0)]
    assert p.seconds == 2.0


def test_a_running_profile_is_not_entered_again():
    with tg.profile() as p:
        with pytest.raises(AutogradError, match=r"running already; for a profile within a profile, make another"), p:
            pass
        leaf(1).exp()
    assert names(p) == ["Exp"]
    assert STATE.observer is None


def test_a_region_of_a_profile_that_is_not_running():
    with pytest.raises(AutogradError, match=r"region\('load'\): this profile is not running"):
        tg.profile().region("load")


# What the package names by itself -----------------------------------------------------------------------------------


def test_loaders_and_optimizers_name_what_they_do():
    net = nn.Linear(2, 1)
    optimizer = optim.Adam(net.parameters())
    samples = data.TensorDataset(tg.randn(6, 2), tg.randn(6, 1))
    with tg.profile() as p:
        for x, target in data.DataLoader(samples, 2):
            tg.mse_loss(net(x), target).backward()
            optimizer.step()
    assert [region.name for region in p.regions] == ["DataLoader.next", "Adam.step"] * 3


def test_a_closure_of_an_optimizer_is_not_its_step(clock):
    x = leaf(2)
    optimizer = optim.SGD([x], lr=0.1)

    def closure():
        loss = slow(clock, x, 1.0).sum()
        loss.backward()
        return loss

    with tg.profile() as p:
        optimizer.step(closure)
    assert [(region.name, region.seconds) for region in p.regions] == [("SGD.step", 0.0)]
    assert p.op_seconds == 4.0


# What it costs ------------------------------------------------------------------------------------------------------


def calls_of(function):
    """The Python functions that run while `function` does, as (file, name); not those that wait for the garbage collector."""
    made = []

    def watch(frame, event, _):
        if event == "call":
            made.append((frame.f_code.co_filename, frame.f_code.co_name))

    gc.disable()  # hypothesis, among others, has functions that it calls
    sys.setprofile(watch)
    try:
        function()
    finally:
        sys.setprofile(None)
        gc.enable()
    return made


def test_nothing_of_it_runs_without_a_profile():
    x = leaf(3)
    made = calls_of(lambda: (x * x).sum().backward())
    assert made
    assert not [file for file, _ in made if "tinygrad_cnn/profiler" in file or "observers" in file]


def test_what_it_does_for_an_op_does_not_grow():
    def work(x):
        return calls_of(lambda: x * 2.0)

    small, large = leaf(1), leaf(100, 100)
    small.exp()
    with tg.profile() as p:
        work(small)
        first = len(work(small))
        for _ in range(300):
            small * 2.0
        assert len(work(small)) == first
        assert len(work(large)) == first
    assert len(p.calls) == 304
    alone = len(work(small))
    assert first - alone <= 60


def test_nothing_is_changed_by_watching():
    net = models.SmallLeNet5()
    images, targets = tg.randn(4, 1, 28, 28), tg.tensor([1, 2, 3, 4])

    def gradients():
        net.zero_grad()
        tg.cross_entropy(net(images), targets).backward()
        return [parameter.grad.numpy() for parameter in net.parameters()]

    plain = gradients()
    with tg.profile():
        watched = gradients()
    for a, b in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(a, b)
