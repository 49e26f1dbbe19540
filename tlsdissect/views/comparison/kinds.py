"""What kind of handshake a connection had, by the names of what was negotiated."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlsdissect.transcript.connection import ClientHello, Connection

_AEAD = re.compile(r"_(GCM|CCM|CCM_8|POLY1305|MGM_[LS]|AEGIS_256|AEGIS_128L)(_|$)")
_FORWARD_SECRET = re.compile(r"_(EC)?DHE_|_(EC)?DH_anon_|_ECCPWD_")
_POST_QUANTUM = re.compile(r"MLKEM|Kyber", re.IGNORECASE)


def version_group(c: Connection) -> str:
    """Name the group of versions that a connection belongs to."""
    if c.version is None:
        return "unknown"
    if "1.3" in c.version:
        return "TLS 1.3"
    return "TLS 1.2" if c.version.endswith("TLS 1.2") else "older"


def is_offer(suite: str) -> bool:
    """Whether a name in a hello's list offers a suite: GREASE (RFC 8701) and signalling values do not."""
    return suite != "GREASE" and not suite.endswith("_SCSV")


def offered(hello: ClientHello) -> set[str]:
    """Tell the cipher suites that a hello offers."""
    return set(filter(is_offer, hello.cipher_suites or ()))


@lru_cache(maxsize=512)
def is_aead(suite: str) -> bool:
    """Whether a suite encrypts and authenticates in one (RFC 5116)."""
    return _AEAD.search(suite) is not None


def is_forward_secret(c: Connection) -> bool:
    """Whether the keys of a connection came from an ephemeral key exchange."""
    return c.group is not None or c.dh_bits is not None or _FORWARD_SECRET.search(c.cipher_suite or "") is not None


@lru_cache(maxsize=512)
def is_post_quantum(group: str) -> bool:
    """Whether a group's name has a KEM in it that withstands a quantum computer: ML-KEM, or Kyber that it came from."""
    return _POST_QUANTUM.search(group) is not None


def has_post_quantum(groups: tuple[str, ...] | None) -> bool:
    """Whether one of these groups is such."""
    return any(map(is_post_quantum, groups or ()))


def is_retry_for_it(c: Connection, hello: ClientHello) -> bool:
    """Whether a HelloRetryRequest came of post-quantum groups: to get such a share, or for want of another one."""
    asked = c.hello_retry_request
    if asked is None or asked.group is None:
        return False
    sent = [group for group in hello.key_shares or () if group != "GREASE"]
    return is_post_quantum(asked.group) or (bool(sent) and all(map(is_post_quantum, sent)))


def share_bytes(hello: ClientHello) -> int | None:
    """Tell the bytes of a hello's key_share extension; None where it has none."""
    return next((one.bytes for one in hello.extensions or () if one.type == "key_share"), None)
