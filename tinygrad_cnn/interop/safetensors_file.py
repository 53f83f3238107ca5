"""Named arrays in safetensors files: what weights should be exchanged in.

The format is a JSON header (each tensor's name, dtype, shape and place) and the numbers behind it. There is nothing in it
to execute.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from ..data.files import atomic_write
from ..errors import CheckpointError, DTypeError
from ..tensor import Tensor
from .file_kind import naming
from .tensor_views import ELEMENT_TYPES

Array = npt.NDArray[Any]

_BFLOAT16 = "BF16"


def load_safetensors(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read the arrays of a safetensors file.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict of str to ndarray
        bfloat16, which NumPy does not have, becomes float32, exactly.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is truncated or is none, or has a dtype that NumPy does not have (float8).

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "two.safetensors"
    >>> save_safetensors(path, {"a": np.arange(3), "b": np.eye(2)})
    >>> load_safetensors(path)["a"]
    array([0, 1, 2])
    """
    try:
        with naming(path), safetensors.safe_open(path, "numpy") as file:
            dtypes = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 - not a dict
            arrays = {name: _array(file, name, dtype) for name, dtype in dtypes.items() if dtype != _BFLOAT16}
        if _BFLOAT16 in dtypes.values():
            # safetensors hands NumPy no bfloat16, but it gives the bytes of all tensors.
            tensors = safetensors.deserialize(Path(path).read_bytes())  # type: ignore[no-untyped-call]
            arrays |= {name: _from_bfloat16(tensor) for name, tensor in tensors if tensor["dtype"] == _BFLOAT16}
    except OSError as error:
        raise CheckpointError(f"{os.fspath(path)} cannot be read: {error}") from error
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{os.fspath(path)} is truncated, or is no safetensors file ({error}): save it again") from error
    return {name: arrays[name] for name in dtypes}


def save_safetensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor | Array]) -> None:
    """Write named arrays to a safetensors file, all or nothing.

    Parameters
    ----------
    path : str or path-like
        An older file of that name stays until the new one is whole.
    tensors : mapping of str to Tensor or ndarray
        A `state_dict`, for instance.

    Raises
    ------
    DTypeError
        For an array of a dtype that the format does not have, such as complex128.
    """
    # safetensors writes memory as it lies and calls it C order: an array in Fortran order would come back scrambled.
    arrays = {name: np.asarray(getattr(tensor, "array", tensor), order="C") for name, tensor in tensors.items()}
    try:
        content = safetensors.numpy.save(arrays)
    except (safetensors.SafetensorError, KeyError) as error:
        dtypes = ", ".join(sorted({str(array.dtype) for array in arrays.values()}))
        raise DTypeError(f"safetensors has no place for one of the dtypes {dtypes} ({error}): convert the array") from error
    with atomic_write(Path(path)) as file:
        file.write(content)


def _array(file: Any, name: str, dtype: str) -> Array:
    try:
        return file.get_tensor(name)
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"its tensor {name!r} is of the dtype {dtype}, which NumPy does not have: convert it to F32 and save again"
        ) from error


def _from_bfloat16(tensor: Mapping[str, Any]) -> Array:
    raw = np.frombuffer(tensor["data"], np.uint8)
    return ELEMENT_TYPES["bfloat16"].read(raw, "<").reshape(tensor["shape"])
