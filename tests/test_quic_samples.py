"""What the samples of QUIC tell: as recorded on purpose, and as tshark reads the same files."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from capture.building import pcap
from recorded import ROOT, facts, packets, snapped
from tshark_rows import Row, by_stream

from tlsdissect.capture import open_capture
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "samples" / "quic"

FULL: dict[str, object] = {
    "version": "TLS 1.3",
    "complete": True,
    "outcome": "established",
    "failed_by": None,
    "sni": "localhost",
    "resumption": "none",
    "early_data": "none",
    "hello_retry": False,
    "round_trips": 1,
    "certificates": None,
    "alerts": [],
    "transport": "quic",
    "cipher_suite": "TLS_AES_256_GCM_SHA384",
    "group": "secp256r1",
    "quic.version": "1",
    "quic.version_negotiation": False,
    "quic.retry": False,
    "quic.initial_packets": {"client": 2, "server": 1},
    "quic.close": None,
}
QUIC_GO: dict[str, object] = {
    "cipher_suite": "TLS_AES_128_GCM_SHA256",
    "group": "x25519",
    "quic.client_connection_id": "",
}

STORIES: dict[str, list[dict[str, object]]] = {
    "quic-full": [FULL],
    "quic-retry": [FULL | {"round_trips": 2, "quic.retry": True, "quic.initial_packets": {"client": 3, "server": 1}}],
    "quic-v2": [FULL | {"quic.version": "2"}],
    "quic-compatible-version": [FULL | {"quic.version": "2", "quic.initial_packets": {"client": 1, "server": 1}}],
    "quic-version-negotiation": [
        FULL
        | {
            "round_trips": 2,
            "quic.version": "2",
            "quic.version_negotiation": True,
            "quic.initial_packets": {"client": 3, "server": 1},
        }
    ],
    "quic-early-data": [
        FULL,
        FULL | {"resumption": "psk", "certificates": [], "early_data": None, "round_trips": None},
    ],
    "quic-moved": [
        FULL | {"packets": 17, "bytes": 10_172, "first_frame": 1},
        FULL | {"packets": 23, "bytes": 12_257, "first_frame": 18},
    ],
    "quic-large-hello": [FULL | {"quic.initial_packets": {"client": 3, "server": 2}}],
    "quic-chromium": [
        FULL
        | {
            "group": "x25519",
            "ech": "grease_or_offered",
            "ja4": "q13d0312h3_55b375c5d22e_178839b6cec1",
            "quic.client_connection_id": "",
            "quic.initial_packets": {"client": 3, "server": 2},
        }
    ],
    "quic-go": [
        FULL | QUIC_GO,
        FULL | QUIC_GO | {"resumption": "psk", "certificates": []},
    ],
    "quic-quinn": [FULL | {"group": "x25519"}],
    "quic-quinn-unknown-ca": [
        # quinn hides the reason from the server, too: its CONNECTION_CLOSE in a Handshake packet has APPLICATION_ERROR.
        FULL
        | {"group": "x25519", "complete": False, "outcome": "incomplete", "round_trips": None}
        | {"quic.initial_packets": {"client": 1, "server": 1}}
    ],
    "quic-no-common-protocol": [
        FULL
        | {
            "complete": False,
            "outcome": "alert",
            "failed_by": "server",
            "alerts": [{"from": "server", "level": "fatal", "description": "no_application_protocol", "frame": 2}],
            "version": None,
            "cipher_suite": None,
            "group": None,
            "resumption": None,
            "hello_retry": None,
            "round_trips": None,
            "quic.initial_packets": {"client": 1, "server": 1},
            "quic.close": {
                "from": "server",
                "code": "CRYPTO_ERROR",
                "reason": "No common ALPN protocols",
                "frame": 2,
            },
        }
    ],
    "quic-unknown-ca": [FULL | {"complete": False, "outcome": "incomplete", "round_trips": None}],
}


MESSAGES = {
    "quic-full": "C1 S2 s2 c3 s4 s5 c6 c7",
    "quic-retry": "C3 S4 s4 c5 s6 s7 c8 c9",
    "quic-version-negotiation": "C3 S4 s4 c5 s6 s7 c8 c9",
    "quic-chromium": "C2 S5 s5 s6 c7 s8 c9",
    "quic-large-hello": "C2 S4 s4 c5 s6 c7 s8 c9",
    "quic-no-common-protocol": "C1 A2",
}
"""Letters: hellos of client and server (C, S), Handshake packets of a datagram (c, s), an alert (A); and the frame."""

MOVED = {"quic-moved": {0: 1, 2: 3}}
"""By sample: the UDP stream of each connection, and the streams to which its client moved."""

FIELDS = (
    "udp.stream",
    "quic.connection.number",
    "udp.length",
    "frame.number",
    "quic.cc.error_code.tls_alert",
    "tls.handshake.random",
    "tls.handshake.ja3",
    "tls.handshake.ja3s",
)

each_sample = pytest.mark.parametrize("name", STORIES)


@cache
def read(name: str) -> list[dict[str, Any]]:
    return facts(FOLDER / f"{name}.pcap")


def shown(connection: dict[str, Any], key: str) -> object:
    outer, _, inner = key.partition(".")
    return connection[outer][inner] if inner else connection[outer]


def test_every_sample_has_a_story_and_a_key_log() -> None:
    assert sorted(STORIES) == sorted(path.stem for path in FOLDER.glob("*.pcap"))
    assert sorted(STORIES) == sorted(path.stem for path in FOLDER.glob("*.keys"))


@each_sample
def test_story(name: str) -> None:
    stories, connections = STORIES[name], read(name)
    assert [one["stream"] for one in connections] == list(MOVED.get(name, range(len(stories))))
    for story, connection in zip(stories, connections, strict=True):
        assert {key: shown(connection, key) for key in story} == story


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name: str) -> None:
    [connection] = read(name)
    letters = {"client_hello": "C", "server_hello": "S", "alert": "A"}
    told = [f"{letters.get(one['type'], one['from'][0])}{one['frame']}" for one in connection["messages"]]
    assert " ".join(told) == MESSAGES[name]


def test_a_large_hello_comes_in_two_datagrams() -> None:
    assert [read(name)[0]["client_hello"]["segments"] for name in ("quic-full", "quic-large-hello")] == [1, 2]


def test_transport_parameters_by_name() -> None:
    [connection] = read("quic-compatible-version")
    parameters = connection["quic"]["transport_parameters"]
    assert parameters["max_idle_timeout"] == 60_000
    assert parameters["initial_source_connection_id"] == connection["quic"]["client_connection_id"]
    assert parameters["version_information"] == {"chosen_version": "1", "available_versions": ["2", "1"]}


def test_the_end_of_a_handshake_is_inferred() -> None:
    [connection] = read("quic-full")
    assert [one["code"] for one in connection["problems"]] == ["inferred"]
    timing = connection["timing"]
    assert timing["tcp_ms"] is timing["client_data_ms"] is None
    assert 0 < timing["server_hello_ms"] < timing["handshake_ms"] < timing["server_record_ms"]


@pytest.mark.parametrize("size", [1, 7])
def test_batches_do_not_matter(size: int) -> None:
    assert facts(FOLDER / "quic-retry.pcap", batch=size) == read("quic-retry")


@cache
def told_by_tshark(name: str) -> dict[int, list[Row]]:
    """Rows of every UDP stream; those to which a client moved are part of the one in which it began."""
    streams = by_stream(FOLDER / f"{name}.pcap", FIELDS, "-d", "udp.port==8443,quic")
    for began, later in MOVED.get(name, {}).items():
        streams[began] += streams.pop(later)
        # tshark 4.0 does not know the connection of some short headers.
        assert len({row["quic.connection.number"] for row in streams[began]} - {""}) == 1
    return streams


@each_sample
def test_connections_are_those_of_tshark(name: str) -> None:
    streams = told_by_tshark(name)
    assert [one["stream"] for one in read(name)] == sorted(streams)
    for connection in read(name):
        rows = streams[connection["stream"]]
        assert connection["packets"] == len(rows)
        assert connection["bytes"] == sum(int(row["udp.length"]) - 8 for row in rows)
        assert connection["first_frame"] == int(rows[0]["frame.number"])
        alerts = [int(row["frame.number"]) for row in rows if row["quic.cc.error_code.tls_alert"]]
        assert [one["frame"] for one in connection["alerts"]] == alerts
        first = next(row for row in rows if row["tls.handshake.ja3"])
        assert connection["ja3"] == first["tls.handshake.ja3"]
        answers = [row for row in rows if row["tls.handshake.ja3s"]]
        assert connection["ja3s"] == (answers[-1]["tls.handshake.ja3s"] if answers else None)
        if not (connection["quic"]["version_negotiation"] or connection["quic"]["retry"]):
            # tshark 4.0 shows no other ClientHello after a Version Negotiation or a Retry.
            assert connection["client_hello"]["random"] == first["tls.handshake.random"]


def test_without_the_servers_initial_packets_its_answer_is_not_known() -> None:
    sent = [packet for _, packet in packets(FOLDER / "quic-early-data.pcap")]
    capture = pcap([packet for number, packet in enumerate(sent, 1) if number != 16])
    reading = Reading(["lost"], opener=lambda _: open_capture(io.BytesIO(capture)))
    found = list(reading)[1]
    assert (found.outcome, found.server_hello, found.early_data) == ("established", None, None)
    detail = "the capture lacks the Initial packets of this side"
    assert [(one.code, one.detail, one.frame) for one in found.problems if one.sender] == [("gap", detail, 16)]


def test_the_bytes_of_a_handshake_end_with_its_flights() -> None:
    """Each side of quic-go acknowledges the other's flight after its own, in Handshake packets of 23 bytes."""
    told = facts(FOLDER / "quic-go.pcap")[1]
    sealed: dict[str, list[int]] = {"client": [], "server": []}
    for one in told["messages"]:
        if one["type"] == "encrypted":
            sealed[one["from"]].append(one["bytes"])
    assert sealed == {"client": [57, 23], "server": [192, 23]}
    assert told["handshake_bytes"] == {"client": 4 + 473 + 57, "server": 4 + 92 + 192}


BEYOND_THE_SNAP_LENGTH = {"quic-go": 1, "quic-no-common-protocol": 1}
"""Connections whose server's Initial packet is cut, too, or has no ServerHello."""
CHOSEN = ("version", "cipher_suite", "group", "ja3s", "hello_retry", "resumption", "outcome")


@each_sample
def test_what_the_server_chose_is_read_though_the_snap_length_cut_the_client(name: str, tmp_path: Path) -> None:
    path = FOLDER / f"{name}.pcap"
    whole = {(one["stream"], one["client"]["port"], one["first_frame"]): one for one in facts(path)}
    cut = facts(snapped(path, 300, tmp_path / "cut.pcap"))
    assert len(cut) == len(whole) - BEYOND_THE_SNAP_LENGTH.get(name, 0)
    for one in cut:
        other = whole[one["stream"], one["client"]["port"], one["first_frame"]]
        assert {key: one[key] for key in CHOSEN} == {key: other[key] for key in CHOSEN}
        assert one["client_hello"] is None
        assert {"truncated_packet", "gap"} <= {problem["code"] for problem in one["problems"]}
