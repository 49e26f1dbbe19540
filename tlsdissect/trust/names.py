"""Whether a certificate is for the name that was asked for (RFC 9525)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from tlsdissect.caches import cached

if TYPE_CHECKING:
    from tlsdissect.transcript.connection import Certificate

CACHE_BYTES = 1 << 20
"""Bytes of names that are kept as they are compared."""

_PRIVATE_SUFFIXES = (".local", ".localhost", ".localdomain", ".internal", ".intranet", ".lan", ".home", ".corp",
                     ".private", ".test", ".home.arpa")  # fmt: skip


def is_for(certificate: Certificate, name: str) -> bool | None:
    """Tell whether a certificate is for a host name or an address; None where its names could not be read.

    The common name says nothing (RFC 9525 section 2, rule 1).
    """
    address = _address(name)
    if address is not None:
        listed = certificate.ip_addresses
        return None if listed is None else address in listed
    names = certificate.dns_names
    return None if names is None else any(matches(pattern, name) for pattern in names)


def matches(pattern: str, name: str) -> bool:
    """Tell whether a DNS name of a certificate is that of a host (RFC 9525 section 6.3).

    A wildcard is all of the leftmost label, and stands for just one; names are compared as A-labels, in any case.
    """
    pattern, name = _canonical(pattern), _canonical(name)
    if not pattern.startswith("*."):
        # A wildcard anywhere else is no name at all.
        return "*" not in pattern and pattern == name
    first, dot, rest = name.partition(".")
    return bool(first and dot) and "*" not in pattern[2:] and pattern[2:] == rest


def is_private(name: str) -> bool:
    """Tell whether a name or an address has a meaning only within some network (RFC 6761, RFC 1918, RFC 4193)."""
    try:
        address = ip_address(name)
    except ValueError:
        bare = name.lower().rstrip(".").removeprefix("*.")
        return "." not in bare or bare.endswith(_PRIVATE_SUFFIXES)
    return not address.is_global


@cached(CACHE_BYTES)
def _canonical(name: str) -> str:
    bare = name.rstrip(".").lower()
    if bare.isascii():
        return bare
    try:
        return bare.encode("idna").decode()
    except UnicodeError:
        return bare


def _address(name: str) -> str | None:
    try:
        return str(ip_address(name.strip("[]")))
    except ValueError:
        return None
