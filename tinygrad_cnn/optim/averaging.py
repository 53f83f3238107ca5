"""Averages of a model's weights over training: exponential moving ones, and plain ones (Polyak's, stochastic weight averaging).

Late in training the weights jump about a good point; their mean is nearer to it than any of them. An `AveragedModel` keeps
the mean beside the model that is trained, and is itself a module, to be evaluated and saved like any other:

    averaged = optim.AveragedModel(net, multi_avg_fn=optim.get_ema_multi_avg_fn(0.999))
    for x, y in loader:
        ...
        optimizer.step()
        averaged.update_parameters(net)
    optim.update_bn(loader, averaged)     # only if there is batch normalization, and use_buffers is False
    averaged.eval()(images)

Names and values are those of ``torch.optim.swa_utils``, which is here as `optim.swa_utils` as well.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, TypeAlias

import numpy as np

from ..autograd.mode import no_grad
from ..errors import ArgumentError
from ..kernels.scratch import borrow
from ..nn.module import Module
from ..nn.norm import _BatchNorm
from ..tensor import Tensor

AvgFn: TypeAlias = Callable[[Tensor, Tensor, Tensor], Any]
MultiAvgFn: TypeAlias = Callable[[list[Tensor], list[Tensor], Tensor], None]


class AveragedModel(Module):
    r"""A copy of a model whose weights are an average of those that the model has had.

    The first `update_parameters` copies the weights. Each later one calls the averaging function with what is averaged, what
    the model has now, and how many models were averaged so far; without one the average is the plain mean of all,

        averaged <- averaged + (current - averaged) / (n_averaged + 1).

    Parameters
    ----------
    model : Module
        What is averaged; it is copied, not changed.
    device : str, optional
        There is "cpu" only.
    avg_fn : callable (averaged, current, n_averaged) -> Tensor, optional
        Returns the new value of one tensor; see `get_ema_avg_fn`.
    multi_avg_fn : callable (list of averaged, list of current, n_averaged) -> None, optional
        Writes the new values of all tensors in place, which makes no temporary arrays; see `get_ema_multi_avg_fn`.
    use_buffers : bool
        Average the buffers, such as batch normalization's running statistics, as well. Otherwise they are copied from the
        model in each update, and do not belong to the averaged weights until `update_bn` has computed them anew.

    Attributes
    ----------
    module : Module
        The copy.
    n_averaged : Tensor of int64, shape ()
        How many updates there were; part of `state_dict`, so that a resumed average goes on as it would have. The averaging
        function is not.

    Raises
    ------
    ArgumentError
        For both functions at once, and for something that is no module.

    References
    ----------
    Polyak, Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson 2018, "Averaging weights leads to wider optima and better generalization".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn, optim
    >>> net = nn.Linear(1, 1, bias=False)
    >>> mean = optim.AveragedModel(net)
    >>> for weight in (1.0, 2.0, 6.0):
    ...     _ = net.weight.data.fill_(weight)
    ...     mean.update_parameters(net)
    >>> mean(tg.ones(1, 1)).item(), int(mean.n_averaged)
    (3.0, 3)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: str | None = None,
        avg_fn: AvgFn | None = None,
        multi_avg_fn: MultiAvgFn | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(model, Module):
            raise ArgumentError(f"AveragedModel: model must be a Module, got {type(model).__name__}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("AveragedModel: avg_fn and multi_avg_fn are two ways to say the same: give one of them")
        self.module = deepcopy(model)
        if device is not None:
            self.module.to(device=device)
        self.register_buffer("n_averaged", Tensor(np.zeros((), np.int64)))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged copy gives."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the present weights of the model into the average; call it after the optimizer's step.

        Parameters
        ----------
        model : Module
            With parameters and buffers of the same number and shapes as those of the model that this was made from.

        Raises
        ------
        ArgumentError
            For another model; the average is as before.
        """
        averaged, copied = self._parts(self.module)
        current, present = self._parts(model)
        self._check_same_kind([*averaged, *copied], [*current, *present])
        with no_grad():
            if int(self.n_averaged) == 0:
                averaged, current, copied, present = [], [], [*averaged, *copied], [*current, *present]
            if self.avg_fn is not None:
                for mean, value in zip(averaged, current, strict=True):
                    mean.copy_(self.avg_fn(mean, value, self.n_averaged))
            else:
                (self.multi_avg_fn or _SWA_MULTI)(averaged, current, self.n_averaged)
            for copy, value in zip(copied, present, strict=True):
                copy.copy_(value)
            self.n_averaged.add_(1)

    def _parts(self, model: Module) -> tuple[list[Tensor], list[Tensor]]:
        """The tensors of a model that are averaged, and those that are copied."""
        parameters = [parameter.detach() for parameter in model.parameters()]
        buffers = [buffer.detach() for buffer in model.buffers()]
        return ([*parameters, *buffers], []) if self.use_buffers else (parameters, buffers)

    @staticmethod
    def _check_same_kind(ours: list[Tensor], given: list[Tensor]) -> None:
        if len(ours) != len(given):
            raise ArgumentError(
                f"update_parameters: the averaged model has {len(ours)} parameters and buffers, the model given has "
                f"{len(given)}; pass the model that the average was made from"
            )
        for i, (mean, value) in enumerate(zip(ours, given, strict=True)):
            if mean.shape != value.shape:
                raise ArgumentError(
                    f"update_parameters: tensor {i} of the averaged model has shape {mean.shape}, that of the model given "
                    f"{value.shape}; pass the model that the average was made from"
                )


# Averaging functions --------------------------------------------------------------------------------------------------


def get_ema_avg_fn(decay: float = 0.999) -> AvgFn:
    """The exponential moving average, averaged <- decay averaged + (1 - decay) current, for one tensor.

    Parameters
    ----------
    decay : float
        From 0 to 1; the average reaches about 1 / (1 - decay) updates back.

    Returns
    -------
    callable (averaged, current, n_averaged) -> Tensor

    Raises
    ------
    ArgumentError
        For a decay outside of 0 to 1.
    """
    _check_decay("get_ema_avg_fn", decay)
    return lambda averaged, current, n_averaged: decay * averaged + (1 - decay) * current


def get_swa_avg_fn() -> AvgFn:
    """The plain mean of all, averaged <- averaged + (current - averaged) / (n_averaged + 1), for one tensor.

    Returns
    -------
    callable (averaged, current, n_averaged) -> Tensor
    """
    return lambda averaged, current, n_averaged: averaged + (current - averaged) / (int(n_averaged) + 1)


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAvgFn:
    """The exponential moving average of `get_ema_avg_fn`, in place, for all tensors: the form for training.

    Parameters
    ----------
    decay : float
        From 0 to 1.

    Returns
    -------
    callable (list of averaged, list of current, n_averaged) -> None

    Raises
    ------
    ArgumentError
        For a decay outside of 0 to 1.
    """
    _check_decay("get_ema_multi_avg_fn", decay)

    def ema_update(averaged: list[Tensor], current: list[Tensor], n_averaged: Tensor) -> None:
        for mean, value in zip(averaged, current, strict=True):
            _move(mean, value, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> MultiAvgFn:
    """The plain mean of `get_swa_avg_fn`, in place, for all tensors.

    Returns
    -------
    callable (list of averaged, list of current, n_averaged) -> None
    """

    def swa_update(averaged: list[Tensor], current: list[Tensor], n_averaged: Tensor) -> None:
        weight = 1 / (int(n_averaged) + 1)
        for mean, value in zip(averaged, current, strict=True):
            _move(mean, value, weight)

    return swa_update


_SWA_MULTI = get_swa_multi_avg_fn()


def _check_decay(name: str, decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ArgumentError(f"{name}: decay must lie between 0 and 1, got {decay}")


def _move(averaged: Tensor, current: Tensor, weight: float) -> None:
    """averaged <- averaged + weight (current - averaged), in place; a whole number (a count of batches) is cut to one."""
    if not averaged.is_floating_point():
        averaged.copy_(averaged + weight * (current - averaged))
        return
    mean = averaged.array
    difference = borrow("weight average", mean.shape, mean.dtype)
    np.subtract(current.array, mean, out=difference)
    difference *= weight
    mean += difference
    averaged._wrote("AveragedModel.update_parameters()")


# Batch normalization --------------------------------------------------------------------------------------------------


def update_bn(loader: Iterable[Any], model: Module, device: str | None = None) -> None:
    """Compute the running statistics of batch normalization anew, by one pass over the data without learning.

    Averaged weights give other activations than those that the statistics were collected from. The new ones are the plain
    means over all batches.

    Parameters
    ----------
    loader : iterable of Tensor, or of tuple or list whose first entry is the input
    model : Module
        Called with each input, in training mode; afterwards every module is in the mode in which it was.
    device : str, optional
        There is "cpu" only.

    Raises
    ------
    ArgumentError
        If the loader gives nothing. After any error the statistics are as they were.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta, modes = [norm.momentum for norm in norms], [(module, module.training) for module in model.modules()]
    former = [(buffer, buffer.array.copy()) for norm in norms for buffer in norm.buffers()]
    batches = 0
    model.train()
    try:
        with no_grad():
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None
            for batch in loader:
                given = batch[0] if isinstance(batch, (tuple, list)) else batch
                model(given if device is None else given.to(device=device))
                batches += 1
        if batches == 0:
            raise ArgumentError("update_bn: the loader gave no batches; a generator can be gone through once only")
    except BaseException:
        with no_grad():
            for buffer, values in former:
                buffer.copy_(values)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes:
            module.training = training
