"""A pickle interpreter that can only build plain data, and what it is explicitly allowed besides.

A pickle is no description of data but a *program*: a string of one-byte instructions for a small machine with a stack
and a memo. Most of them push constants and build lists, tuples and dictionaries. Three are another matter:

GLOBAL (and STACK_GLOBAL)
    Push the object that can be imported under a name: any function or class of any installed module.
REDUCE (and NEWOBJ)
    Call it with arguments from the stack.
BUILD
    Hand a state to an object: Python's own machine calls its ``__setstate__``, or writes into its ``__dict__``.

``GLOBAL os.system; "rm -rf ~"; REDUCE`` is a valid pickle. So `pickle.load` of a stranger's file runs whatever the stranger
wrote, and no check of the *result* comes in time. The machine here never imports anything. A name is looked up in a table
that its user gives it, what comes out of the table are functions of ours, and a name that is not in it stops the machine at
that instruction. BUILD goes to a function of ours too. Instructions that no file of tensors needs are unknown to it.

It also bounds what a program may cost: lengths are compared with the bytes that are there before anything is allocated, and
a dictionary's keys are strings, numbers and None (the hash of a tuple that contains itself 2^60 times takes forever).

References
----------
The instructions are described in CPython's ``Lib/pickletools.py``; protocols 2 to 5 are PEP 307, PEP 3154, PEP 574.
"""

import pickle
import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import CheckpointError

LONGEST_PROGRAM = 16 << 20
"""Bytes of pickle that are read at most. That of a ResNet-152 has 0.1 MB: the numbers of the tensors lie elsewhere."""

_LONGEST_NAME = 1000
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_KEYS = (str, int, float, bytes, type(None))


@dataclass(frozen=True)
class Admitted:
    """A name that a pickle may call, and the function of ours that answers to it.

    Attributes
    ----------
    name : str
        As in the pickle: ``torch._utils._rebuild_tensor_v2``.
    call : callable
        From the arguments to the object; raises CheckpointError for arguments that are not those of the original.
    """

    name: str
    call: Callable[..., Any]


class PickleMachine:
    """Run one pickle program.

    Parameters
    ----------
    data : bytes-like
        Where the program is; more may follow.
    find_global : callable
        From a module's name and a name in it to what is pushed: an `Admitted`, or any value. Raises for all others.
    load_persistent : callable
        From a persistent id (what the writer put for an object that it stored elsewhere: a tensor's numbers) to the object.
    build : callable
        From an object and a state to None; sets the state, or raises.
    start : int
        Where in `data` the program begins.

    Attributes
    ----------
    position : int
        After `run`: where the program has ended.

    Examples
    --------
    >>> def nothing(*names):
    ...     raise CheckpointError(".".join(names))
    >>> PickleMachine(pickle.dumps({"a": [1, (2.5, None)]}), nothing, nothing, nothing).run()
    {'a': [1, (2.5, None)]}
    >>> PickleMachine(pickle.dumps(print, 2), nothing, nothing, nothing).run()
    Traceback (most recent call last):
        ...
    tinygrad_cnn.errors.CheckpointError: __builtin__.print
    """

    def __init__(
        self,
        data: Any,
        find_global: Callable[[str, str], Any],
        load_persistent: Callable[[Any], Any],
        build: Callable[[Any, Any], None],
        start: int = 0,
    ) -> None:
        self.data = memoryview(data)[: start + LONGEST_PROGRAM]
        self.cut = len(self.data) < len(data)
        self.position = start
        self.find_global = find_global
        self.load_persistent = load_persistent
        self.build_on = build
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []  # the stacks below each open MARK
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Run until STOP and return what is on the stack.

        Raises
        ------
        CheckpointError
            At the first instruction that is damaged, unknown or not admitted. Nothing is called but what was admitted.
        """
        while (code := self.take(1)[0]) != pickle.STOP[0]:
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                self.refuse(code)
            instruction(self)
        value = self.pop()
        if self.stack or self.marked:
            self.fail("it ends with more than one object")
        return value

    # What the instructions are made of --------------------------------------------------------------------------------

    def fail(self, why: str) -> NoReturn:
        raise CheckpointError(f"its pickle is damaged at byte {self.position}: {why}")

    def refuse(self, code: int) -> NoReturn:
        known = _NAMES.get(code)
        if known is None:
            self.fail(f"{code:#04x} is no instruction")
        raise CheckpointError(
            f"its pickle has the instruction {known} at byte {self.position - 1}, which no file of tensors needs: "
            "it was refused, and nothing of the file was executed"
        )

    def take(self, count: int) -> memoryview:
        """The next bytes."""
        end = self.position + count
        if end > len(self.data):
            if self.cut:
                self.fail(f"it is longer than {LONGEST_PROGRAM >> 20} MB, which tensors do not need")
            self.fail(f"{count} more bytes should follow, {len(self.data) - self.position} do: the file may be cut off")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        end = bytes(self.data[self.position : self.position + _LONGEST_NAME]).find(b"\n")
        if end < 0:
            self.fail("a name does not end")
        return self.text(end + 1)[:-1]

    def text(self, length: int) -> str:
        try:
            return str(self.take(length), "utf-8", "surrogatepass")
        except UnicodeDecodeError:
            self.fail("a string is not UTF-8")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            self.fail("an instruction lacks its operand")
        return self.stack.pop()

    def pop_many(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            self.fail("an instruction lacks its operands")
        taken = tuple(self.stack[-count:])
        del self.stack[-count:]
        return taken

    def pop_mark(self) -> list[Any]:
        """What was pushed since the last MARK."""
        if not self.marked:
            self.fail("an instruction lacks its MARK")
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def target(self, kind: type) -> Any:
        """The container on the top of the stack."""
        if not self.stack or not isinstance(self.stack[-1], kind):
            self.fail(f"an instruction for a {kind.__name__} meets something else")
        return self.stack[-1]

    # The instructions -------------------------------------------------------------------------------------------------

    def proto(self) -> None:
        version = self.number("<B")
        if not 2 <= version <= pickle.HIGHEST_PROTOCOL:
            self.fail(f"protocol {version} is unknown; 2 to {pickle.HIGHEST_PROTOCOL} are known")

    def frame(self) -> None:
        if self.number("<Q") > len(self.data) - self.position and not self.cut:
            self.fail("a frame is longer than the file")

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def pop_top(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def duplicate(self) -> None:
        top = self.pop()
        self.stack += [top, top]

    def put(self, layout: str) -> None:
        index = self.number(layout)
        top = self.pop()
        self.memo[index] = top
        self.push(top)

    def get(self, layout: str) -> None:
        index = self.number(layout)
        if index not in self.memo:
            self.fail(f"entry {index} of the memo is used before it is made")
        self.push(self.memo[index])

    def memoize(self) -> None:
        top = self.pop()
        self.memo[len(self.memo)] = top
        self.push(top)

    def append(self, items: list[Any]) -> None:
        self.target(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        if len(items) % 2:
            self.fail("a key has no value")
        target = self.target(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.key(key)] = value

    def key(self, key: Any) -> Any:
        if not isinstance(key, _KEYS):
            self.fail(f"a dictionary's keys are strings or numbers, not {type(key).__name__}")
        return key

    def global_(self) -> None:
        self.push(self.find_global(self.line(), self.line()))

    def stack_global(self) -> None:
        module, name = self.pop_many(2)
        if not isinstance(module, str) or not isinstance(name, str):
            self.fail("the name of a global is not a string")
        self.push(self.find_global(module, name))

    def persistent(self) -> None:
        self.push(self.load_persistent(self.pop()))

    def reduce(self) -> None:
        function, arguments = self.pop_many(2)
        if not isinstance(function, Admitted) or not isinstance(arguments, tuple):
            self.fail("it calls something that is not a function")
        try:
            self.push(function.call(*arguments))
        except TypeError as error:
            self.fail(f"{function.name} does not take these {len(arguments)} arguments ({error})")

    def build(self) -> None:
        state = self.pop()
        instance = self.pop()
        self.build_on(instance, state)
        self.push(instance)


def _push(constant: Any) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.push(constant)


def _push_number(layout: str) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.push(machine.number(layout))


def _push_text(layout: str) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.push(machine.text(machine.number(layout)))


def _push_bytes(layout: str) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.push(bytes(machine.take(machine.number(layout))))


def _push_long(layout: str) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.push(int.from_bytes(machine.take(machine.number(layout)), "little", signed=True))


def _push_tuple(count: int) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.push(machine.pop_many(count))


_INSTRUCTIONS: dict[int, Callable[[PickleMachine], None]] = {
    pickle.PROTO[0]: PickleMachine.proto,
    pickle.FRAME[0]: PickleMachine.frame,
    # Constants. What Python 2 wrote as str (BINSTRING) is text in every file that PyTorch made.
    pickle.NONE[0]: _push(None),
    pickle.NEWTRUE[0]: _push(True),
    pickle.NEWFALSE[0]: _push(False),
    pickle.EMPTY_TUPLE[0]: _push(()),
    pickle.BININT[0]: _push_number("<i"),
    pickle.BININT1[0]: _push_number("<B"),
    pickle.BININT2[0]: _push_number("<H"),
    pickle.BINFLOAT[0]: _push_number(">d"),
    pickle.LONG1[0]: _push_long("<B"),
    pickle.BINUNICODE[0]: _push_text("<I"),
    pickle.SHORT_BINUNICODE[0]: _push_text("<B"),
    pickle.BINUNICODE8[0]: _push_text("<Q"),
    pickle.BINSTRING[0]: _push_text("<I"),
    pickle.SHORT_BINSTRING[0]: _push_text("<B"),
    pickle.BINBYTES[0]: _push_bytes("<I"),
    pickle.SHORT_BINBYTES[0]: _push_bytes("<B"),
    pickle.BINBYTES8[0]: _push_bytes("<Q"),
    # Containers.
    pickle.EMPTY_LIST[0]: lambda machine: machine.push([]),
    pickle.EMPTY_DICT[0]: lambda machine: machine.push({}),
    pickle.MARK[0]: PickleMachine.mark,
    pickle.TUPLE[0]: lambda machine: machine.push(tuple(machine.pop_mark())),
    pickle.TUPLE1[0]: _push_tuple(1),
    pickle.TUPLE2[0]: _push_tuple(2),
    pickle.TUPLE3[0]: _push_tuple(3),
    pickle.APPEND[0]: lambda machine: machine.append([machine.pop()]),
    pickle.APPENDS[0]: lambda machine: machine.append(machine.pop_mark()),
    pickle.SETITEM[0]: lambda machine: machine.set_items(list(machine.pop_many(2))),
    pickle.SETITEMS[0]: lambda machine: machine.set_items(machine.pop_mark()),
    # The stack and the memo.
    pickle.POP[0]: PickleMachine.pop_top,
    pickle.DUP[0]: PickleMachine.duplicate,
    pickle.BINPUT[0]: lambda machine: machine.put("<B"),
    pickle.LONG_BINPUT[0]: lambda machine: machine.put("<I"),
    pickle.MEMOIZE[0]: PickleMachine.memoize,
    pickle.BINGET[0]: lambda machine: machine.get("<B"),
    pickle.LONG_BINGET[0]: lambda machine: machine.get("<I"),
    # What can only reach what was admitted.
    pickle.GLOBAL[0]: PickleMachine.global_,
    pickle.STACK_GLOBAL[0]: PickleMachine.stack_global,
    pickle.BINPERSID[0]: PickleMachine.persistent,
    pickle.REDUCE[0]: PickleMachine.reduce,
    pickle.NEWOBJ[0]: PickleMachine.reduce,
    pickle.BUILD[0]: PickleMachine.build,
}
