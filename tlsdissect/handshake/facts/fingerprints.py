"""The fingerprints JA3 and JA3S (Salesforce, 2017) and JA4 (FoxIO's TLS client fingerprint) of hellos.

Every function takes lists of numbers of two bytes, in the order of the wire. GREASE values (RFC 8701) are left out
everywhere, since they are random in each connection.
"""

from __future__ import annotations

from hashlib import md5, sha256
from typing import TYPE_CHECKING, Literal

from tlsdissect.caches import cached
from tlsdissect.tls.code_point_lists import LONG_LIST, decimals, in_order, octets_of, without_grease
from tlsdissect.tls.codepoints import GREASE

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

Protocol = Literal["t", "q", "d"]

_SERVER_NAME = b"\0\0"
_LEFT_OUT = ("0000", "0010")
"""server_name and application_layer_protocol_negotiation, which the first part of a JA4 stands for."""

_JA4_VERSIONS = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}

_NOTHING = "000000000000"
LIST_CACHE_BYTES = 1 << 18
"""Bytes of cached lists with their text; a network has some hundreds of different lists."""
_LONGEST = 2 * LONG_LIST
"""Bytes of the longest list whose text is cached."""
_LONGEST_TEXT = 1 << 12
"""Characters of the longest text whose hash is cached."""
_OBJECT_BYTES = 56
"""Of bytes or a text without its content, at most."""


def _size(*lists_and_text: Sized) -> int:
    """Return the bytes of the octets of lists and of their text."""
    return sum([_OBJECT_BYTES + len(one) for one in lists_and_text])


def ja3_string(
    version: int,
    cipher_suites: Sequence[int],
    extensions: Sequence[int],
    groups: Sequence[int],
    ec_point_formats: Sequence[int],
) -> str:
    """Return the text that JA3 hashes: five fields of decimal numbers; `version` is the legacy_version."""
    lists = cipher_suites, extensions, groups, ec_point_formats
    return ",".join([str(version), *[_decimals(octets_of(one)) for one in lists]])


def ja3n_string(
    version: int,
    cipher_suites: Sequence[int],
    extensions: Sequence[int],
    groups: Sequence[int],
    ec_point_formats: Sequence[int],
) -> str:
    """Return the JA3 text with sorted extensions, which is constant for browsers that shuffle them."""
    return ja3_string(version, cipher_suites, sorted(extensions), groups, ec_point_formats)


def ja3s_string(version: int, cipher_suite: int, extensions: Sequence[int]) -> str:
    """Return the text that JA3S hashes; `version` is the legacy_version of the ServerHello."""
    return f"{version},{cipher_suite},{_decimals(octets_of(extensions))}"


@cached(LIST_CACHE_BYTES, longest=_LONGEST_TEXT)
def ja3(string: str) -> str:
    """Hash the text of a JA3, JA3N or JA3S."""
    return md5(string.encode(), usedforsecurity=False).hexdigest()


def highest_version(legacy_version: int, supported_versions: Sequence[int] | None) -> int:
    """Return the version for JA4: the highest of supported_versions, or else the legacy_version.

    The numbers of DTLS versions decrease (RFC 6347 section 4.1): the lowest is the highest version.
    """
    offered = [number for number in supported_versions or () if number not in GREASE]
    if not offered:
        return legacy_version
    datagram = [number for number in offered if number >= 0xFE00]
    return min(datagram) if datagram else max(offered)


def ja4(
    protocol: Protocol,
    version: int,
    cipher_suites: Sequence[int],
    extensions: Sequence[int],
    *,
    alpn: bytes | None,
    signature_algorithms: Sequence[int],
    sni: bool | None = None,
) -> str:
    """Return the JA4 of a ClientHello.

    `protocol` is "t" over TCP, "q" in QUIC, "d" in DTLS; `version` is that of `highest_version`; `alpn` is the first
    offered protocol, or None. `sni` is whether there is a server_name extension; by default, the list of extensions is
    searched for it.

    GREASE is removed from the signature algorithms too, since the specification ignores it everywhere.
    """
    # Sorted first, so that a browser that shuffles its extensions has one cache entry, not one per connection.
    suites, kinds = octets_of(cipher_suites), octets_of(sorted(extensions))
    head = _head(protocol, version, suites, kinds, alpn=alpn, sni=sni)
    return f"{head}_{_hashed_suites(suites)}_{_hashed_extensions(kinds, octets_of(signature_algorithms))}"


def ja4_r(
    protocol: Protocol,
    version: int,
    cipher_suites: Sequence[int],
    extensions: Sequence[int],
    *,
    alpn: bytes | None,
    signature_algorithms: Sequence[int],
    sni: bool | None = None,
) -> str:
    """Return a JA4 with its sorted lists instead of their hashes."""
    suites, kinds = octets_of(cipher_suites), octets_of(sorted(extensions))
    head = _head(protocol, version, suites, kinds, alpn=alpn, sni=sni)
    listed = _hexadecimals(in_order(suites))
    return f"{head}_{listed}_{_extensions_text(kinds, octets_of(signature_algorithms))}"


def _head(
    protocol: Protocol, version: int, cipher_suites: bytes, extensions: bytes, *, alpn: bytes | None, sni: bool | None
) -> str:
    # The extensions are sorted, and no number is less.
    named = extensions.startswith(_SERVER_NAME) if sni is None else sni
    return (
        f"{protocol}{_JA4_VERSIONS.get(version, '00')}{'d' if named else 'i'}"
        f"{_count(cipher_suites)}{_count(extensions)}{_alpn_mark(alpn)}"
    )


_decimals = cached(LIST_CACHE_BYTES, _size, longest=_LONGEST)(decimals)


def _hexadecimals(octets: bytes) -> str:
    # Without octets, there is nothing to separate, which hex() refuses.
    return octets.hex(",", 2) if octets else ""


@cached(LIST_CACHE_BYTES, _size, longest=_LONGEST)
def _count(octets: bytes) -> str:
    """Count in two digits, up to 99."""
    return f"{min(99, len(without_grease(octets)) // 2):02d}"


@cached(LIST_CACHE_BYTES, _size, longest=_LONGEST)
def _hashed_suites(cipher_suites: bytes) -> str:
    return _digest(_hexadecimals(in_order(cipher_suites)))


@cached(LIST_CACHE_BYTES, _size, longest=_LONGEST)
def _hashed_extensions(extensions: bytes, signature_algorithms: bytes) -> str:
    return _digest(_extensions_text(extensions, signature_algorithms))


def _extensions_text(extensions: bytes, signature_algorithms: bytes) -> str:
    """Join the sorted extensions, except for SNI and ALPN, and the signature algorithms in the order of the wire."""
    kinds = _hexadecimals(without_grease(extensions)).split(",")
    kept = ",".join([kind for kind in kinds if kind not in _LEFT_OUT])
    algorithms = _hexadecimals(without_grease(signature_algorithms))
    return f"{kept}_{algorithms}" if algorithms else kept


@cached(LIST_CACHE_BYTES, longest=_LONGEST_TEXT)
def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else _NOTHING


@cached(LIST_CACHE_BYTES)
def _alpn_mark(alpn: bytes | None) -> str:
    """Return the first and last character; of the hexadecimal form if either is not an ASCII letter or digit."""
    if not alpn:
        return "00"
    ends = alpn[:1] + alpn[-1:]
    text = ends.decode("ascii") if ends.isalnum() else alpn.hex()
    return text[0] + text[-1]
