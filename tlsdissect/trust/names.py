"""Matching of host names against certificates (RFC 9525)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from tlsdissect.caches import cached

if TYPE_CHECKING:
    from tlsdissect.model.connection import Certificate

CACHE_BYTES = 1 << 20
"""Bytes of cached canonical names."""

_PRIVATE_SUFFIXES = (".local", ".localhost", ".localdomain", ".internal", ".intranet", ".lan", ".home", ".corp",
                     ".private", ".test", ".home.arpa")  # fmt: skip


def is_for(certificate: Certificate, name: str) -> bool | None:
    """Return whether a certificate covers a host name or address; None if its names could not be read.

    The common name is ignored (RFC 9525 section 2, rule 1).
    """
    address = _address(name)
    if address is not None:
        listed = certificate.ip_addresses
        return None if listed is None else address in listed
    names = certificate.dns_names
    return None if names is None else any(matches(pattern, name) for pattern in names)


def matches(pattern: str, name: str) -> bool:
    """Return whether a certificate's DNS name matches a host name (RFC 9525 section 6.3).

    A wildcard must be the whole leftmost label and matches exactly one label. Names are compared as A-labels, ignoring
    case.
    """
    pattern, name = _canonical(pattern), _canonical(name)
    if not pattern.startswith("*."):
        # A wildcard in any other place makes the name invalid.
        return "*" not in pattern and pattern == name
    first, dot, rest = name.partition(".")
    return bool(first and dot) and "*" not in pattern[2:] and pattern[2:] == rest


def is_private(name: str) -> bool:
    """Return whether a name or address is valid only in a private network (RFC 6761, RFC 1918, RFC 4193)."""
    try:
        address = ip_address(name)
    except ValueError:
        host = name.lower().rstrip(".").removeprefix("*.")
        return "." not in host or host.endswith(_PRIVATE_SUFFIXES)
    return not address.is_global


@cached(CACHE_BYTES)
def _canonical(name: str) -> str:
    host = name.rstrip(".").lower()
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _address(name: str) -> str | None:
    try:
        return str(ip_address(name.strip("[]")))
    except ValueError:
        return None
