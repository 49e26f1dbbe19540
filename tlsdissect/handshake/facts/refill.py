# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Facts of messages and extensions that differ from a decoded one only where there is no inner structure.

A connection's key shares, tickets, names and signatures differ from those of the last one, and the structure around
them hardly ever does. Copying the bytes of these places into what was decoded takes a tenth of the time of decoding.
"""

from __future__ import annotations

from typing import Any

import cython

from tlsdissect.capture.octets import cut
from tlsdissect.handshake.facts.text import text

MAX_REFILLED = 2048
"""Bytes of the longest message or extension of which the structure is remembered."""
MAX_STRUCTURES = 16
"""Structures of one kind and length: a group of GREASE (RFC 8701) alone has 16 numbers."""
MAX_REFILLS = 256
"""Structures of all kinds that are remembered together; when there are more, all are forgotten."""

CONSTANT, HEX, TEXT, NUMBER, TUPLE, DICT, CALL = range(7)
"""Kinds of steps: what they put on the stack; the last three take as many values from it as their `count`."""

# C integers, by the .pxd.
_CONSTANT, _HEX, _TEXT, _NUMBER, _TUPLE, _DICT = CONSTANT, HEX, TEXT, NUMBER, TUPLE, DICT


@cython.cclass
class Step:
    """A step that makes a value: of bytes, or of the values that the steps before it made."""

    kind: cython.longlong
    start: cython.Py_ssize_t
    end: cython.Py_ssize_t
    what: Any
    """The constant, the class that is called, or the names of a dict."""
    count: cython.Py_ssize_t

    def __init__(
        self,
        kind: cython.longlong,
        what: Any = None,
        start: cython.Py_ssize_t = 0,
        end: cython.Py_ssize_t = 0,
        count: cython.Py_ssize_t = 0,
    ) -> None:
        self.kind = kind
        self.what = what
        self.start = start
        self.end = end
        self.count = count


@cython.cclass
class Refill:
    """Makes the fact of a message or an extension by the steps that make that of a decoded one."""

    _fixed: list[tuple[int, int, bytes]]
    """Start, end and bytes of each range outside of the places."""
    _size: cython.Py_ssize_t
    _fact: list[Step]

    def __init__(self, data: bytes, places: list[tuple[int, int]], fact: list[Step]) -> None:
        """`places` are what the steps read of `data`, in order."""
        self._size = len(data)
        self._fixed = []
        at = 0
        for start, end in [*places, (len(data), len(data))]:
            if at < start:
                self._fixed.append((at, start, data[at:start]))
            at = end
        self._fact = fact

    @cython.ccall
    def matches(self, data: bytes) -> cython.bint:
        """Return whether a message or an extension has the same structure."""
        n: cython.Py_ssize_t
        if len(data) != self._size:
            return False
        for n in range(len(self._fixed)):
            start, end, fixed = self._fixed[n]
            if cut(data, start, end) != fixed:
                return False
        return True

    @cython.ccall
    def fact_of(self, data: bytes) -> Any:
        """Return the fact of one that matches."""
        return _made(self._fact, data)


@cython.cclass
class Refills:
    """The refills of messages, or of the extensions of one type of message."""

    _known: dict[tuple[Any, int], list[Refill]]
    """By kind and length."""
    _count: cython.Py_ssize_t

    def __init__(self) -> None:
        self._known = {}
        self._count = 0

    @cython.ccall
    def find(self, kind: Any, data: bytes) -> Refill | None:
        """Return what makes the facts of a message; None if none of this kind and structure is known."""
        refill: Refill
        known: list[Refill] | None = self._known.get((kind, len(data)))
        if known is not None:
            for refill in known:
                if refill.matches(data):
                    return refill
        return None

    def wants(self, kind: Any, data: bytes) -> bool:
        """Return whether what `find` did not find is to be added."""
        return len(data) <= MAX_REFILLED and len(self._known.get((kind, len(data)), ())) < MAX_STRUCTURES

    def add(self, kind: Any, data: bytes, refill: Refill) -> None:
        """Add the refill of a message."""
        if self._count >= MAX_REFILLS:
            self._known, self._count = {}, 0
        self._known[kind, len(data)] = [*self._known.get((kind, len(data)), ()), refill]
        self._count += 1


@cython.cfunc
def _made(steps: list[Step], data: bytes) -> Any:
    """Take the steps; return the value that is left on the stack."""
    step: Step
    stack: list[Any] = [None] * len(steps)
    names: tuple  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    made: dict[str, Any]
    n: cython.Py_ssize_t
    top: cython.Py_ssize_t = 0
    for step in steps:
        top -= step.count
        if step.kind == _CONSTANT:
            stack[top] = step.what
        elif step.kind == _HEX:
            stack[top] = cut(data, step.start, step.end).hex()
        elif step.kind == _TEXT:
            stack[top] = text(cut(data, step.start, step.end))
        elif step.kind == _NUMBER:
            stack[top] = int.from_bytes(cut(data, step.start, step.end), "big")
        elif step.kind == _DICT:
            made = {}
            names = step.what
            for n in range(step.count):
                made[names[n]] = stack[top + n]
            stack[top] = made
        elif step.kind == _TUPLE:
            stack[top] = tuple(stack[top : top + step.count])
        else:
            stack[top] = step.what(*stack[top : top + step.count])
        top += 1
    return stack[0]
