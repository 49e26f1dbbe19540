"""Zeek's ssl.log and x509.log: names and values as its scripts `base/protocols/ssl` and `base/files/x509` write them.

Zeek's `uid` is random; here it names capture and stream. `ts` is the start of the connection. Zeek logs a certificate
once a day; here it is written once per export.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tlsdissect.trust.names import is_for
from tlsdissect.views.columns import Column, rows
from tlsdissect.views.tables import Table, presented_certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Certificate, Connection
    from tlsdissect.views.tables import PresentedCertificate

MAX_LOGGED = 100_000
"""Certificates remembered to be written once; beyond the limit, a certificate is written each time it is sent."""

_VERSIONS = {"SSL 2.0": "SSLv2", "SSL 3.0": "SSLv3", "TLS 1.0": "TLSv10", "TLS 1.1": "TLSv11", "TLS 1.2": "TLSv12"}
_LETTERS = {
    "hello_request": "h", "client_hello": "c", "server_hello": "s", "hello_verify_request": "v",
    "new_session_ticket": "t", "certificate": "x", "server_key_exchange": "k", "certificate_request": "r",
    "server_hello_done": "n", "certificate_verify": "y", "client_key_exchange": "g", "finished": "f",
    "certificate_url": "w", "certificate_status": "u", "change_cipher_spec": "i", "end_of_early_data": "e",
    "encrypted_extensions": "o", "key_update": "p", "message_hash": "m", "hello_retry_request": "j",
}  # fmt: skip
_UNKNOWN = "z"
_ALERT = "l"
_KEY_ALGORITHMS = {"RSA": "rsaEncryption", "EC": "id-ecPublicKey", "DSA": "dsaEncryption", "RSA-PSS": "rsassaPss"}
_KEY_TYPES = {"RSA": "rsa", "RSA-PSS": "rsa", "EC": "ecdsa", "DSA": "dsa"}
_CURVES = {"secp192r1": "prime192v1", "secp256r1": "prime256v1"}
"""Curves with another name in OpenSSL, which Zeek uses."""


def version(c: Connection) -> str | None:
    """Return Zeek's name of the version."""
    if c.version is None or c.version in _VERSIONS:
        return _VERSIONS.get(c.version or "")
    return c.version.replace("TLS 1.3", "TLSv13").replace(" (draft ", "-draft").rstrip(")")


def history(c: Connection) -> str | None:
    """Return a letter for each message in the clear, upper case for the client's; encrypted ones have none."""
    sealed = {(one.frame, one.sender) for one in c.alerts if one.level is None}
    letters = [
        letter.upper() if one.sender == "client" else letter
        for one in c.messages
        if (letter := _letter(one.type, sealed=(one.frame, one.sender) in sealed))
    ]
    return "".join(letters) or None


def _letter(kind: str, *, sealed: bool) -> str:
    if kind == "alert":
        return "" if sealed else _ALERT
    return "" if kind == "encrypted" else _LETTERS.get(kind, _UNKNOWN)


def matches(c: Connection) -> bool | None:
    """Return whether the server's certificate is valid for the server name; None if either is missing."""
    own = c.leaf("server")
    return None if own is None or c.sni is None else is_for(own, c.sni)


def _epoch(time: str | None) -> float | None:
    """Convert a time to seconds since 1970, with microseconds."""
    return None if time is None else datetime.fromisoformat(time).timestamp()


def _fingerprints(chain: tuple[Certificate, ...] | None) -> tuple[str, ...] | None:
    return None if chain is None else tuple([one.sha256 for one in chain])


SSL = (
    Column("ts", float, lambda c: _epoch(c.start)),
    Column("uid", str, lambda c: f"{c.source}:{c.stream_name}"),
    Column("id.orig_h", str, lambda c: c.client.ip),
    Column("id.orig_p", int, lambda c: c.client.port),
    Column("id.resp_h", str, lambda c: c.server.ip),
    Column("id.resp_p", int, lambda c: c.server.port),
    Column("version", str, version),
    Column("cipher", str, lambda c: c.cipher_suite),
    Column("curve", str, lambda c: c.group),
    Column("server_name", str, lambda c: c.sni),
    Column("resumed", bool, lambda c: None if c.resumption is None else c.resumption != "none"),
    Column("last_alert", str, lambda c: next((one.description for one in c.alerts[::-1] if one.description), None)),
    Column("next_protocol", str, lambda c: c.alpn),
    Column("established", bool, lambda c: c.complete),
    Column("ssl_history", str, history),
    Column("cert_chain_fps", list, lambda c: _fingerprints(c.certificates)),
    Column("client_cert_chain_fps", list, lambda c: _fingerprints(c.client_certificates)),
    Column("subject", str, lambda c: getattr(c.leaf("server"), "subject", None)),
    Column("issuer", str, lambda c: getattr(c.leaf("server"), "issuer", None)),
    Column("client_subject", str, lambda c: getattr(c.leaf("client"), "subject", None)),
    Column("client_issuer", str, lambda c: getattr(c.leaf("client"), "issuer", None)),
    Column("sni_matches_cert", bool, matches),
    Column("orig_alpn", list, lambda c: c.client_hello and c.client_hello.alpn),
    Column("ticket_lifetime_hint", int, lambda c: c.session_ticket and c.session_ticket.lifetime_s),
    Column("dh_param_size", int, lambda c: c.dh_bits),
)

X509 = (
    Column("ts", float, lambda s: _epoch(s.connection.start)),
    Column("fingerprint", str, lambda s: s.certificate.sha256),
    Column("certificate.version", int, lambda s: s.certificate.version),
    Column("certificate.serial", str, lambda s: s.certificate.serial and s.certificate.serial.upper()),
    Column("certificate.subject", str, lambda s: s.certificate.subject),
    Column("certificate.issuer", str, lambda s: s.certificate.issuer),
    Column("certificate.not_valid_before", float, lambda s: _epoch(s.certificate.not_before)),
    Column("certificate.not_valid_after", float, lambda s: _epoch(s.certificate.not_after)),
    Column("certificate.key_alg", str, lambda s: _KEY_ALGORITHMS.get(s.certificate.key_type, s.certificate.key_type)),
    Column("certificate.sig_alg", str, lambda s: s.certificate.signature_algorithm),
    Column("certificate.key_type", str, lambda s: _KEY_TYPES.get(s.certificate.key_type, "unknown")),
    Column("certificate.key_length", int, lambda s: s.certificate.key_bits),
    Column("certificate.exponent", str, lambda s: None if (e := s.certificate.exponent) is None else str(e)),
    Column("certificate.curve", str, lambda s: _CURVES.get(s.certificate.curve, s.certificate.curve)),
    Column("san.dns", list, lambda s: s.certificate.dns_names),
    Column("san.uri", list, lambda s: s.certificate.uris),
    Column("san.email", list, lambda s: s.certificate.email_addresses),
    Column("san.ip", list, lambda s: s.certificate.ip_addresses),
    Column("basic_constraints.ca", bool, lambda s: s.certificate.is_ca),
    Column("basic_constraints.path_len", int, lambda s: s.certificate.path_length),
    Column("host_cert", bool, lambda s: s.position == 0 and s.sender == "server"),
    Column("client_cert", bool, lambda s: s.position == 0 and s.sender == "client"),
)  # fmt: skip


class _Once:
    """The table of certificates, each written when it first appears."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def items(self, c: Connection) -> Iterator[PresentedCertificate]:
        for one in presented_certificates(c):
            if one.certificate.sha256 in self._logged:
                continue
            if len(self._logged) < MAX_LOGGED:
                self._logged.add(one.certificate.sha256)
            yield one


def tables() -> tuple[Table, ...]:
    """Make the tables of one export."""
    return Table("ssl", SSL, rows(SSL, lambda c: (c,))), Table("x509", X509, rows(X509, _Once().items))
