"""Matching of host names against certificates (RFC 9525)."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlsdissect.model.connection import Certificate

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
    patterns = certificate.dns_names
    if patterns is None:
        return None
    fitting = _patterns(name)
    return any(_canonical(pattern) in fitting for pattern in patterns)


def _patterns(name: str) -> set[str]:
    """Return the DNS names in a certificate that match a host name (RFC 9525 section 6.3).

    A wildcard must be the whole leftmost label and matches exactly one label; in any other place it makes the name
    invalid. Names are compared as A-labels, ignoring case.
    """
    name = _canonical(name)
    first, _, rest = name.partition(".")
    found = {name} if "*" not in name else set()
    if first and rest and "*" not in rest:
        found.add(f"*.{rest}")
    return found


def is_private(name: str) -> bool:
    """Return whether a name or address is valid only in a private network (RFC 6761, RFC 1918, RFC 4193)."""
    address = None
    # Exceptions are slow, and a certificate may have thousands of names.
    if ":" in name or name.count(".") == 3:
        with suppress(ValueError):
            address = ip_address(name)
    if address is None:
        host = name.lower().rstrip(".").removeprefix("*.")
        return "." not in host or host.endswith(_PRIVATE_SUFFIXES)
    return not address.is_global


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
