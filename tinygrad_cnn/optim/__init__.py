"""Optimizers, which turn gradients into new parameters, and schedules of their learning rate.

    optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()

Names, arguments, defaults and state keys are PyTorch's.
"""

from . import lr_scheduler, swa_utils
from .adam import Adam, AdamW
from .adam_variants import Adamax, NAdam, RAdam
from .adaptive import Adadelta, Adagrad, RMSprop, Rprop
from .asgd import ASGD
from .averaging import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn, get_swa_avg_fn, get_swa_multi_avg_fn, update_bn
from .lars import LARS
from .levenberg_marquardt import SDLM
from .optimizer import Optimizer
from .sgd import SGD

__all__ = [
    "ASGD",
    "LARS",
    "SDLM",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "AveragedModel",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "lr_scheduler",
    "swa_utils",
    "update_bn",
]
