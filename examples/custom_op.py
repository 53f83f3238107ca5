"""Write an op of your own, and let gradcheck find out whether its gradient is right.

    python examples/custom_op.py

The op is Swish, y = x * sigmoid(x). Its derivative takes a minute with pencil and paper, and is easily got wrong: the
second class below has the mistake that most people make first.
"""

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import Function, gradcheck, gradgradcheck
from tinygrad_cnn.errors import GradcheckError


class Swish(Function):
    """Elementwise y = x * s with s = sigmoid(x).

    Gradient
        gx = gy * (s + x * s * (1 - s))
    Saves
        x
    """

    def forward(self, x):  # ndarrays in, ndarray out
        self.save_for_backward(x)
        return x / (1 + np.exp(-x))

    def backward(self, gy):  # Tensors in, Tensors out: so this can be differentiated again
        (x,) = self.saved
        s = x.sigmoid()
        return gy * (s + x * s * (1 - s))


class ForgetfulSwish(Swish):
    """The same with the product rule forgotten: s is treated as a constant."""

    def backward(self, gy):
        (x,) = self.saved
        return gy * x.sigmoid()


tg.manual_seed(0)
x = tg.randn(2, 3, dtype=tg.float64, requires_grad=True)  # float64: finite differences need the digits

print("Swish, first derivative: ", gradcheck(Swish.apply, x))
print("Swish, second derivative:", gradgradcheck(Swish.apply, x))
try:
    gradcheck(ForgetfulSwish.apply, x)
except GradcheckError as error:
    print("ForgetfulSwish:", error)

# Used like any other op; in a network, wrap it in an nn.Module whose forward calls it.
loss = Swish.apply(x).sum()
loss.backward()
print("The gradient:", x.grad, sep="\n")
