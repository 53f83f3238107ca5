"""`learn.check`: right solutions pass, each wrong one is called by its name, in the smallest case that shows it."""

from itertools import combinations

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import learn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.learn.check import EXERCISES
from tinygrad_cnn.learn.exercise import name_of

from . import learner_conv, learner_others

CALLS = {
    "conv2d": lambda x, weight, bias, **settings: tg.conv2d(x, weight, bias, **settings),
    "conv_transpose2d": lambda x, weight, bias, **settings: tg.conv_transpose2d(x, weight, bias, **settings),
    "linear": F.linear,
    "relu": tg.relu,
    "sigmoid": tg.sigmoid,
    "tanh": tg.tanh,
    "max_pool2d": tg.max_pool2d,
    "avg_pool2d": tg.avg_pool2d,
    "batch_norm": lambda x, weight, bias, eps: F.batch_norm(x, None, None, weight, bias, training=True, eps=eps),
    "softmax": lambda x: tg.softmax(x, -1),
    "cross_entropy": F.cross_entropy,
}


def by_the_package(op):
    """A backward pass that is the package's own."""

    def my_backward(gy, *inputs, **settings):
        if op == "cross_entropy":
            leaf = tg.tensor(inputs[0], requires_grad=True)
            return tg.autograd.grad(CALLS[op](leaf, tg.tensor(inputs[1])), [leaf], tg.tensor(gy))[0].numpy()
        leaves = [tg.tensor(array, requires_grad=True) for array in inputs]
        if len(EXERCISES[op].returns) == 3:
            leaves.append(tg.zeros(gy.shape[1], dtype=tg.float64, requires_grad=True))
        gradients = tg.autograd.grad(CALLS[op](*leaves, **settings), leaves, tg.tensor(gy))
        return tuple(gradient.numpy() for gradient in gradients)

    return my_backward


@pytest.mark.parametrize("op", EXERCISES)
def test_the_exercise_without_a_mistake_is_what_the_package_computes(op):
    assert set(CALLS) == set(EXERCISES)
    grade = learn.check(by_the_package(op), op)
    assert grade.correct, grade
    assert grade.cases == len(EXERCISES[op].cases())


@pytest.mark.parametrize("style", learner_conv.STYLES)
def test_right_solutions_of_any_style_pass(style):
    grade = learn.check(style, op="conv2d")
    assert (grade.correct, grade.name) == (True, "correct"), grade
    assert grade.left_out == (() if style in learner_conv.STYLES[:2] else ("dilation", "groups"))


@pytest.mark.parametrize(("mistake", "name"), learner_conv.MUTANTS.items())
def test_each_mistake_in_conv2d_is_named(mistake, name):
    grade = learn.check(learner_conv.mutant(mistake), op="conv2d")
    assert not grade.correct
    assert grade.name == name
    for finding in grade.findings:
        assert finding.case.inputs["x"].size <= 25
        assert f"in {finding.gradient}: {name}" in repr(grade)
        assert finding.why in repr(grade)


def test_the_mutants_own_loops_are_right_without_a_mistake():
    assert learn.check(learner_conv.mutant("none"), op="conv2d").correct


@pytest.mark.parametrize(("op", "name", "my_backward"), learner_others.MUTANTS)
def test_each_mistake_in_other_ops_is_named(op, name, my_backward):
    grade = learn.check(my_backward, op)
    assert grade.name == name, grade


def test_there_are_at_least_25_mutants():
    assert len(learner_conv.MUTANTS) + len(learner_others.MUTANTS) >= 25


def test_mistakes_in_two_gradients_are_both_named():
    def my_backward(gy, x, weight, **settings):
        _, gweight, _ = learner_conv.loops(gy, x, weight, **settings)
        return learner_conv.mutant("flip")(gy, x, weight, **settings)[0], gweight, gy.sum(0)

    grade = learn.check(my_backward)
    assert grade.name == "kernel not flipped and bias not summed over space"
    assert [finding.gradient for finding in grade.findings] == ["gx", "gbias"]


def test_two_mistakes_in_one_gradient_are_both_named():
    def my_backward(gy, x, weight, **settings):
        _, gweight, gbias = learner_conv.loops(gy, x, weight, **settings)
        settings["stride"] = (1, 1)
        return learner_conv.mutant("flip")(gy, x, weight, **settings)[0], gweight, gbias

    grade = learn.check(my_backward)
    assert grade.name == "kernel not flipped and stride ignored"
    assert "runs" not in grade.name
    assert "i * stride" in grade.findings[0].why


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda gx: -gx, "sign wrong"),
        (lambda gx: 2 * gx, "a factor of 2 too much"),
        (lambda gx: gx.astype(np.float32), "wrong dtype"),
        (lambda gx: gx[0], "wrong shape"),
        (lambda gx: gx * np.nan, "not finite"),
        (lambda gx: None, "missing"),
        (lambda gx: gx + 1, "unknown, first difference at gx[0, 0]"),
        (lambda gx: [gx, gx], "raises TypeError"),
        (lambda gx: {}[0], "raises KeyError"),
    ],
)
def test_what_is_no_misconception_is_said_plainly(spoil, name):
    grade = learn.check(lambda gy, x: spoil(gy * (1 - np.tanh(x) ** 2)), "tanh")
    assert grade.name == name
    assert repr(grade).startswith(f"{name} (tanh, 7 cases)")


def test_written_inputs_are_noticed():
    def my_backward(gy, x):
        gy *= x > 0
        return gy

    grade = learn.check(my_backward, "relu")
    assert grade.name == "modified its inputs"
    assert grade.findings[0].why.startswith("gy changed")


def test_an_unknown_mistake_is_located():
    def my_backward(gy, x, weight, *, stride, padding):
        gx, gweight, gbias = learner_conv.fourier(gy, x, weight, stride=stride, padding=padding)
        return gx + (stride != (1, 1)), gweight, gbias

    (finding,) = learn.check(my_backward).findings
    assert finding.name.startswith("unknown, first difference at gx[0, 0, 0, 0]")
    assert finding.why.endswith("It is wrong only where there is a stride.")


def test_what_raises_is_said_with_where_it_raises():
    def my_backward(gy, x):
        if x.shape[0] > 1:
            raise ValueError("one image only")
        return np.tanh(x) * 0 + gy * (1 - np.tanh(x) ** 2)

    (finding,) = learn.check(my_backward, "tanh").findings
    assert finding.name == "raises ValueError"
    assert finding.why == "one image only. It happens only where the batch has several images."


@pytest.mark.parametrize("op", EXERCISES)
def test_no_two_mistakes_look_alike_and_each_has_a_reason(op):
    exercise = EXERCISES[op]
    assert {name_of(switch) for switch in exercise.switches} == set(exercise.whys)
    results = {}
    for switch in ("", *exercise.switches):
        results[switch] = []
        for case in exercise.cases():
            try:
                arrays = exercise.backward(frozenset({switch}), *case.inputs.values(), **case.settings)
            except (IndexError, ValueError):
                arrays = ()
            results[switch].append([(array.shape, np.round(array, 6).ravel().tolist()) for array in arrays])
    for one, other in combinations(results, 2):
        assert results[one] != results[other], (one, other)


@pytest.mark.parametrize("op", EXERCISES)
def test_the_template_runs_and_is_graded(op, capsys):
    learn.template(op)
    text = capsys.readouterr().out
    scope = {}
    exec(text.replace("print(learn.check(my_backward", "grade = (learn.check(my_backward"), scope)
    assert not scope["grade"].correct
    assert "raises" not in scope["grade"].name
    assert "wrong shape" not in scope["grade"].name


def test_bad_arguments():
    with pytest.raises(ArgumentError, match=r"op must be one of conv2d, conv_transpose2d, .*; got 'conv'"):
        learn.check(print, "conv")
    with pytest.raises(ArgumentError, match=r"needs a function my_backward\(gy, x\); got int"):
        learn.check(3, "relu")
