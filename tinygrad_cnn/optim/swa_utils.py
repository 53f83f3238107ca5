"""Weight averaging under PyTorch's name for it: ``from tinygrad_cnn.optim.swa_utils import AveragedModel``.

The averages themselves are in `averaging`, the learning rate that goes with them in `lr_scheduler`.
"""

from .averaging import (
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)
from .lr_scheduler import SWALR

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]
