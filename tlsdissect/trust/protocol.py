"""What two sides agreed on, and what they let the path see, held against what is advised (RFC 9325)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from tlsdissect.trust.rules import finding
from tlsdissect.trust.showing import BYTES_MISSING, certificate_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.transcript.connection import Connection, Finding, Heartbeat

SAFE_PRIME = 2048
"""Bits of a Diffie-Hellman prime (RFC 9325 section 4.1)."""

MIN_PADDING = 16
"""Bytes behind the payload of a heartbeat (RFC 6520 section 4)."""
_BEAT_HEAD = 3
MAX_PADDING = 256
"""Bytes by which an honest answer may be longer: its padding is its own (RFC 6520 section 4)."""

_SUITES = (
    ("null_cipher", r"_NULL_|_NULL$|^TLS_SHA\d+_SHA\d+$"),
    ("anonymous_cipher", r"_anon_|^TLS_NULL_"),
    ("export_cipher", r"_EXPORT|_40_|DES40|_56_"),
    ("rc4_cipher", r"_RC4_"),
    ("des_cipher", r"_(DES|RC2)_|_DES40_"),
    ("triple_des_cipher", r"_3DES_"),
    ("cbc_cipher", r"_(AES|CAMELLIA|ARIA|SEED|IDEA)_(\d+_)?CBC"),
    ("static_rsa", r"^TLS_RSA_"),
)
"""What the registry's name of a suite shows of it."""


def protocol_findings(connection: Connection) -> Iterator[Finding]:
    """Judge what was negotiated: version, suite, extensions."""
    hello = connection.server_hello
    frame = None if hello is None else hello.frame
    for code, detail in _version(connection.version):
        yield finding(code, detail, frame)
    for code, detail in _suite(connection.cipher_suite):
        yield finding(code, detail, frame)
    yield from _key_exchange(connection)
    yield from _heartbeats(connection)
    if connection.extended_master_secret is False and connection.version != "SSL 3.0":
        yield finding("no_extended_master_secret", "the master secret is not bound to the handshake", frame)
    if connection.secure_renegotiation is False:
        yield finding("no_secure_renegotiation", "a renegotiation would not be bound to the session before", frame)
    if hello is not None and hello.compression_method not in (None, "NULL"):
        yield finding("compression", f"{hello.compression_method} was negotiated", frame)
    if connection.early_data == "accepted":
        yield finding("early_data", "the server took the client's first data before its Finished", frame)


def exposure_findings(connection: Connection) -> Iterator[Finding]:
    """Tell what of the sides' identity anyone on the path could read though it could have been hidden."""
    hello = connection.client_hello
    if hello is not None and connection.sni is not None and connection.ech == "none" and _is_13(connection.version):
        yield finding("sni_in_clear", f"{connection.sni} was asked for without Encrypted Client Hello", hello.frame)
    shown = connection.client_certificates
    if shown:
        frame = certificate_frame(connection, "client")
        yield finding("client_certificate_in_clear", f"{shown[0].subject} is told to the path", frame, shown[0].sha256)


def _heartbeats(connection: Connection) -> Iterator[Finding]:
    """Tell of an answer with memory of whoever gave it (CVE-2014-0160).

    It holds more than was sent, or answers what had to be dropped: a payload that does not fit with its padding.
    """
    if connection.outcome == "one_sided" or any(problem.code in BYTES_MISSING for problem in connection.problems):
        return
    asked: dict[str, Heartbeat] = {}
    for beat in connection.heartbeats:
        question = asked.get("server" if beat.sender == "client" else "client")
        if question is None:
            asked.setdefault(beat.sender, beat)
        elif beat.bytes > question.bytes + MAX_PADDING or _overstates(question):
            detail = f"the {beat.sender} answered a heartbeat of {question.bytes:,} bytes with {beat.bytes:,}"
            yield finding("heartbleed", detail, beat.frame)
            return


def _overstates(question: Heartbeat) -> bool:
    stated = question.payload_bytes
    return stated is not None and _BEAT_HEAD + stated + MIN_PADDING > question.bytes


def _key_exchange(connection: Connection) -> Iterator[Finding]:
    bits = connection.dh_bits
    if bits is not None and bits < SAFE_PRIME:
        frames = [one.frame for one in connection.messages if one.type == "server_key_exchange"]
        yield finding("small_dh", f"a prime of {bits} bits", frames[0] if frames else None)


@lru_cache(maxsize=64)
def _version(version: str | None) -> tuple[tuple[str, str], ...]:
    if version in ("SSL 2.0", "SSL 3.0"):
        return (("ssl_version", f"{version} was negotiated"),)
    if version in ("TLS 1.0", "TLS 1.1", "DTLS 1.0"):
        return (("old_tls_version", f"{version} was negotiated"),)
    return ()


@lru_cache(maxsize=512)
def _suite(suite: str | None) -> tuple[tuple[str, str], ...]:
    if suite is None:
        return ()
    return tuple([(code, f"{suite} was negotiated") for code, shape in _SUITES if re.search(shape, suite)])


def _is_13(version: str | None) -> bool:
    return version is not None and "TLS 1.3" in version
