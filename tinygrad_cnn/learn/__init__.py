"""For learners: watch a convolution, see it as a matrix, and have a backward pass of one's own graded.

    from tinygrad_cnn import learn

    learn.animate_conv(input=(5, 5), kernel=3, stride=2, padding=1).save("conv.svg")
    learn.as_matrix(nn.Conv2d(1, 1, 3, padding=1), (4, 4))
    learn.template("conv2d")
    learn.check(my_backward, op="conv2d")
"""

from .animate import Animation, animate_conv
from .check import Finding, Grade, check, template
from .frames import Frame, Plane, Story, Term
from .matrix import ConvMatrix, as_matrix

__all__ = [
    "Animation", "ConvMatrix", "Finding", "Frame", "Grade", "Plane", "Story", "Term", "animate_conv", "as_matrix", "check",
    "template",
]  # fmt: skip
