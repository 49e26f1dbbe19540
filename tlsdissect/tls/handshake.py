"""Selects the decoder of a handshake message by its type and by the negotiated parameters."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

from msgspec import Struct

from tlsdissect.tls import certificate, client_hello, messages, server_hello
from tlsdissect.tls.codepoints import HandshakeType as Type
from tlsdissect.tls.codepoints import is_tls13
from tlsdissect.tls.key_exchange import ClientKeyExchange, KeyExchange, ServerKeyExchange
from tlsdissect.tls.wire import Reader

SSL3: Final = 0x0300

Read: TypeAlias = Callable[[Reader], Struct]

_ALWAYS: Final[Mapping[int, Read]] = {
    Type.HELLO_REQUEST: messages.Empty.read,
    Type.CLIENT_HELLO: client_hello.ClientHello.read,
    Type.SERVER_HELLO: server_hello.ServerHello.read,
    Type.HELLO_VERIFY_REQUEST: server_hello.HelloVerifyRequest.read,
    Type.NEW_SESSION_TICKET: messages.NewSessionTicket.read,
    Type.END_OF_EARLY_DATA: messages.Empty.read,
    Type.HELLO_RETRY_REQUEST: server_hello.HelloRetryRequest.read,
    Type.ENCRYPTED_EXTENSIONS: server_hello.EncryptedExtensions.read,
    Type.CERTIFICATE: certificate.Certificate.read,
    Type.SERVER_HELLO_DONE: messages.Empty.read,
    Type.FINISHED: messages.Finished.read,
    Type.CERTIFICATE_URL: certificate.CertificateUrl.read,
    Type.CERTIFICATE_STATUS: certificate.CertificateStatus.read,
    Type.SUPPLEMENTAL_DATA: messages.SupplementalData.read,
    Type.KEY_UPDATE: messages.KeyUpdate.read,
    Type.COMPRESSED_CERTIFICATE: certificate.CompressedCertificate.read,
    Type.NEXT_PROTOCOL: messages.NextProtocol.read,
}

_TLS13: Final[Mapping[int, Read]] = {
    **_ALWAYS,
    Type.NEW_SESSION_TICKET: messages.NewSessionTicket13.read,
    Type.CERTIFICATE: certificate.Certificate13.read,
    Type.CERTIFICATE_REQUEST: certificate.CertificateRequest13.read,
}


def decoder(
    handshake_type: int, version: int, exchange: KeyExchange | None = None, *, datagram: bool = False
) -> Read | None:
    """Return the decoder of a message for a negotiated version and key exchange; None if there is none.

    Hellos do not depend on the version, so before negotiation any value will do.
    """
    if handshake_type == Type.CLIENT_HELLO and datagram:
        return client_hello.DtlsClientHello.read
    if handshake_type == Type.CERTIFICATE_VERIFY:
        return partial(certificate.CertificateVerify.read, version=version)
    if handshake_type == Type.FINISHED and version <= SSL3:
        return messages.FinishedSsl3.read
    if is_tls13(version):
        return _TLS13.get(handshake_type)
    if handshake_type == Type.CERTIFICATE_REQUEST:
        return partial(certificate.CertificateRequest.read, version=version)
    if handshake_type == Type.SERVER_KEY_EXCHANGE and exchange:
        return partial(ServerKeyExchange.read, exchange=exchange, version=version)
    if handshake_type == Type.CLIENT_KEY_EXCHANGE and exchange:
        return partial(ClientKeyExchange.read, exchange=exchange, version=version)
    return _ALWAYS.get(handshake_type)
