"""The opcodes of the machine in `unpickler.py`: those of protocols 2 to 5 that make data."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .errors import Refused, Unreadable
from .unpickler import ADVICE, Admitted, Buildable, Machine, checked_key

#: Names and actions by the opcode's byte.
OPCODES: dict[int, tuple[str, Callable[[Machine], None]]] = {}


def _opcode(code: bytes, name: str) -> Any:
    def note(function: Callable[[Machine], None]) -> Callable[[Machine], None]:
        OPCODES[code[0]] = name, function
        return function

    return note


# -- protocol and place --------------------------------------------------------------------------


@_opcode(b"\x80", "PROTO")
def _proto(m: Machine) -> None:
    protocol = m.number(1)
    if not 2 <= protocol <= 5:
        raise Unreadable(f"pickle protocol {protocol}")


@_opcode(b"\x95", "FRAME")
def _frame(m: Machine) -> None:
    if m.number(8) > m.left:
        raise Unreadable("a frame longer than the pickle")


# -- constants -----------------------------------------------------------------------------------

for _code, _name, _constant in (
    (b"N", "NONE", None), (b"\x88", "NEWTRUE", True), (b"\x89", "NEWFALSE", False),
    (b")", "EMPTY_TUPLE", ()),
):  # fmt: skip
    _opcode(_code, _name)(lambda m, value=_constant: m.push(value))

for _code, _name, _kind in (
    (b"]", "EMPTY_LIST", list), (b"}", "EMPTY_DICT", dict), (b"\x8f", "EMPTY_SET", set),
):  # fmt: skip
    _opcode(_code, _name)(lambda m, kind=_kind: m.push(kind()))


# -- numbers and strings -------------------------------------------------------------------------


@_opcode(b"J", "BININT")
def _binint(m: Machine) -> None:
    m.push(struct.unpack("<i", m.take(4))[0])


@_opcode(b"K", "BININT1")
def _binint1(m: Machine) -> None:
    m.push(m.number(1))


@_opcode(b"M", "BININT2")
def _binint2(m: Machine) -> None:
    m.push(m.number(2))


@_opcode(b"\x8a", "LONG1")
def _long1(m: Machine) -> None:
    m.integer(m.number(1))


@_opcode(b"\x8b", "LONG4")
def _long4(m: Machine) -> None:
    m.integer(m.number(4))


@_opcode(b"G", "BINFLOAT")
def _binfloat(m: Machine) -> None:
    m.push(struct.unpack(">d", m.take(8))[0])


for _code, _name, _size in (
    (b"\x8c", "SHORT_BINUNICODE", 1), (b"X", "BINUNICODE", 4), (b"\x8d", "BINUNICODE8", 8),
):  # fmt: skip
    _opcode(_code, _name)(lambda m, size=_size: m.text(m.number(size)))

for _code, _name, _size in ((b"C", "SHORT_BINBYTES", 1), (b"B", "BINBYTES", 4),
                            (b"\x8e", "BINBYTES8", 8)):  # fmt: skip
    _opcode(_code, _name)(lambda m, size=_size: m.push(m.take(m.number(size))))

for _code, _name, _size in ((b"U", "SHORT_BINSTRING", 1), (b"T", "BINSTRING", 4)):
    _opcode(_code, _name)(lambda m, size=_size: m.old_text(m.number(size)))


@_opcode(b"\x96", "BYTEARRAY8")
def _bytearray8(m: Machine) -> None:
    m.push(bytearray(m.take(m.number(8))))


# -- the stack and the memo ----------------------------------------------------------------------


@_opcode(b"(", "MARK")
def _mark(m: Machine) -> None:
    m.marks.append(len(m.stack))


@_opcode(b"0", "POP")
def _pop(m: Machine) -> None:
    if m.marks and m.marks[-1] == len(m.stack):
        m.marks.pop()
    else:
        m.stack.pop()


@_opcode(b"1", "POP_MARK")
def _pop_mark(m: Machine) -> None:
    m.items()


@_opcode(b"2", "DUP")
def _dup(m: Machine) -> None:
    m.push(m.top())


for _code, _name, _size in ((b"q", "BINPUT", 1), (b"r", "LONG_BINPUT", 4)):
    _opcode(_code, _name)(lambda m, size=_size: m.remember(m.number(size)))

for _code, _name, _size in ((b"h", "BINGET", 1), (b"j", "LONG_BINGET", 4)):
    _opcode(_code, _name)(lambda m, size=_size: m.recall(m.number(size)))


@_opcode(b"\x94", "MEMOIZE")
def _memoize(m: Machine) -> None:
    m.remember(len(m.memo))


# -- containers ----------------------------------------------------------------------------------


@_opcode(b"t", "TUPLE")
def _tuple(m: Machine) -> None:
    m.push(tuple(m.items()))


def _tuple_of(count: int) -> Callable[[Machine], None]:
    def make(m: Machine) -> None:
        m.push(tuple([m.pop() for _ in range(count)][::-1]))

    return make


for _count in (1, 2, 3):
    _opcode(bytes([0x84 + _count]), f"TUPLE{_count}")(_tuple_of(_count))


@_opcode(b"a", "APPEND")
def _append(m: Machine) -> None:
    value = m.pop()
    m.append([value])


@_opcode(b"e", "APPENDS")
def _appends(m: Machine) -> None:
    items = m.items()
    m.append(items)


@_opcode(b"s", "SETITEM")
def _setitem(m: Machine) -> None:
    value = m.pop()
    key = m.pop()
    m.set_items([key, value])


@_opcode(b"u", "SETITEMS")
def _setitems(m: Machine) -> None:
    pairs = m.items()
    m.set_items(pairs)


@_opcode(b"\x90", "ADDITEMS")
def _additems(m: Machine) -> None:
    items = m.items()
    target = m.top()
    if type(target) is not set:
        raise Unreadable(f"items added to a {type(target).__name__}")
    target.update(map(checked_key, items))


@_opcode(b"\x91", "FROZENSET")
def _frozenset(m: Machine) -> None:
    m.push(frozenset(map(checked_key, m.items())))


# -- names and what is made of them --------------------------------------------------------------


@_opcode(b"c", "GLOBAL")
def _global(m: Machine) -> None:
    module = m.line()
    m.look_up(module, m.line())


@_opcode(b"\x93", "STACK_GLOBAL")
def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    if type(name) is not str or type(module) is not str:
        raise Unreadable("a name that is no string")
    m.look_up(module, name)


def _reduce(m: Machine) -> None:
    arguments, function = m.pop(), m.pop()
    if type(function) is not Admitted or function.call is None or type(arguments) is not tuple:
        what = function.name if type(function) is Admitted else f"a {type(function).__name__}"
        raise Refused(f"calls {what}. {ADVICE}")
    m.push(function.call(m, *arguments))


_opcode(b"R", "REDUCE")(_reduce)
_opcode(b"\x81", "NEWOBJ")(_reduce)


@_opcode(b"b", "BUILD")
def _build(m: Machine) -> None:
    state, target = m.pop(), m.top()
    if isinstance(target, Buildable):
        target.build(m, state)
        if target.result is not None:
            m.stack[-1] = target.result
    elif type(target) is OrderedDict:
        # a state_dict keeps the versions of its modules beside the keys, for PyTorch's use
        if type(state) is dict and isinstance(state.get("_metadata"), dict):
            target._metadata = state["_metadata"]  # type: ignore[attr-defined]
    else:
        raise Refused(f"sets the state of a {type(target).__name__}. {ADVICE}")


@_opcode(b"Q", "BINPERSID")
def _binpersid(m: Machine) -> None:
    m.push(m.persistent(m.pop()))
