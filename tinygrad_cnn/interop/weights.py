"""From a file of weights to a model: any format that weights are published in, and the ways in which they are wrapped."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError
from ..nn import Module
from ..nn.state import IncompatibleKeys, versions_of
from .file_kind import kind_of, map_file, naming
from .pth import load_pth
from .safetensors_file import load_safetensors
from .tensor_views import shown

Array = npt.NDArray[Any]

_WRAPPERS = ("state_dict", "model_state_dict", "model")


def load(path: str | os.PathLike[str], *, mmap: bool = False) -> Any:
    """Read a file of weights: ``.pth`` of PyTorch (zip or legacy) or safetensors, told apart by content.

    Nothing in the file is executed; see `load_pth`.

    Parameters
    ----------
    path : str or path-like
    mmap : bool, keyword-only
        As of `load_pth`; a safetensors file is copied in any case.

    Returns
    -------
    dict of str to ndarray
        Or whatever else was saved, as of `load_pth`.

    Raises
    ------
    CheckpointError
        As of `load_pth`.

    Examples
    --------
    >>> import tempfile, pathlib, tinygrad_cnn as tg
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "layer.safetensors"
    >>> tg.interop.save_safetensors(path, tg.nn.Linear(3, 2).state_dict())
    >>> sorted(tg.interop.load(path))
    ['bias', 'weight']
    """
    mapped = map_file(path)
    with naming(path):
        kind = kind_of(mapped)
    return load_safetensors(path) if kind == "safetensors" else load_pth(path, mmap=mmap)


def load_weights(model: Module, path: str | os.PathLike[str], strict: bool = True, *, prefix: str = "") -> IncompatibleKeys:
    """Put the weights of a file into a model.

    Besides a plain `state_dict`, a training checkpoint is taken that holds one as ``"state_dict"``,
    ``"model_state_dict"`` or ``"model"``.

    Parameters
    ----------
    model : Module
        Whose names are those of the file; see `models` for those that have torchvision's.
    path : str or path-like
    strict : bool
        Whether the names must be the same on both sides. torchvision's GoogLeNet file holds the auxiliary heads as well: for
        a model without them, pass False.
    prefix : str, keyword-only
        What the names in the file start with besides: ``"module."`` if the model was saved inside a DataParallel.

    Returns
    -------
    IncompatibleKeys (missing_keys, unexpected_keys)

    Raises
    ------
    CheckpointError
        If the file is not one of weights, or not of this model, which is then left as it was.

    Examples
    --------
    >>> import tempfile, pathlib, tinygrad_cnn as tg
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "layer.pth"
    >>> tg.interop.save_pth(path, tg.nn.Linear(3, 2).state_dict())
    >>> load_weights(tg.nn.Linear(3, 2), path)
    <All keys matched successfully>
    """
    loaded = load(path, mmap=True)
    with naming(path):
        return model.load_state_dict(_without_prefix(_state_dict_of(loaded), prefix), strict)


def _wrapped(loaded: Any) -> Any:
    """The state_dict within a training checkpoint; itself if it is none."""
    if isinstance(loaded, dict):
        for name in _WRAPPERS:
            if isinstance(loaded.get(name), dict):
                return loaded[name]
    return loaded


def _state_dict_of(loaded: Any) -> dict[str, Array]:
    state = _wrapped(loaded)
    if not isinstance(state, dict):
        raise CheckpointError(f"it holds {shown(state)}, not a dictionary of names and tensors (a state_dict)")
    others = [str(name) for name, value in state.items() if not isinstance(value, np.ndarray)]
    if others:
        raise CheckpointError(
            f"its entries {', '.join(others[:5])} are no tensors, and none is a state_dict named "
            f"{' or '.join(map(repr, _WRAPPERS))}: take the part with the weights out of load(path), and give it to "
            "model.load_state_dict"
        )
    return state


class _State(dict[str, Array]):
    """A state_dict that says, as PyTorch's do, which versions of its modules wrote it."""

    _metadata: dict[str, dict[str, int]]


def _without_prefix(state: dict[str, Array], prefix: str) -> dict[str, Array]:
    if not prefix and state and all(str(name).startswith("module.") for name in state):
        raise CheckpointError("all its names start with 'module.', as DataParallel saves them: pass prefix='module.'")
    if others := [name for name in state if not str(name).startswith(prefix)]:
        raise CheckpointError(f"not all its names start with the prefix {prefix!r}: {', '.join(map(str, others[:5]))} do not")
    shortened = _State((str(name)[len(prefix) :], array) for name, array in state.items())
    versions = {path: {"version": version} for path, version in versions_of(state).items() if path.startswith(prefix)}
    shortened._metadata = {path[len(prefix) :]: version for path, version in versions.items()}
    return shortened
