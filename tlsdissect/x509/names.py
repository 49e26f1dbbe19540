"""Distinguished names as text (RFC 4514)."""

from __future__ import annotations

from sys import getsizeof

from tlsdissect.caches import cached
from tlsdissect.tls.wire import WireError
from tlsdissect.x509 import der

# The short names that OpenSSL and most tools print; RFC 4514 section 3 defines only nine of them.
_ATTRIBUTES = {
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.16": "postalAddress",
    "2.5.4.17": "postalCode",
    "2.5.4.18": "postOfficeBox",
    "2.5.4.20": "telephoneNumber",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.45": "x500UniqueIdentifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
}

NAME_CACHE_BYTES = 1 << 20
"""Bytes of cached names."""
MAX_CACHED = 1024
"""Bytes of the longest name that is cached."""
_SPECIAL = frozenset('"+,;<>\\')


def name(encoding: bytes) -> str:
    """Format a DER Name; a malformed one as `#` and its hexadecimal encoding."""
    try:
        return read_name(der.first(encoding))
    except WireError:
        return f"#{encoding.hex()}"


def read_name(distinguished: der.Value) -> str:
    """Format a Name (RFC 5280 section 4.1.2.4), the most specific part first (RFC 4514 section 2.1).

    Results are cached, since an issuer's name is in each certificate that it signed.
    """
    return _format(distinguished.encoding)


@cached(NAME_CACHE_BYTES, lambda encoding, text: getsizeof(encoding) + getsizeof(text), longest=MAX_CACHED)
def _format(encoding: bytes) -> str:
    parts = [_relative(part) for part in der.first(encoding).expect(der.SEQUENCE).items()]
    return ",".join(reversed(parts))


def _relative(part: der.Value) -> str:
    """Format a RelativeDistinguishedName (RFC 4514 section 2.2)."""
    return "+".join([_attribute(pair) for pair in part.expect(der.SET).items()])


def _attribute(pair: der.Value) -> str:
    """Format an AttributeTypeAndValue (RFC 4514 section 2.3)."""
    kind, stated, *_ = pair.expect(der.SEQUENCE).items(least=2)
    identifier, content = der.oid(kind), der.text(stated)
    short = _ATTRIBUTES.get(identifier)
    if short is None or content is None:
        # RFC 4514 section 2.4: the form for types without a short name and for values that are not strings.
        return f"{short or identifier}=#{stated.encoding.hex()}"
    return f"{short}={_escape(content)}"


def _escape(content: str) -> str:
    """Escape the characters that RFC 4514 section 2.4 reserves, and unprintable ones."""
    if content.isprintable() and _SPECIAL.isdisjoint(content) and content == content.strip(" ").lstrip("#"):
        return content
    characters = [_character(character) for character in content]
    if content[:1] in {" ", "#"}:
        characters[0] = f"\\{content[0]}"
    if content[-1:] == " ":
        characters[-1] = "\\ "
    return "".join(characters)


def _character(character: str) -> str:
    if character in _SPECIAL:
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join([f"\\{byte:02X}" for byte in character.encode("utf-8", "surrogateescape")])
