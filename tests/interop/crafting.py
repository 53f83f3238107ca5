"""Put `.pth` files together by hand: what PyTorch would never write, and what attackers do."""

import io
import struct
import zipfile

MAGIC = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
VERSION = b"\x80\x02M\xe9\x03."
SYSTEM = b"\x80\x02}."


def name(module, attribute):
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def text(value):
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value):
    return b"\x8a\x0a" + value.to_bytes(10, "little", signed=True)


def tuple_of(*members):
    return b"(" + b"".join(members) + b"t"


def storage(length=4, key="0", kind="FloatStorage", device="cpu"):
    parts = text("storage"), name("torch", kind), text(key), text(device), number(length)
    return tuple_of(*parts) + b"Q"


def tensor(of=None, offset=0, shape=(4,), strides=(1,), function="_rebuild_tensor_v2"):
    sizes = [tuple_of(*map(number, values)) for values in (shape, strides)]
    hooks = name("collections", "OrderedDict") + b")R"
    arguments = tuple_of(of or storage(), number(offset), *sizes, b"\x89", hooks)
    return name("torch._utils", function) + arguments + b"R"


def program(body):
    return b"\x80\x02" + body + b"."


def zip_file(body, storages=None, compression=zipfile.ZIP_STORED, others=None):
    """A file of the zip format with a program and the storages' bytes by key."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program(body))
        for key, content in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", content)
        for entry, content in (others or {}).items():
            archive.writestr(entry, content)
    return file.getvalue()


def legacy_file(body, storages=None, magic=MAGIC, version=VERSION, system=SYSTEM, keys=None, itemsize=4):
    """A file of the legacy format."""
    storages = storages or {}
    listed = b"](" + b"".join(map(text, storages)) + b"e" if keys is None else keys
    data = b"".join(struct.pack("<q", len(content) // itemsize) + content for content in storages.values())
    return magic + version + system + program(body) + program(listed) + data


FOUR = struct.pack("<4f", 1, 2, 3, 4)
"""The bytes of a storage of four numbers."""
