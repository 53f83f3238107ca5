"""The array types that the kernels exchange: any real floating array, and int64 indices."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]
