"""The fields of tshark: a row for each handshake message and alert in the clear, as `tshark -T fields` prints them.

tshark joins the values of all messages in a frame; here each message has a row. Only the first ClientHello and the
final ServerHello have the fields of a hello. A GREASE value (RFC 8701) is `GREASE`, because its number is not kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tlsdissect.tls.codepoints import ExtensionType, Registry
from tlsdissect.views.columns import Column, rows
from tlsdissect.views.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tlsdissect.model.connection import (
        Alert,
        ClientHello,
        Connection,
        Endpoint,
        Extension,
        Message,
        ServerHello,
        SessionTicket,
    )

_HEX, _DECIMAL = "0x{:04x}", "{}"
_NOT_HANDSHAKE = frozenset(("change_cipher_spec", "alert", "encrypted"))


class ClearMessage(NamedTuple):
    """A message or an alert in its connection."""

    connection: Connection
    sender: str
    frame: int
    message: Message | None = None
    alert: Alert | None = None
    client_hello: ClientHello | None = None
    """The ClientHello, if the message is the first one."""
    server_hello: ServerHello | None = None
    """The ServerHello, if the message is the final one."""


def clear_messages(c: Connection) -> Iterator[ClearMessage]:
    """Yield the messages and alerts of a connection that are in the clear, in order of their frames."""
    found = [_clear_message(c, one) for one in c.messages if one.type not in _NOT_HANDSHAKE]
    found += [ClearMessage(c, one.sender, one.frame, alert=one) for one in c.alerts if one.level is not None]
    yield from sorted(found, key=lambda one: one.frame)


def _clear_message(c: Connection, one: Message) -> ClearMessage:
    offers = one.type == "client_hello" and c.client_hello is not None and one.frame == c.client_hello.frame
    answers = one.type == "server_hello" and c.server_hello is not None and one.frame == c.server_hello.frame
    offer, answer = c.client_hello if offers else None, c.server_hello if answers else None
    return ClearMessage(c, one.sender, one.frame, message=one, client_hello=offer, server_hello=answer)


def _coded(registry: Registry, name: str | None, form: str = _HEX) -> str | None:
    if name == "GREASE":
        return name
    code = registry.number(name)
    return None if code is None else form.format(code)


def _list(registry: Registry, names: Iterable[str] | None, form: str = _HEX) -> str | None:
    return ",".join([_coded(registry, name, form) or name for name in names or ()]) or None


def _hello(value: Callable[[Any], Any]) -> Callable[[ClearMessage], Any]:
    """Return a function that reads an attribute of either hello."""

    def of(one: ClearMessage) -> Any:
        hello = one.client_hello or one.server_hello
        return None if hello is None else value(hello)

    return of


def _sent(one: ClearMessage, name: str) -> tuple[str, ...] | None:
    """Return a list of the ClientHello; None if the message is not the first ClientHello."""
    return getattr(one.client_hello, name, None)


def _extension(hello: ClientHello | ServerHello, code: int) -> Extension | None:
    return next((one for one in hello.extensions or () if one.code == code), None)


def _suites(one: ClearMessage) -> str | None:
    if one.server_hello is not None:
        return _coded(Registry.CIPHER_SUITES, one.server_hello.cipher_suite)
    return _list(Registry.CIPHER_SUITES, _sent(one, "cipher_suites"))


def _compressions(one: ClearMessage) -> str | None:
    if one.server_hello is not None:
        return _coded(Registry.COMPRESSION_METHODS, one.server_hello.compression_method, _DECIMAL)
    return _list(Registry.COMPRESSION_METHODS, _sent(one, "compression_methods"), _DECIMAL)


def _versions(one: ClearMessage) -> str | None:
    if one.server_hello is not None:
        chosen = _extension(one.server_hello, ExtensionType.SUPPORTED_VERSIONS)
        return _coded(Registry.VERSIONS, getattr(chosen, "selected_version", None))
    return _list(Registry.VERSIONS, _sent(one, "supported_versions"))


def _shares(one: ClearMessage) -> str | None:
    if one.server_hello is not None:
        sent = _extension(one.server_hello, ExtensionType.KEY_SHARE) is not None
        return _coded(Registry.GROUPS, one.connection.group, _DECIMAL) if sent else None
    return _list(Registry.GROUPS, _sent(one, "key_shares"), _DECIMAL)


def _extensions(hello: ClientHello | ServerHello) -> str | None:
    return _joined(one.code for one in hello.extensions or ())


def _points(hello: ClientHello | ServerHello) -> str | None:
    sent = _extension(hello, ExtensionType.EC_POINT_FORMATS)
    return _list(Registry.EC_POINT_FORMATS, getattr(sent, "ec_point_format_list", None), _DECIMAL)


def _is(one: ClearMessage, kind: str) -> bool:
    return one.message is not None and one.message.type == kind


def _schemes(one: ClearMessage) -> str | None:
    if _is(one, "server_key_exchange"):
        return _coded(Registry.SIGNATURE_SCHEMES, one.connection.signature_scheme)
    return _list(Registry.SIGNATURE_SCHEMES, _sent(one, "signature_schemes"))


def _ticket(one: ClearMessage) -> SessionTicket | None:
    """Return the first ticket, if this is its message."""
    c = one.connection
    return c.session_ticket if one.message is c.first_message("new_session_ticket") else None


def _of_tcp(value: Callable[[ClearMessage], Any]) -> Callable[[ClearMessage], Any]:
    """A value that only TCP has."""
    return lambda one: value(one) if one.connection.transport == "tcp" else None


TLS = (
    Column("frame.number", int, lambda s: s.frame),
    Column("tcp.stream", int, _of_tcp(lambda s: s.connection.stream)),
    Column("ip.src", str, lambda s: _address(_end(s, away=False), 4)),
    Column("ip.dst", str, lambda s: _address(_end(s, away=True), 4)),
    Column("ipv6.src", str, lambda s: _address(_end(s, away=False), 6)),
    Column("ipv6.dst", str, lambda s: _address(_end(s, away=True), 6)),
    Column("tcp.srcport", int, _of_tcp(lambda s: _end(s, away=False).port)),
    Column("tcp.dstport", int, _of_tcp(lambda s: _end(s, away=True).port)),
    Column("tcp.analysis.initial_rtt", float, lambda s: _seconds(s.connection.timing.tcp_ms)),
    Column("tls.handshake.type", int, lambda s: s.message and Registry.HANDSHAKE_TYPES.number(_type(s.message.type))),
    Column("tls.handshake.length", int, lambda s: s.message and s.message.bytes),
    Column("tls.handshake.version", str, _hello(lambda hello: _coded(Registry.VERSIONS, hello.version))),
    Column("tls.handshake.random", str, _hello(lambda hello: hello.random)),
    Column("tls.handshake.session_id", str, _hello(lambda hello: hello.session_id)),
    Column("tls.handshake.ciphersuite", str, _suites),
    Column("tls.handshake.comp_method", str, _compressions),
    Column("tls.handshake.extension.type", str, _hello(_extensions)),
    Column("tls.handshake.extensions_server_name", str, lambda s: s.connection.sni if s.client_hello else None),
    Column("tls.handshake.extensions_alpn_str", str, lambda s: _joined(_sent(s, "alpn") or ())),
    Column("tls.handshake.extensions.supported_version", str, _versions),
    Column("tls.handshake.extensions_supported_group", str, lambda s: _list(Registry.GROUPS, _sent(s, "groups"))),
    Column("tls.handshake.extensions_key_share_group", str, _shares),
    Column("tls.handshake.extensions_ec_point_format", str, _hello(_points)),
    Column("tls.handshake.sig_hash_alg", str, _schemes),
    Column("tls.extension.psk_ke_mode", str, lambda s: _list(Registry.PSK_MODES, _sent(s, "psk_modes"), _DECIMAL)),
    Column("tls.handshake.server_named_curve", str, lambda s: _curve(s) if _is(s, "server_key_exchange") else None),
    Column("tls.handshake.session_ticket_lifetime_hint", int, lambda s: (ticket := _ticket(s)) and ticket.lifetime_s),
    Column("tls.handshake.session_ticket_length", int, lambda s: (ticket := _ticket(s)) and ticket.bytes),
    Column("tls.handshake.ja3", str, lambda s: s.connection.ja3 if s.client_hello else None),
    Column("tls.handshake.ja3s", str, lambda s: s.connection.ja3s if s.server_hello else None),
    Column("tls.alert_message.level", int, lambda s: s.alert and Registry.ALERT_LEVELS.number(s.alert.level)),
    Column("tls.alert_message.desc", int, lambda s: s.alert and Registry.ALERTS.number(s.alert.description)),
)  # fmt: skip


def _end(one: ClearMessage, *, away: bool) -> Endpoint:
    """Return the endpoint of the sender, or the other one."""
    return one.connection.client if (one.sender == "client") is not away else one.connection.server


def _address(end: Endpoint, version: int) -> str | None:
    return end.ip if end.ip is not None and (":" in end.ip) is (version == 6) else None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / 1000, 9)


def _joined(values: Iterable[object]) -> str | None:
    return ",".join(map(str, values)) or None


def _curve(one: ClearMessage) -> str | None:
    return _coded(Registry.GROUPS, one.connection.group)


def _type(kind: str) -> str:
    """Return the message type's name; a HelloRetryRequest has that of ServerHello (RFC 8446 section 4.1.3)."""
    return "server_hello" if kind == "hello_retry_request" else kind


def tables() -> tuple[Table, ...]:
    """Make the table of one export, with a row per message or alert."""
    return (Table("tshark", TLS, rows(TLS, clear_messages)),)
