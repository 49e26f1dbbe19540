from __future__ import annotations

import pytest
from tls_vectors import VECTORS, Vector, each, named, one

from tlsdissect.tls import certificate, extensions, key_exchange
from tlsdissect.tls.alert import Alert, Ssl2ErrorMessage
from tlsdissect.tls.client_hello import ClientHello, Extension, Ssl2ClientHello
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.handshake import decoder
from tlsdissect.tls.key_exchange import ClientKeyExchange, ServerKeyExchange
from tlsdissect.tls.messages import KeyUpdate, NextProtocol, SupplementalData
from tlsdissect.tls.server_hello import RETRY_RANDOM, HelloRetryRequest, ServerHello, Ssl2ServerHello
from tlsdissect.tls.wire import Reader, WireError, decode_partially


@each(VECTORS)
def test_whole(vector: Vector) -> None:
    assert decode_partially(vector.read, vector.body) == (Reader(vector.body).whole(vector.read), None)


# All bytes of a Finished message are its data.
@each([vector for vector in VECTORS if vector.type != "finished"])
def test_bytes_after_it(vector: Vector) -> None:
    with pytest.raises(WireError):
        Reader(vector.body + b"\0").whole(vector.read)


@each(VECTORS)
def test_cut_short_at_every_byte(vector: Vector) -> None:
    legal = [n for n in range(len(vector.body)) if _reads(vector.body[:n], vector)]
    if vector.type == "finished":
        assert len(legal) == len(vector.body)
    elif vector.type in ("client_hello", "server_hello"):
        # What is left is a legal hello without extensions, where there were any.
        hello = Reader(vector.body).whole(vector.read)
        listed = 2 + sum(4 + len(e.extension_data) for e in hello.extensions or ())
        assert legal == [len(vector.body) - listed]
    elif vector.type == "client_key_exchange":
        # A client's public value may stand in its certificate: RFC 5246 section 7.4.7.2.
        exchange = Reader(vector.body).whole(vector.read)
        psk = 0 if exchange.psk_identity is None else 2 + len(exchange.psk_identity)
        implicit = isinstance(exchange.exchange_keys, key_exchange.DhClientPublic | key_exchange.EcdhClientPublic)
        assert legal == ([psk] if implicit else [])
    else:
        assert legal == []


def _reads(body: bytes, vector: Vector) -> bool:
    try:
        Reader(body).whole(vector.read)
    except WireError:
        return False
    return True


@pytest.mark.parametrize("vector", named("client_hello", "server_hello"), ids=lambda v: v.connection)
def test_malformed_extensions_cost_no_field_before_them(vector: Vector) -> None:
    whole = Reader(vector.body).whole(vector.read)
    start = len(vector.body) - sum(4 + len(e.extension_data) for e in whole.extensions)
    for cut in range(start, len(vector.body)):
        hello, error = decode_partially(vector.read, vector.body[:cut])
        assert error is not None
        assert hello.random == whole.random
        assert hello.extensions == whole.extensions[: len(hello.extensions)]
    hello, error = decode_partially(vector.read, vector.body + b"\0\0")
    assert hello == whole
    assert error is not None
    assert error.offset == len(vector.body)


def test_hello_of_tls_13() -> None:
    hello = one("tls13_retry", "client_hello")
    assert hello.legacy_version == 0x0303
    assert len(hello.legacy_session_id) == 32
    assert hello.cipher_suites == (0x1302, 0x1303, 0x1301, 0x00FF)
    assert hello.legacy_compression_methods == (0,)
    assert [e.extension_type for e in hello.extensions] == [0, 11, 10, 35, 16, 22, 23, 13, 43, 45, 51]


def test_retry_and_choice_of_tls_13() -> None:
    retry, choice = one("tls13_retry", "server_hello"), one("tls13_retry", "server_hello", 1)
    assert retry.is_hello_retry_request
    assert not choice.is_hello_retry_request
    assert retry.random == RETRY_RANDOM
    share = {e.extension_type: e.extension_data for e in retry.extensions}[51]
    assert extensions.decode(extensions.FROM_RETRY, 51, share) == extensions.keys.SelectedGroup(24)
    assert choice.cipher_suite == 0x1302


def test_certificates() -> None:
    assert [len(der) for der in one("tls12_ecdhe", "certificate").certificate_list] == [385]
    chain = one("tls13_retry", "certificate")
    assert chain.certificate_request_context == b""
    assert [len(entry.cert_data) for entry in chain.certificate_list] == [385]
    assert one("tls12_ecdhe", "certificate_status").ocsp_response[:2] == b"\x30\x82"
    request = one("tls12_ecdhe", "certificate_request")
    assert request.certificate_types == (1, 2, 64)
    assert 0x0807 in request.supported_signature_algorithms
    old = one("tls10_rsa", "certificate_request")
    assert old.certificate_types == (1, 2, 64)
    assert old.supported_signature_algorithms is None
    assert [name[:2] for name in old.certificate_authorities] == [b"\x30\x0f"]
    assert one("tls12_ecdhe", "certificate_verify").algorithm == 0x0807
    assert one("tls10_rsa", "certificate_verify").algorithm is None


def test_certificates_before_a_cut_are_told() -> None:
    data = bytes.fromhex("00000d 000003 616161 0000ff 626262 00")
    chain, error = decode_partially(certificate.Certificate.read, data)
    assert chain.certificate_list == (b"aaa",)
    assert error is not None
    assert str(error) == "255 bytes wanted, 4 left at byte 12"


def test_status_for_each_certificate() -> None:
    status = Reader(bytes.fromhex("02 000007 000001 61 000000")).whole(certificate.CertificateStatus.read)
    assert status.ocsp_response_list == (b"a", b"")
    with pytest.raises(WireError, match="unknown certificate status type 9"):
        certificate.CertificateStatus.read(Reader(b"\x09\0\0\0"))


def test_key_exchanges() -> None:
    ecdhe = one("tls12_ecdhe", "server_key_exchange")
    assert ecdhe.params.curve_params.named_curve == 29
    assert ecdhe.signature_scheme == 0x0403
    assert one("tls11_ecdhe", "server_key_exchange").signature_scheme is None
    assert one("tls11_ecdhe", "server_key_exchange").signature[:1] == b"\x30"
    assert int.from_bytes(one("tls12_dhe", "server_key_exchange").params.dh_p, "big").bit_length() == 1024
    assert one("tls12_anon", "server_key_exchange").signature is None
    assert one("tls12_psk", "server_key_exchange") == ServerKeyExchange(b"hint", None, None, None)
    assert one("tls12_psk", "client_key_exchange") == ClientKeyExchange(b"me", None)
    assert len(one("tls12_rsa_psk", "client_key_exchange").exchange_keys.encrypted_pre_master_secret) == 128
    assert len(one("tls10_rsa", "client_key_exchange").exchange_keys.encrypted_pre_master_secret) == 128
    assert len(one("tls12_ecdhe_psk", "client_key_exchange").exchange_keys.ecdh_yc) == 32


def _exchange(suite: str, data: str, version: int = 0x0303) -> ServerKeyExchange:
    kind = key_exchange.key_exchange(suite)
    assert kind is not None
    return Reader(bytes.fromhex(data)).whole(lambda r: ServerKeyExchange.read(r, exchange=kind, version=version))


def test_key_exchanges_seldom_met() -> None:
    export = _exchange("TLS_RSA_EXPORT_WITH_RC4_40_MD5", "0001aa 0001bb 0001cc", 0x0301)
    assert export.params == key_exchange.RsaParams(b"\xaa", b"\xbb")
    srp = _exchange("TLS_SRP_SHA_WITH_AES_128_CBC_SHA", "0001aa 0001bb 01cc 0001dd")
    assert srp.params == key_exchange.SrpParams(b"\xaa", b"\xbb", b"\xcc", b"\xdd")
    assert srp.signature is None
    suite = "TLS_ECDH_anon_WITH_AES_128_CBC_SHA"
    prime = _exchange(suite, "01 01aa 01bb 01cc 01dd 01ee 01ff 0199")
    assert prime.params.curve_params.explicit_prime.order == b"\xee"  # type: ignore[union-attr]
    char2 = _exchange(suite, "02 00a3 02 01aa 01bb 01cc 0111 0122 0133 0144 0155 0199")
    assert char2.params.curve_params.explicit_char2.k == (b"\xaa", b"\xbb", b"\xcc")  # type: ignore[union-attr]
    with pytest.raises(WireError, match="unknown curve type 7"):
        _exchange(suite, "07 0017 0199")
    with pytest.raises(WireError, match="DH_RSA"):
        _exchange("TLS_DH_RSA_WITH_AES_128_CBC_SHA", "")
    kind = key_exchange.key_exchange("TLS_RSA_WITH_RC4_128_MD5")
    assert kind is not None
    client = ClientKeyExchange.read(Reader(b"cipher"), exchange=kind, version=0x0300)
    assert client.exchange_keys == key_exchange.Unstructured(b"cipher")


def test_hello_of_a_draft_has_neither_session_id_nor_compression() -> None:
    data = bytes.fromhex("7f12" + "ab" * 32 + "1301" + "0004 0029 0000")
    hello = Reader(data).whole(ServerHello.read)
    assert hello == ServerHello(0x7F12, b"\xab" * 32, None, 0x1301, None, (Extension(0x29, b""),))


@pytest.mark.parametrize("session_id", [b"", b"\x02" * 32])
def test_a_server_hello_under_the_final_number_is_short_where_its_lengths_say_so(session_id: bytes) -> None:
    # draft-ietf-tls-tls13-14 section 4.1.2, as NSS and Mozilla's server spoke it; and what no RFC allows.
    short = bytes.fromhex("0304") + b"\xab" * 32 + bytes.fromhex("c02b 0006 002a 0002 abcd")
    hello = Reader(short).whole(ServerHello.read)
    assert hello == ServerHello(0x0304, b"\xab" * 32, None, 0xC02B, None, (Extension(0x2A, b"\xab\xcd"),))
    rest = bytes.fromhex("1301 00 0006 002b 0002 0304")
    hello = Reader(short[:34] + bytes([len(session_id)]) + session_id + rest).whole(ServerHello.read)
    assert hello == ServerHello(0x0304, b"\xab" * 32, session_id, 0x1301, 0, (Extension(0x2B, b"\x03\x04"),))


def test_retry_of_a_draft() -> None:
    old = Reader(bytes.fromhex("7f120006002800020017")).whole(HelloRetryRequest.read)
    assert old == HelloRetryRequest(0x7F12, None, (Extension(40, b"\0\x17"),))
    new = Reader(bytes.fromhex("7f1413010006002800020017")).whole(HelloRetryRequest.read)
    assert new == HelloRetryRequest(0x7F14, 0x1301, (Extension(40, b"\0\x17"),))


def test_hellos_of_ssl_2() -> None:
    client = Reader(bytes.fromhex("01 0002 0006 0000 0010 0700c0 00002f" + "cc" * 16)).whole(Ssl2ClientHello.read)
    assert client.cipher_specs == (0x0700C0, 0x00002F)
    assert client.challenge == b"\xcc" * 16
    server = Reader(bytes.fromhex("04 00 01 0002 0002 0003 0001 3000 0700c0 aa")).whole(Ssl2ServerHello.read)
    assert server.certificate == b"\x30\0"
    assert server.cipher_specs == (0x0700C0,)
    assert server.connection_id == b"\xaa"


def test_short_messages() -> None:
    assert Reader(b"\x02\x28").whole(Alert.read) == Alert(2, 40)
    assert Reader(b"\0\0\x01").whole(Ssl2ErrorMessage.read) == Ssl2ErrorMessage(0, 1)
    assert Reader(b"\x01").whole(KeyUpdate.read) == KeyUpdate(1)
    assert Reader(b"\x02h2\x01\0").whole(NextProtocol.read) == NextProtocol(b"h2", b"\0")
    assert Reader(bytes.fromhex("000005000000014d")).whole(SupplementalData.read).supp_data[0].data == b"M"
    ticket = one("tls13_retry", "new_session_ticket")
    assert ticket.ticket_lifetime == one("tls12_ecdhe", "new_session_ticket").ticket_lifetime_hint == 7200
    assert one("dtls12", "client_hello").legacy_cookie == b""
    assert one("dtls12", "client_hello", 1).legacy_cookie == one("dtls12", "hello_verify_request").cookie


def test_a_hello_without_extensions() -> None:
    data = bytes.fromhex("0300" + "00" * 32 + "00" + "0002002f" + "0100")
    assert Reader(data).whole(ClientHello.read).extensions is None
    assert Reader(data + b"\0\0").whole(ClientHello.read).extensions == ()


def test_what_no_decoder_reads() -> None:
    assert decoder(HandshakeType.MESSAGE_HASH, 0x0303) is None
    assert decoder(HandshakeType.SERVER_KEY_EXCHANGE, 0x0303) is None
    assert decoder(HandshakeType.SERVER_KEY_EXCHANGE, 0x0304) is None


def test_certificates_by_url_and_as_bare_keys() -> None:
    data = bytes.fromhex("00 0018 0001 61 01" + "ab" * 20)
    entry = certificate.UrlAndHash(b"a", 1, b"\xab" * 20)
    assert Reader(data).whole(certificate.CertificateUrl.read) == certificate.CertificateUrl(0, (entry,))
    assert Reader(bytes.fromhex("000001 61")).whole(certificate.RawPublicKey.read).subject_public_key_info == b"a"
    compressed = Reader(bytes.fromhex("0002 000100 000001 61")).whole(certificate.CompressedCertificate.read)
    assert compressed.uncompressed_length == 256


def test_client_key_exchanges_seldom_met() -> None:
    for suite, data, expected in (
        ("TLS_SRP_SHA_WITH_AES_128_CBC_SHA", "0001 61", key_exchange.SrpClientPublic(b"a")),
        ("TLS_ECCPWD_WITH_AES_128_CCM_SHA256", "01 61 01 62", key_exchange.EccPwdClient(b"a", b"b")),
        ("TLS_KRB5_WITH_DES_CBC_SHA", "0001 61 0000 0001 62", key_exchange.KerberosWrapper(b"a", b"", b"b")),
        ("TLS_GOSTR341112_256_WITH_28147_CNT_IMIT", "3000", key_exchange.GostKeyTransport(b"0\0")),
        ("TLS_DH_RSA_WITH_AES_128_CBC_SHA", "", key_exchange.DhClientPublic(None)),
    ):
        kind = key_exchange.key_exchange(suite)
        found = decoder(HandshakeType.CLIENT_KEY_EXCHANGE, 0x0303, kind)
        assert found is not None
        assert Reader(bytes.fromhex(data)).whole(found.read) == ClientKeyExchange(None, expected)
    pwd = _exchange("TLS_ECCPWD_WITH_AES_128_CCM_SHA256", "01 61 03 0017 01 62 01 63")
    assert pwd.params.salt == b"a"  # type: ignore[union-attr]
