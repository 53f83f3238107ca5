"""Checkpoints: a model's weights in a file, with what is needed to use them again, or to train on as if nothing had been.

The format is safetensors: no pickle, so that opening a stranger's file runs nobody's code, and every other framework
reads it. The weights have their `state_dict` names. What else there is to know (which architecture, after which epoch,
how its images were scaled) is a line of JSON in the file's metadata, together with the state of everything that takes
part in a training (the optimizer, the schedule, the generators); the arrays of such states are tensors named
``state/<number>``.

A file takes its name only when it is whole. A file is checked before anything is read from it into an object; and if one
of several objects refuses its part, those that had taken theirs get back what they had.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors
import safetensors.numpy

from ..data.files import atomic_write
from ..errors import CheckpointError
from ..nn import Module
from ..optim import Optimizer
from ..version import __version__
from .packing import Array, pack, unpack

FORMAT = 1
"""The number of the format, counted up when a change makes files that former versions would misread."""

_METADATA = "tinygrad_cnn"
_STATE = "state"


class Stateful(Protocol):
    """What a checkpoint can hold: an optimizer, a schedule, a loader, whatever tells its state and takes it back."""

    def state_dict(self) -> Any:
        """The state, as `pack` takes it."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take over a state."""
        ...


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
    measured : dict of str to float
        What was measured on these weights.
    """

    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    normalization: str = "unit"
    seed: int | None = None
    version: str = __version__
    measured: dict[str, float] = field(default_factory=dict)


def save_checkpoint(
    path: str | os.PathLike[str],
    model: Module,
    optimizer: Optimizer | None = None,
    *,
    parts: Mapping[str, Stateful] | None = None,
    arguments: Mapping[str, Any] | None = None,
    epoch: int = 0,
    normalization: str = "unit",
    seed: int | None = None,
    measured: Mapping[str, float] | None = None,
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
    parts : mapping of str to object with ``state_dict()`` and ``load_state_dict()``, optional
        What else to keep, by names of your own: a second optimizer, a schedule, a `DataLoader`, `GeneratorStates`.
    arguments, epoch, normalization, seed, measured
        As of `CheckpointInfo`.

    Returns
    -------
    CheckpointInfo

    Raises
    ------
    DTypeError
        If a state holds something else than numbers, texts and arrays.

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
    info = CheckpointInfo(
        type(model).__name__, dict(arguments or {}), epoch, normalization, seed, measured=dict(measured or {})
    )
    states = {name: part.state_dict() for name, part in _with_optimizer(parts, optimizer).items()}
    plain, arrays = pack(states, _STATE)
    weights = {name: tensor.array for name, tensor in model.state_dict().items()}
    # safetensors writes memory as it lies and calls it C order: an array in Fortran order would come back scrambled.
    tensors = {name: np.asarray(array, order="C") for name, array in (weights | arrays).items()}
    described = {"format": FORMAT, **asdict(info), _STATE: plain, "crc32": _checksum(tensors)}
    content = safetensors.numpy.save(tensors, {_METADATA: json.dumps(described)})
    with atomic_write(Path(path)) as file:
        file.write(content)
    _flush_directory(Path(path).parent)
    return info


def load_checkpoint(
    path: str | os.PathLike[str],
    model: Module | None = None,
    optimizer: Optimizer | None = None,
    *,
    parts: Mapping[str, Stateful] | None = None,
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
    parts : mapping of str to object with ``state_dict()`` and ``load_state_dict()``, optional
        Take over the states that were saved under their names.

    Returns
    -------
    CheckpointInfo

    Raises
    ------
    CheckpointError
        If the file is truncated or damaged, is none of ours, has a newer format, or belongs to another model; model,
        optimizer and parts are as before.
    """
    described, tensors = _read(Path(path))
    plain = described.pop(_STATE, {})
    info = _info(Path(path), described)
    weights = {name: array for name, array in tensors.items() if not name.startswith(f"{_STATE}/")}
    wanted = _with_optimizer(parts, optimizer)
    absent = [name for name in wanted if name not in plain]
    if absent:
        kept = f"those of {', '.join(plain)}" if plain else "none"
        raise CheckpointError(
            f"{path} holds no state of the {', '.join(absent)} (of states, it holds {kept}): it was saved without; load it "
            "without, too"
        )
    try:
        states = {name: unpack(plain[name], tensors) for name in wanted}
        _take_over({"model": model, **wanted} if model is not None else wanted, {"model": weights, **states})
    except CheckpointError as error:
        made = ", ".join(f"{name}={value!r}" for name, value in info.arguments.items())
        raise CheckpointError(f"{path} (of {info.architecture}({made}), epoch {info.epoch}): {error}") from error
    return info


def _with_optimizer(parts: Mapping[str, Stateful] | None, optimizer: Optimizer | None) -> dict[str, Stateful]:
    return {**({} if optimizer is None else {"optimizer": optimizer}), **(parts or {})}


def _take_over(objects: Mapping[str, Stateful], states: Mapping[str, Any]) -> None:
    """Give each object its state; if one cannot take it, give all that had changed their own back."""
    before: dict[str, Any] = {}
    try:
        for name, part in objects.items():
            before[name] = unpack(*_copied(pack(part.state_dict())))
            part.load_state_dict(states[name])
    except Exception as error:
        for name, state in before.items():
            # What refused its state for being of another kind may refuse its own; it has not changed.
            with contextlib.suppress(Exception):
                objects[name].load_state_dict(state)
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"the state of the {name} cannot be taken over ({type(error).__name__}: {error})") from error


def _copied(packed: tuple[Any, dict[str, Array]]) -> tuple[Any, dict[str, Array]]:
    plain, arrays = packed
    return plain, {name: array.copy() for name, array in arrays.items()}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the JSON and the tensors of a file, both checked as far as a file can be without an object to load it into."""
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
    if not isinstance(described, dict) or "format" not in described:
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of tinygrad_cnn: its metadata do not say so")
    number = described.pop("format")
    if not isinstance(number, int) or number > FORMAT:
        raise CheckpointError(
            f"{path} was written by version {described.get('version', 'unknown')} of tinygrad_cnn in checkpoint format "
            f"{number}; this version ({__version__}) reads up to format {FORMAT}: install a newer one"
        )
    if described.pop("crc32", None) != _checksum(tensors):
        raise CheckpointError(f"{path} is damaged: its tensors are not those that were written; take an older copy of it")
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


def _checksum(tensors: Mapping[str, Array]) -> int:
    """The CRC-32 of all names and values: safetensors itself would not see a flipped bit."""
    checksum = 0
    for name in sorted(tensors):
        checksum = zlib.crc32(name.encode(), checksum)
        checksum = zlib.crc32(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data, checksum)
    return checksum


def _flush_directory(directory: Path) -> None:
    """See to it that the new name outlasts a power cut; where directories cannot be flushed (Windows), that is that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
