"""What a connection and its hello tell of themselves, for every view."""

from __future__ import annotations

import pytest
from made import made
from msgspec.structs import replace

from tlsdissect.model.connection import Endpoint


def test_an_endpoint_is_written_as_address_and_port() -> None:
    assert str(Endpoint("192.0.2.1", 443)) == "192.0.2.1:443"
    assert str(Endpoint("2001:db8::1", 443)) == "[2001:db8::1]:443"


@pytest.mark.parametrize(
    ("version", "is_tls13"),
    [("TLS 1.3", True), ("TLS 1.3 (draft 23)", True), ("DTLS 1.3", True), ("TLS 1.2", False), (None, False)],
)
def test_drafts_and_dtls_count_as_tls13(version: str | None, *, is_tls13: bool) -> None:
    assert made(version=version).is_tls13 is is_tls13


def test_what_a_hello_offers_is_no_grease_and_no_signal() -> None:
    hello = made().client_hello
    assert hello is not None
    signals = ("GREASE", "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", "TLS_FALLBACK_SCSV")
    offers = replace(hello, cipher_suites=("TLS_AES_128_GCM_SHA256", *signals, "0x1234"))
    assert offers.offered_suites == ("TLS_AES_128_GCM_SHA256", "0x1234")
    assert offers.falls_back
    unseen = replace(hello, cipher_suites=None)
    assert unseen.offered_suites == ()
    assert not unseen.falls_back


def test_the_first_message_of_a_type_and_side() -> None:
    one = made()
    hello, changed = one.first_message("client_hello"), one.first_message("change_cipher_spec", "server")
    assert hello is one.messages[0]
    assert changed in one.messages
    assert changed is not one.first_message("change_cipher_spec")
    assert one.first_message("client_hello", "server") is None


def test_a_side_shows_a_chain_that_begins_with_its_leaf() -> None:
    one = made(client_certificates=None)
    assert one.certificates
    assert one.chain("server") == one.certificates
    assert one.leaf("server") is one.certificates[0]
    assert one.chain("client") is None
    assert one.leaf("client") is None
    assert made(certificates=()).leaf("server") is None
