"""How many threads the matrix products may use.

NumPy's products run in BLAS, on as many threads as the machine has cores. Alone on two cores that makes the products of
a small network about 1.4 times faster. Where other processes want the cores too (tests side by side, a shared server)
the threads of each small product wait for one another by spinning, and it is a disaster: a training step of LeNet that
took 24 ms on one thread took 90 ms on two, and at worst 2 s. One thread is the safe choice wherever the machine may be
busy; more are worth having for large networks on an idle one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinygrad_cnn.errors import MissingExtraError


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Let BLAS use at most `count` threads within a `with` block, in the whole process.

    Parameters
    ----------
    count : int

    Raises
    ------
    MissingExtraError
        threadpoolctl is not installed. Without it, set OPENBLAS_NUM_THREADS before Python starts.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise MissingExtraError("kernels.blas_threads", "fast") from None
    with threadpool_limits(limits=count, user_api="blas"):
        yield
