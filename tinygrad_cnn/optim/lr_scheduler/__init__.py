"""Schedules: the learning rate as a function of time.

A scheduler is made for an optimizer and told by `step` that time goes on, once an epoch or once a batch, after the
optimizer's own step. It writes the rate into the optimizer's groups.

Most schedules are recursive: the new rate is computed from the present one, ``lr <- lr * gamma``. So several schedules
can act on one optimizer, each multiplying what the others left, and a rate that was changed by hand stays changed. The
formula in each docstring is what comes out when nobody interferes. LambdaLR, OneCycleLR, CyclicLR and
CosineAnnealingWarmRestarts set the rate absolutely.

Step the optimizer first, then the scheduler, or the first rate is never used (there is a warning). To resume, save the
`state_dict` of both, make both anew, load the optimizer's, then the scheduler's. For a warm-up see `LinearLR`.
"""

from .base import LRScheduler
from .combined import ChainedScheduler, SequentialLR
from .cyclic import CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from .decay import ConstantLR, ExponentialLR, InverseLR, LambdaLR, LinearLR, MultiplicativeLR, MultiStepLR, PolynomialLR, StepLR
from .plateau import ReduceLROnPlateau
from .swa import SWALR

__all__ = [
    "SWALR",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "InverseLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
