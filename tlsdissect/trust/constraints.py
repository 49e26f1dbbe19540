"""Name constraints: the names that an authority may certify (RFC 5280 section 4.2.1.10).

A certificate may have thousands of names, and an authority thousands of subtrees. Comparing each name with each subtree
would cost the product of both. So the subtrees are indexed first: texts by the value that a name must equal or end in,
address ranges by mask. Checking a name then takes one lookup per label, or one per mask.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.tls.wire import WireError
from tlsdissect.x509 import der

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.model.connection import Certificate

MAX_MASKS = 256
"""Distinct address masks in one authority's constraints; with more, IP addresses are not checked.

There are 162 contiguous masks (RFC 4632) of IPv4 and IPv6 together.
"""

_EMAIL, _DNS, _DIRECTORY, _URI, _ADDRESS = 0x81, 0x82, 0xA4, 0x86, 0x87
_PERMITTED, _EXCLUDED = 0xA0, 0xA1


class Subtree(NamedTuple):
    """A GeneralSubtree: names of one kind (the tag of a GeneralName) within a base."""

    kind: int
    base: bytes


class Constraints(NamedTuple):
    """The NameConstraints of an authority."""

    permitted: tuple[Subtree, ...]
    excluded: tuple[Subtree, ...]


def read_constraints(content: der.Value) -> Constraints:
    """Read NameConstraints."""
    parts = {part.tag: part for part in content.item().expect(der.SEQUENCE).items()}
    return Constraints(_subtrees(parts.get(_PERMITTED)), _subtrees(parts.get(_EXCLUDED)))


def _subtrees(listed: der.Value | None) -> tuple[Subtree, ...]:
    bases = [] if listed is None else [one.expect(der.SEQUENCE).items(least=1)[0] for one in listed.items()]
    return tuple([Subtree(base.tag, base.body) for base in bases])


class NameChecker:
    """The indexed constraints of one authority; built once and applied to every certificate below it."""

    def __init__(self, constraints: Constraints) -> None:
        self._permitted = _index(constraints.permitted)
        self._excluded = _index(constraints.excluded)
        networks = [index.get(_ADDRESS) for index in (self._permitted, self._excluded)]
        self.skips_addresses = any(isinstance(one, _Networks) and one.masks > MAX_MASKS for one in networks)
        """True if there are more than MAX_MASKS masks, so IP addresses are not checked."""

    def violations(self, certificate: Certificate, subject: bytes | None) -> Iterator[str]:
        """Report the names of a certificate that the constraints forbid; `subject` is in DER."""
        for kind, name, text in _names(certificate, subject):
            if kind == _ADDRESS and self.skips_addresses:
                continue
            excluded, permitted = self._excluded.get(kind), self._permitted.get(kind)
            if excluded is not None and excluded.contains(name):
                yield f"{text} is excluded"
            if permitted is not None and not permitted.contains(name):
                yield f"{text} is not permitted"


def count_names(certificate: Certificate) -> int:
    """Count the names of a certificate that name constraints apply to."""
    listed = (certificate.dns_names, certificate.email_addresses, certificate.uris, certificate.ip_addresses)
    return sum(len(names or ()) for names in listed) + bool(certificate.subject)


def _names(certificate: Certificate, subject: bytes | None) -> Iterator[tuple[int, bytes, str]]:
    """List each name as its kind, its encoding for comparison, and its text for findings."""
    for kind, listed in (
        (_DNS, certificate.dns_names),
        (_EMAIL, certificate.email_addresses),
        (_URI, certificate.uris),
    ):
        yield from ((kind, name.encode(), name) for name in listed or ())
    yield from ((_ADDRESS, ip_address(one).packed, one) for one in certificate.ip_addresses or ())
    if subject is not None and certificate.subject:
        yield _DIRECTORY, subject, certificate.subject


class _Texts:
    """Texts that a name may equal, and suffixes, each starting with a dot, that it may end in."""

    def __init__(self) -> None:
        self._all = False
        self._exact: set[str] = set()
        self._suffixes: set[str] = set()
        self._lengths: set[int] = set()
        """The lengths of `_suffixes`; suffixes of other lengths are not looked up."""

    def _add_suffix(self, suffix: str) -> None:
        self._suffixes.add(suffix)
        self._lengths.add(len(suffix))

    def _matches(self, text: str) -> bool:
        return self._all or text in self._exact or self._has_suffix(text)

    def _has_suffix(self, text: str) -> bool:
        at = text.find(".")
        while at >= 0:
            if len(text) - at in self._lengths and text[at:] in self._suffixes:
                return True
            at = text.find(".", at + 1)
        return False


class _DnsNames(_Texts):
    def __init__(self, bases: Iterable[bytes]) -> None:
        super().__init__()
        for base in map(_lower, bases):
            self._all = self._all or not base
            self._exact.add(base)
            self._add_suffix(base if base.startswith(".") else f".{base}")

    def contains(self, name: bytes) -> bool:
        return self._matches(_lower(name))


class _Hosts(_Texts):
    """Hosts of e-mail addresses and URIs, and complete e-mail addresses."""

    def __init__(self, bases: Iterable[bytes], kind: int) -> None:
        super().__init__()
        self._kind = kind
        self._mailboxes: set[str] = set()
        for base in map(_lower, bases):
            if kind == _EMAIL and "@" in base:
                self._mailboxes.add(base)
            elif base.startswith("."):
                self._add_suffix(base)
            else:
                self._exact.add(base)

    def contains(self, name: bytes) -> bool:
        text = _lower(name)
        host = text.rpartition("@")[2] if self._kind == _EMAIL else _host(text)
        return text in self._mailboxes or self._matches(host)


class _Networks:
    """Address ranges, by address length and mask."""

    def __init__(self, bases: Iterable[bytes]) -> None:
        self._networks: dict[tuple[int, int], set[int]] = {}
        for base in bases:
            half = len(base) // 2
            # Other lengths match no address.
            if len(base) % 2 or half not in {4, 16}:
                continue
            network, mask = int.from_bytes(base[:half], "big"), int.from_bytes(base[half:], "big")
            self._networks.setdefault((half, mask), set()).add(network & mask)
        self.masks = len(self._networks)

    def contains(self, name: bytes) -> bool:
        address = int.from_bytes(name, "big")
        return any(size == len(name) and address & mask in found for (size, mask), found in self._networks.items())


class _Directories:
    """Distinguished names by prefix; a certificate has one subject, so a linear search is enough."""

    def __init__(self, bases: Iterable[bytes]) -> None:
        # DER encodings are prefix-free: comparing bytes compares whole RDNs.
        self._prefixes = tuple([parts for base in bases if (parts := _parts(base)) is not None])

    def contains(self, name: bytes) -> bool:
        parts = _parts(name)
        return parts is not None and parts.startswith(self._prefixes)


_Index = dict[int, "_DnsNames | _Hosts | _Networks | _Directories"]


def _index(subtrees: Iterable[Subtree]) -> _Index:
    bases: dict[int, list[bytes]] = {}
    for subtree in subtrees:
        bases.setdefault(subtree.kind, []).append(subtree.base)
    index: _Index = {}
    for kind, encodings in bases.items():
        if kind == _DNS:
            index[kind] = _DnsNames(encodings)
        elif kind in {_EMAIL, _URI}:
            index[kind] = _Hosts(encodings, kind)
        elif kind == _ADDRESS:
            index[kind] = _Networks(encodings)
        elif kind == _DIRECTORY:
            index[kind] = _Directories(encodings)
    return index


def _lower(text: bytes) -> str:
    return text.decode("latin-1").lower()


def _parts(name: bytes) -> bytes | None:
    """Return the concatenated RDNs of a distinguished name; None if it is malformed."""
    try:
        whole = der.first(name)
        whole.items()
    except WireError:
        return None
    return whole.body


def _host(uri: str) -> str:
    authority = uri.partition("://")[2].partition("/")[0]
    return authority.rpartition("@")[2].partition(":")[0]
