"""The facts that only a QUIC connection has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.handshake.facts.text import quoted
from tlsdissect.model.connection import CRYPTO_ERROR, Counts, Quic, QuicClose
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.codepoints import Registry

if TYPE_CHECKING:
    from tlsdissect.handshake.facts.handshake import Handshake
    from tlsdissect.tls.quic import ConnectionClose

_EXTENSIONS = (Type.QUIC_TRANSPORT_PARAMETERS, Type.QUIC_TRANSPORT_PARAMETERS_DRAFT)


def quic(handshake: Handshake) -> Quic | None:
    """Return the facts of a QUIC connection; None if it is another one."""
    log = handshake.log.quic
    if log is None:
        return None
    client_id, server_id = log.ids
    return Quic(
        version=Registry.QUIC_VERSIONS.names[log.version],
        version_negotiation=log.version_negotiation,
        retry=log.retry,
        original_destination_connection_id=log.original_id.hex(),
        client_connection_id=None if client_id is None else client_id.hex(),
        server_connection_id=None if server_id is None else server_id.hex(),
        initial_packets=Counts(*log.initial_packets),
        transport_parameters=_transport_parameters(handshake),
        close=quic_close(handshake, log.close),
    )


def quic_close(handshake: Handshake, closing: tuple[int, ConnectionClose, int] | None) -> QuicClose | None:
    """Return the facts of a CONNECTION_CLOSE; an application's code is a number."""
    if closing is None:
        return None
    sender, close, frame = closing
    number = close.error_code
    code = f"0x{number:04x}"
    if close.alert is not None:
        code = CRYPTO_ERROR
    elif not close.by_application:
        code = Registry.QUIC_TRANSPORT_ERRORS.names[number]
    return QuicClose(sender=handshake.side(sender), code=code, reason=quoted(close.reason_phrase), frame=frame)


def _transport_parameters(handshake: Handshake) -> dict[str, object] | None:
    """Return the client's transport parameters by name (RFC 9000 section 18); None without the extension.

    One without a value is true, unless it is a connection ID. Of a repeated one, which is an error, the first counts.
    """
    for extension in handshake.client_extensions.facts:
        parameters = getattr(extension, "parameters", None)
        if extension.code in _EXTENSIONS and parameters is not None:
            shown: dict[str, object] = {}
            for one in parameters:
                is_flag = one["value"] == "" and not one["id"].endswith("connection_id")
                shown.setdefault(one["id"], True if is_flag else one["value"])
            return shown
    return None
