"""A clock that the test turns, ops that take known seconds, and an engine that says when an op begins."""

from contextlib import contextmanager

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import Function, engine
from tinygrad_cnn.autograd.mode import STATE
from tinygrad_cnn.autograd.observers import Observer


class Clock:
    """Goes on only when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Slow(Function):
    """Doubles; takes seconds of the clock, other ones for its rule."""

    def forward(self, x):
        self.clock.now += self.seconds
        return 2 * x

    def backward(self, gy):
        self.clock.now += 3 * self.seconds
        return gy * 2


def slow(clock, x, seconds):
    return Slow.apply(x, clock=clock, seconds=seconds)


class Outer(Slow):
    """An op of a user's that applies other ops while it computes."""

    def forward(self, x):
        self.clock.now += 1
        inner = slow(self.clock, tg.tensor(x), 5.0).array
        self.clock.now += 2
        return inner


class Failing(Function):
    """Takes a second and raises."""

    def forward(self, x):
        self.clock.now += 1
        raise ValueError("no")


class _Probe(Observer):
    """Whether beginnings are told."""

    told = False

    def before_backward(self, node, gradient):
        self.told = True


def _are_told():
    previous, STATE.observer = STATE.observer, _Probe()
    try:
        tg.ones(1, requires_grad=True).exp().backward()
        return STATE.observer.told
    finally:
        STATE.observer = previous


@contextmanager
def beginnings_told(monkeypatch):
    """Have `Function` and the engine say when an op and a rule begin, if they do not say so by themselves."""
    call, rule = Function.__call__, engine._apply_rule

    def told_call(self, *inputs):
        if STATE.observer is not None:
            STATE.observer.before_forward(self, inputs)
        return call(self, *inputs)

    def told_rule(node, gradient, *others):
        if STATE.observer is not None:
            STATE.observer.before_backward(node, gradient.array)
        return rule(node, gradient, *others)

    with monkeypatch.context() as patch:
        if not _are_told():
            patch.setattr(Function, "__call__", told_call)
            patch.setattr(engine, "_apply_rule", told_rule)
        yield
