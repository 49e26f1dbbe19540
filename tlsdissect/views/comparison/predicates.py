"""Predicates about a handshake: its version group, AEAD, forward secrecy, post-quantum key exchange."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from tlsdissect.model.connection import is_offer

if TYPE_CHECKING:
    from tlsdissect.model.connection import ClientHello, Connection

_AEAD = re.compile(r"_(GCM|CCM|CCM_8|POLY1305|MGM_[LS]|AEGIS_256|AEGIS_128L)(_|$)")
_FORWARD_SECRET = re.compile(r"_(EC)?DHE_|_(EC)?DH_anon_|_ECCPWD_")
_POST_QUANTUM = re.compile(r"MLKEM|Kyber", re.IGNORECASE)


def version_group(c: Connection) -> str:
    """Return the version group of a connection (`model.VERSIONS`)."""
    if c.version is None:
        return "unknown"
    if c.is_tls13:
        return "TLS 1.3"
    return "TLS 1.2" if c.version.endswith("TLS 1.2") else "older"


@lru_cache(maxsize=512)
def is_aead(suite: str) -> bool:
    """Whether a suite uses AEAD (RFC 5116)."""
    return _AEAD.search(suite) is not None


def is_forward_secret(c: Connection) -> bool:
    """Whether the key exchange was ephemeral."""
    return c.group is not None or c.dh_bits is not None or _FORWARD_SECRET.search(c.cipher_suite or "") is not None


@lru_cache(maxsize=512)
def is_post_quantum(group: str) -> bool:
    """Whether a group includes a post-quantum KEM: ML-KEM, or its predecessor Kyber."""
    return _POST_QUANTUM.search(group) is not None


def has_post_quantum(groups: tuple[str, ...] | None) -> bool:
    """Whether one of these groups is post-quantum."""
    return any(map(is_post_quantum, groups or ()))


def is_retry_for_it(c: Connection, hello: ClientHello) -> bool:
    """Whether post-quantum groups caused the HelloRetryRequest: it asked for one, or the client had sent no other."""
    asked = c.hello_retry_request
    if asked is None or asked.group is None:
        return False
    sent = list(filter(is_offer, hello.key_shares or ()))
    return is_post_quantum(asked.group) or (bool(sent) and all(map(is_post_quantum, sent)))


def share_bytes(hello: ClientHello) -> int | None:
    """Return the size of the key_share extension in bytes; None if the hello has none."""
    return next((one.bytes for one in hello.extensions or () if one.type == "key_share"), None)
