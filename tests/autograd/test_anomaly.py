"""detect_anomaly names the first op, the element, its operands, the module and the user's line; in both passes."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import Function, detect_anomaly
from tinygrad_cnn.autograd.mode import STATE
from tinygrad_cnn.errors import AnomalyError


def double(*values: float) -> tg.Tensor:
    return tg.tensor(list(values), dtype=tg.float64, requires_grad=True)


def test_a_nan_of_the_forward_pass():
    x = double(1.0, -4.0)
    with pytest.raises(AnomalyError) as error, detect_anomaly():
        y = x * 1.0
        y.sqrt()  # the line that made it
    message = str(error.value)
    for part in ("forward of Sqrt made nan at (1,)", "input 0 = -4.0", __file__, "the line that made it"):
        assert part in message


def test_without_gradients_too():
    with pytest.raises(AnomalyError, match="forward of Sqrt"), tg.no_grad(), detect_anomaly():
        tg.tensor([-1.0]).sqrt()


def test_the_first_op_is_blamed_not_the_ones_after_it():
    with pytest.raises(AnomalyError, match="forward of Log "), detect_anomaly():
        STATE.module_path = "features.3"
        try:
            (double(-1.0).log() * 2 + 1).exp()
        finally:
            STATE.module_path = ""


def test_the_module_is_named():
    with pytest.raises(AnomalyError, match=r"Log \(in features\.3\)"), detect_anomaly():
        STATE.module_path = "features.3"
        try:
            double(-1.0).log()
        finally:
            STATE.module_path = ""


def test_what_an_op_was_given_is_not_its_fault():
    with detect_anomaly():
        tg.tensor([float("nan")]).exp()


class NaNBackward(Function):
    """A good forward with a bad gradient."""

    def forward(self, x):
        self.save_for_backward(x)
        return x * 2

    def backward(self, gy):
        (x,) = self.saved
        bad = np.where(x.array > 2, np.nan, 1.0)
        return gy * tg.tensor(bad)


def test_a_nan_of_the_backward_pass_names_the_line_of_the_forward():
    x = double(1.0, 3.0)
    with pytest.raises(AnomalyError) as error, detect_anomaly():
        y = NaNBackward.apply(x)  # its forward
        (y * y).sum().backward()
    message = str(error.value)
    # The multiplication inside the rule is an op too, but it is the rule that is blamed.
    for part in ("backward of NaNBackward made nan in the gradient of input 0 at (1,)", "saved 0 = 3.0", "its forward"):
        assert part in message


def test_infinities_only_when_asked():
    x = double(0.0, 1.0)
    with detect_anomaly():
        x.log()
    with pytest.raises(AnomalyError, match=r"forward of Log made -inf at \(0,\)"), detect_anomaly(check_inf=True):
        x.log()


def test_nan_can_be_let_pass():
    with detect_anomaly(check_nan=False):
        double(-1.0).log()


def test_the_forward_can_be_left_out():
    with detect_anomaly(check_forward=False):
        y = double(-1.0).sqrt()
    assert np.isnan(y.array).all()


def test_an_infinite_gradient():
    x = double(0.0)
    with pytest.raises(AnomalyError, match="backward of Sqrt made inf in the gradient"), detect_anomaly(check_inf=True):
        x.sqrt().backward()


def test_operands_of_another_shape_are_described_by_their_range():
    class BadSum(Function):
        def forward(self, x):
            return np.array(np.nan)

    with pytest.raises(AnomalyError, match=r"input 0 of shape \(2, 1\), between 1.0 and 3.0"), detect_anomaly():
        BadSum.apply(tg.tensor([[1.0], [3.0]]))


def test_a_forward_outside_the_block_is_said_to_be():
    x = double(0.0)
    y = x.sqrt()
    with pytest.raises(AnomalyError, match="put the forward pass inside the block too"), detect_anomaly(check_inf=True):
        y.backward()


def test_nothing_is_left_behind():
    with pytest.raises(AnomalyError), detect_anomaly():
        double(-1.0).log()
    assert STATE.observer is None
    double(-1.0).log()
