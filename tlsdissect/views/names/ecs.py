"""The Elastic Common Schema: its sets `tls`, `x509`, `client`, `server`, `source`, `destination`, `network`, `event`.

Facts without an ECS field are under `tlsdissect.`, with the names of the table of connections. Hashes of certificates
and serial numbers are upper-case hexadecimal, as the schema requires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlsdissect.views.columns import COLUMNS, Column, rows
from tlsdissect.views.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.model.connection import Certificate, Connection, Side

_MAPPED = frozenset((
    "start", "end", "transport", "client_ip", "client_port", "server_ip", "server_port", "packets",
    "cipher_suite", "group", "sni", "alpn", "complete", "ja3", "ja3s", "client_hello_cipher_suites",
))  # fmt: skip
"""Columns of the table of connections that map to ECS fields unchanged."""
_UNMAPPED = [one for one in COLUMNS if one.name not in _MAPPED and not one.raw]


def _version(c: Connection) -> str | None:
    """Return the number of a version: in ECS the protocol is a separate field."""
    return None if c.version is None else c.version.split(" ", 1)[1]


def _protocol(c: Connection) -> str | None:
    return None if c.version is None else c.version.split(" ")[0].lower()


def _of(side: Side, value: Callable[[Certificate], Any]) -> Callable[[Connection], Any]:
    """Return a function that reads an attribute of a side's leaf certificate."""

    def of(c: Connection) -> Any:
        own = c.leaf(side)
        return None if own is None else value(own)

    return of


def _upper(text: str | None) -> str | None:
    return None if text is None else text.upper()


def _names(one: Certificate) -> tuple[str, ...] | None:
    lists = (one.dns_names, one.ip_addresses, one.email_addresses, one.uris)
    return None if all(names is None for names in lists) else tuple([name for names in lists for name in names or ()])


def _side(side: Side) -> Iterator[Column]:
    """Return the columns of a side's certificate."""
    x509 = f"tls.{side}.x509"
    plain: tuple[tuple[str, type, Callable[[Certificate], Any]], ...] = (
        (f"tls.{side}.hash.sha256", str, lambda one: one.sha256.upper()),
        (f"tls.{side}.subject", str, lambda one: one.subject),
        (f"tls.{side}.issuer", str, lambda one: one.issuer),
        (f"tls.{side}.not_before", str, lambda one: one.not_before),
        (f"tls.{side}.not_after", str, lambda one: one.not_after),
        (f"{x509}.version_number", str, lambda one: None if one.version is None else str(one.version)),
        (f"{x509}.serial_number", str, lambda one: _upper(one.serial)),
        (f"{x509}.subject.distinguished_name", str, lambda one: one.subject),
        (f"{x509}.issuer.distinguished_name", str, lambda one: one.issuer),
        (f"{x509}.not_before", str, lambda one: one.not_before),
        (f"{x509}.not_after", str, lambda one: one.not_after),
        (f"{x509}.signature_algorithm", str, lambda one: one.signature_algorithm),
        (f"{x509}.public_key_algorithm", str, lambda one: one.key_type),
        (f"{x509}.public_key_size", int, lambda one: one.key_bits),
        (f"{x509}.public_key_exponent", int, lambda one: one.exponent),
        (f"{x509}.public_key_curve", str, lambda one: one.curve),
        (f"{x509}.alternative_names", list, _names),
    )
    yield from (Column(name, kind, _of(side, value)) for name, kind, value in plain)
    yield Column(
        f"tlsdissect.{side}_chain_sha256",
        list,
        lambda c: None if c.chain(side) is None else tuple([one.sha256.upper() for one in c.chain(side) or ()]),
    )


def _transport(c: Connection) -> str | None:
    """TCP or UDP, which carries QUIC, DTLS and RADIUS; EAP over a LAN has neither."""
    if c.transport == "tcp":
        return "tcp"
    return None if c.eap is not None and c.eap.carrier == "eapol" else "udp"


COLUMNS_OF_ECS: tuple[Column, ...] = (
    Column("@timestamp", str, lambda c: c.start),
    Column("event.start", str, lambda c: c.start),
    Column("event.end", str, lambda c: c.end),
    Column("client.ip", str, lambda c: c.client.ip),
    Column("client.port", int, lambda c: c.client.port),
    Column("server.ip", str, lambda c: c.server.ip),
    Column("server.port", int, lambda c: c.server.port),
    Column("source.ip", str, lambda c: c.client.ip),
    Column("source.port", int, lambda c: c.client.port),
    Column("destination.ip", str, lambda c: c.server.ip),
    Column("destination.port", int, lambda c: c.server.port),
    Column("network.transport", str, _transport),
    Column("network.protocol", str, lambda c: "quic" if c.transport == "quic" else "tls"),
    Column("network.packets", int, lambda c: c.packets),
    Column("tls.version", str, _version),
    Column("tls.version_protocol", str, _protocol),
    Column("tls.cipher", str, lambda c: c.cipher_suite),
    Column("tls.curve", str, lambda c: c.group),
    Column("tls.resumed", bool, lambda c: None if c.resumption is None else c.resumption != "none"),
    Column("tls.established", bool, lambda c: c.complete),
    Column("tls.next_protocol", str, lambda c: c.alpn),
    Column("tls.client.ja3", str, lambda c: c.ja3),
    Column("tls.client.server_name", str, lambda c: c.sni),
    Column("tls.client.supported_ciphers", list, lambda c: c.client_hello and c.client_hello.cipher_suites),
    Column("tls.server.ja3s", str, lambda c: c.ja3s),
    *_side("client"),
    *_side("server"),
    *(Column(f"tlsdissect.{one.name}", one.kind, one.value) for one in _UNMAPPED),
)  # fmt: skip


def tables() -> tuple[Table, ...]:
    """Make the table of one export, with a row per connection."""
    return (Table("ecs", COLUMNS_OF_ECS, rows(COLUMNS_OF_ECS, lambda c: (c,))),)
