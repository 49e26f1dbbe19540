"""Selects the decoder of a handshake message by its type and by the negotiated parameters."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from tlsdissect.tls import certificate, client_hello, messages, server_hello
from tlsdissect.tls.codepoints import HandshakeType as Type
from tlsdissect.tls.codepoints import is_tls13
from tlsdissect.tls.key_exchange import ClientKeyExchange, KeyExchange, ServerKeyExchange
from tlsdissect.tls.layout import WireStruct
from tlsdissect.tls.wire import Reader

SSL3: Final = 0x0300
_FIRST_DRAFT: Final = 0x7F00
_LAST_WITHOUT_NONCE: Final = 0x7F14
"""Draft 20 of TLS 1.3, the last one whose tickets have no nonce."""


class Decoder(NamedTuple):
    """The struct of a message, and what its fields depend on that the message itself does not say."""

    struct: type[WireStruct]
    given: Mapping[str, Any] = MappingProxyType({})

    def read(self, r: Reader) -> WireStruct:
        """Read the message."""
        return self.struct.read(r, **self.given)


_ALWAYS: Final[Mapping[int, type[WireStruct]]] = {
    Type.HELLO_REQUEST: messages.HelloRequest,
    Type.CLIENT_HELLO: client_hello.ClientHello,
    Type.SERVER_HELLO: server_hello.ServerHello,
    Type.HELLO_VERIFY_REQUEST: server_hello.HelloVerifyRequest,
    Type.NEW_SESSION_TICKET: messages.NewSessionTicket,
    Type.END_OF_EARLY_DATA: messages.EndOfEarlyData,
    Type.HELLO_RETRY_REQUEST: server_hello.HelloRetryRequest,
    Type.ENCRYPTED_EXTENSIONS: server_hello.EncryptedExtensions,
    Type.CERTIFICATE: certificate.Certificate,
    Type.SERVER_HELLO_DONE: messages.ServerHelloDone,
    Type.FINISHED: messages.Finished,
    Type.CERTIFICATE_URL: certificate.CertificateUrl,
    Type.CERTIFICATE_STATUS: certificate.CertificateStatus,
    Type.SUPPLEMENTAL_DATA: messages.SupplementalData,
    Type.KEY_UPDATE: messages.KeyUpdate,
    Type.COMPRESSED_CERTIFICATE: certificate.CompressedCertificate,
    Type.NEXT_PROTOCOL: messages.NextProtocol,
}

_TLS13: Final[Mapping[int, type[WireStruct]]] = {
    **_ALWAYS,
    Type.NEW_SESSION_TICKET: messages.NewSessionTicket13,
    Type.CERTIFICATE: certificate.Certificate13,
    Type.CERTIFICATE_REQUEST: certificate.CertificateRequest13,
    Type.FINISHED: messages.Finished13,
}


def decoder(
    handshake_type: int, version: int, exchange: KeyExchange | None = None, *, datagram: bool = False
) -> Decoder | None:
    """Return the decoder of a message for a negotiated version and key exchange; None if there is none.

    Hellos do not depend on the version, so before negotiation any value will do.
    """
    if handshake_type == Type.CLIENT_HELLO and datagram:
        return Decoder(client_hello.DtlsClientHello)
    if handshake_type == Type.CERTIFICATE_VERIFY:
        return Decoder(certificate.CertificateVerify, {"version": version})
    if handshake_type == Type.FINISHED and version <= SSL3:
        return Decoder(messages.FinishedSsl3)
    if not is_tls13(version):
        if handshake_type == Type.CERTIFICATE_REQUEST:
            return Decoder(certificate.CertificateRequest, {"version": version})
        if handshake_type == Type.SERVER_KEY_EXCHANGE and exchange:
            return Decoder(ServerKeyExchange, {"exchange": exchange, "version": version})
        if handshake_type == Type.CLIENT_KEY_EXCHANGE and exchange:
            return Decoder(ClientKeyExchange, {"exchange": exchange, "version": version})
    if handshake_type == Type.NEW_SESSION_TICKET and _FIRST_DRAFT <= version <= _LAST_WITHOUT_NONCE:
        return Decoder(messages.NewSessionTicketDraft)
    struct = (_TLS13 if is_tls13(version) else _ALWAYS).get(handshake_type)
    return None if struct is None else Decoder(struct)
