"""The names of a certificate held against what the authorities above it may certify (RFC 5280 section 4.2.1.10)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.tls.wire import WireError
from tlsdissect.transcript.x509 import der

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.transcript.connection import Certificate

_EMAIL, _DNS, _DIRECTORY, _URI, _ADDRESS = 0x81, 0x82, 0xA4, 0x86, 0x87
_PERMITTED, _EXCLUDED = 0xA0, 0xA1


class Subtree(NamedTuple):
    """Names of a kind (the tag of a GeneralName) from a base on."""

    kind: int
    base: bytes


class Constraints(NamedTuple):
    """What an authority may certify."""

    permitted: tuple[Subtree, ...]
    excluded: tuple[Subtree, ...]


def read_constraints(content: der.Value) -> Constraints:
    """Read NameConstraints."""
    parts = {part.tag: part for part in content.item().expect(der.SEQUENCE).items()}
    return Constraints(_subtrees(parts.get(_PERMITTED)), _subtrees(parts.get(_EXCLUDED)))


def _subtrees(listed: der.Value | None) -> tuple[Subtree, ...]:
    bases = [] if listed is None else [one.expect(der.SEQUENCE).items(least=1)[0] for one in listed.items()]
    return tuple([Subtree(base.tag, base.body) for base in bases])


def violations(certificate: Certificate, subject: bytes | None, constraints: Constraints) -> Iterator[str]:
    """Say which names of a certificate an authority above it may not certify; `subject` is in DER."""
    for kind, name, told in _names(certificate, subject):
        if any(_within(kind, name, one) for one in constraints.excluded):
            yield f"{told} is excluded"
        permitted = [one for one in constraints.permitted if one.kind == kind]
        if permitted and not any(_within(kind, name, one) for one in permitted):
            yield f"{told} is not permitted"


def _names(certificate: Certificate, subject: bytes | None) -> Iterator[tuple[int, bytes, str]]:
    """List the names, each with its kind, as it is compared, and as it is told."""
    for kind, listed in (
        (_DNS, certificate.dns_names),
        (_EMAIL, certificate.email_addresses),
        (_URI, certificate.uris),
    ):
        yield from ((kind, name.encode(), name) for name in listed or ())
    yield from ((_ADDRESS, ip_address(one).packed, one) for one in certificate.ip_addresses or ())
    if subject is not None and certificate.subject:
        yield _DIRECTORY, subject, certificate.subject


def _within(kind: int, name: bytes, subtree: Subtree) -> bool:
    if kind != subtree.kind:
        return False
    if kind == _ADDRESS:
        return _is_in_network(name, subtree.base)
    if kind == _DIRECTORY:
        return _begins(name, subtree.base)
    text, base = name.decode().lower(), subtree.base.decode("latin-1").lower()
    if kind == _DNS:
        return not base or text == base or text.endswith(base if base.startswith(".") else f".{base}")
    if kind == _EMAIL and "@" in base:
        return text == base
    host = text.rpartition("@")[2] if kind == _EMAIL else _host(text)
    return host.endswith(base) if base.startswith(".") else host == base


def _is_in_network(address: bytes, base: bytes) -> bool:
    """Hold an address to a network: its address, and a mask of the same length."""
    half = len(base) // 2
    network, mask = base[:half], base[half:]
    if len(address) != half or len(base) % 2:
        return False
    return all(part & bits == want & bits for part, want, bits in zip(address, network, mask, strict=True))


def _begins(name: bytes, base: bytes) -> bool:
    """Tell whether a distinguished name begins with the parts of another."""
    try:
        parts = [part.encoding for part in der.first(name).items()]
        wanted = [part.encoding for part in der.first(base).items()]
    except WireError:
        return False
    return parts[: len(wanted)] == wanted


def _host(uri: str) -> str:
    authority = uri.partition("://")[2].partition("/")[0]
    return authority.rpartition("@")[2].partition(":")[0]
