"""The facts of the DTLS samples: those they were recorded for, and those that tshark reads."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import msgspec
import pytest
from datagrams import sent
from recorded import INFERRED_WITH_END, ROOT
from tshark_rows import HANDSHAKE_TYPES, Row, by_stream, values

import tlsdissect

SAMPLES = ROOT / "samples" / "dtls"
FULL = {
    "transport": "udp",
    "version": "DTLS 1.2",
    "complete": True,
    "outcome": "established",
    "failed_by": None,
    "cipher_suite": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "group": "x25519",
    "sni": "localhost",
    "resumption": "none",
    "hello_retry": True,
    "round_trips": 3,
    "renegotiations": 0,
    "client_certificate_requested": False,
    "fragments": (0, 0),
    "retransmitted": (0, 0),
    "closure": ("inferred_alert", "inferred_alert"),
    "problems": [],
}
"""A handshake whose server asks for a cookie first, as that of OpenSSL always does."""
RESUMED = FULL | {"group": None, "round_trips": 2, "client_certificate_requested": False}
REFUSED = {"complete": False, "outcome": "alert", "round_trips": None, "closure": (None, None)}

STORIES: dict[str, list[dict[str, object]]] = {
    "dtls10-full": [FULL | {"version": "DTLS 1.0", "cipher_suite": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"}],
    "dtls12-full": [FULL],
    "dtls12-fragments": [FULL | {"fragments": (0, 9)}],
    "dtls12-loss": [FULL | {"fragments": (0, 11), "retransmitted": (4, 4)}],
    "dtls12-client-cert": [FULL | {"client_certificate_requested": True, "fragments": (0, 22)}],
    "dtls12-client-cert-missing": [
        FULL | REFUSED | {"failed_by": "server", "client_certificate_requested": True, "fragments": (0, 16)}
    ],
    "dtls12-unknown-ca": [FULL | REFUSED | {"failed_by": "client", "fragments": (0, 14)}],
    "dtls12-no-common-suite": [
        FULL
        | REFUSED
        | {"failed_by": "server", "version": None, "cipher_suite": None, "group": None, "resumption": None}
        | {"client_certificate_requested": None},
    ],
    "dtls12-psk": [FULL | {"cipher_suite": "TLS_PSK_WITH_AES_128_CCM_8", "group": None, "psk_identity": "sensor-7"}],
    "dtls12-no-encryption": [
        FULL
        | {"cipher_suite": "TLS_RSA_WITH_NULL_SHA256", "group": None, "fragments": (0, 12)}
        | {"closure": ("close_notify", "close_notify")}
    ],
    "dtls12-resumed-ticket": [FULL | {"fragments": (0, 14)}, RESUMED | {"resumption": "ticket"}],
    "dtls12-resumed-id": [FULL | {"fragments": (0, 15)}, RESUMED | {"resumption": "session_id"}],
    "dtls12-srtp": [FULL | {"fragments": (0, 14)}],
    "dtls12-gnutls": [
        FULL
        | {"client_certificate_requested": True, "fragments": (0, 2), "sni": "localhost"}
        | {"closure": ("inferred_alert", None), "group": "secp256r1"}
    ],
}
STORIES["dtls12-suites"] = [
    FULL | {"cipher_suite": f"TLS_{suite}", "fragments": (0, parts)} | more
    for suite, parts, more in (
        ("ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 14, {}),
        ("DHE_RSA_WITH_AES_128_CCM", 18, {"group": None, "dh_bits": 2048}),
        ("DHE_RSA_WITH_AES_256_CCM_8", 18, {"group": None, "dh_bits": 2048}),
        ("ECDHE_RSA_WITH_AES_128_CBC_SHA256", 14, {}),
        ("RSA_WITH_NULL_SHA256", 12, {"group": None, "closure": ("close_notify", "close_notify")}),
        ("ECDHE_RSA_WITH_AES_256_CBC_SHA384", 14, {}),
        ("ECDHE_RSA_WITH_AES_128_CBC_SHA", 14, {"version": "DTLS 1.0"}),
        ("ECDHE_RSA_WITH_AES_128_CBC_SHA", 14, {"version": "DTLS 1.0"}),
    )
]
INFERRED = {"code": "inferred", "detail": "the end of the handshake is inferred from the epochs of records"}
INFERRED |= {"frame": None, "offset": None, "from": None, "copies": None}
INFERRED["facts"] = list(INFERRED_WITH_END)
STORIES["dtls13-full"] = [
    FULL
    | {"version": "DTLS 1.3", "cipher_suite": "TLS_AES_128_GCM_SHA256", "group": "X25519MLKEM768"}
    | {"hello_retry": False, "round_trips": 1, "client_certificate_requested": None}
    | {"problems": [INFERRED]}
]
STORIES["dtls13-unknown-ca"] = [
    STORIES["dtls13-full"][0]
    | REFUSED
    | {"failed_by": "client", "closure": ("inferred_alert", None)}
    | {"problems": [INFERRED | {"detail": "the client's first protected record has an alert's length"}]}
]
STORIES["dtls13-key-update"] = [STORIES["dtls13-full"][0] | {"cipher_suite": "TLS_CHACHA20_POLY1305_SHA256"}]
WEBRTC = STORIES["dtls13-full"][0] | {"sni": None, "fragments": (2, 0), "client": {"ip": "192.0.2.1", "port": 39472}}
STORIES["webrtc-chromium"] = [WEBRTC | {"packets": 85}]
STORIES["webrtc-firefox"] = [WEBRTC | {"client": {"ip": "192.0.2.1", "port": 44120}, "packets": 98}]
"""STUN and media are on the flow of DTLS; its client is the one that sends the ClientHello."""
STORIES["dtls12-gnutls-unknown-ca"] = [
    STORIES["dtls12-gnutls"][0] | REFUSED | {"failed_by": "client", "sni": "localhost"}
]
WITHOUT_KEY_LOG = ["dtls12-gnutls-unknown-ca", "webrtc-chromium"]
"""One refuses the certificate before it has keys; the other writes none of DTLS."""


@cache
def read(name: str) -> list[dict[str, Any]]:
    connections = tlsdissect.read(SAMPLES / f"{name}.pcap")
    return [msgspec.json.decode(msgspec.json.encode(connection)) for connection in connections]


def shown(connection: dict[str, Any], key: str) -> object:
    """Show a fact; that of both sides as a pair."""
    if key == "fragments":
        return tuple(connection["dtls"]["fragments"].values())
    if key == "retransmitted":
        return tuple(connection["dtls"]["retransmitted_messages"].values())
    return tuple(connection[key].values()) if key == "closure" else connection[key]


def test_every_sample_has_a_story_and_a_key_log() -> None:
    samples = list(SAMPLES.glob("*.pcap"))
    assert sorted(STORIES) == sorted(sample.stem for sample in samples)
    assert sorted(one.stem for one in samples if not one.with_suffix(".keys").exists()) == WITHOUT_KEY_LOG


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str) -> None:
    stories, connections = STORIES[name], read(name)
    assert [one["stream"] for one in connections] == list(range(len(stories)))
    for story, connection in zip(stories, connections, strict=True):
        assert {key: shown(connection, key) for key in story} == story


def test_messages_that_were_sent_again_are_listed_once() -> None:
    [connection] = read("dtls12-loss")
    assert [(one["from"], one["type"], one["frame"]) for one in connection["messages"]] == [
        ("client", "client_hello", 1),
        ("server", "hello_verify_request", 3),
        ("client", "client_hello", 4),
        ("server", "server_hello", 5),
        ("server", "server_key_exchange", 10),
        ("server", "server_hello_done", 10),
        ("server", "certificate", 16),
        ("client", "client_key_exchange", 22),
        ("client", "change_cipher_spec", 22),
        ("client", "encrypted", 22),
        ("server", "new_session_ticket", 26),
        ("server", "change_cipher_spec", 26),
        ("server", "encrypted", 26),
        ("client", "alert", 28),
        ("server", "alert", 29),
    ]


def test_the_cookie_is_asked_for_by_the_hello_verify_request() -> None:
    [connection] = read("dtls12-full")
    assert connection["hello_retry_request"] == {"frame": 2, "group": None, "cookie_bytes": 20}
    assert connection["dtls"]["cookie_bytes"] == 20
    assert connection["client_hello"]["frame"] == 1
    assert connection["timing"]["tcp_ms"] is None
    assert connection["timing"]["server_hello_ms"] > 0


@pytest.mark.parametrize("name", ["webrtc-chromium", "webrtc-firefox"])
def test_webrtc_has_stun_and_media_before_and_after_the_handshake(name: str) -> None:
    """RFC 7983: the first byte of a datagram distinguishes STUN (0 to 3), DTLS (20 to 63) and media (128 to 191)."""
    [connection] = read(name)
    kinds = ["stun" if data[0] < 4 else "dtls" if data[0] < 64 else "media" for _, data in sent(name)]
    first = kinds.index("dtls") + 1
    assert (connection["first_frame"], kinds[0], connection["client_hello"]["frame"]) == (1, "stun", first + 1)
    first_media, handshake = kinds.index("media") + 1, connection["messages"][-1]
    assert (handshake["from"], handshake["frame"] < first_media, kinds[-2:]) == ("client", True, ["dtls", "dtls"])
    assert connection["packets"] == len(kinds)
    offered = next(one for one in connection["client_hello"]["extensions"] if one["type"] == "use_srtp")
    assert "SRTP_AEAD_AES_128_GCM" in offered["srtp_protection_profiles"]


def test_keys_show_what_webrtc_agreed_on() -> None:
    """Both sides show certificates, which their signalling pins (RFC 8827 section 6.5)."""
    path = SAMPLES / "webrtc-firefox.pcap"
    [connection] = tlsdissect.read(path, keylog=path.with_suffix(".keys"))
    hidden = connection.hidden
    assert hidden is not None
    chosen = [one for one in hidden.encrypted_extensions or () if one.type == "use_srtp"]
    assert [getattr(one, "srtp_protection_profiles", None) for one in chosen] == [("SRTP_AEAD_AES_128_GCM",)]
    assert (hidden.alpn, hidden.client_certificate_requested) == ("webrtc", True)
    assert [len(chain or ()) for chain in (hidden.certificates, hidden.client_certificates)] == [1, 1]
    assert [(one.sender, one.description) for one in hidden.alerts or ()] == [
        ("server", "close_notify"),
        ("client", "close_notify"),
    ]


def test_profiles_of_srtp_are_named() -> None:
    [connection] = read("dtls12-srtp")
    offered, selected = (
        next(one for one in connection[hello]["extensions"] if one["type"] == "use_srtp")
        for hello in ("client_hello", "server_hello")
    )
    assert offered["srtp_protection_profiles"] == ["SRTP_AES128_CM_HMAC_SHA1_80", "SRTP_AEAD_AES_128_GCM"]
    assert selected["srtp_protection_profiles"] == ["SRTP_AES128_CM_HMAC_SHA1_80"]


@pytest.mark.parametrize("name", ["dtls12-resumed-ticket", "dtls12-resumed-id"])
def test_the_resumed_connection_is_linked(name: str) -> None:
    first, second = read(name)
    assert second["resumes"] == {"source": first["source"], "stream": 0}


# ---------------------------------------------------------------- beside tshark

FIELDS = (
    "udp.stream",
    "frame.number",
    "udp.length",
    "dtls.handshake.type",
    "dtls.handshake.message_seq",
    "dtls.handshake.ja3",
    "dtls.handshake.ja3s",
    "dtls.handshake.random",
    "dtls.handshake.certificate",
)


@cache
def told_by_tshark(name: str) -> dict[int, list[Row]]:
    """Rows of every UDP stream."""
    return by_stream(SAMPLES / f"{name}.pcap", FIELDS, "-d", "udp.port==8443,dtls", "-d", "udp.port==8444,dtls")


each_sample = pytest.mark.parametrize("name", STORIES)
each_known_sample = pytest.mark.parametrize("name", [name for name in STORIES if name != "webrtc-firefox"])
"""Tshark 4.0 does not recognise a datagram with a record of DTLS 1.3 behind the ServerHello."""


@each_sample
def test_conversations_are_those_of_tshark(name: str) -> None:
    streams = told_by_tshark(name)
    assert [one["stream"] for one in read(name)] == sorted(streams)
    for connection in read(name):
        rows = streams[connection["stream"]]
        assert connection["packets"] == len(rows)
        assert connection["bytes"] == sum(int(row["udp.length"]) - 8 for row in rows)


@each_known_sample
def test_messages_are_those_of_tshark(name: str) -> None:
    for connection in read(name):
        rows = told_by_tshark(name)[connection["stream"]]
        for side in ("client", "server"):
            theirs = {HANDSHAKE_TYPES[kind] for _, kind in values(rows, "dtls.handshake.type")}
            ours = {
                one["type"]
                for one in connection["messages"]
                if one["type"] not in {"encrypted", "change_cipher_spec", "alert"}
            }
            assert ours == theirs, side


@each_known_sample
def test_hellos_are_those_of_tshark(name: str) -> None:
    for connection in read(name):
        rows = told_by_tshark(name)[connection["stream"]]
        assert connection["ja3"] == values(rows, "dtls.handshake.ja3")[0][1]
        assert connection["client_hello"]["random"] == values(rows, "dtls.handshake.random")[0][1]
        assert connection["ja3s"] == next((value for _, value in reversed(values(rows, "dtls.handshake.ja3s"))), None)


@pytest.mark.parametrize("name", [name for name in STORIES if name != "dtls12-loss"])
def test_certificates_are_those_of_tshark(name: str) -> None:
    """Tshark does not join the Certificate that was retransmitted in other fragments."""
    for connection in read(name):
        rows = told_by_tshark(name)[connection["stream"]]
        sent = {hashlib.sha256(bytes.fromhex(der)).hexdigest() for _, der in values(rows, "dtls.handshake.certificate")}
        shown = [*(connection["certificates"] or []), *(connection["client_certificates"] or [])]
        assert {one["sha256"] for one in shown} == sent


def test_a_suite_without_encryption_needs_no_keys() -> None:
    path = SAMPLES / "dtls12-no-encryption.pcap"
    assert b"hello\n" in path.read_bytes()
    [connection] = tlsdissect.read(path, keep=True)
    types = [message.type for message in connection.messages]
    assert (types.count("finished"), types.count("encrypted")) == (2, 0)
    assert {(alert.level, alert.description) for alert in connection.alerts} == {("warning", "close_notify")}
    shown = str(tlsdissect.tree(connection))
    assert (shown.count("verify_data"), shown.count("    MAC ")) == (2, 4)
    assert "hello\\n" not in shown
    assert b"hello\n".hex() not in shown
    assert list(tlsdissect.read(path, keylog=path.with_suffix(".keys"), keep=True)) == [connection]
