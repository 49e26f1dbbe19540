"""Findings about negotiated parameters and about data sent in the clear (RFC 9325)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from tlsdissect.model.transcript import BYTES_MISSING
from tlsdissect.trust.presented_chains import certificate_frame
from tlsdissect.trust.rules import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection, Finding, Heartbeat

SAFE_PRIME = 2048
"""Minimum bits of a Diffie-Hellman prime (RFC 9325 section 4.1)."""

MIN_PADDING = 16
"""Minimum bytes of padding after a heartbeat's payload (RFC 6520 section 4)."""
_HEARTBEAT_HEADER = 3
_PADDING_DIFFERENCE = 256
"""Bytes by which a legitimate response may exceed its request: each has its own padding (RFC 6520 section 4)."""

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
"""Finding codes with patterns of the suites' registered names."""


def protocol_findings(connection: Connection) -> Iterator[Finding]:
    """Report weaknesses of the negotiated version, suite and extensions."""
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
        yield finding("no_secure_renegotiation", "a renegotiation would not be bound to the previous handshake", frame)
    if hello is not None and hello.compression_method not in (None, "NULL"):
        yield finding("compression", f"{hello.compression_method} was negotiated", frame)
    opened = None if connection.hidden is None else connection.hidden.early_data
    if (opened or connection.early_data) == "accepted":
        detail = "the server accepted data sent before the client's Finished"
        yield finding("early_data", detail, frame, with_keys=connection.early_data != "accepted")


def exposure_findings(connection: Connection) -> Iterator[Finding]:
    """Report identities sent in the clear that a newer protocol could have encrypted."""
    hello = connection.client_hello
    if hello is not None and connection.sni is not None and connection.ech == "none" and connection.is_tls13:
        yield finding("sni_in_clear", f"{connection.sni} was sent without Encrypted Client Hello", hello.frame)
    certificates = connection.client_certificates
    if certificates:
        frame = certificate_frame(connection, "client")
        yield finding(
            "client_certificate_in_clear",
            f"{certificates[0].subject} was sent in the clear",
            frame,
            certificates[0].sha256,
        )


def _heartbeats(connection: Connection) -> Iterator[Finding]:
    """Report a heartbeat response that leaks memory of its sender (CVE-2014-0160).

    It is longer than its request, or responds to one that must be dropped because its payload length is too large.
    """
    if connection.outcome == "one_sided" or any(problem.code in BYTES_MISSING for problem in connection.problems):
        return
    requests: dict[str, Heartbeat] = {}
    for beat in connection.heartbeats:
        request = requests.get("server" if beat.sender == "client" else "client")
        if request is None:
            requests.setdefault(beat.sender, beat)
        elif beat.bytes > request.bytes + _PADDING_DIFFERENCE or _overstates(request):
            detail = f"the {beat.sender} answered a heartbeat of {request.bytes:,} bytes with {beat.bytes:,}"
            yield finding("heartbleed", detail, beat.frame)
            return


def _overstates(request: Heartbeat) -> bool:
    stated = request.payload_bytes
    return stated is not None and _HEARTBEAT_HEADER + stated + MIN_PADDING > request.bytes


def _key_exchange(connection: Connection) -> Iterator[Finding]:
    bits = connection.dh_bits
    if bits is not None and bits < SAFE_PRIME:
        message = connection.first_message("server_key_exchange")
        yield finding("small_dh", f"a prime of {bits} bits", None if message is None else message.frame)


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
