"""A small machine for the pickles inside checkpoints, that can make nothing but data.

It knows the opcodes of protocols 2 to 5 that make numbers, strings, bytes and containers, and
looks names up in a table (`admitted.py`): nothing is imported, no attribute is set, no object is
called but the functions of that table, which check what they get. The rest is refused with its
name and place.

Time and memory are bounded by the bytes of the pickle. An opcode takes a byte or more and makes
one object; lengths are compared with what is left before anything is read; what copies (a set of a
list, an array of bytes) is paid from a budget of the pickle's length, so that one long list cannot
be copied again and again; keys of dicts are small, so that hashing them takes no time.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import IO, Any

from .errors import Refused, Unreadable

#: Bytes of a name, digits of an integer, nodes of a key, that no honest file has.
MAX_NAME, MAX_INTEGER, MAX_KEY = 1000, 128, 64
ADVICE = (
    "Nothing of it was run. In PyTorch, where you trust the file: "
    "x = torch.load(path, weights_only=False), then torch.save(x.state_dict(), new) if x is a "
    "model, or save the parts of x that are tensors, numbers, strings and containers of them"
)


class Marker:
    """Where a run of items begins on the stack."""

    __slots__ = ()


class Admitted:
    """A name of the table.

    Attributes
    ----------
    name : str
    call : callable or None
        ``call(machine, *arguments)`` makes the object; None for what cannot be called.
    value : Any
        What the name stands for: an element type, a storage's.
    """

    __slots__ = ("call", "name", "value")

    def __init__(
        self, name: str, call: Callable[..., Any] | None = None, value: Any = None
    ) -> None:
        self.name, self.call, self.value = name, call, value


class Buildable:
    """An object that waits for its state (BUILD).

    Attributes
    ----------
    name : str
    result : Any
        What stands in its place once it has the state; None where it stays.
    """

    name = ""
    result: Any = None

    def build(self, machine: Machine, state: Any) -> None:
        """Take the state over."""
        raise NotImplementedError


MARK = Marker()


class Machine:
    """Reads one pickle.

    Parameters
    ----------
    stream : binary file object
        At the pickle's first byte.
    left : int
        How many bytes there are at most.
    find : callable
        From a module and a name to what is `Admitted`, or None.
    persistent : callable
        From a persistent id to an object.
    """

    def __init__(
        self,
        stream: IO[bytes],
        left: int,
        find: Callable[[str, str], Any],
        persistent: Callable[[Any], Any],
    ) -> None:
        self._stream, self.left = stream, left
        self.at = self._place = 0
        self._find, self.persistent = find, persistent
        self._budget = 2 * left + 1000
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.marks: list[int] = []

    def run(self) -> Any:
        """The object of the pickle; the stream is behind its last byte then."""
        from .opcodes import OPCODES as opcodes

        read = self._stream.read
        while True:
            self._place = self.at
            byte = read(1)
            if not byte or not self.left:
                raise Unreadable(f"its pickle ends at byte {self.at}, before its last opcode")
            self.at += 1
            self.left -= 1
            code = byte[0]
            if code == 0x2E:  # STOP
                if len(self.stack) != 1 or self.marks:
                    raise Unreadable(f"its pickle ends with {len(self.stack)} objects")
                return self.stack.pop()
            name, function = opcodes.get(code, ("", None))
            if function is None:
                raise Refused(
                    f"has the pickle opcode {opcode_name(code)} at byte {self._place}, which no "
                    f"file of tensors needs. {ADVICE}"
                )
            try:
                function(self)
            except Unreadable as error:
                raise type(error)(f"{error} ({name} at byte {self._place})") from None
            except (LookupError, TypeError, ValueError, struct.error, ArithmeticError) as error:
                raise Unreadable(f"{name} at byte {self._place}: {error}") from error

    # -- bytes -----------------------------------------------------------------------------------

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if not 0 <= size <= self.left:
            raise Unreadable(f"its pickle wants {size} bytes at byte {self.at} of {self.left} left")
        data = self._stream.read(size)
        if len(data) != size:
            raise Unreadable(f"its pickle ends at byte {self.at + len(data)}")
        self.at += size
        self.left -= size
        return data

    def number(self, size: int) -> int:
        """The next bytes as a length or an index."""
        return int.from_bytes(self.take(size), "little")

    def line(self) -> str:
        """The next line."""
        data = self._stream.readline(min(MAX_NAME, self.left))
        if not data.endswith(b"\n"):
            raise Unreadable("a name has no end")
        self.at += len(data)
        self.left -= len(data)
        return data[:-1].decode()

    def pay(self, size: int) -> None:
        """Pay for a copy of `size` bytes or items.

        Raises
        ------
        Unreadable
            When more has been copied than an honest pickle of this length can ask for.
        """
        self._budget -= size
        if self._budget < 0:
            raise Unreadable("its pickle copies the same things again and again")

    # -- the stack -------------------------------------------------------------------------------

    def push(self, value: Any) -> None:
        """Put an object on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take an object from the stack."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise Unreadable("the stack is empty")
        return self.stack.pop()

    def top(self) -> Any:
        """The last object of the stack."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise Unreadable("the stack is empty")
        return self.stack[-1]

    def items(self) -> list[Any]:
        """Take everything down to the last mark."""
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    # -- what opcodes share ----------------------------------------------------------------------

    def look_up(self, module: str, name: str) -> None:
        """Push what a name stands for.

        Raises
        ------
        Refused
            If it is not in the table.
        """
        found = self._find(module, name)
        if found is None:
            raise refusal(f"{module}.{name}"[:200])
        self.push(found)

    def set_items(self, pairs: list[Any]) -> None:
        """Put keys and values into the dict on the stack."""
        target = self.top()
        if type(target) not in (dict, OrderedDict, Counter):
            raise Unreadable(f"items of a {type(target).__name__}")
        if len(pairs) % 2:
            raise Unreadable("a key has no value")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[checked_key(key)] = value

    def append(self, items: list[Any]) -> None:
        """Put items at the end of the list on the stack."""
        target = self.top()
        if type(target) is not list:
            raise Unreadable(f"items appended to a {type(target).__name__}")
        target.extend(items)

    def remember(self, index: int) -> None:
        """Put the last object into the memo."""
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        """Push an object of the memo."""
        found = self.memo[index]
        built = found.result if isinstance(found, Buildable) else None
        self.push(found if built is None else built)

    def text(self, size: int) -> None:
        """Push a string of so many bytes."""
        self.push(self.take(size).decode("utf-8", "surrogatepass"))

    def old_text(self, size: int) -> None:
        """Push a string of Python 2: text where it is UTF-8, bytes otherwise."""
        data = self.take(size)
        try:
            self.push(data.decode())
        except UnicodeDecodeError:
            self.push(data)

    def integer(self, size: int) -> None:
        """Push an integer of so many bytes."""
        if size > MAX_INTEGER:
            raise Unreadable(f"an integer of {size} bytes")
        self.push(int.from_bytes(self.take(size), "little", signed=True))


def refusal(name: str) -> Refused:
    """The error for a class or function."""
    if name.startswith(("torch.nn.modules.", "torch.nn.parallel.", "torch.jit.", "torch.fx.")):
        what = f"holds a whole model ({name}), not its weights"
    else:
        what = f"refers to {name}, which is code and not data"
    return Refused(f"{what}. {ADVICE}")


def opcode_name(code: int) -> str:
    """An opcode as the manual names it."""
    import pickletools

    found = getattr(pickletools, "code2op", {}).get(chr(code))
    return f"{code:#04x}" if found is None else found.name


def checked_key(key: Any) -> Any:
    """A key of a dict or member of a set, if hashing it is quick and does no harm.

    Integers of 64 bits have different hashes but for a few; nested tuples of no more than
    `MAX_KEY` parts are hashed in no time.
    """
    waiting, seen = [key], 0
    while waiting:
        part = waiting.pop()
        seen += 1
        if isinstance(part, tuple) and seen + len(part) <= MAX_KEY:
            waiting.extend(part)
        elif type(part) is int:
            if not -(1 << 63) <= part < 1 << 64:
                raise Unreadable(f"an integer of {part.bit_length()} bits as a key")
        elif part is not None and type(part) not in (str, bytes, bool, float, complex):
            raise Unreadable(f"a key of type {type(part).__name__}, or of many parts")
    return key


def checked(result: Any) -> Any:
    """The object of a pickle, if nothing is left in it that only the machine knows.

    Raises
    ------
    Refused
        For a storage or a class that stands by itself.
    """
    waiting, seen = [result], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, (Admitted, Buildable)):
            raise Refused(f"holds {value.name} by itself. {ADVICE}")
        if isinstance(value, (list, tuple, dict, set, frozenset)) and id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, dict):
                waiting.extend(value.keys())
                waiting.extend(value.values())
                waiting.extend(getattr(value, "__dict__", {}).values())
            else:
                waiting.extend(value)
    return result
