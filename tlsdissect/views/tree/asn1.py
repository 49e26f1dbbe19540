"""Certificates, names and OCSP responses in DER as nodes.

DER is decoded by ITU-T X.690; names of components are those of RFC 5280 section 4, RFC 6960 section 4.2 and RFC 8017.
"""

from __future__ import annotations

import csv
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from msgspec import Raw
from msgspec.structs import replace

from tlsdissect import tls
from tlsdissect.caches import SHARE
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.wire import WireError
from tlsdissect.views.printable import without_surrogates
from tlsdissect.views.tree.model import Node
from tlsdissect.x509 import der
from tlsdissect.x509.names import name as distinguished
from tlsdissect.x509.staples import RESPONSE_STATUS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from tlsdissect.views.tree.model import MappedBytes

MAX_DEPTH = 24
"""Maximum depth of nested values."""
MAX_VALUES = 10_000
"""Maximum number of values of one DER structure."""
DRAWN_BYTES: Final = 8 << 20
"""Bytes of drawn values that are kept for later structures, each at most 1/16 of it; beyond it, all are drawn again."""
DRAWN_ENTRY_BYTES: Final = 512
"""Estimated bytes of a drawn value besides its encoding and its row."""

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
_CONSTRUCTED, _CONTEXT, _BIT_STRING = 0x20, 0x80, 0x03
_TIMESTAMPS = "SignedCertificateTimestampList"

Structs: TypeAlias = "Callable[[int, int], tuple[Node, ...]]"
"""Builds the nodes of a SignedCertificateTimestampList between two offsets: a TLS structure inside DER."""


class DrawnNode(Node, frozen=True, kw_only=True):
    """A value with all that is in it, as a page has it."""

    row: Raw


class _Drawn(NamedTuple):
    """A value that was drawn."""

    node: DrawnNode
    values: int
    """Number of DER values in it, itself included."""
    identifier: str
    """The identifier of an extension that was read last."""


class DrawnValues:
    """Draws values with others in them once.

    Certificates of one issuer differ in a few values only: the names of the issuer, its algorithms and most extensions
    are the same. What is drawn has no places in frames.
    """

    def __init__(self, draw: Callable[[Node], bytes]) -> None:
        self._draw = draw
        self._known: dict[Hashable, _Drawn] = {}
        self._used = 0

    def get(self, key: Hashable, left: int) -> _Drawn | None:
        """Return the drawn value of this key, unless it has more values than may still be drawn."""
        known = self._known.get(key)
        return known if known is not None and known.values < left else None

    def add(self, key: Hashable, node: Node, values: int, identifier: str, size: int) -> DrawnNode:
        """Draw a value whose encoding has this size, and keep it unless it is large."""
        drawn = DrawnNode("", row=Raw(self._draw(node)))
        size += len(bytes(drawn.row)) + DRAWN_ENTRY_BYTES
        if size > DRAWN_BYTES // SHARE:
            return drawn
        if self._used + size > DRAWN_BYTES:
            self._known, self._used = {}, 0
        self._used += size
        self._known[key] = _Drawn(drawn, values, identifier)
        return drawn


class _DerNodes:
    """Builds the nodes of one DER structure."""

    def __init__(
        self, mapped: MappedBytes, reference: str | None, timestamps: Structs | None, drawn: DrawnValues | None
    ) -> None:
        self._mapped = mapped
        self._reference = reference
        self._timestamps = timestamps
        self._drawn = drawn
        self._left = MAX_VALUES
        self._identifier = ""
        """The identifier of the extension whose value comes next."""

    def node(self, value: der.Value, name: str, depth: int = 0) -> Node:
        """Build the node of a value; a nested value that cannot be decoded becomes bytes."""
        if self._drawn is None or not value.tag & _CONSTRUCTED:
            return self._node(value, name, depth)
        # All that it depends on, but how many values are left.
        key = self._reference, name, depth, self._identifier, value.encoding
        known = self._drawn.get(key, self._left)
        if known is not None:
            self._left -= known.values
            self._identifier = known.identifier
            return known.node
        before = self._left
        node = self._node(value, name, depth)
        if self._left <= 0:
            return node
        return self._drawn.add(key, node, before - self._left, self._identifier, value.end - value.start)

    def _node(self, value: der.Value, name: str, depth: int) -> Node:
        self._left -= 1
        if name == "extnID" and value.tag == der.OBJECT_IDENTIFIER:
            self._identifier = _content(value, name)[0]
        elif name == _TIMESTAMPS and self._timestamps is not None and value.tag == der.OCTET_STRING:
            return self._branch(value, name, self._timestamps(value.inside, value.end), value.inside)
        inside, problem = self._inside(value, name, depth)
        if not inside:
            return self._leaf(value, name, problem)
        children = tuple(self._children(inside, self._shape(name), depth))
        return self._branch(value, name, children, inside[0].start)

    def _branch(self, value: der.Value, name: str, inside: tuple[Node, ...], start: int) -> Node:
        """Build a node with children, of which the first is the bytes before the first value."""
        header = Node(
            f"{_tag(value.tag)} header", reference=self._reference, bytes=self._mapped.spans(value.start, start)
        )
        return replace(self._leaf(value, name, None), value=None, children=(header, *inside))

    def _leaf(self, value: der.Value, name: str, problem: str | None) -> Node:
        text, meaning = _content(value, name)
        spans = self._mapped.spans(value.start, value.end)
        return Node(name, text, meaning, reference=self._reference, bytes=spans, problem=problem)

    def _inside(self, value: der.Value, name: str, depth: int) -> tuple[Sequence[der.Value], str | None]:
        if depth >= MAX_DEPTH or self._left <= 0:
            return (), "no deeper than this is drawn" if value.tag & _CONSTRUCTED else None
        try:
            if value.tag & _CONSTRUCTED:
                return value.items(), None
            return ((_wrapped(value),) if name in WRAPPING else ()), None
        except WireError as error:
            # The content of a string need not be DER: an Ed25519 key, an unknown extension.
            return (), None if name in WRAPPING else error.problem

    def _shape(self, name: str) -> list[str]:
        if name == "extnValue":
            return [EXTENSIONS[self._identifier]] if self._identifier in EXTENSIONS else []
        return list(SHAPES.get(name, ()))

    def _children(self, inside: Sequence[der.Value], names: list[str], depth: int) -> Iterator[Node]:
        for value in inside:
            yield self.node(value, _name(value, names), depth + 1)


def _wrapped(value: der.Value) -> der.Value:
    """Decode the value inside a string; in a BIT STRING it follows the number of unused bits."""
    if value.tag == _BIT_STRING:
        value = der.Value(value.data, value.tag, value.start, min(value.inside + 1, value.end), value.end)
    return value.item()


def asn1(
    mapped: MappedBytes,
    data: bytes,
    start: int,
    end: int,
    name: str,
    reference: str | None,
    timestamps: Structs | None = None,
    drawn: DrawnValues | None = None,
) -> tuple[Node, ...]:
    """Build the node of the DER value between two offsets; bytes after it, or that cannot be decoded, become a node.

    With `drawn`, values in it that have others in them are nodes that are drawn.
    """
    try:
        value = der.value(data, start, end)
    except WireError as error:
        return (
            Node(name, data[start:end].hex(), reference=reference, bytes=mapped.spans(start, end), problem=str(error)),
        )
    whole = _DerNodes(mapped, reference, timestamps, drawn).node(value, _chosen(value, name))
    if value.end == end:
        return (whole,)
    rest = Node(
        "unread", data[value.end : end].hex(), bytes=mapped.spans(value.end, end), problem="bytes after the DER value"
    )
    return whole, rest


def _name(value: der.Value, names: list[str]) -> str:
    """Return the name of the next value, which its position and its tag determine."""
    if names and names[0].startswith("*"):
        return _chosen(value, names[0][1:])
    while names:
        name = names[0]
        if name.startswith("["):
            label, _, plain = name.partition(" ")
            names.pop(0)
            if value.tag & 0xC0 == _CONTEXT and label == f"[{value.tag & 0x1F}]":
                return plain
            continue
        names.pop(0)
        if name in OPTIONAL and value.tag != OPTIONAL[name]:
            continue
        return _chosen(value, name)
    return _tag(value.tag)


def _chosen(value: der.Value, name: str) -> str:
    """Return the name of the alternative of a CHOICE."""
    kinds = CHOICES.get(name)
    return name if kinds is None or value.tag & 0xC0 != _CONTEXT else kinds.get(value.tag & 0x1F, name)


def _tag(tag: int) -> str:
    return _TAGS.get(tag, f"[{tag & 0x1F}]")


def _content(value: der.Value, name: str) -> tuple[Any, str | None]:
    """Return a value as it is printed, and its meaning."""
    try:
        if name in ("issuer", "subject", "Name"):
            return None, distinguished(value.encoding)
        return _named(value, name) or _typed(value)
    except WireError:
        return value.body.hex(), None


def _named(value: der.Value, name: str) -> tuple[Any, str | None] | None:
    """Return value and meaning by the value's name; None if the name does not determine them."""
    body = value.body
    if name in TEXTS:
        return der.printable(body), None
    if name == "iPAddress" and len(body) in (4, 16):
        return body.hex(), str(ip_address(body))
    if name == "registeredID":
        dotted = der.oid(der.Value(value.data, der.OBJECT_IDENTIFIER, value.start, value.inside, value.end))
        return dotted, _oids().get(dotted)
    if name in NUMBERS and len(body) == 1:
        return body[0], NUMBERS[name].get(body[0])
    if name == "Feature" and len(body) <= 3:
        return der.integer(value), Registry.EXTENSIONS.names[der.integer(value)]
    if name == "modulus":
        return body.hex(), f"{der.integer(value).bit_length()} bits: {body.hex()}"
    if name in BITS and value.tag & 0x1F == _BIT_STRING:
        return body.hex(), ", ".join(_bits(body[1:], BITS[name])) or "none"
    return None


def _bits(data: bytes, names: Sequence[str]) -> Iterator[str]:
    """Yield the names of the bits that are set, starting with the highest bit of the first byte (X.690 section 8.6)."""
    for number, name in enumerate(names):
        if number < 8 * len(data) and data[number // 8] >> 7 - number % 8 & 1:
            yield name


def _typed(value: der.Value) -> tuple[Any, str | None]:
    """Return value and meaning by the value's type."""
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
    if written is None:
        return value.body.hex(), None
    # Bytes that are not UTF-8 become lone surrogates, which JSON cannot contain.
    return der.printable(value.body), without_surrogates(written)


@cache
def _oids() -> dict[str, str]:
    path = Path(tls.__file__).parent / "iana" / "oids.csv"
    with path.open(newline="", encoding="ascii") as file:
        return {row["oid"]: row["name"] for row in csv.DictReader(file)}


SHAPES: Final[dict[str, tuple[str, ...]]] = {
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
    "version": ("Version",),
    "validity": ("notBefore", "notAfter"),
    "subjectPublicKeyInfo": ("algorithm", "subjectPublicKey"),
    "subjectPublicKey": ("RSAPublicKey",),
    "RSAPublicKey": ("modulus", "publicExponent"),
    "signatureAlgorithm": ("algorithm", "parameters"),
    "signature": ("algorithm", "parameters"),
    "algorithm": ("algorithm", "parameters"),
    "hashAlgorithm": ("algorithm", "parameters"),
    "extensions": ("*extensions list",),
    "responseExtensions": ("*extensions list",),
    "singleExtensions": ("*extensions list",),
    "extensions list": ("*extension",),
    "extension": ("extnID", "critical", "extnValue"),
    "issuer": ("*relativeDistinguishedName",),
    "subject": ("*relativeDistinguishedName",),
    "Name": ("*relativeDistinguishedName",),
    "relativeDistinguishedName": ("*attribute",),
    "attribute": ("type", "value"),
    "BasicConstraints": ("cA", "pathLenConstraint"),
    "ExtKeyUsageSyntax": ("*KeyPurposeId",),
    "GeneralNames": ("*GeneralName",),
    "directoryName": ("Name",),
    "otherName": ("type-id", "value"),
    "AuthorityKeyIdentifier": ("[0] keyIdentifier", "[1] authorityCertIssuer", "[2] authorityCertSerialNumber"),
    "authorityCertIssuer": ("*GeneralName",),
    "AuthorityInfoAccessSyntax": ("*AccessDescription",),
    "AccessDescription": ("accessMethod", "GeneralName"),
    "CRLDistributionPoints": ("*DistributionPoint",),
    "DistributionPoint": ("[0] distributionPoint", "[1] reasons", "[2] cRLIssuer"),
    "distributionPoint": ("[0] fullName", "[1] nameRelativeToCRLIssuer"),
    "fullName": ("*GeneralName",),
    "cRLIssuer": ("*GeneralName",),
    "CertificatePolicies": ("*PolicyInformation",),
    "PolicyInformation": ("policyIdentifier", "policyQualifiers"),
    "policyQualifiers": ("*PolicyQualifierInfo",),
    "PolicyQualifierInfo": ("policyQualifierId", "qualifier"),
    "NameConstraints": ("[0] permittedSubtrees", "[1] excludedSubtrees"),
    "permittedSubtrees": ("*GeneralSubtree",),
    "excludedSubtrees": ("*GeneralSubtree",),
    "GeneralSubtree": ("GeneralName", "[0] minimum", "[1] maximum"),
    "PolicyConstraints": ("[0] requireExplicitPolicy", "[1] inhibitPolicyMapping"),
    "Features": ("*Feature",),
    "OCSPResponse": ("responseStatus", "[0] responseBytes"),
    "responseBytes": ("ResponseBytes",),
    "ResponseBytes": ("responseType", "response"),
    "response": ("BasicOCSPResponse",),
    "BasicOCSPResponse": ("tbsResponseData", "signatureAlgorithm", "signature", "[0] certs"),
    "tbsResponseData": ("[0] version", "ResponderID", "producedAt", "responses", "[1] responseExtensions"),
    "byName": ("Name",),
    "byKey": ("KeyHash",),
    "responses": ("*SingleResponse",),
    "SingleResponse": ("certID", "certStatus", "thisUpdate", "[0] nextUpdate", "[1] singleExtensions"),
    "certID": ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber"),
    "revoked": ("revocationTime", "[0] revocationReason"),
    "revocationReason": ("CRLReason",),
    "certs": ("*certificates",),
    "certificates": ("*Certificate",),
}
"""The names of the components in order; `*` names every value, `[n]` the optional value with that tag."""

OPTIONAL: Final = {"critical": 0x01, "cA": 0x01}
"""Optional components without a context-specific tag, and their tags."""

CHOICES: Final[dict[str, dict[int, str]]] = {
    "GeneralName": {
        0: "otherName",
        1: "rfc822Name",
        2: "dNSName",
        3: "x400Address",
        4: "directoryName",
        5: "ediPartyName",
        6: "uniformResourceIdentifier",
        7: "iPAddress",
        8: "registeredID",
    },
    "ResponderID": {1: "byName", 2: "byKey"},
    "certStatus": {0: "good", 1: "revoked", 2: "unknown"},
}
"""CHOICE types: the alternatives by tag."""

EXTENSIONS: Final = {
    "2.5.29.14": "SubjectKeyIdentifier",
    "2.5.29.15": "KeyUsage",
    "2.5.29.17": "GeneralNames",
    "2.5.29.18": "GeneralNames",
    "2.5.29.19": "BasicConstraints",
    "2.5.29.30": "NameConstraints",
    "2.5.29.31": "CRLDistributionPoints",
    "2.5.29.32": "CertificatePolicies",
    "2.5.29.35": "AuthorityKeyIdentifier",
    "2.5.29.36": "PolicyConstraints",
    "2.5.29.37": "ExtKeyUsageSyntax",
    "2.5.29.46": "CRLDistributionPoints",
    "2.5.29.54": "SkipCerts",
    "1.3.6.1.5.5.7.1.1": "AuthorityInfoAccessSyntax",
    "1.3.6.1.5.5.7.1.24": "Features",
    "1.3.6.1.5.5.7.1.31": "acmeIdentifier",
    "1.3.6.1.4.1.11129.2.4.2": "SignedCertificateTimestampList",
    "1.3.6.1.4.1.11129.2.4.5": "SignedCertificateTimestampList",
    "2.16.840.1.113730.1.1": "NetscapeCertType",
}
"""The type of an extension's value, by its identifier (RFC 7633 for Features, RFC 6962 for timestamps)."""

WRAPPING: Final = frozenset(("extnValue", "response", "subjectPublicKey"))
"""OCTET STRINGs and BIT STRINGs that contain DER."""

BITS: Final = {
    "KeyUsage": (
        "digitalSignature",
        "contentCommitment",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ),
    "NetscapeCertType": (
        "SSL client",
        "SSL server",
        "S/MIME",
        "object signing",
        "reserved",
        "SSL CA",
        "S/MIME CA",
        "object signing CA",
    ),
    "reasons": (
        "unused",
        "keyCompromise",
        "cACompromise",
        "affiliationChanged",
        "superseded",
        "cessationOfOperation",
        "certificateHold",
        "privilegeWithdrawn",
        "aACompromise",
    ),
}
"""Names of the bits of a BIT STRING, from the first on."""

NUMBERS: Final[dict[str, dict[int, str]]] = {
    "Version": {0: "v1", 1: "v2", 2: "v3"},
    "responseStatus": RESPONSE_STATUS,
    "CRLReason": {
        0: "unspecified",
        1: "keyCompromise",
        2: "cACompromise",
        3: "affiliationChanged",
        4: "superseded",
        5: "cessationOfOperation",
        6: "certificateHold",
        8: "removeFromCRL",
        9: "privilegeWithdrawn",
        10: "aACompromise",
    },
}
"""Meanings of numbers (RFC 5280 section 5.3.1 for reasons)."""

TEXTS: Final = frozenset(("rfc822Name", "dNSName", "uniformResourceIdentifier"))
"""Values with an implicit tag that are IA5Strings (RFC 5280 section 4.2.1.6)."""
