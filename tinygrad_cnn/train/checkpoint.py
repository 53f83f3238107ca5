"""Checkpoints: a model's weights in a file, with what is needed to use them again.

The format is safetensors: no pickle, so that opening a stranger's file runs nobody's code, and every other framework
reads it. The weights have their `state_dict` names. What else there is to know (which architecture, after which epoch,
how its images were scaled) is a line of JSON in the file's metadata; the optimizer's state, if kept, is in tensors named
``optimizer/<parameter number>/<name>``.

A file takes its name only when it is whole, and a model takes over a file's weights only when all of them fit.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from ..data.files import atomic_write
from ..errors import CheckpointError
from ..nn import Module
from ..optim import Optimizer
from ..version import __version__

Array = npt.NDArray[Any]

_METADATA = "tinygrad_cnn"
_OPTIMIZER = "optimizer"


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about its weights.

    Attributes
    ----------
    architecture : str
        The model's class.
    arguments : dict
        What its class was called with, as far as it differs from the defaults.
    epoch : int
        How many passes over the training data were completed.
    normalization : str
        How the images were scaled that it learned from; see `data.normalize_digits`.
    seed : int or None
        The seed of the training.
    version : str
        The version of this package that wrote the file.
    """

    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    normalization: str = "unit"
    seed: int | None = None
    version: str = __version__


def save_checkpoint(
    path: str | os.PathLike[str],
    model: Module,
    optimizer: Optimizer | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    epoch: int = 0,
    normalization: str = "unit",
    seed: int | None = None,
) -> CheckpointInfo:
    """Write a model's weights to a file, all or nothing.

    Parameters
    ----------
    path : str or path-like
        Where to; an older file of that name stays until the new one is whole.
    model : Module
        Whose parameters and buffers are written.
    optimizer : Optimizer, optional
        Keep its state as well, to train on from here.
    arguments, epoch, normalization, seed
        As of `CheckpointInfo`.

    Returns
    -------
    CheckpointInfo

    Examples
    --------
    >>> import tempfile, tinygrad_cnn as tg
    >>> path = Path(tempfile.mkdtemp()) / "layer.safetensors"
    >>> layer, copy = tg.nn.Linear(3, 2), tg.nn.Linear(3, 2)
    >>> save_checkpoint(path, layer, epoch=4).architecture
    'Linear'
    >>> load_checkpoint(path, copy).epoch
    4
    >>> bool((copy.weight == layer.weight).all())
    True
    """
    info = CheckpointInfo(type(model).__name__, dict(arguments or {}), epoch, normalization, seed)
    tensors = {name: tensor.array for name, tensor in model.state_dict().items()}
    described: dict[str, Any] = asdict(info)
    if optimizer is not None:
        described[_OPTIMIZER], of_optimizer = _flatten(optimizer.state_dict())
        tensors |= of_optimizer
    # safetensors writes memory as it lies and calls it C order: an array in Fortran order would come back scrambled.
    in_c_order = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    content = safetensors.numpy.save(in_c_order, {_METADATA: json.dumps(described)})
    with atomic_write(Path(path)) as file:
        file.write(content)
    return info


def load_checkpoint(
    path: str | os.PathLike[str], model: Module | None = None, optimizer: Optimizer | None = None
) -> CheckpointInfo:
    """Read a checkpoint, and put its weights into a model.

    Parameters
    ----------
    path : str or path-like
        A file from `save_checkpoint`.
    model : Module, optional
        Takes over the weights; without it, the file is only checked and described.
    optimizer : Optimizer, optional
        Takes over the state that was saved with the weights.

    Returns
    -------
    CheckpointInfo

    Raises
    ------
    CheckpointError
        If the file is truncated, is none of ours, or belongs to another model; model and optimizer are as before.
    """
    described, tensors = _read(Path(path))
    state = described.pop(_OPTIMIZER, None)
    info = _info(Path(path), described)
    weights = {name: array for name, array in tensors.items() if not name.startswith(f"{_OPTIMIZER}/")}
    if optimizer is not None and state is None:
        raise CheckpointError(f"{path} holds no optimizer's state: it was saved without one; load it without optimizer=")
    try:
        _take_over(weights, model, None if state is None else _unflatten(state, tensors), optimizer)
    except CheckpointError as error:
        made = ", ".join(f"{name}={value!r}" for name, value in info.arguments.items())
        raise CheckpointError(f"{path} (of {info.architecture}({made}), epoch {info.epoch}): {error}") from error
    return info


def _take_over(
    weights: Mapping[str, Array], model: Module | None, state: dict[str, Any] | None, optimizer: Optimizer | None
) -> None:
    """Load both or neither; each of the two loads all or nothing."""
    before = {} if model is None else {name: tensor.array.copy() for name, tensor in model.state_dict().items()}
    if model is not None:
        model.load_state_dict(weights)
    if optimizer is not None and state is not None:
        try:
            optimizer.load_state_dict(state)
        except CheckpointError:
            if model is not None:
                model.load_state_dict(before)
            raise


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the JSON and the tensors of a file."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get(_METADATA)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is truncated, or is no safetensors file ({error}): save it again") from error
    try:
        described = json.loads(text or "")
    except ValueError:
        described = None
    if not isinstance(described, dict):
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of tinygrad_cnn: its metadata do not say so")
    return described, tensors


def _info(path: Path, described: dict[str, Any]) -> CheckpointInfo:
    try:
        return CheckpointInfo(**described)
    except TypeError as error:
        version = described.get("version", "unknown")
        raise CheckpointError(
            f"{path} was written by version {version} of tinygrad_cnn, whose checkpoints this version ({__version__}) "
            "cannot read: use that version"
        ) from error


def _flatten(state_dict: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Part an optimizer's state into plain data for JSON and named arrays."""
    plain: dict[str, dict[str, Any]] = {}
    arrays: dict[str, Array] = {}
    for number, entries in state_dict["state"].items():
        plain[str(number)] = {}
        for name, value in entries.items():
            array = getattr(value, "array", value)
            if isinstance(array, np.ndarray):
                arrays[f"{_OPTIMIZER}/{number}/{name}"] = array
            else:
                plain[str(number)][name] = value
    return {"state": plain, "param_groups": state_dict["param_groups"]}, arrays


def _unflatten(plain: Mapping[str, Any], tensors: Mapping[str, Array]) -> dict[str, Any]:
    """Put together again what `_flatten` has parted."""
    state: dict[int, dict[str, Any]] = {int(number): dict(entries) for number, entries in plain["state"].items()}
    for name, array in tensors.items():
        if name.startswith(f"{_OPTIMIZER}/"):
            _, number, entry = name.split("/", 2)
            state[int(number)][entry] = array
    return {"state": state, "param_groups": plain["param_groups"]}
