"""Certificates, names and OCSP responses in DER as nodes (ITU-T X.690; RFC 5280 section 4.1; RFC 6960 section 4.2)."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tlsdissect import tls
from tlsdissect.tls.wire import Reader, WireError
from tlsdissect.transcript import der
from tlsdissect.transcript.names import name as distinguished
from tlsdissect.views.tree.node import Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.views.tree.node import Ground

MAX_DEPTH = 24
"""Values within values that are drawn."""
MAX_VALUES = 10_000
"""Values of one DER structure that are drawn."""

_TAGS = {
    0x01: "BOOLEAN",
    0x02: "INTEGER",
    0x03: "BIT STRING",
    0x04: "OCTET STRING",
    0x05: "NULL",
    0x06: "OBJECT IDENTIFIER",
    0x0A: "ENUMERATED",
    0x0C: "UTF8String",
    0x12: "NumericString",
    0x13: "PrintableString",
    0x14: "TeletexString",
    0x16: "IA5String",
    0x17: "UTCTime",
    0x18: "GeneralizedTime",
    0x1A: "VisibleString",
    0x1B: "GeneralString",
    0x1C: "UniversalString",
    0x1E: "BMPString",
    0x30: "SEQUENCE",
    0x31: "SET",
}
_CONSTRUCTED, _CONTEXT = 0x20, 0x80

_SHAPES: dict[str, tuple[str, ...]] = {
    "Certificate": ("tbsCertificate", "signatureAlgorithm", "signatureValue"),
    "tbsCertificate": (
        "[0] version",
        "serialNumber",
        "signature",
        "issuer",
        "validity",
        "subject",
        "subjectPublicKeyInfo",
        "[1] issuerUniqueID",
        "[2] subjectUniqueID",
        "[3] extensions",
    ),
    "validity": ("notBefore", "notAfter"),
    "subjectPublicKeyInfo": ("algorithm", "subjectPublicKey"),
    "signatureAlgorithm": ("algorithm", "parameters"),
    "signature": ("algorithm", "parameters"),
    "algorithm": ("algorithm", "parameters"),
    "extensions": ("*extensions list",),
    "extensions list": ("*extension",),
    "extension": ("extnID", "critical", "extnValue"),
    "issuer": ("*relativeDistinguishedName",),
    "subject": ("*relativeDistinguishedName",),
    "Name": ("*relativeDistinguishedName",),
    "relativeDistinguishedName": ("*attribute",),
    "attribute": ("type", "value"),
    "OCSPResponse": ("responseStatus", "[0] responseBytes"),
}
"""The names of what is inside, in order; `*`: of each value, `[n]`: of the one with that tag, if it is there."""
_OPTIONAL = {"critical": 0x01}


class _Drawing:
    """The nodes of one DER structure."""

    def __init__(self, ground: Ground, reference: str | None) -> None:
        self._ground = ground
        self._reference = reference
        self._left = MAX_VALUES

    def node(self, value: der.Value, name: str, depth: int = 0) -> Node:
        """Draw a value; one inside another that cannot be read is drawn as bytes."""
        self._left -= 1
        inside, problem = self._inside(value, depth)
        if inside:
            header = Node(
                f"{_tag(value.tag)} header",
                reference=self._reference,
                bytes=self._ground.spans(value.start, inside[0].start),
            )
            children = (header, *self._children(inside, _shape(name), depth))
            return replace(self._leaf(value, name, problem), value=None, children=children)
        return self._leaf(value, name, problem)

    def _leaf(self, value: der.Value, name: str, problem: str | None) -> Node:
        told, meaning = _content(value, name)
        spans = self._ground.spans(value.start, value.end)
        return Node(name, told, meaning, reference=self._reference, bytes=spans, problem=problem)

    def _inside(self, value: der.Value, depth: int) -> tuple[Sequence[der.Value], str | None]:
        if depth >= MAX_DEPTH or self._left <= 0:
            return (), "no deeper than this is drawn" if value.tag & _CONSTRUCTED else None
        try:
            if value.tag & _CONSTRUCTED:
                return value.items(), None
            return ((value.item(),) if value.tag == der.OCTET_STRING else ()), None
        except WireError as error:
            return (), None if value.tag == der.OCTET_STRING else error.problem

    def _children(self, inside: Sequence[der.Value], names: list[str], depth: int) -> Iterator[Node]:
        for value in inside:
            yield self.node(value, _name(value, names), depth + 1)


def asn1(ground: Ground, data: bytes, start: int, end: int, name: str, reference: str | None) -> tuple[Node, ...]:
    """Draw the DER value of `data` between two offsets; what stands behind it, or cannot be read, is drawn as bytes."""
    reader = Reader(data, start, end)
    try:
        value = der.value(reader, data)
    except WireError as error:
        return (
            Node(name, data[start:end].hex(), reference=reference, bytes=ground.spans(start, end), problem=str(error)),
        )
    whole = _Drawing(ground, reference).node(value, name)
    if value.end == end:
        return (whole,)
    rest = Node(
        "unread", data[value.end : end].hex(), bytes=ground.spans(value.end, end), problem="bytes behind the DER value"
    )
    return whole, rest


def _shape(name: str) -> list[str]:
    return list(_SHAPES.get(name, ()))


def _name(value: der.Value, names: list[str]) -> str:
    """The name of the next value, by what its place and its tag allow."""
    if names and names[0].startswith("*"):
        return names[0][1:]
    while names:
        name = names[0]
        if name.startswith("["):
            label, _, plain = name.partition(" ")
            names.pop(0)
            if value.tag & 0xC0 == _CONTEXT and label == f"[{value.tag & 0x1F}]":
                return plain
            continue
        names.pop(0)
        if name in _OPTIONAL and value.tag != _OPTIONAL[name]:
            continue
        return name
    return _tag(value.tag)


def _tag(tag: int) -> str:
    return _TAGS.get(tag, f"[{tag & 0x1F}]")


def _content(value: der.Value, name: str) -> tuple[int | str | None, str | None]:
    """A value as it is told, and what it stands for."""
    try:
        if name in ("issuer", "subject", "Name"):
            return None, distinguished(value.encoding)
        if value.tag == der.OBJECT_IDENTIFIER:
            dotted = der.oid(value)
            return dotted, _oids().get(dotted)
        if value.tag in (der.UTC_TIME, der.GENERALIZED_TIME):
            return der.printable(value.body), der.time(value)
        if value.tag == der.BOOLEAN and len(value.body) == 1:
            return value.body[0], "true" if value.body[0] else "false"
        if value.tag in (der.INTEGER, der.ENUMERATED) and len(value.body) <= 6:
            return der.integer(value), None
        written = der.text(value)
    except WireError:
        return value.body.hex(), None
    if written is None:
        return value.body.hex(), None
    # Bytes that are no UTF-8 are lone surrogates, which no JSON holds.
    return der.printable(value.body), written.encode("utf-8", "backslashreplace").decode()


@cache
def _oids() -> dict[str, str]:
    path = Path(tls.__file__).parent / "iana" / "oids.csv"
    with path.open(newline="", encoding="ascii") as file:
        return {row["oid"]: row["name"] for row in csv.DictReader(file)}
