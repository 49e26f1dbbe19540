"""Name constraints: the names that an authority may certify (RFC 5280 section 4.2.1.10).

A certificate may have thousands of names, and an authority thousands of subtrees. Comparing each name with each subtree
would cost the product of both. So the subtrees are indexed first: texts by the value that a name must equal or end in,
address ranges in order of their first address. Checking a name then takes one lookup per label, or one binary search.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.tls.wire import WireError
from tlsdissect.x509 import der

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tlsdissect.model.connection import Certificate

_EMAIL, _DNS, _DIRECTORY, _URI, _ADDRESS = 0x81, 0x82, 0xA4, 0x86, 0x87
_KINDS = (_DNS, _EMAIL, _URI, _ADDRESS, _DIRECTORY)
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
    """The indexed constraints of one authority; built once and applied to every certificate below that authority."""

    def __init__(self, constraints: Constraints) -> None:
        self._permitted = _index(constraints.permitted)
        self._excluded = _index(constraints.excluded)
        networks = [index.get(_ADDRESS) for index in (self._permitted, self._excluded)]
        self.skips_addresses = any(isinstance(one, _Networks) and one.is_malformed for one in networks)
        """True if a mask is not contiguous, so IP addresses are not checked."""

    def cost(self, lookups: Counter[int]) -> int:
        """Return how many lookups the names take that `count_lookups` counted, by kind."""
        indexes = (*self._permitted.items(), *self._excluded.items())
        return sum(lookups[kind] * index.cost for kind, index in indexes)

    def violations(self, certificate: Certificate, subject: bytes | None) -> Iterator[str]:
        """Report the names of a certificate that the constraints forbid; `subject` is in DER."""
        for kind in _KINDS:
            excluded, permitted = self._excluded.get(kind), self._permitted.get(kind)
            if (excluded is None and permitted is None) or (kind == _ADDRESS and self.skips_addresses):
                continue
            for name, text in _names(kind, certificate, subject):
                if excluded is not None and excluded.contains(name):
                    yield f"{text} is excluded"
                if permitted is not None and not permitted.contains(name):
                    yield f"{text} is not permitted"


def count_lookups(certificate: Certificate) -> Counter[int]:
    """Count by kind how many lookups the names of a certificate take: one per label, or one per address or subject."""
    return Counter(
        {
            _DNS: _labels(certificate.dns_names),
            _EMAIL: _labels(certificate.email_addresses),
            _URI: _labels(certificate.uris),
            _ADDRESS: len(certificate.ip_addresses or ()),
            _DIRECTORY: 1,
        }
    )


def _labels(names: Sequence[str] | None) -> int:
    return sum(name.count(".") + 1 for name in names or ())


def _names(kind: int, certificate: Certificate, subject: bytes | None) -> Iterator[tuple[bytes, str]]:
    """List the names of one kind, each as its encoding for comparison and its text for findings."""
    if kind == _DIRECTORY:
        return iter([(subject, certificate.subject)] if subject is not None and certificate.subject else [])
    if kind == _ADDRESS:
        return ((ip_address(one).packed, one) for one in certificate.ip_addresses or ())
    texts = {_DNS: certificate.dns_names, _EMAIL: certificate.email_addresses, _URI: certificate.uris}[kind]
    return ((name.encode(), name) for name in texts or ())


class _Texts:
    """Texts that a name may equal, and suffixes, each starting with a dot, that it may end in."""

    cost = 1

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
    """Address ranges, as disjoint intervals for each address length."""

    cost = 1

    def __init__(self, bases: Iterable[bytes]) -> None:
        self.is_malformed = False
        """True if a mask is not contiguous, as RFC 5280 section 4.2.1.10 requires by referring to RFC 4632."""
        self._ranges: dict[int, tuple[list[int], list[int]]] = {}
        """First and last addresses, in ascending order."""
        for size in (4, 16):
            # Other lengths match no address.
            ranges = [self._range(base, size) for base in bases if len(base) == 2 * size]
            firsts: list[int] = []
            lasts: list[int] = []
            self._ranges[size] = firsts, lasts
            # Ranges with contiguous masks are nested or disjoint; the outermost sorts first.
            for first, end in sorted(ranges):
                if not lasts or first > lasts[-1]:
                    firsts.append(first)
                    lasts.append(-end)

    def _range(self, base: bytes, size: int) -> tuple[int, int]:
        """Return the first address, and the last with its sign changed, so that wide ranges sort before narrow ones."""
        network, mask = int.from_bytes(base[:size], "big"), int.from_bytes(base[size:], "big")
        hosts = mask ^ ((1 << 8 * size) - 1)
        self.is_malformed = self.is_malformed or bool(hosts & (hosts + 1))
        return network & mask, -(network & mask | hosts)

    def contains(self, name: bytes) -> bool:
        firsts, lasts = self._ranges[len(name)]
        address = int.from_bytes(name, "big")
        at = bisect_right(firsts, address) - 1
        return at >= 0 and address <= lasts[at]


class _Directories:
    """Distinguished names by prefix; a certificate has one subject, so a linear search is enough."""

    def __init__(self, bases: Iterable[bytes]) -> None:
        # DER encodings are prefix-free: comparing bytes compares whole RDNs.
        self._prefixes = tuple([parts for base in bases if (parts := _parts(base)) is not None])
        self.cost = len(self._prefixes)

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
