"""What the samples tell: as recorded on purpose, and as tshark reads the same files."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest
from recorded import ROOT, SAMPLES, facts
from tshark_rows import HANDSHAKE_TYPES, Row, by_stream, values

FULL12 = {
    "version": "TLS 1.2",
    "complete": True,
    "outcome": "established",
    "failed_by": None,
    "cipher_suite": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "group": "x25519",
    "signature_scheme": "rsa_pss_rsae_sha256",
    "extended_master_secret": True,
    "secure_renegotiation": True,
    "sni": "localhost",
    "resumption": "none",
    "early_data": "none",
    "hello_retry": False,
    "round_trips": 2,
    "renegotiations": 0,
    "upgrade": None,
    "client_certificate_requested": False,
    "alerts": "server, client",
}
RESUMED12 = FULL12 | {"group": None, "signature_scheme": None, "round_trips": 1, "certificates": []}
FULL13 = {
    "version": "TLS 1.3",
    "complete": True,
    "outcome": "established",
    "failed_by": None,
    "cipher_suite": "TLS_AES_128_GCM_SHA256",
    "group": "x25519",
    "signature_scheme": None,
    "extended_master_secret": None,
    "secure_renegotiation": None,
    "sni": "localhost",
    "resumption": "none",
    "early_data": "none",
    "hello_retry": False,
    "round_trips": 1,
    "renegotiations": 0,
    "upgrade": None,
    "certificates": None,
    "client_certificate_requested": None,
    "alerts": "",
}
RESUMED13 = FULL13 | {"resumption": "psk", "certificates": []}
REFUSED = {"complete": False, "outcome": "alert", "round_trips": None}
UNANSWERED = REFUSED | {"failed_by": "server", "version": None, "cipher_suite": None, "group": None, "resumption": None}
ALERT = "{0} fatal {1}".format

STORIES: dict[str, list[dict[str, object]]] = {
    "tls12-full": [FULL12],
    "tls12-resumed-ticket": [FULL12, RESUMED12 | {"resumption": "ticket"}],
    "tls12-resumed-id": [FULL12, RESUMED12 | {"resumption": "session_id"}],
    "tls12-dhe": [FULL12 | {"cipher_suite": "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "group": None, "dh_bits": 2048}],
    "tls12-static-rsa": [
        FULL12 | {"cipher_suite": "TLS_RSA_WITH_AES_128_GCM_SHA256", "group": None, "signature_scheme": None},
    ],
    "tls12-client-cert": [FULL12 | {"client_certificate_requested": True}],
    "tls12-client-cert-missing": [
        FULL12
        | REFUSED
        | {
            "failed_by": "server",
            "client_certificate_requested": True,
            "client_certificates": [],
            "alerts": ALERT("server", "handshake_failure"),
        },
    ],
    "tls12-unknown-ca": [FULL12 | REFUSED | {"failed_by": "client", "alerts": ALERT("client", "unknown_ca")}],
    "tls12-no-common-suite": [UNANSWERED | {"alerts": ALERT("server", "handshake_failure")}],
    "tls12-renegotiation": [FULL12 | {"renegotiations": 1}],
    "tls13-full": [FULL13],
    "tls13-resumed": [FULL13, RESUMED13],
    "tls13-hello-retry": [FULL13 | {"group": "secp384r1", "hello_retry": True, "round_trips": 2}],
    "tls13-early-data": [FULL13, RESUMED13 | {"early_data": "accepted", "round_trips": 0}],
    "tls13-early-data-rejected": [FULL13, FULL13 | {"early_data": "rejected"}],
    "tls13-client-cert": [FULL13],
    "tls13-client-cert-rejected": [FULL13 | REFUSED | {"failed_by": "server"}],
    "tls13-unknown-ca": [FULL13 | REFUSED | {"failed_by": "client", "alerts": ALERT("client", "unknown_ca")}],
    "tls13-no-common-version": [UNANSWERED | {"alerts": ALERT("server", "protocol_version")}],
    "smtp-starttls": [FULL12 | {"upgrade": "smtp"}],
    "tomcat-tls12": [FULL12],
    "tomcat-tls13": [FULL13 | {"cipher_suite": "TLS_AES_256_GCM_SHA384"}],
    "tomcat-firefox-tls12": [
        FULL12 | {"cipher_suite": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "alerts": "client, server"}
    ],
    "tomcat-firefox-resumed": [FULL13, RESUMED13],
}


@cache
def read(name: str) -> list[dict[str, object]]:
    return facts(ROOT / "samples" / f"{name}.pcap")


def test_every_sample_has_a_story_and_a_key_log() -> None:
    assert sorted(STORIES) == [sample.stem for sample in SAMPLES]
    assert [sample.stem for sample in SAMPLES if not sample.with_suffix(".keys").exists()] == []


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str) -> None:
    stories, connections = STORIES[name], read(name)
    assert [one["stream"] for one in connections] == list(range(len(stories)))
    for story, connection in zip(stories, connections, strict=True):
        assert {key: shown(connection, key) for key in story} == story


def shown(connection: dict[str, object], key: str) -> object:
    """Show a fact; alerts in words."""
    if key != "alerts":
        return connection[key]
    return ", ".join(" ".join(filter(None, (one["from"], one["level"], one["description"]))) for one in connection[key])


# ---------------------------------------------------------------- single facts


def test_first_flight_of_tls_1_2() -> None:
    """The talk's picture: four messages of the server in one packet, then two round trips are over."""
    [connection] = read("tls12-full")
    assert [(one["from"], one["type"]) for one in connection["messages"]] == [
        ("client", "client_hello"),
        ("server", "server_hello"),
        ("server", "certificate"),
        ("server", "server_key_exchange"),
        ("server", "server_hello_done"),
        ("client", "client_key_exchange"),
        ("client", "change_cipher_spec"),
        ("client", "encrypted"),
        ("server", "new_session_ticket"),
        ("server", "change_cipher_spec"),
        ("server", "encrypted"),
        ("server", "alert"),
        ("client", "alert"),
    ]
    flight = [one for one in connection["messages"] if one["from"] == "server"][:4]
    assert len({one["frame"] for one in flight}) == 1


def test_chain() -> None:
    [connection] = read("tls12-full")
    leaf, root = connection["certificates"]
    assert "CN=localhost" in leaf["subject"]
    assert "OU=Loopback web server" in leaf["subject"]
    assert "webmaster@localhost" in leaf["subject"]
    assert "CN=smplca" in leaf["issuer"]
    assert leaf["issuer"] == root["subject"] == root["issuer"]
    assert (leaf["is_ca"], root["is_ca"]) == (False, True)
    assert (leaf["self_signed"], root["self_signed"]) == (False, True)
    assert (leaf["key_type"], leaf["key_bits"], leaf["curve"]) == ("RSA", 2048, None)
    assert (leaf["not_before"], leaf["not_after"]) == ("2025-01-01T00:00:00Z", "2045-01-01T00:00:00Z")
    assert leaf["dns_names"] == ["localhost"]
    assert leaf["ip_addresses"] == ["::1"]
    assert leaf["ocsp_urls"] == ["http://localhost:2560/"]
    assert leaf["crl_urls"] == ["http://localhost/sample.crl"]


def test_client_certificate_in_the_clear() -> None:
    [connection] = read("tls12-client-cert")
    assert [one["subject"] for one in connection["client_certificates"]] == ["CN=Alice,O=Sample captures"]
    [authority] = connection["certificate_request"]["authorities"]
    assert "CN=smplca" in authority


def test_hello_retry() -> None:
    [connection] = read("tls13-hello-retry")
    assert connection["client_hello"]["key_shares"] == ["x25519"]
    assert connection["hello_retry_request"]["group"] == "secp384r1"
    types = [one["type"] for one in connection["messages"]]
    assert types.index("hello_retry_request") < types.index("server_hello")
    assert types.count("client_hello") == 2


def test_frames_tell_the_way_of_firefox() -> None:
    """Firefox to Tomcat, resumed: no certificate, one round trip (the talk's first picture)."""
    _, resumed = read("tomcat-firefox-resumed")
    offered = [one["type"] for one in resumed["client_hello"]["extensions"]]
    assert offered[-1] == "pre_shared_key"
    assert [one["type"] for one in resumed["server_hello"]["extensions"]].count("pre_shared_key") == 1
    assert resumed["certificates"] == []
    assert resumed["client_hello"]["version"] == "TLS 1.2"


# ---------------------------------------------------------------- beside tshark

ALERTS = {"0": "close_notify", "40": "handshake_failure", "48": "unknown_ca", "70": "protocol_version"}
FIELDS = (
    "tcp.stream",
    "frame.number",
    "frame.time_epoch",
    "tcp.len",
    "tls.handshake.type",
    "tls.alert_message.desc",
    "tls.handshake.extensions_server_name",
    "tls.handshake.ja3",
    "tls.handshake.ja3s",
    "tls.handshake.random",
    "tls.handshake.certificate",
)


@cache
def told_by_tshark(name: str) -> dict[int, list[Row]]:
    """Rows of every TCP stream."""
    return by_stream(ROOT / "samples" / f"{name}.pcap", FIELDS, "-d", "tcp.port==8443,tls")


each_sample = pytest.mark.parametrize("name", STORIES)


@each_sample
def test_conversations_are_those_of_tshark(name: str) -> None:
    streams = told_by_tshark(name)
    assert [one["stream"] for one in read(name)] == sorted(streams)
    for connection in read(name):
        rows = streams[connection["stream"]]
        assert connection["packets"] == len(rows)
        assert connection["bytes"] == sum(int(row["tcp.len"]) for row in rows)
        assert connection["first_frame"] == int(rows[0]["frame.number"])


@each_sample
def test_messages_are_those_of_tshark(name: str) -> None:
    for connection in read(name):
        rows = told_by_tshark(name)[connection["stream"]]
        theirs = [(frame, HANDSHAKE_TYPES[value]) for frame, value in values(rows, "tls.handshake.type")]
        ours = [
            (one["frame"], one["type"].replace("hello_retry_request", "server_hello"))
            for one in connection["messages"]
            if one["type"] not in {"encrypted", "change_cipher_spec", "alert"}
        ]
        assert ours == theirs


@each_sample
def test_alerts_are_those_of_tshark(name: str) -> None:
    for connection in read(name):
        rows = told_by_tshark(name)[connection["stream"]]
        theirs = [(frame, ALERTS[value]) for frame, value in values(rows, "tls.alert_message.desc")]
        assert [(one["frame"], one["description"]) for one in connection["alerts"] if one["description"]] == theirs


@each_sample
def test_hellos_are_those_of_tshark(name: str) -> None:
    for connection in read(name):
        rows = told_by_tshark(name)[connection["stream"]]
        first = next(row for row in rows if row["tls.handshake.ja3"])
        assert connection["sni"] == (first["tls.handshake.extensions_server_name"] or None)
        assert connection["ja3"] == first["tls.handshake.ja3"]
        assert connection["client_hello"]["random"] == first["tls.handshake.random"]
        assert connection["client_hello"]["frame"] == int(first["frame.number"])
        answers = [row for row in rows if row["tls.handshake.ja3s"]]
        assert connection["ja3s"] == (answers[-1]["tls.handshake.ja3s"] if answers else None)


@each_sample
def test_certificates_are_those_of_tshark(name: str) -> None:
    for connection in read(name):
        rows = told_by_tshark(name)[connection["stream"]]
        sent = [bytes.fromhex(value) for _, value in values(rows, "tls.handshake.certificate")]
        shown = [*(connection["certificates"] or []), *(connection["client_certificates"] or [])]
        assert [(one["sha256"], one["bytes"]) for one in shown] == [
            (hashlib.sha256(der).hexdigest(), len(der)) for der in sent
        ]


@each_sample
def test_times_are_those_of_tshark(name: str) -> None:
    for connection in read(name):
        rows = told_by_tshark(name)[connection["stream"]]
        at = {
            kind: float(row["frame.time_epoch"]) for row in rows[::-1] for kind in row["tls.handshake.type"].split(",")
        }
        measured = connection["timing"]["server_hello_ms"]
        if "2" not in at:
            assert measured is None
        elif not connection["hello_retry"]:
            assert measured == pytest.approx(1000 * (at["2"] - at["1"]), abs=0.002)
