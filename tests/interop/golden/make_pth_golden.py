"""Let PyTorch write the files that the tests of the `.pth` reader read, and say what is in them.

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.13.0 numpy
    /tmp/torch/bin/python tests/interop/golden/make_pth_golden.py

writes NAME.zip.pth and NAME.legacy.pth beside this file, and expected.json with expected.npz: what `torch.load` makes of
each, arrays by number. Files as of 2017, which PyTorch no longer writes, are put together by hand, and it is still PyTorch
that says what is in them. PyTorch is needed for this only, never by the tests.
"""

import json
import pickle
import struct
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    import numpy as np
    import torch

    warnings.simplefilter("ignore")  # typed storages and complex halves are announced as going away
    torch.manual_seed(0)
    arrays: list[Any] = []

    def described(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            value = value.detach().resolve_conj().resolve_neg()
            arrays.append((value.float() if value.dtype is torch.bfloat16 else value).numpy().copy())
            return {"$array": len(arrays) - 1}
        if isinstance(value, dict):
            return {"$dict": [[key, described(entry)] for key, entry in value.items()]}
        if isinstance(value, tuple):
            return {"$tuple": [described(entry) for entry in value]}
        if isinstance(value, list):
            return [described(entry) for entry in value]
        if isinstance(value, bytes):
            return {"$bytes": value.hex()}
        return str(value) if isinstance(value, (torch.dtype, torch.device)) else value

    expected = {}
    for name, saved in values(torch).items():
        for kind, options in {
            "zip": {}, "legacy": {"_use_new_zipfile_serialization": False}, "zip5": {"pickle_protocol": 5},
        }.items():  # fmt: skip
            file = f"{name}.{kind}.pth"
            value = saved
            if name == "dtypes" and kind == "legacy":  # PyTorch itself cannot read these back
                value = {dtype: tensor for dtype, tensor in value.items() if dtype not in ("uint16", "uint32", "uint64")}
            torch.save(value, HERE / file, **options)
            expected[file] = described(torch.load(HERE / file, weights_only=False))
    for file, content in old_files().items():
        (HERE / file).write_bytes(content)
        expected[file] = described(torch.load(HERE / file, weights_only=False))
    np.savez_compressed(HERE / "expected.npz", **{str(i): array for i, array in enumerate(arrays)})
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def values(torch: Any) -> dict[str, Any]:
    """What is saved, by name of the file."""
    base = torch.randn(4, 5)
    grid = torch.arange(24.0).reshape(2, 3, 4)
    imaginary = torch.randn(3, dtype=torch.complex64)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(12, 2)
    )
    net(torch.rand(4, 1, 4, 4))
    numbers = torch.tensor([[-3, 2, 1], [0, 5, 100]])
    names = [
        "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
        "uint64", "bool", "complex64", "complex128",
    ]  # fmt: skip
    return {
        "dtypes": {
            name: (torch.randn(2, 3, dtype=torch.float64) if "loat" in name else numbers).to(getattr(torch, name))
            for name in names
        },
        "views": {
            "base": base, "transposed": base.T, "row": base[2], "column": base[:, 1], "block": base[1:3, 1:5:2],
            "permuted": grid.permute(2, 0, 1), "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 3),
            "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
            "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "end": base[4:], "conj": imaginary.conj(),
            "neg": imaginary.clone().conj().imag, "twice": [grid, grid],
        },
        "nested": {
            "state_dict": OrderedDict(weight=torch.nn.Parameter(base), count=torch.tensor(7)),
            "epoch": 3, "big": 1 << 70, "negative": -5, "rate": 0.1, "best": None, "done": True, "not done": False,
            "name": "naïve", "raw": b"\x00\xff", "size": base.shape, "dtype": torch.bfloat16,
            "device": torch.device("cuda", 1), "cpu": torch.device("cpu"),
            "list": [1, [2, (3, (4, 5), (6, 7, 8), (9, 10, 11, 12), ())], {}], 5: {"requires": base.clone().requires_grad_()},
        },
        "state_dict": net.state_dict(),
    }  # fmt: skip


def old_files() -> dict[str, bytes]:
    """As PyTorch 0.1 wrote, and Python 2: tensors without flags, classes that are filled later, parts of storages."""

    def name(module: str, attribute: str) -> bytes:
        return f"c{module}\n{attribute}\n".encode()

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()  # SHORT_BINSTRING, which Python 3 never writes

    def numbers(*values: int) -> bytes:
        return b"(" + b"".join(b"K" + bytes([value]) for value in values) + b"t"

    def storage(key: str, length: int, part: bytes = b"N", module: str = "torch", device: str = "cpu") -> bytes:
        kind = name(module, "FloatStorage")
        return b"(" + text("storage") + kind + text(key) + text(device) + b"K" + bytes([length]) + part + b"tQ"

    def tensor(of: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
        view = of + b"K" + bytes([offset]) + numbers(*shape) + numbers(*strides)
        return name("torch._utils", "_rebuild_tensor") + b"(" + view + b"tR"

    def filled(kind: bytes, arguments: bytes, state: bytes) -> bytes:
        return kind + arguments + b"\x81" + state + b"b"  # NEWOBJ, BUILD

    part = b"(" + text("view") + b"K\x02K\x04t"
    parameter = name("torch.nn.parameter", "Parameter")
    set_ = b"(" + storage("2", 6) + b"K\x00" + numbers(2, 3) + numbers(3, 1) + b"t"
    entries = {
        "plain": tensor(storage("1", 6), 1, (2, 2), (2, 1)),
        "part": tensor(storage("1", 6, part), 0, (3,), (1,)),
        "whole part": tensor(storage("1", 6, part), 1, (3,), (1,)),
        "parameter": filled(parameter, b"(" + tensor(storage("2", 6), 0, (3, 2), (2, 1)) + b"t", b"\x88\x89N\x87"),
        "set": filled(name("torch", "FloatTensor"), b")", set_),
    }
    pairs = b"".join(b"](" + text(key) + value + b"e" for key, value in entries.items())
    program = name("collections", "OrderedDict") + b"](" + pairs + b"e\x85R"
    legacy = b"".join(
        b"\x80\x02" + item + b"."
        for item in (
            pickle.LONG1 + b"\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little"),
            b"M" + struct.pack("<H", 1001),
            b"}" + text("little_endian") + b"\x88s",
            program,
            b"](" + text("1") + text("2") + b"e",
        )
    )
    data = b"".join(struct.pack("<q6f", 6, *range(start, start + 6)) for start in (0, 10))
    return {"of_2017.pth": legacy + data}


if __name__ == "__main__":
    main()
