"""What the pickles of PyTorch may ask for: a short list of names, and what answers to each.

The pickle of a file holds the views, the numbers lie outside of it. A tensor is a call,

    torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)

and its storage a *persistent id*, ``("storage", torch.FloatStorage, key, device, length)``. `ADMITTED` is the whole list of
names; nothing of PyTorch is imported, and every function that is called is one of this module. Tensors are rebuilt as `View`,
a note of what was asked for: the legacy format stores its numbers after the pickle. Some entries are for files that PyTorch
0.1 wrote in 2017, torchvision's first among them.
"""

import math
from collections.abc import Callable
from typing import Any

from ..errors import CheckpointError
from .pickle_machine import Admitted
from .tensor_views import (
    ELEMENT_TYPES,
    STORAGE_NAMES,
    ElementType,
    StateDict,
    StoragePart,
    StorageType,
    View,
    damaged,
    shown,
)


def _sizes(values: Any, what: str) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or len(values) > 64:
        damaged(f"a tensor has no tuple of at most 64 numbers for its {what}")
    return tuple(_size(value, what) for value in values)


def _size(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        damaged(f"a tensor has {shown(value)} for its {what}, not a number from 0")
    return value


def _set(view: View, source: Any, offset: Any, shape: Any, strides: Any, element: Any = None) -> None:
    """Let a view look at a storage."""
    if not isinstance(source, StoragePart):
        damaged("a tensor's storage is something else")
    view.storage, view.start = source.storage, source.start
    view.offset, view.shape, view.strides = _size(offset, "offset"), _sizes(shape, "shape"), _sizes(strides, "strides")
    if len(view.shape) != len(view.strides):
        damaged(f"a tensor has the shape {view.shape} and the strides {view.strides}")
    view.element = source.element if element is None else element
    if not isinstance(view.element, ElementType):
        damaged("a tensor has no element type")
    if math.prod(n for n in view.shape if n) * view.element.itemsize >= 1 << 62:
        damaged(f"a tensor of shape {view.shape} fits no memory")


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> View:
    view = View()
    _set(view, storage, offset, shape, strides)
    return view


def _rebuild_tensor_v2(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, metadata: Any = None
) -> View:
    return _with_flags(_rebuild_tensor(storage, offset, shape, strides), hooks, metadata)


def _rebuild_tensor_v3(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, dtype: Any, metadata: Any = None
) -> View:
    if not isinstance(dtype, ElementType):
        damaged("a tensor's dtype is something else")
    view = View()
    _set(view, storage, offset, shape, strides, dtype)
    return _with_flags(view, hooks, metadata)


def _with_flags(view: View, hooks: Any, metadata: Any) -> View:
    """Note what PyTorch computes only when it is looked at: a conjugate, a sign."""
    _no_hooks(hooks)
    flags = {} if metadata is None else metadata
    if not isinstance(flags, dict) or not set(flags) <= {"conj", "neg"}:
        damaged("a tensor has flags that are neither conj nor neg")
    view.conjugate, view.negative = flags.get("conj") is True, flags.get("neg") is True
    return view


def _no_hooks(hooks: Any) -> None:
    if hooks:
        damaged("a tensor has hooks")


def _rebuild_parameter(view: Any, requires_grad: Any = True, hooks: Any = None, state: Any = None) -> View:
    if not isinstance(view, View):
        damaged("a parameter is no tensor")
    _no_hooks(hooks)
    return view


def _new_parameter(view: Any = None, requires_grad: Any = True) -> View:
    return View() if view is None else _rebuild_parameter(view)


def _ordered_dict(items: Any = ()) -> StateDict:
    """Python 3 writes an empty one and fills it; Python 2 gave a list of pairs."""
    made = StateDict()
    if not isinstance(items, (list, tuple)):
        damaged("an OrderedDict is made of something else")
    for pair in items:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], str):
            damaged("an OrderedDict has an entry that is no pair of name and value")
        made[pair[0]] = pair[1]
    return made


def _device(kind: Any, index: Any = None) -> str:
    if not isinstance(kind, str) or not isinstance(index, (int, type(None))):
        damaged(f"a device is {shown(kind)}")
    return kind if index is None else f"{kind}:{index}"


def _encode(text: Any, encoding: Any) -> bytes:
    """How protocol 2, which knows no bytes, writes them."""
    if not isinstance(text, str) or encoding != "latin1" or any(ord(character) > 255 for character in text):
        damaged("_codecs.encode was asked for something else than bytes")
    return text.encode("latin1")


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch.nn.parameter", "Parameter"): _new_parameter,
    ("torch", "Size"): lambda sizes: _sizes(sizes, "size"),
    ("torch", "device"): _device,
    ("_codecs", "encode"): _encode,
}


def _admitted() -> dict[tuple[str, str], Any]:
    admitted: dict[tuple[str, str], Any] = {
        (module, name): Admitted(f"{module}.{name}", function) for (module, name), function in _FUNCTIONS.items()
    }
    admitted |= {("torch", name): element for name, element in ELEMENT_TYPES.items()}
    admitted["torch.storage", "UntypedStorage"] = StorageType(None)
    for name, storage in STORAGE_NAMES.items():
        tensor = storage.replace("Storage", "Tensor")
        for module in ("torch", "torch.cuda"):
            admitted[module, storage] = StorageType(ELEMENT_TYPES[name])
            # A class that is called without arguments; BUILD then gives it a storage. Files of 2017.
            admitted[module, tensor] = Admitted(f"{module}.{tensor}", lambda: View())
    return admitted


ADMITTED = _admitted()
"""Every name that a file may use, and what it gets. This is the whole list."""


def find_global(module: str, name: str) -> Any:
    """Look a name of a pickle up in the list of those that are admitted.

    Raises
    ------
    CheckpointError
        For every other name.
    """
    if (module, name) in ADMITTED:
        return ADMITTED[module, name]
    asked = f"{module}.{name}"[:200]
    if asked.startswith(("torch.float8", "torch.complex32", "torch.q", "torch.sparse", "torch.QU", "torch.QI")):
        advice = "NumPy has nothing like it: convert the tensor in PyTorch (`tensor.float()`) and save again"
    elif module.startswith("numpy"):
        advice = "write plain numbers instead, float(x), or tensors, torch.as_tensor(x), and save again"
    else:
        advice = (
            "if you trust its author, open it in PyTorch and save the weights alone, torch.save(model.state_dict(), path); "
            "if not, delete it"
        )
    raise CheckpointError(
        f"it asks for `{asked}`, which is not needed to rebuild tensors and was refused; nothing of the file was executed: "
        f"{advice}"
    )


def set_state(instance: Any, state: Any) -> None:
    """Answer to BUILD: the versions of a state_dict's modules, and how tensors were put together until 2018.

    Raises
    ------
    CheckpointError
        For everything else, above all for any attribute that is not one of these.
    """
    if isinstance(instance, StateDict) and isinstance(state, dict) and set(state) <= {"_metadata"}:
        if isinstance(metadata := state.get("_metadata", {}), dict):
            instance._metadata = metadata
            return None
    elif isinstance(instance, View) and isinstance(state, tuple):
        if len(state) == 4:  # torch.FloatTensor: storage, offset, shape, strides
            return _set(instance, *state)
        if len(state) == 5 and isinstance(state[0], View):  # a parameter: data, gradient, hooks, flags
            instance.__dict__.update(state[0].__dict__)
            return _no_hooks(state[2])
        if len(state) == 3:  # a parameter that has its data: flags, hooks
            return _no_hooks(state[2])
    raise CheckpointError(
        "its pickle sets the state of an object (BUILD) that is no tensor and no state_dict: it was refused, and nothing of "
        "the file was executed"
    )
