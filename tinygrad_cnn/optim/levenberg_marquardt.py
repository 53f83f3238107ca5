"""LeCun's stochastic diagonal Levenberg-Marquardt: a step of its own for each weight, by how curved the loss is there."""

from collections.abc import Iterable

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..kernels.scratch import borrow
from ..tensor import Array, Tensor
from .curvature import diagonal_curvature
from .optimizer import Group, Optimizer, Params, State, check_number


class SDLM(Optimizer):
    r"""Stochastic diagonal Levenberg-Marquardt: LeNet-5's step rule.

    With gradient g, parameter w and the curvature h of the loss, each for one element:

        w <- w - lr / (mu + h) g

    Where the loss is strongly curved steps are short, where it is flat they are long, but never longer than lr / mu times
    the gradient. The curvature is the mean over some patterns of the diagonal of the Gauss-Newton matrix, see
    `optim.curvature`. It changes slowly: the paper estimates it anew before each pass over 60,000 patterns, on 500 of
    them, which costs next to nothing. The weights are updated after every single pattern.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
    lr : float
        The paper's global rate eta: 5e-4 for two passes, 2e-4 for three, 1e-4 for three, 5e-5 for four, then 1e-5.
    mu : float
        Keeps the step finite where there is no curvature; the paper's is 0.02.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", section III-A and
    appendix C, equations 21 to 27.

    Examples
    --------
    On (3 w)^2 with its curvature of 18, lr = 1 and mu = 0 are Newton's step:

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import optim
    >>> w = tg.tensor([5.0], requires_grad=True)
    >>> optimizer = optim.SDLM([w], lr=1.0, mu=0.0)
    >>> optimizer.estimate_curvature([(3 * w).square()])
    >>> (3 * w).square().sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.])
    """

    def __init__(self, params: Params, lr: float = 5e-4, mu: float = 0.02) -> None:
        super().__init__(params, {"lr": lr, "mu": mu})

    def check_options(self, group: Group) -> None:
        for name in ("lr", "mu"):
            check_number("SDLM", name, group[name])

    def estimate_curvature(self, losses: Iterable[Tensor]) -> None:
        """Estimate the curvature anew, as the mean over all losses that are given.

        Parameters
        ----------
        losses : iterable of Tensor, each of shape (n,)
            The losses of patterns, with their graphs: a criterion with ``reduction="none"``. From a generator they are
            taken batch by batch, so that one graph at a time is in memory.

        Raises
        ------
        ArgumentError
            Without any loss; the former estimate stays.
        ShapeError
            For a loss that was reduced to one number: its curvature is not that of the patterns.
        AutogradError
            For an op without a rule, see `optim.curvature`.
        """
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        totals = [np.zeros_like(parameter.array) for parameter in parameters]
        patterns = 0
        for batch in losses:
            if batch.ndim == 0:
                raise ShapeError(
                    "SDLM.estimate_curvature: got a single number; give the loss of each pattern, with reduction='none'"
                )
            for total, curvature in zip(totals, diagonal_curvature(batch, parameters), strict=True):
                total += curvature
            patterns += batch.shape[0]
        if not patterns:
            raise ArgumentError("SDLM.estimate_curvature: got no loss; give those of some hundred patterns")
        for parameter, total in zip(parameters, totals, strict=True):
            total /= patterns
            self.state[parameter]["curvature"] = Tensor(total)

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        if "curvature" not in state:
            raise ArgumentError(
                "SDLM: there is no estimate of the curvature yet: call optimizer.estimate_curvature(losses) before the first "
                "step, and again before each pass"
            )
        step = borrow("optimizer product", parameter.shape, parameter.dtype)
        np.add(state["curvature"].array, float(group["mu"]), out=step)
        np.divide(gradient, step, out=step)
        step *= float(group["lr"])
        parameter -= step
