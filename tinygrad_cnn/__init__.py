"""tinygrad_cnn: convolutional networks and their backward passes, from scratch on NumPy.

    import tinygrad_cnn as tg

    x = tg.randn(1, 1, 8, 8, requires_grad=True)
    y = tg.conv2d(x, tg.randn(4, 1, 3, 3)).relu().sum()
    y.backward()
    x.grad
"""

from . import blas_waiting  # noqa: F401 (for what it does)

# isort: split
# NumPy is imported with what is asked of its BLAS, which is read only then.
import numpy as _np

from .tensor import Tensor, get_default_dtype, set_default_dtype

# isort: split
# The tensor comes first: its module imports the ops and the engine, which need it, once the class exists.
from . import autograd, data, explain, interop, kernels, learn, models, nn, ops, optim, profiler, train, viz
from .autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .creation import (
    arange,
    as_tensor,
    empty,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)  # fmt: skip
from .interop import load
from .kernels.parallel import get_num_threads, set_num_threads
from .nn import summary
from .ops import *  # noqa: F403
from .profiler import profile
from .random import get_rng_state, manual_seed, set_rng_state
from .version import __version__

float16 = _np.dtype(_np.float16)
float32 = _np.dtype(_np.float32)
float64 = _np.dtype(_np.float64)
int32 = _np.dtype(_np.int32)
int64 = _np.dtype(_np.int64)
uint8 = _np.dtype(_np.uint8)

__all__ = [
    "Tensor", "__version__", "arange", "as_tensor", "autograd", "data", "empty", "enable_grad", "explain", "eye", "float16",
    "float32", "float64", "from_numpy", "full", "full_like", "get_default_dtype", "get_num_threads", "get_rng_state", "int32",
    "int64", "interop", "is_grad_enabled", "kernels", "learn", "linspace", "load", "manual_seed", "models", "nn", "no_grad",
    "ones", "ones_like", "ops", "optim", "profile", "profiler", "rand", "rand_like", "randint", "randn", "randn_like",
    "randperm", "set_default_dtype", "set_grad_enabled", "set_num_threads", "set_rng_state", "summary", "tensor", "train",
    "uint8", "viz", "zeros", "zeros_like", *ops.__all__,
]  # fmt: skip
