"""Several observers are told everything; who takes time stands nearest to the op; a name costs nothing without one."""

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd.mode import STATE
from tinygrad_cnn.autograd.observers import Joined, Observer, joined, record_function


class Hears(Observer):
    """Writes down what it is told."""

    def __init__(self, name, heard, takes_time=False):
        self.name, self.heard, self.takes_time = name, heard, takes_time

    def before_forward(self, node, inputs):
        self.heard.append(f"{self.name}: before {node.op_name}")

    def after_forward(self, node, inputs, output):
        self.heard.append(f"{self.name}: after {node.op_name}")

    def before_backward(self, node, gradient):
        self.heard.append(f"{self.name}: before rule of {node.op_name}")

    def after_backward(self, node, gradient, gradients):
        self.heard.append(f"{self.name}: after rule of {node.op_name}")

    def begin_region(self, name):
        self.heard.append(f"{self.name}: {name} begins")

    def end_region(self, name):
        self.heard.append(f"{self.name}: {name} ends")

    def others_done(self):
        self.heard.append(f"{self.name}: done")


class Other(Hears):
    """Of another kind."""


def test_who_takes_time_is_nearest():
    heard = []
    both = joined(Hears("clock", heard, True), Other("other", heard))
    node = tg.ones(1, requires_grad=True).exp().grad_fn
    both.before_forward(node, ())
    both.after_forward(node, (), tg.ones(1))
    both.before_backward(node, None)
    both.after_backward(node, None, ())
    assert heard == [
        "other: before Exp", "clock: before Exp", "clock: after Exp", "other: after Exp", "clock: done", "other: done",
        "other: before rule of Exp", "clock: before rule of Exp", "clock: after rule of Exp", "other: after rule of Exp",
        "clock: done", "other: done",
    ]  # fmt: skip
    assert joined(Other("other", heard), Hears("clock", heard, True)).members[0].name == "clock"


def test_joining():
    a, b, clock = Hears("a", []), Hears("b", []), Other("clock", [], True)
    assert joined(None, a) is a
    assert joined(a, b) is b  # of one kind, the inner one
    two = joined(a, clock)
    assert isinstance(two, Joined)
    assert two.members == (clock, a)
    assert joined(two, b).members == (clock, b)
    assert joined(two, Other("second", [], True)).members[0] is clock
    assert len(joined(two, Other("second", [], True)).members) == 3


def test_an_observer_that_wants_nothing_hears_nothing(monkeypatch):
    monkeypatch.setattr(STATE, "observer", Observer())
    with record_function("x"):
        y = tg.ones(2, requires_grad=True).exp()
    y.sum().backward()
    node = y.grad_fn
    STATE.observer.before_forward(node, ())
    STATE.observer.before_backward(node, y.array)
    assert STATE.observer.takes_time is False


def test_a_name_for_a_stretch(monkeypatch):
    heard = []
    monkeypatch.setattr(STATE, "observer", joined(Hears("a", heard), Other("b", heard)))
    with pytest.raises(KeyError), record_function("load"):
        raise KeyError
    assert heard == ["b: load begins", "a: load begins", "a: load ends", "b: load ends"]


def test_a_name_without_anybody():
    with record_function("load") as region:
        assert region.name == "load"


def test_who_was_told_of_the_beginning_is_told_of_the_end():
    heard = []
    try:
        with record_function("early"):
            STATE.observer = Hears("late", heard)
    finally:
        STATE.observer = None
    assert heard == []
