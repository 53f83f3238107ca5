"""Malicious files: each is refused, says what it asked for, and nothing of it has run.

Every attack would create a marker file. `test_the_attacks_work` shows with Python's own `pickle` that they are real.
"""

import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import CheckpointError
from tinygrad_cnn.interop.torch_globals import ADMITTED

from .crafting import FOUR, MAGIC, VERSION, legacy_file, name, number, program, storage, tensor, text, tuple_of, zip_file


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "executed"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def open_marker(marker):
    """The code that an attack runs."""
    return f"open({str(marker)!r}, 'w').close()"


def call(module, attribute, *arguments):
    return name(module, attribute) + tuple_of(*arguments) + b"R"


def short(value):
    """SHORT_BINUNICODE, for STACK_GLOBAL."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def evaluated_while_bytes_are_made(marker, make):
    """bytes(map(eval, [code])), without REDUCE."""
    values = name("builtins", "map") + tuple_of(name("builtins", "eval"), b"]" + text(open_marker(marker)) + b"a") + make
    return name("builtins", "bytes") + values + b"\x85" + make


ATTACKS = {
    "os.system": lambda m: call("os", "system", text(f"touch {m}")),
    "posix.system": lambda m: call("posix", "system", text(f"touch {m}")),
    "builtins.eval": lambda m: call("builtins", "eval", text(open_marker(m))),
    "builtins.exec": lambda m: call("builtins", "exec", text(open_marker(m))),
    "__builtin__.eval": lambda m: call("__builtin__", "eval", text(open_marker(m))),
    "builtins.open": lambda m: call("builtins", "open", text(str(m)), text("w")),
    "pathlib.Path.touch": lambda m: (
        b"\x80\x04" + short("pathlib") + short("Path.touch") + b"\x93" + call("pathlib", "Path", text(str(m))) + b"\x85R"
    ),
    "builtins.getattr": lambda m: (
        call("builtins", "getattr", call("builtins", "__import__", text("os")), text("system"))
        + text(f"touch {m}") + b"\x85R"
    ),
    "os.system through the memo": lambda m: (
        b"\x80\x04" + short("os") + b"\x94" + short("system") + b"\x940h\x00h\x01\x93" + text(f"touch {m}") + b"\x85R"
    ),
    "NEWOBJ": lambda m: evaluated_while_bytes_are_made(m, b"\x81"),
    "operator.methodcaller": lambda m: (
        call("operator", "methodcaller", text("touch")) + call("pathlib", "Path", text(str(m))) + b"\x85R"
    ),
    "pickle in bytes": lambda m: call(
        "pickle", "loads", b"C" + bytes([len(inner := pickle.dumps(eval, 4)[:-1] + text(open_marker(m)) + b"\x85R.")]) + inner
    ),
    "OBJ": lambda m: b"(" + name("builtins", "eval") + text(open_marker(m)) + b"o",
    "INST": lambda m: b"(" + text(open_marker(m)) + b"ibuiltins\neval\n",
    "NEWOBJ_EX": lambda m: evaluated_while_bytes_are_made(m, b"}\x92"),
    "a key": lambda m: b"}" + call("builtins", "eval", text(open_marker(m))) + b"K\x01s",
    "BUILD": lambda m: (
        call("types", "SimpleNamespace") + b"}" + text("x") + call("builtins", "eval", text(open_marker(m))) + b"sb"
    ),
}  # fmt: skip


def refused(path, marker, match):
    with pytest.raises(CheckpointError, match=match) as caught:
        tg.load(path)
    assert not marker.exists()
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_attacks_work(attack, marker, path):
    """With Python's machine, in a process of its own."""
    path.write_bytes(program(ATTACKS[attack](marker)))
    script = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(path)], capture_output=True, check=False)
    assert marker.exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_in_a_zip_file_is_refused(attack, marker, path):
    path.write_bytes(zip_file(ATTACKS[attack](marker)))
    message = refused(path, marker, "refused")
    assert "nothing of the file was executed" in message
    asked = attack.split(" ")[0].rstrip(",")
    if "." in asked:
        assert asked in message


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("where", ["magic", "version", "system", "object", "keys"])
def test_an_attack_anywhere_in_a_legacy_file_is_refused(attack, where, marker, path):
    bad = program(ATTACKS[attack](marker))
    if where == "object":
        path.write_bytes(legacy_file(ATTACKS[attack](marker)))
    else:
        path.write_bytes(legacy_file(tensor(), {"0": FOUR}, **{where: bad}))
    refused(path, marker, "refused|is no pickle")


def test_an_attack_hidden_in_good_weights_is_refused(marker, path):
    body = b"}(" + text("weight") + tensor() + text("bias") + ATTACKS["os.system"](marker) + b"u"
    path.write_bytes(zip_file(body, {"0": FOUR}))
    message = refused(path, marker, "asks for `os.system`, which is not needed to rebuild tensors")
    assert "if you trust its author, open it in PyTorch and save the weights alone" in message
    model = tg.nn.Linear(4, 1)
    before = model.weight.tolist()
    with pytest.raises(CheckpointError, match=r"os\.system"):
        tg.interop.load_weights(model, path)
    assert model.weight.tolist() == before


def test_an_attack_in_an_argument_of_a_tensor_is_refused(marker, path):
    for at in (b"\x89", tuple_of(number(4)), number(0)):
        path.write_bytes(zip_file(tensor().replace(at, ATTACKS["os.system"](marker), 1), {"0": FOUR}))
        refused(path, marker, r"os\.system")


@pytest.mark.parametrize("attribute", ["_utils._rebuild_tensor_v2", "nn.modules.container.Sequential", "hub.load", "load"])
def test_attributes_of_pytorch_are_no_way_around(attribute, marker, path):
    """A name with dots would be looked up step by step; only whole entries of the list are admitted."""
    path.write_bytes(zip_file(b"\x80\x04" + short("torch") + short(attribute) + b"\x93)R"))
    refused(path, marker, f"asks for `torch.{attribute}`")


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("torch.storage", "_load_from_bytes"),  # unpickles its argument without any restriction
        ("torch._utils", "_rebuild_sparse_tensor"),
        ("torch", "load"),
        ("torch.nn.modules.linear", "Linear"),
        ("__main__", "Net"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("collections", "OrderedDict.__init__"),
        ("collections.OrderedDict", ""),
        ("", "collections.OrderedDict"),
        ("torch", "float8_e4m3fn"),
        ("torch", "QInt8Storage"),
    ],
)
def test_what_rebuilds_no_tensor_is_refused_by_name(module, attribute, marker, path):
    path.write_bytes(zip_file(name(module, attribute) + b")R"))
    message = refused(path, marker, f"asks for `{module}.{attribute}`")
    if module.startswith("numpy"):
        assert "write plain numbers instead, float(x)" in message
    if attribute.startswith(("float8", "QInt")):
        assert "convert the tensor in PyTorch" in message


def test_the_list_is_as_short_as_it_says():
    """Whoever makes it longer should see it in a test."""
    functions = {admitted.name for admitted in ADMITTED.values() if hasattr(admitted, "call")}
    assert {name for name in functions if not name.endswith("Tensor")} == {
        "collections.OrderedDict", "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state", "torch.nn.parameter.Parameter", "torch.Size", "torch.device",
        "_codecs.encode",
    }  # fmt: skip
    for admitted in ADMITTED.values():
        assert type(admitted).__module__.startswith("tinygrad_cnn.interop")
        if hasattr(admitted, "call"):
            assert admitted.call.__module__ == "tinygrad_cnn.interop.torch_globals"


def test_no_persistent_id_but_a_storage_is_taken(marker, path):
    for identity in (tuple_of(text("module"), name("torch", "float32")), text("storage"), tuple_of(), b"N", b"K\x01"):
        path.write_bytes(zip_file(identity + b"Q"))
        refused(path, marker, "refers to an object of the kind .*, not to a storage")
    for identity in (
        tuple_of(text("storage"), text("FloatStorage"), text("0"), text("cpu"), number(4)),
        tuple_of(text("storage"), name("torch", "FloatStorage"), number(0), text("cpu"), number(4)),
        tuple_of(text("storage"), name("torch", "FloatStorage"), text("0"), b"N", number(4)),
        tuple_of(text("storage"), name("torch", "FloatStorage"), text("0" * 101), text("cpu"), number(4)),
        tuple_of(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(-4)),
    ):
        path.write_bytes(zip_file(identity + b"Q"))
        refused(path, marker, "refers to a storage in a way that PyTorch does not")


EXTENSIONS = [b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"]


@pytest.mark.parametrize("code", [*EXTENSIONS, b"P1\n", b"\x96" + bytes(8), b"\x97", b"I1\n", b"S'a'\n", b"(l", b"\x8f"])
def test_instructions_that_no_tensor_needs_are_refused(code, marker, path):
    """Extension codes reach whatever another library has registered."""
    path.write_bytes(zip_file(code))
    refused(path, marker, "has the instruction [A-Z0-9_]+ at byte [23], which no file of tensors needs: it was refused")


def attribute(key, value=b"N"):
    return b"}" + text(key) + value + b"sb"


@pytest.mark.parametrize(
    "body",
    [
        name("collections", "OrderedDict") + b")R" + attribute("items"),
        name("collections", "OrderedDict") + b")R" + attribute("__class__"),
        name("collections", "OrderedDict") + b")R" + attribute("_metadata"),
        tensor() + attribute("array"),
        tensor() + b"(NNb",
        tensor() + b"NNNN(NNNNNtb",
        b"]" + attribute("append"),
        name("torch", "FloatStorage") + attribute("element"),
        name("torch._utils", "_rebuild_tensor_v2") + attribute("call"),
        text("x") + b"Nb",
    ],
)
def test_no_object_gets_a_state_but_a_tensor_and_a_state_dict(body, marker, path):
    path.write_bytes(zip_file(body, {"0": FOUR}))
    refused(path, marker, "sets the state of an object")


@pytest.mark.parametrize(
    "body",
    [
        b"N)R",
        b"]N\x85R",
        text("os.system") + b")R",
        name("torch", "FloatStorage") + b")R",
        name("collections", "OrderedDict") + b"]R",
    ],
)
def test_nothing_is_called_but_what_is_admitted(body, marker, path):
    path.write_bytes(zip_file(body))
    refused(path, marker, "calls something that is not a function")


def test_a_function_of_ours_takes_the_arguments_of_the_original_only(marker, path):
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    for body, match in {
        rebuild + b")R": "does not take these 0 arguments",
        rebuild + b"(" + b"N" * 20 + b"tR": "does not take these 20 arguments",
        rebuild + b"(NNNNNNtR": "a tensor's storage is something else",
        name("torch._utils", "_rebuild_parameter") + b"(NNNtR": "a parameter is no tensor",
        name("torch._utils", "_rebuild_parameter") + tuple_of(tensor(), b"\x88", b"]Na") + b"R": "has hooks",
        name("torch", "device") + b"]\x85R": "a device is a list",
        name("_codecs", "encode") + tuple_of(text("x"), text("rot13")) + b"R": "asked for something else than bytes",
        name("_codecs", "encode") + tuple_of(text("€"), text("latin1")) + b"R": "asked for something else than bytes",
        name("collections", "OrderedDict") + b"](NNe\x85R": "an entry that is no pair",
        name("collections", "OrderedDict") + b"N\x85R": "made of something else",
    }.items():
        path.write_bytes(zip_file(body, {"0": FOUR}))
        refused(path, marker, match)


def test_a_program_torchscript_and_a_bare_storage_are_no_weights(marker, path):
    path.write_bytes(zip_file(b"N", others={"archive/constants.pkl": b"", "archive/code/x.py": b"import os"}))
    refused(path, marker, "is a TorchScript program")
    for body in (storage(), name("torch", "FloatStorage"), name("collections", "OrderedDict")):
        path.write_bytes(zip_file(b"](" + body + b"e", {"0": FOUR}))
        refused(path, marker, "holds a bare storage, a class or a function besides tensors")


# The archive itself -------------------------------------------------------------------------------------------------------


def test_a_compressed_entry_is_refused_before_it_is_unpacked(marker, path):
    path.write_bytes(zip_file(tensor(storage(1 << 28)), {"0": bytes(1 << 26)}, zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 1 << 20
    refused(path, marker, "is compressed, which PyTorch never does")


def test_an_entry_that_says_it_is_compressed_is_refused_even_where_the_sizes_agree(marker, path):
    content = bytearray(zip_file(tensor(), {"0": FOUR}))
    content[content.rindex(b"PK\x01\x02") + 10] = zipfile.ZIP_DEFLATED
    path.write_bytes(content)
    refused(path, marker, "is compressed, which PyTorch never does")


@pytest.mark.parametrize("entry", ["archive/../../evil", "/etc/passwd", "archive/..", "archive\\..\\evil"])
def test_a_name_that_leads_out_of_the_archive_is_refused(entry, marker, path):
    path.write_bytes(zip_file(tensor(), {"0": FOUR}, others={entry: b""}))
    refused(path, marker, "which leads elsewhere")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("entry", ["archive/data.pkl", "archive/data/0"])
def test_a_name_that_is_there_twice_is_refused(entry, marker, path):
    path.write_bytes(zip_file(tensor(), {"0": FOUR}, others={entry: b"1234"}))
    refused(path, marker, "has a name twice")


def test_an_encrypted_entry_is_refused(marker, path):
    content = bytearray(zip_file(tensor(), {"0": FOUR}))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refused(path, marker, "is encrypted")


def test_an_entry_that_reaches_out_of_the_file_is_refused(marker, path):
    content = bytearray(zip_file(tensor(), {"0": FOUR}))
    at = content.rindex(b"PK\x01\x02")
    content[at + 20 : at + 28] = (1 << 20).to_bytes(4, "little") * 2  # both sizes
    path.write_bytes(content)
    refused(path, marker, "'archive/data/0' lies outside of the file")
    content = bytearray(zip_file(tensor(), {"0": FOUR}))
    at = content.rindex(b"PK\x01\x02")
    content[at + 42 : at + 46] = (1 << 20).to_bytes(4, "little")  # where it is
    path.write_bytes(content)
    refused(path, marker, "'archive/data/0' lies outside of the file")


def test_a_zip_archive_of_something_else_is_refused(marker, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("holiday.jpg", b"")
    refused(path, marker, "is a zip archive, but not one of torch.save")
    content = zip_file(tensor(), {})
    path.write_bytes(content)
    refused(path, marker, "has no entry 'archive/data/0'")
    path.write_bytes(zip_file(tensor(), {"0": FOUR}, others={"archive/byteorder": b"middle"}))
    refused(path, marker, "byte order is b'middle', neither little nor big")
    path.write_bytes(zip_file(tensor() + b".N", {"0": FOUR}))
    refused(path, marker, "more follows its pickle")


# Views out of bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [zip_file, legacy_file])
@pytest.mark.parametrize(
    ("body", "match"),
    [
        (tensor(offset=1), "reaches element 4 of storage '0', which has 4"),
        (tensor().replace(number(0), b"\x88", 1), "has True for its offset, not a number from 0"),
        (tensor(offset=-1), "has -1 for its offset, not a number from 0"),
        (tensor(strides=(-1,)), "has -1 for its strides"),
        (tensor(strides=(2,)), "reaches element 6"),
        (tensor(shape=(-4,)), "has -4 for its shape"),
        (tensor(shape=(5,)), "reaches element 4"),
        (tensor(shape=(2, 2)), r"the shape \(2, 2\) and the strides \(1,\)"),
        (tensor(shape=(2, 2), strides=(3, 1)), "reaches element 4"),
        (tensor(shape=(0,), offset=5), "reaches element 4"),
        (tensor(shape=(1 << 61,)), "fits no memory"),
        (tensor(shape=(1 << 40, 1 << 40), strides=(0, 0)), "fits no memory"),
        (tensor(shape=(0, 1 << 40, 1 << 40), strides=(0, 0, 0)), "fits no memory"),
        (tensor(shape=(1 << 40,), strides=(0,)), "elements, but its storage only 4"),
        (tensor(shape=(1 << 70,)), "not a number from 0"),
        (tensor(offset=1 << 61, shape=(1,)), "reaches element"),
        (tensor(shape=(1,) * 65, strides=(1,) * 65), "no tuple of at most 64 numbers"),
        (tuple_of(tensor(), name("torch", "FloatTensor") + b")R"), "a tensor has no storage"),
        (tensor(function="_rebuild_tensor_v3"), "does not take these 6 arguments"),
        (tensor(storage(kind="BoolStorage", length=16), shape=(2,)), "booleans that are neither 0 nor 1"),
    ],
)
def test_a_view_out_of_its_storage_is_refused(make, body, match, marker, path):
    options = {"itemsize": 1} if make is legacy_file and b"Bool" in body else {}
    path.write_bytes(make(body, {"0": FOUR}, **options))
    refused(path, marker, match)


def test_a_storage_that_is_not_as_long_as_it_says_is_refused(marker, path):
    path.write_bytes(zip_file(tensor(storage(5)), {"0": FOUR}))
    refused(path, marker, "storage '0' should have 20 bytes, the file has 16")
    path.write_bytes(zip_file(tensor(storage(1 << 58)), {"0": FOUR}))
    refused(path, marker, "should have 1,152,921,504,606,846,976 bytes")
    path.write_bytes(zip_file(tuple_of(tensor(), tensor(storage(3))), {"0": FOUR}))
    refused(path, marker, "has 16 bytes in one place and 12 in another")
    path.write_bytes(legacy_file(tensor(storage(1 << 58)), {"0": FOUR}))
    refused(path, marker, "is cut off: storage '0' lacks 1,152,921,504,606,846,960 bytes")
    path.write_bytes(legacy_file(tensor(), {"0": FOUR}, itemsize=2))
    refused(path, marker, "should have 4 elements, and the file says otherwise")
    path.write_bytes(legacy_file(tensor(), {"0": FOUR}) + b"\0")
    refused(path, marker, "1 bytes follow its last storage")
    for keys in (b"]", b"N", b"](" + text("0") * 2 + b"e", b"](" + text("1") + b"e"):
        path.write_bytes(legacy_file(tensor(), {"0": FOUR}, keys=keys))
        refused(path, marker, "list of storages is not that of its tensors")
    for part in (tuple_of(b"N"), tuple_of(text("v"), number(9), number(1)), tuple_of(text("v"), number(-1), number(1))):
        outside = tuple_of(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(4), part) + b"Q"
        path.write_bytes(legacy_file(tensor(outside, shape=(1,)), {"0": FOUR}))
        refused(path, marker, "a part of storage '0' lies outside of it")


def test_the_version_of_the_legacy_format_is_checked(marker, path):
    path.write_bytes(legacy_file(tensor(), {"0": FOUR}, version=VERSION.replace(b"\xe9", b"\xea")))
    refused(path, marker, "its format has the version 1002; 1001 is known")
    path.write_bytes(legacy_file(tensor(), {"0": FOUR}, magic=MAGIC.replace(b"\x50", b"\x51")))
    refused(path, marker, "is a pickle, but not one of torch.save")


# Bombs --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", [b"X\xff\xff\xff\x7f", b"T\xff\xff\xff\x7f", b"\x8d" + b"\xff" * 7 + b"\0", b"\x8e\0\0\0\0\0\1\0\0"]
)
def test_a_string_that_claims_gigabytes_is_refused_at_once(code, marker, path):
    path.write_bytes(zip_file(code))
    refused(path, marker, "more bytes should follow, 1 do: the file may be cut off")


def test_lists_that_hold_each_other_are_refused(marker, path):
    circle = b"]q\x00h\x00a"
    deep = b"]" * 200 + b"a" * 199
    leaves = b"]q\x000" + b"".join(b"](" + b"h%c" % i * 2 + b"eq%c0" % (i + 1) for i in range(60)) + b"h\x3c"
    for body, match in {circle: "in a circle", deep: "more than 100 levels deep", leaves: "each other again and again"}.items():
        path.write_bytes(zip_file(body))
        refused(path, marker, match)
    shared_at_depth = b"]" * 60 + b"a" * 59 + b"q\x000](h\x00" + b"]" * 50 + b"h\x00" + b"a" * 50 + b"e"
    path.write_bytes(zip_file(shared_at_depth))
    refused(path, marker, "more than 100 levels deep")


def test_keys_that_take_forever_to_hash_are_refused(marker, path):
    key = b")q\x000" + b"".join(b"h%ch%c\x86q%c0" % (i, i, i + 1) for i in range(100)) + b"h\x64"
    path.write_bytes(zip_file(b"}" + key + b"Ns"))
    refused(path, marker, "a dictionary's keys are strings or numbers, not tuple")


def test_a_program_of_gigabytes_is_refused(marker, path):
    path.write_bytes(zip_file(b"X" + (17 << 20).to_bytes(4, "little") + bytes(17 << 20)))
    refused(path, marker, "is longer than 16 MB, which tensors do not need")


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (b"h\x07", "entry 7 of the memo is used before it is made"),
        (b"a", "lacks its operand"),
        (b"R", "lacks its operands"),
        (b"t", "lacks its MARK"),
        (b"NNa", "for a list meets something else"),
        (b"](K\x01K\x02u", "for a dict meets something else"),
        (b"}(Nu", "a key has no value"),
        (b"NN", "ends with more than one object"),
        (b"(N", "ends with more than one object"),
        (b"\x80\x09N", "protocol 9 is unknown"),
        (b"\x80\x04\x95\xff\xff\xff\xff\0\0\0\0N", "a frame is longer than the file"),
        (b"X\x02\0\0\0\xff\xffN", "a string is not UTF-8"),
        (b"cos" + b"x" * 2000, "a name does not end"),
        (b"NN\x93", "the name of a global is not a string"),
        (b"\xff", "0xff is no instruction"),
    ],
)
def test_a_damaged_program_says_where(body, match, marker, path):
    path.write_bytes(zip_file(body))
    refused(path, marker, f"its pickle is damaged at byte [0-9]+: .*{match}")


def test_reading_imports_nothing(path):
    """The names of a file are never imported, not even to look at them."""
    path.write_bytes(zip_file(name("antigravity", "geohash") + b")R"))
    script = (
        "import sys, tinygrad_cnn as tg\n"
        "try: tg.load(sys.argv[1])\n"
        "except tg.errors.CheckpointError: print('antigravity' in sys.modules, 'torch' in sys.modules)"
    )
    run = [sys.executable, "-c", script, str(path)]
    found = subprocess.run(run, capture_output=True, text=True, check=True, env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
    assert found.stdout.split() == ["False", "False"]


def test_a_large_file_is_in_memory_once(path):
    """Mapped and copied to one array, or not copied at all."""
    tg.interop.save_pth(path, {"x": np.zeros(1 << 22, np.float32)})
    for mmap, most in ((False, 1.05 * (1 << 24)), (True, 1 << 20)):
        tracemalloc.start()
        found = tg.load(path, mmap=mmap)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found["x"].nbytes == 1 << 24
        assert peak < most


def test_flags_that_a_tensor_cannot_have_are_refused(marker, path):
    def flagged(flags, **options):
        return tensor(**options)[:-2] + flags + b"tR"

    negative = b"}" + text("neg") + b"\x88s"
    for body, content, match in (
        (flagged(negative, of=storage(kind="IntStorage")), FOUR, "of whole numbers is marked as negative"),
        (flagged(b"}" + text("requires_grad") + b"\x88s"), FOUR, "flags that are neither conj nor neg"),
        (flagged(b"]"), FOUR, "flags that are neither conj nor neg"),
    ):
        path.write_bytes(zip_file(body, {"0": content}))
        refused(path, marker, match)
    path.write_bytes(zip_file(flagged(negative), {"0": FOUR}))
    assert tg.load(path).tolist() == [-1, -2, -3, -4]


def test_many_conjugates_of_one_storage_take_the_memory_of_one(path):
    """Each would cost as much as the storage if it were computed for itself."""
    conjugate = tensor(storage(1 << 17, kind="ComplexFloatStorage"), shape=(1 << 17,))[:-2] + b"}" + text("conj") + b"\x88stR"
    path.write_bytes(zip_file(b"](" + conjugate * 100 + b"e", {"0": bytes(1 << 20)}))
    tracemalloc.start()
    found = tg.load(path, mmap=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 100
    assert peak < 1 << 22
