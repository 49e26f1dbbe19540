"""The facts of the EAP samples: those they were recorded for, and those that tshark reads."""

from __future__ import annotations

import hashlib
import struct
from functools import cache
from typing import Any

import pytest
from recorded import INFERRED_WITH_END, ROOT, facts, packets
from tshark_rows import HANDSHAKE_TYPES, Row, packet_rows, values

import tlsdissect
from tlsdissect.model.transcript import Places, kept

FOLDER = ROOT / "samples" / "eap"
SUPPLICANT, AUTHENTICATOR = "02:00:00:00:00:01", "02:00:00:00:00:02"
ALICE, ANONYMOUS = "alice@sample.example", "anonymous@sample.example"

GOOD = {"complete": True, "outcome": "established", "failed_by": None, "result": "success"}
TLS12 = GOOD | {"version": "TLS 1.2", "resumption": "none", "round_trips": 2, "certificates": ["localhost", "smplca"]}
TLS13 = GOOD | {"version": "TLS 1.3", "resumption": "none", "round_trips": 1, "certificates": None}
RESUMED12 = {"resumption": "session_id", "round_trips": 1, "certificates": []}
RESUMED13 = {"resumption": "psk", "certificates": []}
NO_HANDSHAKE = {"complete": False, "round_trips": None, "result": "failure"}
NO_SERVER = NO_HANDSHAKE | {"outcome": "alert", "failed_by": "client"}
"""The supplicant refused the server's certificate."""
NO_SUPPLICANT = NO_HANDSHAKE | {"outcome": "closed", "failed_by": "server"}
"""The server refused the supplicant's certificate; FreeRADIUS sends no alert then."""
NO_PASSWORD = {"result": "failure"}
"""The handshake succeeded, the authentication inside of it did not."""

CASES = {
    "radius-tls": [{}],
    "radius-tls-server-refused": [NO_SERVER],
    "radius-tls-supplicant-refused": [NO_SUPPLICANT],
    "radius-tls-resumed": [{}, {"12": RESUMED12, "13": RESUMED13}],
    "radius-peap": [{}],
    "radius-peap-server-refused": [NO_SERVER],
    "radius-peap-wrong-password": [NO_PASSWORD],
    "radius-ttls": [{}],
    "radius-ttls-server-refused": [NO_SERVER],
    "radius-ttls-wrong-password": [NO_PASSWORD],
    "eapol-tls": [{}],
    "eapol-tls-server-refused": [NO_SERVER],
    "eapol-tls-supplicant-refused": [NO_SUPPLICANT],
    "eapol-ttls": [{}],
    "eapol-ttls-server-refused": [NO_SERVER],
    "eapol-peap": [{}],
    "eapol-peap-wrong-password": [NO_PASSWORD],
}
STORIES: dict[str, list[dict[str, Any]]] = {
    f"{name}-tls{version}": [full | story.get(version, story) for story in stories]
    for version, full in (("12", TLS12), ("13", TLS13))
    for name, stories in CASES.items()
}
STORIES["radius-fast-tls12"] = [TLS12, TLS12 | RESUMED12 | {"resumption": "ticket"}]
METHODS = {"tls": "EAP-TLS", "peap": "PEAP", "ttls": "EAP-TTLS", "fast": "EAP-FAST"}


@cache
def read(name: str) -> list[dict[str, Any]]:
    return facts(FOLDER / f"{name}.pcap")


def test_every_sample_has_a_story() -> None:
    assert sorted(STORIES) == sorted(path.stem for path in FOLDER.glob("*.pcap"))


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str) -> None:
    carrier, method, *_ = name.split("-")
    connections = read(name)
    assert [one["stream"] for one in connections] == list(range(len(STORIES[name])))
    for connection, story in zip(connections, STORIES[name], strict=True):
        assert {key: shown(connection, key) for key in story} == story
        assert connection["problems"] == (
            [] if story.get("outcome") != "closed" or story["version"] == "TLS 1.2" else INFERRED
        )
        eap = connection["eap"]
        assert (eap["method"], eap["carrier"]) == (METHODS[method], carrier)
        assert eap["identity"] == (ALICE if method == "tls" else ANONYMOUS)
        if carrier == "eapol":
            assert (eap["supplicant"], eap["authenticator"]) == (SUPPLICANT, AUTHENTICATOR)
            assert connection["client"] == {"ip": None, "port": None, "mac": SUPPLICANT}
            assert connection["server"] == {"ip": None, "port": None, "mac": AUTHENTICATOR}
        else:
            assert eap["supplicant"] == SUPPLICANT.replace(":", "-")
            assert eap["authenticator"] == AUTHENTICATOR.replace(":", "-") + ":sample"
            assert connection["server"] == {"ip": "127.0.0.1", "port": 1812}


INFERRED = [
    {
        "code": "inferred",
        "detail": "EAP-Failure is the server's only answer to the client's flight",
        "frame": None,
        "offset": None,
        "copies": None,
        "facts": list(INFERRED_WITH_END),
        "from": None,
    }
]


def shown(connection: dict[str, Any], key: str) -> object:
    """Show a fact; certificates by their common names."""
    if key == "certificates" and connection[key] is not None:
        names = [dict(part.split("=") for part in one["subject"].split(",")) for one in connection[key]]
        return [name["CN"] for name in names]
    return connection["eap"]["result"] if key == "result" else connection[key]


def test_both_certificates_are_in_the_clear_in_tls_1_2() -> None:
    for name in ("radius-tls-tls12", "eapol-tls-tls12"):
        [connection] = read(name)
        assert connection["client_certificate_requested"] is True
        alice, authority = connection["client_certificates"]
        assert (alice["subject"], authority["is_ca"]) == ("CN=Alice,O=Sample captures", True)


def test_a_second_login_resumes_the_first_one() -> None:
    first, second = read("radius-tls-resumed-tls12")
    assert (first["resumes"], second["resumes"]) == (None, {"source": second["source"], "stream": 0})


def test_the_commitment_message_is_no_alert() -> None:
    """RFC 9190 section 2.5: a record of application data with one byte ends the server's part of EAP-TLS 1.3."""
    for name in ("radius-tls-tls13", "eapol-tls-tls13"):
        [connection] = read(name)
        assert connection["alerts"] == []
        assert connection["closure"] == {"client": None, "server": None}
        assert connection["timing"]["server_record_ms"] is not None


# ---------------------------------------------------------------- with a key log

SERVER13 = ["encrypted_extensions", "certificate", "certificate_verify", "finished"]
BOTH13 = ["encrypted_extensions", "certificate_request", *SERVER13[1:]]
"""Of a server that asks for the supplicant's certificate, as EAP-TLS does."""
ALICE13 = ["certificate", "certificate_verify", "finished"]
OPENED: dict[str, list[tuple[list[str], list[str]]]] = {
    "radius-tls": [(BOTH13, ALICE13)],
    "radius-tls-server-refused": [(BOTH13, [])],
    "radius-tls-supplicant-refused": [(BOTH13, ALICE13)],
    "radius-tls-resumed": [
        ([*BOTH13, "new_session_ticket"], ALICE13),
        (["encrypted_extensions", "finished", "new_session_ticket"], ["finished"]),
    ],
    "eapol-tls-server-refused": [(BOTH13, [])],
    "eapol-tls-supplicant-refused": [(BOTH13, ALICE13)],
    "eapol-ttls-server-refused": [(SERVER13, [])],
    "radius-peap-server-refused": [(SERVER13, [])],
    "radius-ttls-server-refused": [(SERVER13, [])],
    "eapol-tls": [(BOTH13, ALICE13)],
}
"""What keys open of TLS 1.3 in each conversation, by server and supplicant; of the others, that of a full handshake."""


@pytest.mark.parametrize("name", [name for name in STORIES if (FOLDER / f"{name}.keys").exists()])
def test_story_with_keys(name: str) -> None:
    """The tunnel is opened to its Finished; of what PEAP and EAP-TTLS say in it, nothing is."""
    path, about = FOLDER / f"{name}.pcap", name.rpartition("-")[0]
    connections = facts(path, keylog=path.with_suffix(".keys"))
    expected = OPENED.get(about, [(SERVER13, ["finished"])])
    for connection, clear, (server, client) in zip(connections, read(name), expected, strict=True):
        assert connection | {"hidden": None, "keys": None} == clear
        hidden = connection["hidden"]
        sent = {side: [m["type"] for m in hidden["messages"] if m["from"] == side] for side in ("server", "client")}
        of_tls12 = {"server": ["finished"], "client": ["finished"]}
        assert sent == (of_tls12 if name.endswith("tls12") else {"server": server, "client": client})
        assert hidden["problems"] == []
        assert not hidden["alerts"]
        if name.endswith("tls12"):
            assert hidden["certificates"] is hidden["client_certificate_requested"] is None
            continue
        names = [one["subject"].split("CN=")[1].split(",")[0] for one in hidden["certificates"] or []]
        assert names == (["localhost", "smplca"] if "certificate" in server else [])
        assert hidden["client_certificate_requested"] is ("certificate_request" in server)
        shown = [one["subject"] for one in hidden["client_certificates"] or []][:1]
        whose = "Mallory" if about.endswith("supplicant-refused") else "Alice"
        assert shown == [f"CN={whose},O=Sample captures"] * ("certificate" in client)


@pytest.mark.parametrize("name", ["radius-tls", "eapol-tls"])
def test_with_keys_tls_1_3_shows_what_tls_1_2_shows(name: str) -> None:
    [clear] = read(f"{name}-tls12")
    [connection] = facts(FOLDER / f"{name}-tls13.pcap", keylog=FOLDER / f"{name}-tls13.keys")
    for key in ("certificates", "client_certificates"):
        subjects = [one["subject"] for one in connection["hidden"][key]]
        assert subjects == [one["subject"] for one in clear[key]] != []


# ---------------------------------------------------------------- beside tshark

FIELDS = (
    "frame.number",
    "frame.time_epoch",
    "eap.code",
    "eap.type",
    "eap.len",
    "udp.length",
    "tls.handshake.type",
    "tls.alert_message.desc",
    "tls.handshake.ja3",
    "tls.handshake.ja3s",
    "tls.handshake.random",
    "tls.handshake.certificate",
)
HIDDEN = {"encrypted", "change_cipher_spec", "alert"}
ALERTS = {"48": "unknown_ca"}


@cache
def told_by_tshark(name: str) -> list[list[Row]]:
    """Rows of every conversation. An EAP-Response/Identity begins one in RADIUS."""
    conversations: list[list[Row]] = []
    begins = ("2", "1") if name.startswith("radius") else ("1", "1")
    for row in packet_rows(FOLDER / f"{name}.pcap", FIELDS):
        if (row["eap.code"], row["eap.type"].partition(",")[0]) == begins:
            conversations.append([])
        if row["eap.code"]:
            conversations[-1].append(row)
    return conversations


each_sample = pytest.mark.parametrize("name", STORIES)


@each_sample
def test_conversations_are_those_of_tshark(name: str) -> None:
    conversations = told_by_tshark(name)
    assert len(read(name)) == len(conversations)
    for connection, rows in zip(read(name), conversations, strict=True):
        assert connection["first_frame"] == int(rows[0]["frame.number"])
        assert connection["packets"] == len(rows)
        sizes = [int(row["udp.length"]) - 8 if row["udp.length"] else int(row["eap.len"]) for row in rows]
        assert connection["bytes"] == sum(sizes)


@each_sample
def test_messages_are_those_of_tshark(name: str) -> None:
    """Of a message that ends in an earlier fragment of a flight, tshark knows only the frame of the last fragment."""
    for connection, rows in read_by_both(name):
        theirs = values(rows, "tls.handshake.type")
        ours = [one for one in connection["messages"] if one["type"] not in HIDDEN]
        assert [one["type"] for one in ours] == [HANDSHAKE_TYPES[value] for _, value in theirs]
        frames = [(one["frame"], frame) for one, (frame, _) in zip(ours, theirs, strict=True)]
        assert all(mine <= frame for mine, frame in frames)
        alerts = [(frame, ALERTS[value]) for frame, value in values(rows, "tls.alert_message.desc")]
        assert [(one["frame"], one["description"]) for one in connection["alerts"]] == alerts


def read_by_both(name: str) -> list[tuple[dict[str, Any], list[dict[str, str]]]]:
    """Connections with tshark's rows, without those in which tshark takes the hellos for encrypted."""
    both = list(zip(read(name), told_by_tshark(name), strict=True))
    unread = [one for one, rows in both if not any(row["tls.handshake.ja3"] for row in rows)]
    assert len(unread) == (name == "radius-tls-resumed-tls12")
    return [(one, rows) for one, rows in both if one not in unread]


@each_sample
def test_hellos_and_certificates_are_those_of_tshark(name: str) -> None:
    for connection, rows in read_by_both(name):
        first = next(row for row in rows if row["tls.handshake.ja3"])
        assert connection["ja3"] == first["tls.handshake.ja3"]
        assert connection["client_hello"]["random"] == first["tls.handshake.random"]
        assert connection["ja3s"] == next(row["tls.handshake.ja3s"] for row in rows if row["tls.handshake.ja3s"])
        sent = [bytes.fromhex(value) for _, value in values(rows, "tls.handshake.certificate")]
        shown = [*(connection["certificates"] or []), *(connection["client_certificates"] or [])]
        assert [one["sha256"] for one in shown] == [hashlib.sha256(der).hexdigest() for der in sent]


@each_sample
def test_times_are_those_of_tshark(name: str) -> None:
    for connection, rows in zip(read(name), told_by_tshark(name), strict=True):
        at = {int(row["frame.number"]): float(row["frame.time_epoch"]) for row in rows}
        took = at[connection["server_hello"]["frame"]] - at[connection["client_hello"]["frame"]]
        assert connection["timing"]["server_hello_ms"] == pytest.approx(1000 * took, abs=0.002)


# ---------------------------------------------------------------- the bytes


@each_sample
def test_every_byte_has_its_place_in_the_frames(name: str) -> None:
    """EAP-Message attributes of RADIUS cut a fragment into pieces of 253 bytes."""
    sent = [packet for _, packet in packets(FOLDER / f"{name}.pcap")]
    for connection in tlsdissect.read(FOLDER / f"{name}.pcap", keep=True):
        transcript = kept(connection).transcript
        places = {side: Places(transcript, side) for side in ("client", "server")}
        for record in transcript.records:
            spans = places[record.sender].spans(record.start, record.start + 5 + record.length, record.frame)
            found = b"".join(sent[one.frame - 1][one.offset : one.offset + one.length] for one in spans)
            assert found[:5] == struct.pack(">BHH", record.content_type, record.version, record.length)
            assert record.fragment in (None, found[5:])
            assert len(found) == 5 + record.length


def test_a_ticket_that_keys_open_is_tied_to_the_login_that_resumes_with_it() -> None:
    path = FOLDER / "radius-tls-resumed-tls13.pcap"
    first, second = facts(path, keylog=path.with_suffix(".keys"))
    assert first["hidden"]["session_tickets"]
    assert (first["hidden"]["resumes"], second["hidden"]["resumes"]) == (None, {"source": str(path), "stream": 0})
