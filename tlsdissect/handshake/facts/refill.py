# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Facts and bodies of extensions that differ from a decoded one only in places without inner structure.

A connection's key shares, tickets and names differ from those of the last one, and the structure around them hardly
ever does. Copying the bytes of these places into what was decoded takes a tenth of the time of decoding.
"""

from __future__ import annotations

from typing import Any

import cython

from tlsdissect.capture.octets import cut

CONSTANT, BYTES, CONVERTED, NUMBER, TUPLE, DICT, CALL = range(7)
"""Kinds of steps: what they put on the stack; the last three take as many values from it as their `count`."""

# C integers, by the .pxd.
_CONSTANT, _BYTES, _CONVERTED, _NUMBER, _TUPLE, _DICT = CONSTANT, BYTES, CONVERTED, NUMBER, TUPLE, DICT


@cython.cclass
class Step:
    """A step that makes a value: of bytes, or of the values that the steps before it made."""

    kind: cython.longlong
    start: cython.Py_ssize_t
    end: cython.Py_ssize_t
    what: Any
    """The constant, the function, or the names of a dict."""
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
    """Makes the fact and the body of an extension by the steps that make those of a decoded one."""

    _fixed: list[tuple[int, int, bytes]]
    """Start, end and bytes of each range outside of the places."""
    _size: cython.Py_ssize_t
    _fact: list[Step]
    _body: list[Step]

    def __init__(self, data: bytes, places: list[tuple[int, int]], fact: list[Step], body: list[Step]) -> None:
        """`places` are what the steps read of `data`, in order."""
        self._size = len(data)
        self._fixed = []
        at = 0
        for start, end in [*places, (len(data), len(data))]:
            if at < start:
                self._fixed.append((at, start, data[at:start]))
            at = end
        self._fact = fact
        self._body = body

    @cython.ccall
    def matches(self, data: bytes) -> cython.bint:
        """Return whether an extension has the same structure."""
        n: cython.Py_ssize_t
        if len(data) != self._size:
            return False
        for n in range(len(self._fixed)):
            start, end, fixed = self._fixed[n]
            if cut(data, start, end) != fixed:
                return False
        return True

    @cython.ccall
    def fact(self, data: bytes) -> Any:
        """Return the fact of an extension that matches."""
        return _made(self._fact, data)

    @cython.ccall
    def body(self, data: bytes) -> Any:
        """Return the body of an extension that matches."""
        return _made(self._body, data)


@cython.cfunc
def _made(steps: list[Step], data: bytes) -> Any:
    """Take the steps; return the value that is left on the stack."""
    step: Step
    stack: list[Any] = []
    rest: cython.Py_ssize_t
    for step in steps:
        if step.kind == _CONSTANT:
            stack.append(step.what)
        elif step.kind == _BYTES:
            stack.append(cut(data, step.start, step.end))
        elif step.kind == _CONVERTED:
            stack.append(step.what(cut(data, step.start, step.end)))
        elif step.kind == _NUMBER:
            stack.append(int.from_bytes(cut(data, step.start, step.end), "big"))
        else:
            rest = len(stack) - step.count
            values = stack[rest:]
            del stack[rest:]
            if step.kind == _TUPLE:
                stack.append(tuple(values))
            elif step.kind == _DICT:
                stack.append(dict(zip(step.what, values, strict=True)))
            else:
                stack.append(step.what(*values))
    return stack[0]
