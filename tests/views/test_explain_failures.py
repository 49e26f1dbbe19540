"""Why handshakes failed, and what renegotiation left in the clear: told of OpenSSL's client and server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from relayed import certificate, relayed

import tlsdissect
from tlsdissect.views.tree import tree

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.explain.model import Sentence

SUITE12, SUITE13 = ["-cipher", "ECDHE-RSA-AES256-GCM-SHA384"], ["-ciphersuites", "TLS_AES_128_GCM_SHA256"]
OTHER12, OTHER13 = ["-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], ["-ciphersuites", "TLS_AES_256_GCM_SHA384"]
TLS12, TLS13 = ["-tls1_2"], ["-tls1_3"]
NULL = ["-cipher", "NULL-SHA256:@SECLEVEL=0"]
FAILURES: dict[str, tuple[list[str], list[str], str, str, str]] = {
    "version of a newer server": (TLS13, TLS12, "protocol_version", "no_common_version", "offered only TLS 1.2"),
    "version of an older server": (TLS12, TLS13, "protocol_version", "no_common_version", "offered only TLS 1.3"),
    "suite of 1.2": (
        [*TLS12, *SUITE12],
        [*TLS12, *OTHER12],
        "handshake_failure",
        "nothing_in_common",
        "its cipher suites, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,",
    ),
    "suite of 1.3": (
        [*TLS13, *SUITE13],
        [*TLS13, *OTHER13],
        "handshake_failure",
        "nothing_in_common",
        "its cipher suites, TLS_AES_256_GCM_SHA384,",
    ),
    "group of 1.2": (
        [*TLS12, *SUITE12, "-groups", "P-384"],
        [*TLS12, "-groups", "X25519"],
        "handshake_failure",
        "nothing_in_common",
        "or its groups, x25519,",
    ),
    "group of 1.3": (
        [*TLS13, "-groups", "P-384"],
        [*TLS13, "-groups", "X25519"],
        "handshake_failure",
        "nothing_in_common",
        "or its groups, x25519,",
    ),
    "signature of 1.2": (
        [*TLS12, *SUITE12],
        [*TLS12, "-sigalgs", "ECDSA+SHA256"],
        "handshake_failure",
        "nothing_in_common",
        "or its signature schemes, ecdsa_secp256r1_sha256.",
    ),
    "signature of 1.3": (
        TLS13,
        [*TLS13, "-sigalgs", "ECDSA+SHA256"],
        "handshake_failure",
        "nothing_in_common",
        "or its signature schemes, ecdsa_secp256r1_sha256.",
    ),
    "protocol of 1.3": (
        [*TLS13, "-alpn", "h2"],
        [*TLS13, "-alpn", "http/1.1"],
        "no_application_protocol",
        "no_common_protocol",
        "offered only http/1.1, which",
    ),
    "fallback": (
        [],
        [*TLS12, "-fallback_scsv"],
        "inappropriate_fallback",
        "fallback_refused",
        "offered less than it supports, TLS 1.2: the server supports more",
    ),
    "client certificate of 1.2": (
        [*TLS12, "-Verify", "1"],
        TLS12,
        "handshake_failure",
        "no_client_certificate",
        "had asked for a client certificate, and the client had sent none",
    ),
}


def told(connection: Connection) -> dict[str, Sentence]:
    return {sentence.code: sentence for sentence in tlsdissect.explain(connection).sentences}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return certificate(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("failure", FAILURES)
def test_nothing_in_common(tmp_path: Path, own: list[str], failure: str) -> None:
    accepts, offers, alert, code, reason = FAILURES[failure]
    [connection] = tlsdissect.read(relayed(tmp_path / "failure.pcap", [*own, *accepts], offers), keep=True)
    sentences = told(connection)
    assert (connection.outcome, connection.failed_by) == ("alert", "server")
    assert sentences["alert"].text.startswith(f"The server ended the handshake with {alert}, after ")
    assert reason in sentences[code].text
    assert sentences[code].guess == (code == "nothing_in_common")


def test_a_client_certificate_that_is_not_sent_in_tls_1_3(tmp_path: Path, own: list[str]) -> None:
    [connection] = tlsdissect.read(relayed(tmp_path / "a.pcap", [*own, *TLS13, "-Verify", "1"], TLS13), keep=True)
    sentences = told(connection)
    assert (connection.outcome, connection.failed_by) == ("alert", "server")
    assert "an empty Certificate" in sentences["no_client_certificate"].text
    assert sentences["no_client_certificate"].guess


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_client_certificate_that_is_not_known(tmp_path: Path, own: list[str], version: list[str]) -> None:
    other = certificate(tmp_path, "other")
    accepts = [*own, *version, "-Verify", "1", "-verify_return_error"]
    [connection] = tlsdissect.read(relayed(tmp_path / "a.pcap", accepts, [*version, *other]), keep=True)
    sentences = told(connection)
    assert (connection.outcome, connection.failed_by) == ("alert", "server")
    if version == TLS12:
        assert "the server does not know that authority" in sentences["unknown_authority"].text
    else:
        # Only its length tells an alert, and nothing tells which.
        assert sentences["refused"].guess
        assert "no_client_certificate" not in sentences


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_server_that_is_not_known(tmp_path: Path, own: list[str], version: list[str]) -> None:
    offers = [*version, "-verify_return_error"]
    [connection] = tlsdissect.read(relayed(tmp_path / "a.pcap", [*own, *version], offers), keep=True)
    sentences = told(connection)
    assert (connection.outcome, connection.failed_by) == ("alert", "client")
    assert "unknown_ca" in sentences["alert"].text
    known = "the client does not know that authority" if version == TLS12 else "TLS 1.3 encrypts certificates"
    assert known in sentences["unknown_authority"].text


def test_a_renegotiation_in_the_clear(tmp_path: Path, own: list[str]) -> None:
    """A suite without encryption protects a second handshake by a MAC, and hides nothing of it."""
    accepts, offers = [*own, *TLS12, *NULL, "-client_renegotiation"], [*TLS12, *NULL]
    [connection] = tlsdissect.read(relayed(tmp_path / "a.pcap", accepts, offers, says=b"R\n"), keep=True)
    sentences = told(connection)
    assert (connection.outcome, connection.renegotiations) == ("established", 1)
    said = "Later, client and server renegotiated once, in records that anyone can read."
    assert sentences["renegotiated"].text == said
    assert "content_visible" in sentences
    parts = [part for record in tree(connection).records for part in record.node.children]
    said = [part.name for part in parts if part.reference and part.name not in ("type", "length", "MAC")]
    again = said[said.index("finished") :]
    assert [name for name in again if name in ("client_hello", "server_hello", "certificate", "finished")] == [
        "finished",
        "finished",
        "client_hello",
        "server_hello",
        "certificate",
        "finished",
        "finished",
    ]
    assert {sum(span.length for span in part.bytes) for part in parts if part.name == "MAC"} == {32}
    assert not [part.name for part in parts if part.name == "encrypted" and "Finished" in (part.meaning or "")]
