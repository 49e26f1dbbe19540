# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""A DER decoder for the types that certificates and OCSP responses use (ITU-T X.690)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import cython

from tlsdissect.capture.octets import cut
from tlsdissect.tls.wire import WireError

MAX_VALUES = 16_384
"""Values inside one value; more are an error. The longest lists of names in practice have a few thousand."""

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
SEQUENCE = 0x30
SET = 0x31
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18

_UTF8_STRING = 0x0C
_STRINGS = {
    _UTF8_STRING: "utf-8",
    # OpenSSL and browsers decode all one-byte strings as Latin-1, although most are defined as ASCII.
    0x12: "latin-1",  # NumericString
    0x13: "latin-1",  # PrintableString
    0x14: "latin-1",  # TeletexString
    0x16: "latin-1",  # IA5String
    0x1A: "latin-1",  # VisibleString
    0x1B: "latin-1",  # GeneralString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}

_SHOWN = [chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in range(256)]
_SMALL = 8  # bytes
_MAX_OID = 128  # bytes; longer ones only appear in attacks on whoever prints them

_UTC = re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?()(Z|[+-]\d{4})?", re.ASCII)
_GENERALIZED = re.compile(
    rb"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(?:(\d\d)(?:[.,](\d{1,9})\d*)?)?)?(Z|[+-]\d{4})?", re.ASCII
)


# C integers, by the .pxd.
_MAX_VALUES = MAX_VALUES


@cython.no_gc
@cython.cclass
class Value:
    """One value inside `data`: its tag, and the offsets of its start, its contents and its end."""

    data: bytes
    tag: cython.longlong
    start: cython.Py_ssize_t
    inside: cython.Py_ssize_t
    end: cython.Py_ssize_t

    def __init__(
        self,
        data: bytes,
        tag: cython.longlong,
        start: cython.Py_ssize_t,
        inside: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> None:
        self.data = data
        self.tag = tag
        self.start = start
        self.inside = inside
        self.end = end

    @property
    def body(self) -> bytes:
        """The contents."""
        return cut(self.data, self.inside, self.end)

    @property
    def encoding(self) -> bytes:
        """Type, length and contents."""
        return cut(self.data, self.start, self.end)

    def items(self, least: cython.Py_ssize_t = 0) -> tuple[Value, ...]:
        """Read all values inside; raise WireError if there are fewer than `least`."""
        values: list[Value] = []
        at: cython.Py_ssize_t = self.inside
        while at < self.end:
            if len(values) == _MAX_VALUES:
                raise WireError(f"more than {MAX_VALUES} values in one", self.start)
            one: Value = value(self.data, at, self.end)
            values.append(one)
            at = one.end
        if len(values) < least:
            raise WireError(f"expected {least} values, found {len(values)}", self.start)
        return tuple(values)

    @cython.ccall
    def item(self) -> Value:
        """Read the single value inside an EXPLICIT tag or a wrapping OCTET STRING."""
        one: Value = value(self.data, self.inside, self.end)
        if one.end < self.end:
            raise WireError(f"{self.end - one.end} bytes left over", one.end)
        return one

    @cython.ccall
    def expect(self, tag: cython.longlong) -> Value:
        """Return this value; raise WireError if its tag differs."""
        if self.tag != tag:
            raise WireError(f"expected a value of type 0x{tag:02x}, found one of type 0x{self.tag:02x}", self.start)
        return self


@cython.ccall
def value(data: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> Value:
    """Read the value at `start`, which ends at `end` or before (X.690 section 8.1); DER requires a definite length."""
    inside: cython.Py_ssize_t = start + 2
    count: cython.Py_ssize_t
    if start < end and data[start] & 0x1F == 0x1F:
        raise WireError("a type number above 30", start)
    if inside > end:
        raise _short(1, min(start + 1, end), end)
    size: cython.longlong = data[start + 1]
    if size >= 0x80:
        count = size - 0x80
        if not 0 < count <= 4:
            raise WireError(f"a length of {count} bytes" if count else "an indefinite length", start + 1)
        if count > end - inside:
            raise _short(count, inside, end)
        size = 0
        for at in range(inside, inside + count):
            size = size << 8 | data[at]
        inside += count
    if size > end - inside:
        raise _short(size, inside, end)
    return Value(data, data[start], start, inside, inside + size)


@cython.cfunc
def _short(size: cython.longlong, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> WireError:
    return WireError(f"{size} bytes wanted, {end - start} left", start)


@cython.ccall
def first(data: bytes) -> Value:
    """Read the value at the start of `data`."""
    return value(data, 0, len(data))


def integer(number: Value) -> int:
    """Read an INTEGER or ENUMERATED, two's complement (X.690 section 8.3)."""
    return int.from_bytes(number.body, "big", signed=True)


def small(number: Value) -> int:
    """Read an INTEGER that fits in 64 bits, the width of a table column; WireError for a larger one."""
    if len(number.body) > _SMALL:
        raise WireError(f"a number of {len(number.body)} bytes", number.start)
    return integer(number)


def hexadecimal(number: Any) -> str:
    """Format a serial number as whole bytes; negative ones, which RFC 5280 forbids, get a sign."""
    digits = f"{abs(number):x}"
    sign = "-" if number < 0 else ""
    return sign + "0" * (len(digits) % 2) + digits


def oid(identifier: Value) -> str:
    """Return an object identifier in dotted decimal (X.690 section 8.19)."""
    body: bytes = identifier.expect(OBJECT_IDENTIFIER).body
    if not body or body[len(body) - 1] & 0x80 or len(body) > _MAX_OID:
        raise WireError("the object identifier is empty, unterminated or too long", identifier.start)
    return _dotted(body)


@lru_cache(maxsize=1024)
def _dotted(body: bytes) -> str:
    arcs = []
    arc: Any = 0
    for byte in body:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def text(string: Value) -> str | None:
    """Read a character string; None for other types. Invalid bytes of UTF-8 become lone surrogates."""
    encoding = _STRINGS.get(string.tag)
    if encoding is None:
        return None
    try:
        return string.body.decode(encoding, "surrogateescape" if string.tag == _UTF8_STRING else "strict")
    except UnicodeDecodeError:
        return None


def time(moment: Value) -> str:
    """Convert a UTCTime or GeneralizedTime to RFC 3339 in UTC."""
    if moment.tag not in {UTC_TIME, GENERALIZED_TIME}:
        raise WireError(f"expected a time, found a value of type 0x{moment.tag:02x}", moment.start)
    try:
        return utc(moment.body, generalized=moment.tag == GENERALIZED_TIME)
    except ValueError as error:
        raise WireError(str(error), moment.start) from None


def utc(digits: bytes, *, generalized: cython.bint) -> str:
    """Convert the digits of a time to RFC 3339.

    RFC 5280 section 4.1.2.5 requires seconds and a Z. X.690 also allows fractions and offsets, and some certificates
    lack the seconds.
    """
    found = (_GENERALIZED if generalized else _UTC).fullmatch(digits)
    if found is None:
        raise ValueError(f"no time: {printable(digits[:40])}")
    year, month, day, hour, minute, second = (int(group or 0) for group in found.groups()[:6])
    if not generalized:
        year += 1900 if year >= 50 else 2000
    try:
        # Python's calendar starts in year 1; year 0 is a leap year like 2000.
        stated = datetime(year or 2000, month, day, hour, minute, second)  # noqa: DTZ001  # shifted to UTC
        shifted = _shifted(stated, found[8])
    except (ValueError, OverflowError):
        raise ValueError(f"no date: {printable(digits[:40])}") from None
    year += shifted.year - stated.year
    fraction = b"." + found[7] if found[7] else b""
    # `strftime` takes three times as long.
    return f"{year:04d}{shifted.isoformat()[4:]}{fraction.decode()}Z"


def _shifted(stated: datetime, zone: bytes | None) -> datetime:
    """Convert a time to UTC; one without offset is taken as UTC."""
    if zone is None or zone == b"Z":
        return stated
    distance = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
    return stated + distance if zone[:1] == b"-" else stated - distance


def printable(data: bytes) -> str:
    r"""Decode bytes as ASCII, and escape backslashes and unprintable bytes as `\xNN`."""
    shown = data.decode("latin-1")
    if shown.isascii() and shown.isprintable() and "\\" not in shown:
        return shown
    return "".join(map(_SHOWN.__getitem__, data))
