"""DTLS handshakes whose datagrams are lost, reordered, repeated, cut, or among others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from datagrams import CLIENT, SERVER, Sent, facts, packet, sent, write, write_flows, write_packets
from dtlswriting import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, cid_record, fragment, record, unified
from hypothesis import given
from hypothesis import strategies as st
from tlswriting import extension, sized

import tlsdissect
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.limits import Limits
from tlsdissect.handshake.dtls import MAX_HANDSHAKES
from tlsdissect.handshake.dtls_messages import MAX_BEGUN
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ("dtls12-full", "dtls12-fragments", "dtls12-loss", "dtls12-client-cert", "dtls12-psk", "dtls12-gnutls")
FULL = sent("dtls12-full")
SAME_OR_NULL = (
    "version",
    "cipher_suite",
    "group",
    "signature_scheme",
    "extended_master_secret",
    "secure_renegotiation",
    "sni",
    "resumption",
    "hello_retry",
    "round_trips",
    "client_certificate_requested",
    "certificates",
    "client_certificates",
    "ja3",
    "ja3s",
    "ja4",
)


def one(tmp_path: Path, datagrams: Sent, **options: Any) -> dict[str, Any]:
    [found] = facts(write(tmp_path / "dtls.pcap", datagrams, **options))
    return found


def kinds(connection: dict[str, Any]) -> list[str]:
    return [f"{message['from']} {message['type']}" for message in connection["messages"]]


# ---------------------------------------------------------------- any loss, order and repetition


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dtls")


@given(sample=st.sampled_from(SAMPLES), data=st.data())
def test_any_loss_order_and_repetition_gives_the_same_facts_or_fewer(
    folder: Path, sample: str, data: st.DataObject
) -> None:
    original = sent(sample)
    [whole] = facts(write(folder / "whole.pcap", original))
    kept = data.draw(st.lists(st.sampled_from(range(len(original))), max_size=2 * len(original)))
    if data.draw(st.booleans()):
        kept.sort()
    found = facts(write(folder / "some.pcap", [original[n] for n in kept]))
    for connection in found:
        check(connection, whole)


def check(connection: dict[str, Any], whole: dict[str, Any]) -> None:
    """Check that a connection has the facts of the whole one, or null; what is lost is a problem or the end."""
    lost = []
    for key in SAME_OR_NULL:
        if connection[key] != whole[key]:
            assert connection[key] is None, key
            lost.append(key)
    assert connection["outcome"] in {whole["outcome"], "incomplete", "one_sided", "no_answer"}
    left = kinds(whole)
    for kind in kinds(connection):
        # A Finished that is sent again is known by the rest of its flight, which may be lost.
        assert kind in left or kind.endswith(" encrypted"), kind
        if kind in left:
            left.remove(kind)
    if connection["outcome"] == "established" and (lost or left):
        assert connection["problems"] or set(left) <= {"client alert", "server alert", "server hello_verify_request"}


@given(sample=st.sampled_from(SAMPLES), random=st.randoms(use_true_random=False))
def test_datagrams_that_overtake_others_and_come_twice_change_nothing(folder: Path, sample: str, random: Any) -> None:
    original = sent(sample)
    [whole] = facts(write(folder / "whole.pcap", original))
    order = sorted([*range(1, len(original))] * 2, key=lambda n: n + random.uniform(0, 3))
    [found] = facts(write(folder / "some.pcap", [original[n] for n in (0, *order)]))
    assert sorted(kinds(found)) == sorted(kinds(whole))
    for key in SAME_OR_NULL:
        assert found[key] == whole[key], key


@given(sample=st.sampled_from(SAMPLES), snap=st.integers(28, 500))
def test_any_snap_length_gives_the_same_facts_or_fewer(folder: Path, sample: str, snap: int) -> None:
    [whole] = facts(write(folder / "whole.pcap", sent(sample)))
    for connection in facts(write(folder / "some.pcap", sent(sample), snap=snap)):
        check_cut(connection, whole)


def check_cut(connection: dict[str, Any], whole: dict[str, Any]) -> None:
    for key in SAME_OR_NULL:
        assert connection[key] in (whole[key], None), key
    assert connection["outcome"] in {whole["outcome"], "incomplete", "one_sided", "no_answer"}


@given(st.lists(st.tuples(st.sampled_from([CLIENT, SERVER]), st.binary(max_size=120)), max_size=20))
def test_any_bytes_end_in_a_result(folder: Path, datagrams: Sent) -> None:
    path = write(folder / "any.pcap", [FULL[0], *datagrams])
    assert len(facts(path)) >= 1
    assert len(facts(path, keep=True)) >= 1


@given(sample=st.sampled_from(SAMPLES), data=st.data())
def test_any_damage_ends_in_a_result(folder: Path, sample: str, data: st.DataObject) -> None:
    datagrams = sent(sample)
    for _ in range(data.draw(st.integers(1, 4))):
        number = data.draw(st.integers(0, len(datagrams) - 1))
        side, payload = datagrams[number]
        place = data.draw(st.integers(0, len(payload) - 1))
        damaged = payload[:place] + data.draw(st.binary(max_size=4)) + payload[place + 1 :]
        datagrams[number] = side, damaged
    for connection in tlsdissect.read(write(folder / "damaged.pcap", datagrams), keep=True):
        for view in (tlsdissect.tree, tlsdissect.ladder, tlsdissect.explain):
            assert str(view(connection))


# ---------------------------------------------------------------- several handshakes on one flow


def renamed(datagrams: Sent, random: bytes) -> Sent:
    """The same datagrams with another random in the ClientHellos."""
    known = datagrams[0][1][27:59]
    return [(side, payload.replace(known, random)) for side, payload in datagrams]


def test_a_client_hello_with_another_random_begins_another_connection(tmp_path: Path) -> None:
    again = renamed(FULL, b"r" * 32)
    first, second = facts(write(tmp_path / "two.pcap", [*FULL, *again]))
    assert (first["stream"], second["stream"]) == (0, 0)
    assert kinds(first) == kinds(second)
    assert (first["complete"], second["complete"]) == (True, True)
    assert second["client_hello"]["random"] == (b"r" * 32).hex()
    assert (first["first_frame"], second["first_frame"]) == (1, len(FULL) + 1)
    assert (first["packets"], second["packets"]) == (len(FULL), len(FULL))
    assert first["problems"] == second["problems"] == []


def test_connections_of_a_flow_that_are_over_together_come_in_their_order(tmp_path: Path) -> None:
    hellos = [packet(*FULL[0]), packet(*renamed(FULL, b"r" * 32)[0])]
    later = [packet(CLIENT, b"no TLS", 50_000)] * 4
    first, second = facts(write_packets(tmp_path / "silent.pcap", [*hellos, *later], apart=301))
    assert (first["stream"], second["stream"]) == (0, 0)
    assert (first["first_frame"], second["first_frame"]) == (1, 2)


def test_data_under_old_keys_belongs_to_the_handshake_before(tmp_path: Path) -> None:
    """RFC 6347 section 4.2.8: the old keys are in use until the new handshake is over."""
    data = record(APPLICATION_DATA, b"x" * 40, epoch=1, sequence=9)
    again = renamed(FULL, b"r" * 32)
    _, second = facts(write(tmp_path / "two.pcap", [*FULL, again[0], (CLIENT, data), (SERVER, data), *again[1:]]))
    assert second["complete"]
    assert second["problems"] == []


def test_a_hello_that_is_sent_again_begins_no_other_connection(tmp_path: Path) -> None:
    side, payload = FULL[0]
    later = payload[:5] + (7).to_bytes(6, "big") + payload[11:]
    found = one(tmp_path, [FULL[0], (side, later), *FULL[1:]])
    assert found["dtls"]["retransmitted_messages"] == {"client": 1, "server": 0}
    assert kinds(found).count("client client_hello") == 2


def test_handshakes_beyond_the_limit_are_not_decoded(tmp_path: Path) -> None:
    hellos = [renamed(FULL[:1], number.to_bytes(32, "big"))[0] for number in range(MAX_HANDSHAKES + 10)]
    found = facts(write(tmp_path / "flood.pcap", hellos))
    assert len(found) == MAX_HANDSHAKES
    assert [problem["code"] for problem in found[-1]["problems"]] == ["limit"]
    assert found[-1]["packets"] == 11
    assert found[-2]["problems"] == []


# ---------------------------------------------------------------- among others on one flow

BINDING = bytes.fromhex("000100002112a442") + b"t" * 12
MEDIA = b"\x80\x60" + b"m" * 40


def channel_data(payload: bytes) -> bytes:
    return b"\x40\x01" + sized(payload)


def indication(payload: bytes, *, sent: bool) -> bytes:
    """A Send or Data indication: XOR-PEER-ADDRESS, then DATA (RFC 8656 section 11)."""
    padded = payload + bytes(-len(payload) % 4)
    attributes = bytes.fromhex("001200080001a1b2e112a643") + b"\x00\x13" + len(payload).to_bytes(2, "big") + padded
    return (b"\x00\x16" if sent else b"\x00\x17") + len(attributes).to_bytes(2, "big") + BINDING[4:] + attributes


CARRIERS = {
    "alone": lambda side, payload: payload,  # noqa: ARG005
    "channel": lambda side, payload: channel_data(payload),  # noqa: ARG005
    "indication": lambda side, payload: indication(payload, sent=side == CLIENT),
    "capwap": lambda side, payload: b"\x01\x00\x00\x00" + payload,  # noqa: ARG005
}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("sample", ["dtls12-full", "dtls12-fragments"])
def test_dtls_is_found_inside_turn_and_capwap(tmp_path: Path, sample: str, carrier: str) -> None:
    original = sent(sample)
    whole = one(tmp_path, original)
    found = one(tmp_path, [(side, CARRIERS[carrier](side, payload)) for side, payload in original])
    assert kinds(found) == kinds(whole)
    for key in (*SAME_OR_NULL, "outcome", "closure", "problems", "handshake_bytes"):
        assert found[key] == whole[key], key


def test_stun_and_media_on_the_flow_change_nothing_but_its_totals(tmp_path: Path) -> None:
    mixed: Sent = [(SERVER, BINDING), (CLIENT, BINDING)]
    for datagram in FULL:
        mixed += [datagram, (CLIENT, MEDIA), (SERVER, MEDIA)]
    found = one(tmp_path, mixed)
    assert found["outcome"] == "established"
    assert found["problems"] == []
    assert (found["first_frame"], found["client_hello"]["frame"]) == (1, 3)
    assert found["packets"] == len(mixed)
    assert found["bytes"] == sum(len(payload) for _, payload in mixed)
    assert found["client"] == {"ip": "192.0.2.1", "port": 40000}


def test_a_flow_without_a_hello_is_counted_and_is_no_connection(tmp_path: Path) -> None:
    alert = record(ALERT, b"\x02\x28")
    assert facts(write(tmp_path / "alert.pcap", [(CLIENT, alert)])) == []


# ---------------------------------------------------------------- what a capture lacks


def test_a_hello_that_nobody_answers(tmp_path: Path) -> None:
    assert one(tmp_path, FULL[:1])["outcome"] == "one_sided"
    assert one(tmp_path, [(SERVER, BINDING), FULL[0], (CLIENT, BINDING)], apart=2)["outcome"] == "no_answer"
    assert one(tmp_path, [(SERVER, BINDING), FULL[0]], apart=2)["outcome"] == "incomplete"


def test_one_direction_alone(tmp_path: Path) -> None:
    server = one(tmp_path, [datagram for datagram in FULL if datagram[0] == SERVER])
    assert (server["outcome"], server["client_hello"], server["version"]) == ("one_sided", None, "DTLS 1.2")
    assert server["client"] == {"ip": "192.0.2.1", "port": 40000}
    assert server["hello_retry"] is True
    assert "midstream" in [problem["code"] for problem in server["problems"]]
    client = one(tmp_path, [datagram for datagram in FULL if datagram[0] == CLIENT])
    assert (client["outcome"], client["version"], client["hello_retry"]) == ("one_sided", None, True)


def test_a_cookie_shows_that_the_first_hello_is_missing(tmp_path: Path) -> None:
    found = one(tmp_path, FULL[2:])
    assert (found["complete"], found["hello_retry"], found["hello_retry_request"]) == (True, True, None)
    assert found["round_trips"] == 3
    assert found["dtls"]["cookie_bytes"] == 20
    assert found["timing"]["handshake_ms"] is None
    assert [problem["code"] for problem in found["problems"]] == ["midstream"]


def test_a_request_before_the_server_hello_may_be_missing(tmp_path: Path) -> None:
    found = one(tmp_path, [FULL[0], *FULL[3:]])
    assert (found["complete"], found["hello_retry"], found["round_trips"]) == (True, None, None)


@pytest.mark.parametrize(
    ("lost", "detail"),
    [
        (slice(4, 6), "the handshake message with number 2 is not in the capture"),
        (slice(5, 6), "a handshake message has bytes missing"),
    ],
)
def test_missing_messages_are_gaps(tmp_path: Path, lost: slice, detail: str) -> None:
    datagrams = sent("dtls12-gnutls")
    del datagrams[lost]
    found = one(tmp_path, datagrams)
    assert [(problem["code"], problem["detail"], problem["frame"]) for problem in found["problems"]] == [
        ("gap", detail, 5)
    ]
    assert found["complete"]
    assert found["certificates"] is None


def test_a_missing_finished_is_no_refusal(tmp_path: Path) -> None:
    """Otherwise the closing alerts would be taken for the cause of a failure."""
    datagrams = sent("dtls12-gnutls")
    found = one(tmp_path, [*datagrams[:12], *datagrams[13:]])
    assert (found["complete"], found["outcome"]) == (False, "incomplete")
    assert "the Finished is not in the capture" in [problem["detail"] for problem in found["problems"]]


# ---------------------------------------------------------------- connection IDs and DTLS 1.3


def hello(kind: int, version: int, *extensions: bytes, message_seq: int = 0, suite: int = 0xC02F) -> bytes:
    """A ClientHello without a cookie, or a ServerHello, in a record."""
    start = version.to_bytes(2, "big") + b"r" * 32 + b"\x00"
    suites = (
        b"\x00" + sized(suite.to_bytes(2, "big")) + b"\x01\x00" if kind == 1 else suite.to_bytes(2, "big") + b"\x00"
    )
    body = start + suites + sized(b"".join(extensions))
    return record(HANDSHAKE, fragment(kind, message_seq, body), sequence=message_seq)


@pytest.mark.parametrize(
    ("identity", "shown"),
    [(b"sensor-7", "sensor-7"), ("Z\u00fcrich\n".encode(), r"Z\xc3\xbcrich\x0a"), (b"", None)],
)
def test_what_is_said_of_a_pre_shared_key(tmp_path: Path, identity: bytes, shown: str | None) -> None:
    flow = [
        (CLIENT, hello(1, 0xFEFD, suite=0xC0A8)),
        (SERVER, hello(2, 0xFEFD, suite=0xC0A8)),
        (SERVER, record(HANDSHAKE, fragment(12, 1, sized(b"plant 4")))),
        (CLIENT, record(HANDSHAKE, fragment(16, 1, sized(identity)))),
    ]
    found = one(tmp_path, flow)
    assert (found["psk_identity"], found["psk_identity_hint"]) == (shown, "plant 4".replace(" ", r"\x20"))
    # A part of it is not all of it.
    found = one(tmp_path, [*flow[:3], (CLIENT, record(HANDSHAKE, fragment(16, 1, sized(b"sensor-7")[:5])))])
    assert found["psk_identity"] is None
    # With another suite the same bytes are a public value.
    found = one(tmp_path, [(CLIENT, hello(1, 0xFEFD)), (SERVER, hello(2, 0xFEFD)), *flow[2:]])
    assert (found["psk_identity"], found["psk_identity_hint"]) == (None, None)


def cid(value: bytes) -> bytes:
    return extension(54, sized(value, 1))


def test_with_connection_ids_a_finished_is_the_first_record_of_its_epoch(tmp_path: Path) -> None:
    """RFC 9146: the content type is encrypted, too. Each side chooses the ID in the records that it receives."""
    change = record(CHANGE_CIPHER_SPEC, b"\x01", sequence=9)
    found = one(
        tmp_path,
        [
            (CLIENT, hello(1, 0xFEFD, cid(b"client"))),
            (SERVER, hello(2, 0xFEFD, cid(b"server-7")) + record(HANDSHAKE, fragment(14, 1, b""), sequence=1)),
            (
                CLIENT,
                record(HANDSHAKE, fragment(16, 1, b"key"), sequence=1) + change + cid_record(b"server-7", b"x" * 40),
            ),
            (SERVER, change + cid_record(b"client", b"x" * 40) + cid_record(b"client", b"y" * 60, sequence=1)),
        ],
    )
    assert found["dtls"]["connection_ids"] == {"client": b"client".hex(), "server": b"server-7".hex()}
    assert found["complete"]
    assert kinds(found)[-4:] == [
        "client change_cipher_spec",
        "client encrypted",
        "server change_cipher_spec",
        "server encrypted",
    ]
    assert found["problems"] == []


@pytest.mark.parametrize("ids", [(), (b"c-1", b"server")])
def test_epochs_tell_the_handshake_of_dtls_1_3(tmp_path: Path, ids: tuple[bytes, ...]) -> None:
    to_client, to_server = ids or (b"", b"")
    offered = [extension(43, b"\x02\xfe\xfc"), *([cid(to_client)] if ids else [])]
    selected = [extension(43, b"\xfe\xfc"), *([cid(to_server)] if ids else [])]
    server = [unified(2, b"x" * size, cid=to_client) for size in (31, 900, 61)]
    client = [unified(2, b"x" * size, cid=to_server) for size in (35, 61)]
    datagrams = [
        (CLIENT, hello(1, 0xFEFD, *offered, suite=0x1301)),
        (SERVER, hello(2, 0xFEFD, *selected, suite=0x1301)),
        (SERVER, b"".join(server)),
        (CLIENT, b"".join(client)),
        (SERVER, unified(3, b"x" * 35, cid=to_client)),
        (CLIENT, unified(3, b"x" * 50, cid=to_server)),
    ]
    found = one(tmp_path, datagrams)
    assert (found["version"], found["complete"], found["outcome"]) == ("DTLS 1.3", True, "established")
    assert found["round_trips"] == 1
    encrypted = [(message["from"], message["bytes"]) for message in found["messages"] if message["type"] == "encrypted"]
    # An acknowledgement (35 bytes) is no message.
    assert encrypted == [("server", 31), ("server", 900), ("server", 61), ("client", 61)]
    assert [problem["code"] for problem in found["problems"]] == ["inferred"]
    assert found["timing"]["handshake_ms"] == 3.0
    assert found["timing"]["client_data_ms"] == 5.0
    # Without an answer to the client's flight, it may have been lost.
    assert not one(tmp_path, datagrams[:4])["complete"]


def test_a_flight_is_no_acknowledgement_of_more_records_than_were_sent(tmp_path: Path) -> None:
    """Certificate, CertificateVerify and Finished in a record whose length is that of an ACK of 27 records."""
    datagrams = [
        (CLIENT, hello(1, 0xFEFD, extension(43, b"\x02\xfe\xfc"), suite=0x1301)),
        (SERVER, hello(2, 0xFEFD, extension(43, b"\xfe\xfc"), suite=0x1301) + unified(2, b"x" * 512)),
        (CLIENT, unified(2, b"x" * (19 + 27 * 16))),
        (SERVER, unified(3, b"x" * 35)),
    ]
    found = one(tmp_path, datagrams)
    encrypted = [(message["from"], message["bytes"]) for message in found["messages"] if message["type"] == "encrypted"]
    assert encrypted == [("server", 512), ("client", 451)]
    assert found["complete"]


def test_media_of_the_server_show_that_it_has_the_flight_of_the_client(tmp_path: Path) -> None:
    """Without them, the close_notify would be all that the server sends: the shape of a refusal."""
    offered = [extension(43, b"\x02\xfe\xfc"), extension(14, b"\x00\x02\x00\x01\x00")]
    handshake = [
        (SERVER, hello(2, 0xFEFD, extension(43, b"\xfe\xfc"), suite=0x1301) + unified(2, b"x" * 512)),
        (CLIENT, unified(2, b"x" * 61)),
    ]
    end = [(SERVER, unified(3, b"x" * 19)), (CLIENT, unified(3, b"x" * 19))]
    media = [(SERVER, MEDIA), (CLIENT, MEDIA), (SERVER, MEDIA)]
    call = [(CLIENT, hello(1, 0xFEFD, *offered, suite=0x1301)), *handshake, *media, *end]
    found = one(tmp_path, call)
    assert (found["outcome"], found["closure"]["server"]) == ("established", "inferred_alert")
    assert [problem["detail"] for problem in found["problems"]] == [
        "the end of the handshake is inferred from the epochs of records and from media"
    ]
    assert one(tmp_path, [*call[:3], *end])["outcome"] == "alert"
    no_offer = (CLIENT, hello(1, 0xFEFD, offered[0], suite=0x1301))
    assert one(tmp_path, [no_offer, *call[1:]])["outcome"] == "alert"
    early = [call[0], handshake[0], *media[:1], handshake[1], *end]
    assert one(tmp_path, early)["outcome"] == "alert"


@pytest.mark.parametrize(("last", "by"), [(3, "client"), (4, "server")])
def test_a_record_of_an_alerts_length_refuses_in_dtls_1_3(tmp_path: Path, last: int, by: str) -> None:
    datagrams = [
        (CLIENT, hello(1, 0xFEFD, extension(43, b"\x02\xfe\xfc"), suite=0x1301)),
        (SERVER, hello(2, 0xFEFD, extension(43, b"\xfe\xfc"), suite=0x1301)),
        (SERVER, unified(2, b"x" * 31) + unified(2, b"x" * 61)),
    ]
    if by == "client":
        datagrams.append((CLIENT, unified(2, b"x" * 19)))
    else:
        datagrams += [(CLIENT, unified(2, b"x" * 900) + unified(2, b"x" * 61)), (SERVER, unified(3, b"x" * 19))]
    assert len(datagrams) == last + 1
    found = one(tmp_path, datagrams)
    assert (found["complete"], found["outcome"], found["failed_by"]) == (False, "alert", by)


# ---------------------------------------------------------------- limits


def test_fragments_that_never_complete_are_given_up(tmp_path: Path) -> None:
    parts = [
        (SERVER, record(HANDSHAKE, fragment(11, number, b"x", length=900), sequence=number))
        for number in range(2, MAX_BEGUN + 4)
    ]
    found = one(tmp_path, [*FULL[:3], *parts])
    assert "limit" in [problem["code"] for problem in found["problems"]]


def test_the_beginning_of_a_hello_is_decoded(tmp_path: Path) -> None:
    body = FULL[0][1][25:]
    part = record(HANDSHAKE, fragment(1, 0, body[:100], length=len(body)))
    found = one(tmp_path, [(CLIENT, part)])
    assert found["client_hello"]["random"] == body[2:34].hex()
    assert found["client_hello"]["cipher_suites"][0] == "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
    assert (found["ja3"], kinds(found)) == (None, [])
    assert "gap" in [problem["code"] for problem in found["problems"]]


def test_half_open_flows_beyond_the_limit_are_given_up(tmp_path: Path) -> None:
    path = write_flows(tmp_path / "flood.pcap", [FULL[:1]] * 30)
    found = facts(path, limits=tlsdissect.Limits(followed=10))
    assert [one["stream"] for one in found] == list(range(30))
    assert [[problem["code"] for problem in one["problems"]] for one in found] == [["limit"]] * 20 + [[]] * 10


def test_flows_of_all_connections_share_a_budget(tmp_path: Path) -> None:
    path = write_flows(tmp_path / "flood.pcap", [FULL[:1]] * 30)
    found = facts(path, limits=tlsdissect.Limits(total_bytes=100_000))
    limited = [one for one in found if one["problems"]]
    assert len(found) == 30
    assert 0 < len(limited) < 30


def test_no_bytes_are_held_once_a_capture_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets: list[Budget] = []
    monkeypatch.setattr("tlsdissect.pipeline.Budget", lambda limits: budgets.append(Budget(limits)) or budgets[-1])
    part = record(HANDSHAKE, fragment(11, 2, b"x" * 500, length=900))
    for keep in (False, True):
        facts(write_flows(tmp_path / "flows.pcap", [FULL, [*FULL[:3], (SERVER, part)], FULL[:1]]), keep=keep)
    assert [budget.used for budget in budgets] == [0, 0]


def test_a_flow_ends_after_a_silence(tmp_path: Path) -> None:
    first, second = facts(write(tmp_path / "silence.pcap", [FULL[0], FULL[0]], apart=601))
    assert (first["packets"], second["packets"]) == (1, 1)


def test_what_is_sent_again_before_the_keys_has_no_mac(tmp_path: Path) -> None:
    """Of a suite without encryption, whose ChangeCipherSpec came before."""
    flow = sent("dtls12-no-encryption")
    at = max(n for n, (side, data) in enumerate(flow) if side == SERVER and data[0] == HANDSHAKE and data[4] == 0)
    again = flow[at][1][:10] + b"\x63" + flow[at][1][11:]
    [connection] = tlsdissect.read(write(tmp_path / "dtls.pcap", [*flow[: at + 2], (SERVER, again)]), keep=True)
    assert connection.dtls is not None
    assert connection.dtls.retransmitted_messages.server == 1
    assert str(tlsdissect.tree(connection)).count("    MAC ") == 2


def test_a_lost_acknowledgement_makes_no_failure_of_a_closed_connection(tmp_path: Path) -> None:
    """Of DTLS 1.3: the client's close_notify comes before the server's, whose data was lost, too."""
    flow = sent("dtls13-full")
    found = one(tmp_path, [*flow[:6], *flow[8:]])
    assert (found["outcome"], found["failed_by"]) == ("established", None)


def test_flows_of_which_only_data_was_captured_are_counted(tmp_path: Path) -> None:
    flow, data = sent("dtls12-full"), [one for one in FULL if one[1][0] == APPLICATION_DATA]
    assert data
    for datagrams, decoded, counted in ((data, 0, 1), (flow, 1, 0), ([*data, *flow], 1, 0), ([(0, b"x" * 20)], 0, 0)):
        reading = Reading([write(tmp_path / "some.pcap", datagrams)])
        assert (len(list(reading)), reading.summary.dtls) == (decoded, counted)
    # Data that comes after a silence belongs to a connection that was decoded.
    first, silence, later = (
        [packet(*one) for one in flow],
        [packet(CLIENT, b"x", 9)] * 2000,
        [packet(*one) for one in data],
    )
    path = write_packets(tmp_path / "some.pcap", [*first, *silence, *later])
    reading = Reading([path], Options(limits=Limits(udp_silent_after=1.0)))
    assert (len(list(reading)), reading.summary.dtls) == (1, 0)


@pytest.mark.parametrize(
    ("datagram", "counted"),
    [
        (record(ALERT, b"\1\0" + bytes(20), epoch=1), 1),
        (record(HANDSHAKE, bytes(40), epoch=2), 1),
        (record(APPLICATION_DATA, bytes(40), epoch=1, version=0x0100), 1),
        (cid_record(b"\7" * 8, bytes(40)), 1),
        (b"\1\0\0\0" + record(APPLICATION_DATA, bytes(40), epoch=1), 1),
        (b"\x40\1" + sized(record(APPLICATION_DATA, bytes(40), epoch=1)), 1),
        (unified(3, bytes(40)), 1),
        (unified(3, bytes(40), two_bytes=False) + unified(3, bytes(16)), 1),
        # Lengths that do not end where the datagram does, or that are missing, show nothing.
        (unified(3, bytes(40)) + b"\0", 0),
        (unified(3, bytes(40))[:-1], 0),
        (unified(3, bytes(15)), 0),
        (unified(3, bytes(40), length=False), 0),
        (unified(3, bytes(40), cid=b"\7" * 8), 0),
        (record(APPLICATION_DATA, bytes(40), epoch=1, version=0x0303), 0),
    ],
)
def test_records_after_the_handshake_are_counted(tmp_path: Path, datagram: bytes, counted: int) -> None:
    reading = Reading([write(tmp_path / "some.pcap", [(0, datagram), (1, datagram)])])
    assert (len(list(reading)), reading.summary.dtls) == (0, counted)


@pytest.mark.parametrize("name", ["dtls12-full", "dtls12-psk", "dtls13-full"])
def test_a_flow_that_was_captured_late_is_counted(tmp_path: Path, name: str) -> None:
    flow = sent(name)
    encrypted = [one for one in flow if not (one[1][0] in (20, 22) and one[1][3:5] == b"\0\0")]
    assert encrypted
    reading = Reading([write(tmp_path / "some.pcap", encrypted)])
    assert (len(list(reading)), reading.summary.dtls) == (0, 1)


def test_unified_headers_that_the_snap_length_cuts(tmp_path: Path) -> None:
    datagram = unified(3, bytes(40)) + unified(3, bytes(60))
    for snap, counted in ((28 + 46, 0), (28 + 50, 1), (28 + 60, 1)):
        reading = Reading([write(tmp_path / "some.pcap", [(0, datagram)], snap=snap)])
        assert (len(list(reading)), reading.summary.dtls) == (0, counted)
