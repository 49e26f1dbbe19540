"""The fingerprints JA3 and JA3S (Salesforce, 2017) and JA4 (FoxIO's TLS client fingerprint) of hellos.

Every function takes plain numbers in the order of the wire, so that the logs of other tools can be used too. GREASE
values (RFC 8701) are left out everywhere, since they are random in each connection.
"""

from __future__ import annotations

from hashlib import md5, sha256
from itertools import filterfalse, islice
from struct import error as struct_error
from struct import pack
from typing import TYPE_CHECKING, Literal

from msgspec.json import encode

from tlsdissect.caches import cached
from tlsdissect.handshake.facts.code_points import sorted_octets, without_grease
from tlsdissect.tls.codepoints import GREASE, LONG_LIST

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

Protocol = Literal["t", "q", "d"]

_SERVER_NAME = 0x0000
_ALPN = 0x0010

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
_NUMBER_BYTES = 36
"""Estimated bytes of a number in a tuple."""


def _size(*lists_and_text: Sized) -> int:
    """Return the bytes of lists of numbers and of their text."""
    *lists, text = lists_and_text
    return len(text) + _NUMBER_BYTES * sum([len(numbers) for numbers in lists])


def ja3_string(
    version: int,
    cipher_suites: Sequence[int],
    extensions: Sequence[int],
    groups: Sequence[int],
    ec_point_formats: Sequence[int],
) -> str:
    """Return the text that JA3 hashes: five fields of decimal numbers; `version` is the legacy_version."""
    suites, curves = _decimals(tuple(cipher_suites)), _decimals(tuple(groups))
    return f"{version},{suites},{_decimals(tuple(extensions))},{curves},{_decimals(tuple(ec_point_formats))}"


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
    return f"{version},{cipher_suite},{_decimals(tuple(extensions))}"


@cached(LIST_CACHE_BYTES)
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
    suites, kinds = tuple(cipher_suites), tuple(sorted(extensions))
    head = _head(protocol, version, suites, kinds, alpn=alpn, sni=sni)
    return f"{head}_{_hashed_suites(suites)}_{_hashed_extensions(kinds, tuple(signature_algorithms))}"


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
    suites, kinds = tuple(cipher_suites), tuple(sorted(extensions))
    head = _head(protocol, version, suites, kinds, alpn=alpn, sni=sni)
    listed = _sorted_hexadecimals(suites)
    return f"{head}_{listed}_{_extensions_text(kinds, tuple(signature_algorithms))}"


def _head(
    protocol: Protocol,
    version: int,
    cipher_suites: tuple[int, ...],
    extensions: tuple[int, ...],
    *,
    alpn: bytes | None,
    sni: bool | None,
) -> str:
    named = _SERVER_NAME in extensions if sni is None else sni
    return (
        f"{protocol}{_JA4_VERSIONS.get(version, '00')}{'d' if named else 'i'}"
        f"{_count(cipher_suites)}{_count(extensions)}{_alpn_mark(alpn)}"
    )


@cached(LIST_CACHE_BYTES, _size, longest=LONG_LIST)
def _decimals(numbers: tuple[int, ...]) -> str:
    return encode(without_grease(numbers)).decode()[1:-1].replace(",", "-")


@cached(LIST_CACHE_BYTES, _size, longest=LONG_LIST)
def _hexadecimals(numbers: tuple[int, ...]) -> str:
    return _hexadecimal_text(without_grease(numbers))


def _hexadecimal_text(kept: Sequence[int]) -> str:
    try:
        data = pack(f">{len(kept)}H", *kept)
    except struct_error:
        # A hello has no number of more than two bytes, but another tool's log may.
        return ",".join([f"{number:04x}" for number in kept])
    return data.hex(",", 2) if kept else ""


def _sorted_hexadecimals(numbers: tuple[int, ...]) -> str:
    try:
        octets = sorted_octets(numbers)
    except OverflowError:
        # As above.
        return _hexadecimal_text(sorted(without_grease(numbers)))
    return octets.hex(",", 2) if octets else ""


@cached(LIST_CACHE_BYTES, _size, longest=LONG_LIST)
def _count(numbers: tuple[int, ...]) -> str:
    """Count in two digits, up to 99."""
    return f"{len(tuple(islice(filterfalse(GREASE.__contains__, numbers), 99))):02d}"


@cached(LIST_CACHE_BYTES, _size, longest=LONG_LIST)
def _hashed_suites(cipher_suites: tuple[int, ...]) -> str:
    return _digest(_sorted_hexadecimals(cipher_suites))


@cached(LIST_CACHE_BYTES, _size, longest=LONG_LIST)
def _hashed_extensions(extensions: tuple[int, ...], signature_algorithms: tuple[int, ...]) -> str:
    return _digest(_extensions_text(extensions, signature_algorithms))


def _extensions_text(extensions: tuple[int, ...], signature_algorithms: tuple[int, ...]) -> str:
    """Join the sorted extensions, except for SNI and ALPN, and the signature algorithms in the order of the wire."""
    kept = tuple([number for number in extensions if number not in {_SERVER_NAME, _ALPN}])
    algorithms = _hexadecimals(signature_algorithms)
    return f"{_hexadecimals(kept)}_{algorithms}" if algorithms else _hexadecimals(kept)


@cached(LIST_CACHE_BYTES)
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
