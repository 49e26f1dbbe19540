"""QUIC conversations written packet by packet: lost, repeated and reordered datagrams, hostile bytes, limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quicwriting import INITIAL, T051, V1, V2, Sent, close, crypto, handshake, header, initial, negotiation, pcap, short
from recorded import facts, snapped

import tlsdissect
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.limits import Limits
from tlsdissect.flows.udp_protocols import QUIC
from tlsdissect.handshake import datagrams, quic, quic_keys
from tlsdissect.handshake.options import Options
from tlsdissect.model.transcript import KeptConnection
from tlsdissect.pipeline import Reading
from tlsdissect.views.tree import tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.udp import UdpFlow

LINES = (Path(__file__).parent / "handshake" / "quic_vectors.txt").read_text().splitlines()
VECTORS = {name: bytes.fromhex(value) for name, value in (line.split() for line in LINES[1:])}
HELLO = VECTORS["v1_client_frames"][4:]
ANSWER = VECTORS["v1_server_frames"].partition(b"\x06\x00")[2][2:]
ACK = bytes.fromhex("0200000000")
ORIGINAL, CLIENT, SERVER, RETRIED = (bytes([number]) * 8 for number in (1, 2, 3, 4))


def retry(to: bytes, by: bytes, original: bytes, token: bytes = b"token") -> bytes:
    """A Retry of version 1 with its tag (RFC 9001 section 5.8)."""
    packet = header(3, V1, to, by) + token
    key, nonce = bytes.fromhex("be0c690b9f66575a1d766b54e368c84e"), bytes.fromhex("461599d35d632bf2239825bb")
    return packet + quic_keys.AESGCM(key).encrypt(nonce, b"", bytes([len(original)]) + original + packet)


def course(client: bytes = CLIENT, *, keyed: bytes = ORIGINAL, token: bytes = b"", number: int = 0) -> list[Sent]:
    """A full handshake: the ClientHello in two datagrams, the answer in two."""
    first, second = crypto(100, HELLO[100:]), crypto(0, HELLO[:100])
    return [
        Sent(initial(first, keyed, client, keyed=keyed, number=number, token=token)),
        Sent(initial(second, keyed, client, keyed=keyed, number=number + 1, token=token)),
        Sent(
            initial(ACK + crypto(0, ANSWER), client, SERVER, side="server", keyed=keyed, number=number, size=200)
            + handshake(client, SERVER, 900),
            by_client=False,
        ),
        Sent(handshake(client, SERVER, 700), by_client=False),
        Sent(initial(ACK, SERVER, client, keyed=keyed, number=number + 2)),
        Sent(handshake(SERVER, client, 60) + short(SERVER)),
        Sent(short(client), by_client=False),
        Sent(short(client), by_client=False),
    ]


def read(path: Path, datagrams: Sequence[Sent], **options: Any) -> list[dict[str, Any]]:
    path.write_bytes(pcap(datagrams))
    return facts(path, **options)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quic") / "written.pcap"


def test_a_written_conversation(path: Path) -> None:
    [one] = read(path, course())
    assert (one["outcome"], one["round_trips"], one["sni"]) == ("established", 1, "example.com")
    assert one["client_hello"]["segments"] == 2
    assert one["quic"]["initial_packets"] == {"client": 3, "server": 1}
    assert [(each["type"], each["frame"]) for each in one["messages"]] == [
        ("client_hello", 2),
        ("server_hello", 3),
        ("encrypted", 3),
        ("encrypted", 4),
        ("encrypted", 6),
    ]
    assert one["messages"][2]["bytes"] == 900
    assert one["packets"] == 8


@pytest.mark.parametrize("client", [CLIENT, b""])
def test_a_retry(path: Path, client: bytes) -> None:
    first = Sent(initial(crypto(0, HELLO), ORIGINAL, client))
    again = course(client, keyed=RETRIED, token=b"token", number=1)
    answer = Sent(retry(client, RETRIED, ORIGINAL), by_client=False)
    [one] = read(path, [first, answer, *again])
    assert (one["quic"]["retry"], one["round_trips"]) == (True, 2)
    assert one["quic"]["original_destination_connection_id"] == ORIGINAL.hex()
    assert one["client_hello"]["frame"] == 1
    once_more = Sent(initial(crypto(0, HELLO), ORIGINAL, client, number=1))
    [late] = read(path, [first, answer, once_more, *again])
    assert late["quic"]["initial_packets"]["client"] == one["quic"]["initial_packets"]["client"] + 1
    [begun_late] = read(path, again)
    assert (begun_late["quic"]["retry"], begun_late["round_trips"]) == (None, None)
    if client:
        [unseen] = read(path, [first, *again])
        assert (unseen["quic"]["retry"], unseen["round_trips"]) == (True, 2)


def test_another_hello_after_a_retry_counts(path: Path) -> None:
    """What aioquic sends, though RFC 9000 section 17.2.5.3 forbids it."""
    other = HELLO.replace(b"example.com", b"example.net")
    first = Sent(initial(crypto(0, other), ORIGINAL, CLIENT))
    answer = Sent(retry(CLIENT, RETRIED, ORIGINAL), by_client=False)
    again = course(keyed=RETRIED, token=b"token", number=1)
    for begin in ([first, answer], [first, answer, first], [first]):
        [one] = read(path, [*begin, *again])
        hello = len(begin) + 2
        assert (one["sni"], one["client_hello"]["frame"], one["round_trips"]) == ("example.com", hello, 2)
        assert [problem["code"] for problem in one["problems"]] == ["conflicting_data", "inferred"]
        assert "after the Retry" in one["problems"][0]["detail"]
    [late] = read(path, [first, answer, *again[:2], first, *again[2:]])
    assert (late["sni"], late["client_hello"]["frame"]) == ("example.com", 4)


def test_a_retry_with_a_wrong_tag_is_dropped(path: Path) -> None:
    first = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT))
    [one] = read(path, [first, Sent(retry(CLIENT, RETRIED, SERVER), by_client=False), *course()])
    assert (one["quic"]["retry"], one["complete"]) == (False, True)


def test_a_token_of_an_earlier_connection_is_no_retry(path: Path) -> None:
    [one] = read(path, course(token=b"of an earlier connection"))
    assert (one["quic"]["retry"], one["round_trips"]) == (False, 1)


def test_google_quic_with_tls_has_frames_of_its_own(path: Path) -> None:
    """CRYPTO is 0x08, PING 0x07, and 0x40 to 0x7f are ACK, as in Chromium's QuicFramer."""
    ack = b"\x65\x00\x09\x00\x00\x01\x00\x03\x02\x00\x02" + b"\x02" + bytes(8)
    hello, answer = (b"\x08" + crypto(offset, data)[1:] for offset, data in ((0, HELLO), (0, ANSWER)))
    datagrams = [
        Sent(initial(b"\x07" + hello, ORIGINAL, b"", version=T051)),
        Sent(
            initial(ack + answer, b"", ORIGINAL, side="server", keyed=ORIGINAL, version=T051)
            + handshake(b"", ORIGINAL, version=T051),
            by_client=False,
        ),
        Sent(handshake(ORIGINAL, b"", 60, version=T051) + short(ORIGINAL)),
        Sent(short(b""), by_client=False),
    ]
    [one], [plain] = read(path, datagrams), read(path, course())
    assert one["quic"]["version"] == "T051"
    same = ("sni", "version", "cipher_suite", "outcome", "round_trips", "ja3", "ja3s", "ja4")
    assert [one[key] for key in same] == [plain[key] for key in same]
    assert one["client_hello"]["random"] == plain["client_hello"]["random"]
    path.write_bytes(pcap(datagrams))
    [kept] = tlsdissect.read(path, keep=True)
    assert isinstance(kept, KeptConnection)
    shown = str(tree(kept))
    assert "time_count" in shown
    assert "no frame" not in shown


@pytest.mark.parametrize("version", [V2, 0x1A2A3A4A])
def test_version_negotiation(path: Path, version: int) -> None:
    refused = Sent(
        initial(crypto(0, HELLO), ORIGINAL, CLIENT, version=version)
        if version == V2
        else header(INITIAL, version, ORIGINAL, CLIENT) + bytes(1200)
    )
    answer = Sent(negotiation(CLIENT, ORIGINAL, [V1]), by_client=False)
    [one] = read(path, [refused, answer, *course(keyed=RETRIED)])
    assert (one["quic"]["version"], one["quic"]["version_negotiation"], one["round_trips"]) == ("1", True, 2)
    assert (one["first_frame"], one["client_hello"]["frame"], one["packets"]) == (1, 4, 10)
    # One that lists the version, or does not answer the client's packet, is dropped (RFC 9000 section 6.2).
    for wrong in (negotiation(CLIENT, ORIGINAL, [version]), negotiation(CLIENT, SERVER, [V1])):
        told = read(path, [refused, Sent(wrong, by_client=False), *course(keyed=RETRIED)])
        assert [one["quic"]["version_negotiation"] for one in told] in ([False], [False, False])


def test_a_version_negotiation_whose_first_initial_is_missing(path: Path) -> None:
    """It belongs to the connection if that has the client's ID; if not, that is not known."""
    answer = Sent(negotiation(CLIENT, ORIGINAL, [V1]), by_client=False)
    [one] = read(path, [answer, *course(keyed=RETRIED)])
    assert (one["quic"]["version_negotiation"], one["round_trips"]) == (True, 2)
    for client, versions in ((b"\7" * 8, [V1]), (CLIENT, [V2])):
        other = Sent(negotiation(CLIENT, ORIGINAL, versions), by_client=False)
        [one] = read(path, [other, *course(client, keyed=RETRIED)])
        assert (one["quic"]["version_negotiation"], one["round_trips"]) == (None, None)
        assert [problem["code"] for problem in one["problems"]] == ["gap", "inferred"]


def test_a_version_negotiation_that_the_client_drops(path: Path) -> None:
    begin = course()
    [one] = read(path, [*begin[:2], Sent(negotiation(CLIENT, ORIGINAL, [V2]), by_client=False), *begin[2:]])
    assert (one["quic"]["version_negotiation"], one["round_trips"], one["outcome"]) == (False, 1, "established")


def test_a_refused_version_without_another_attempt(path: Path) -> None:
    refused = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT, version=V2))
    later = Sent(b"\0", port=50_000)
    [one] = read(path, [refused, Sent(negotiation(CLIENT, ORIGINAL, [V1]), by_client=False), *[later] * 200])
    assert (one["outcome"], one["quic"]["version"], one["quic"]["version_negotiation"]) == ("incomplete", "2", True)


def test_no_answer_and_one_side(path: Path) -> None:
    first, later = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT)), Sent(b"\0", port=50_000)
    acknowledged = Sent(initial(ACK, CLIENT, SERVER, side="server", keyed=ORIGINAL, size=60), by_client=False)
    assert [one["outcome"] for one in read(path, [first, first, *[later] * 200])] == ["one_sided"]
    assert [one["outcome"] for one in read(path, [first, acknowledged, *[later] * 200])] == ["no_answer"]
    assert [one["outcome"] for one in read(path, [first, acknowledged])] == ["incomplete"]


@pytest.mark.parametrize(
    ("code", "outcome", "shown"),
    [(0x128, "alert", "CRYPTO_ERROR"), (0x02, "closed", "CONNECTION_REFUSED"), (0x4000, "closed", "0x4000")],
)
def test_connection_close(path: Path, code: int, outcome: str, shown: str) -> None:
    first = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT))
    frames = close(code, b"no \x1b[31m")
    answer = Sent(initial(frames, CLIENT, SERVER, side="server", keyed=ORIGINAL), by_client=False)
    [one] = read(path, [first, answer, answer])
    assert (one["outcome"], one["failed_by"]) == (outcome, "server")
    assert one["quic"]["close"] == {"from": "server", "code": shown, "reason": r"no \x1b[31m", "frame": 2}
    assert [each["description"] for each in one["alerts"]] == ["handshake_failure"] * (outcome == "alert")


def test_several_connections_of_the_same_endpoints(path: Path) -> None:
    others = [bytes([number]) * 8 for number in (11, 12)]
    second = [
        Sent(each.data.replace(SERVER, others[1]), each.by_client) for each in course(others[0], keyed=bytes(8))[:2]
    ]
    told = read(path, [*course(), *second, Sent(short(SERVER)), *second])
    assert [one["stream"] for one in told] == [0, 0]
    assert [one["quic"]["original_destination_connection_id"] for one in told] == [ORIGINAL.hex(), bytes(8).hex()]
    assert [(one["first_frame"], one["packets"]) for one in told] == [(1, 9), (9, 4)]
    assert [one["complete"] for one in told] == [True, False]


def test_connections_without_client_ids_are_told_apart_by_their_keys(path: Path) -> None:
    """Their packets may take turns: the keys follow from the ID that the client chose (RFC 9001 section 5.2)."""
    other = HELLO.replace(b"example.com", b"example.net")
    first, second = (Sent(initial(crypto(0, hello), to, b"")) for hello, to in ((HELLO, ORIGINAL), (other, RETRIED)))
    answers = [
        Sent(
            initial(crypto(0, ANSWER), b"", by, side="server", keyed=keyed) + handshake(b"", by, size),
            by_client=False,
        )
        for keyed, by, size in ((ORIGINAL, SERVER, 900), (RETRIED, b"\x09" * 8, 800))
    ]
    for order in (answers, answers[::-1]):
        told = read(path, [first, second, *order])
        assert [one["sni"] for one in told] == ["example.com", "example.net"]
        assert [one["messages"][-1]["bytes"] for one in told] == [900, 800]
        assert [[problem["code"] for problem in one["problems"]] for one in told] == [["capture_end"]] * 2


def test_without_the_clients_initials_nothing_is_a_connection(path: Path) -> None:
    assert read(path, course()[2:]) == []


SERVER_FACTS = ("version", "cipher_suite", "group", "ja3s", "hello_retry", "server_hello")
SNAP = 42 + 300
"""A snap length that keeps the server's Initial packets, which are shorter than the client's."""


def test_a_cut_client_hello_does_not_hide_the_server(path: Path, tmp_path: Path) -> None:
    """The keys of the server's Initial packets follow from the client's header (RFC 9001 section 5.2)."""
    for client in (CLIENT, b""):
        [whole] = read(path, course(client))
        [one] = facts(snapped(path, SNAP, tmp_path / "cut.pcap"))
        assert {key: one[key] for key in SERVER_FACTS} == {key: whole[key] for key in SERVER_FACTS}
        assert (one["client_hello"], one["sni"], one["ja3"], one["ja4"]) == (None, None, None, None)
        assert (one["outcome"], one["packets"]) == ("established", 8)
        assert one["quic"] == {
            **whole["quic"],
            "initial_packets": {"client": 0, "server": 1},
            "transport_parameters": None,
        }
        assert [(each["code"], each["from"], each["frame"]) for each in one["problems"]] == [
            ("truncated_packet", "client", 1),
            ("gap", "client", 6),
            ("inferred", None, None),
        ]


def test_a_cut_client_hello_after_its_answer_does_not_hide_the_server(path: Path, tmp_path: Path) -> None:
    first, second, answer, *rest = course()
    read(path, [answer, first, second, *rest])
    [one] = facts(snapped(path, SNAP, tmp_path / "cut.pcap"))
    assert (one["cipher_suite"], one["client_hello"]) == ("TLS_AES_128_GCM_SHA256", None)


def test_a_cut_packet_begins_no_connection_without_an_answer_that_opens(path: Path, tmp_path: Path) -> None:
    first, second, answer, *rest = course()
    damaged = Sent(answer.data[:60] + bytes([answer.data[60] ^ 1]) + answer.data[61:], by_client=False)
    for sent in ([first, second], [first, second, damaged, *rest], [first, second, *course(b"\7" * 8)[2:]]):
        read(path, sent)
        assert facts(snapped(path, SNAP, tmp_path / "cut.pcap")) == []


def test_a_retry_between_cut_packets(path: Path, tmp_path: Path) -> None:
    first = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT))
    answer = Sent(retry(CLIENT, RETRIED, ORIGINAL), by_client=False)
    again = course(keyed=RETRIED, token=b"token", number=1)
    read(path, [first, answer, *again])
    [one] = facts(snapped(path, SNAP, tmp_path / "cut.pcap"))
    assert (one["quic"]["retry"], one["cipher_suite"]) == (True, "TLS_AES_128_GCM_SHA256")
    assert one["quic"]["original_destination_connection_id"] == ORIGINAL.hex()
    for begin in ([first, *again], again):
        read(path, begin)
        [one] = facts(snapped(path, SNAP, tmp_path / "cut.pcap"))
        assert (one["quic"]["retry"], one["cipher_suite"]) == (None, "TLS_AES_128_GCM_SHA256")


def test_a_version_negotiation_between_cut_packets(path: Path, tmp_path: Path) -> None:
    refused = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT, version=V2))
    answer = Sent(negotiation(CLIENT, ORIGINAL, [V1]), by_client=False)
    read(path, [refused, answer, *course(keyed=RETRIED)])
    [one] = facts(snapped(path, SNAP, tmp_path / "cut.pcap"))
    assert (one["quic"]["version"], one["quic"]["version_negotiation"]) == ("1", True)
    assert one["quic"]["original_destination_connection_id"] == RETRIED.hex()


def test_early_data_shows_the_keys_of_the_server_without_the_clients_initial(path: Path) -> None:
    early = Sent(header(1, V1, ORIGINAL, CLIENT) + b"\x40\x64" + b"\x5a" * 100)
    _, _, answer, *rest = course()
    [one] = read(path, [early, answer])
    assert (one["cipher_suite"], one["client_hello"]) == ("TLS_AES_128_GCM_SHA256", None)
    # It may follow a Retry, whose token only Initial packets repeat.
    assert one["quic"]["retry"] is None
    gap = "the capture lacks the Initial packets of this side"
    assert (one["problems"][0]["detail"], one["problems"][0]["frame"]) == (gap, 2)
    [one] = read(path, [early, answer, *rest])
    assert (one["problems"][0]["detail"], one["outcome"]) == (gap, "established")


def test_the_second_half_of_a_client_hello_does_not_hide_the_server(path: Path) -> None:
    for lost in (0, 1):
        sent = course()
        del sent[lost]
        [one] = read(path, sent)
        assert (one["cipher_suite"], one["ja4"]) == ("TLS_AES_128_GCM_SHA256", None)
        assert {"gap"} <= {each["code"] for each in one["problems"]}


KEYS = (
    "sni",
    "ja3",
    "ja4",
    "ja3s",
    "cipher_suite",
    "group",
    "version",
    "failed_by",
    "hello_retry",
    "early_data",
    "resumption",
)


@settings(deadline=None)
@given(data=st.data())
def test_any_order_loss_and_repetition_gives_the_same_facts_or_fewer_with_a_problem(
    path: Path, data: st.DataObject
) -> None:
    sent = course()
    if data.draw(st.booleans(), "with a Retry"):
        sent = [
            Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT)),
            Sent(retry(CLIENT, RETRIED, ORIGINAL), by_client=False),
            *course(keyed=RETRIED, token=b"token", number=1),
        ]
    numbers = data.draw(st.lists(st.integers(0, len(sent) - 1), max_size=2 * len(sent)))
    if data.draw(st.booleans()):
        numbers = [*dict.fromkeys([*numbers, *range(len(sent))])]
    [expected] = read(path, sent)
    told = read(path, [sent[number] for number in numbers])
    assert len(told) <= 1
    for one in told:
        if sent[numbers[0]].data[0] & 0x80:
            # Before a long header, the flow may be of any protocol.
            assert one["packets"] == len(numbers)
        wrong = {key: one[key] for key in KEYS if one[key] not in (expected[key], None)}
        assert wrong == {}
        if {0, 1, 2} <= set(numbers):
            assert one["quic"]["retry"] == expected["quic"]["retry"]
        for hello in ("client_hello", "server_hello"):
            if one[hello] is not None and not any(each["code"] == "gap" for each in one["problems"]):
                assert one[hello]["random"] == expected[hello]["random"]
        if set(numbers) == set(range(len(sent))):
            assert {key: one[key] for key in KEYS} == {key: expected[key] for key in KEYS}
            assert one["quic"]["retry"] == expected["quic"]["retry"]
        elif any(one[key] != expected[key] for key in KEYS):
            assert one["problems"] or not one["complete"]


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_any_bytes_on_udp_end_in_a_result(path: Path, data: st.DataObject) -> None:
    sent = [each.data for each in course()] + [retry(CLIENT, RETRIED, ORIGINAL), negotiation(CLIENT, ORIGINAL, [V1])]
    datagrams = []
    for number in data.draw(st.lists(st.integers(0, len(sent)), max_size=8)):
        damaged = bytearray(sent[number]) if number < len(sent) else bytearray(data.draw(st.binary(max_size=60)))
        for at, value in data.draw(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=3)):
            damaged[at : at + 1] = bytes([value])
        cut = data.draw(st.integers(0, len(damaged)))
        datagrams.append(Sent(bytes(damaged[:cut] if data.draw(st.booleans()) else damaged), data.draw(st.booleans())))
    path.write_bytes(pcap(datagrams))
    reading = Reading([path], data.draw(st.sampled_from([Options(), Options(keep=True), Options(idle=1.0, keep=True)])))
    for connection in reading:
        assert msgspec.json.encode(connection)
        assert str(tlsdissect.explain(connection))
        if isinstance(connection, KeptConnection):
            assert str(tlsdissect.tree(connection))
            assert str(tlsdissect.ladder(connection))
    assert reading._budget.used == 0


@settings(deadline=None)
@given(frames=st.binary(max_size=80), server=st.booleans())
def test_any_frames_in_an_initial_packet_end_in_a_result(path: Path, frames: bytes, *, server: bool) -> None:
    first = Sent(initial(crypto(0, HELLO) + (b"" if server else frames), ORIGINAL, CLIENT))
    answer = Sent(initial(frames, CLIENT, SERVER, side="server", keyed=ORIGINAL), by_client=False)
    [one] = read(path, [first, answer] if server else [first])
    assert one["sni"] == "example.com"


def test_other_bytes_at_the_same_offset_are_a_problem(path: Path) -> None:
    """RFC 9000 section 2.2; the same bytes again are none."""
    first, *rest = course()
    again, other = (Sent(initial(crypto(150, data), ORIGINAL, CLIENT, number=5)) for data in (HELLO[150:], b"other"))
    [one] = read(path, [first, again, *rest])
    assert [problem["code"] for problem in one["problems"]] == ["inferred"]
    [one] = read(path, [first, *rest, other])
    assert [problem["code"] for problem in one["problems"]] == ["inferred"]  # the handshake is over
    [one] = read(path, [first, *rest[:2], other, *rest[2:]])
    assert [(problem["code"], problem["frame"]) for problem in one["problems"]][:1] == [("conflicting_data", 4)]
    assert one["problems"][0]["offset"] == 150
    assert one["problems"][0]["copies"] == [
        {"frame": None, "bytes": HELLO[150:155].hex(), "used": True, "hop_limit": None},
        {"frame": 4, "bytes": b"other".hex(), "used": False, "hop_limit": None},
    ]
    assert (one["outcome"], one["sni"]) == ("established", "example.com")


# ---------------------------------------------------------------- limits


def follow(datagrams: Sequence[Sent], path: Path, **limits: Any) -> tuple[list[Any], Reading]:
    path.write_bytes(pcap(datagrams))
    reading = Reading([path], Options(limits=Limits(**limits)))
    return list(reading), reading


def hellos(many: int, *, port: int | None = None) -> list[Sent]:
    """Initial packets of as many connections, each from a port of its own unless one is given."""
    return [
        Sent(
            initial(crypto(0, HELLO), number.to_bytes(8, "big"), b"\5" + number.to_bytes(4, "big")), port=port or number
        )
        for number in range(1024, 1024 + many)
    ]


def test_connections_of_one_flow_are_limited(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic, "MAX_CONNECTIONS", 5)
    told, _ = follow(hellos(9, port=7000), path)
    assert len(told) == 5
    assert [one.packets for one in told] == [1, 1, 1, 1, 5]
    assert [problem.code for problem in told[4].problems] == ["limit"]


def test_connections_that_an_answer_begins_are_limited_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic, "MAX_CONNECTIONS", 2)
    sent: list[Sent] = []
    for number in range(10, 14):
        original, client, server = (bytes([number, which]) * 4 for which in range(3))
        answer = initial(crypto(0, ANSWER), client, server, side="server", keyed=original, size=200)
        early = header(1, V1, original, client) + b"\x40\x64" + b"\x5a" * 100
        sent += [Sent(early), Sent(answer, by_client=False)]
    told = read(path, sent)
    assert [one["cipher_suite"] for one in told] == ["TLS_AES_128_GCM_SHA256"] * 2
    assert ["limit" in [problem["code"] for problem in one["problems"]] for one in told] == [False, True]


def test_flows_that_never_finish_are_given_up(path: Path) -> None:
    told, reading = follow(hellos(60), path, followed=20)
    assert len(told) == 60
    assert reading.summary.given_up == 40
    assert [one.problems[0].code for one in told[:40]] == ["limit"] * 40


def test_memory_is_the_budgets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is accounted is returned, and no more is held than allowed."""
    used: list[int] = []

    class Watched(quic.QuicFollower):
        def __init__(self, flow: UdpFlow, budget: Budget, *others: Any) -> None:
            super().__init__(flow, budget, *others)
            self.budget = budget

        def feed(self, packet: Packet, sender: int) -> None:
            super().feed(packet, sender)
            used.append(self.budget.used)

    monkeypatch.setitem(cast("dict[str, Any]", datagrams.FOLLOWERS), QUIC, Watched)
    junk = [Sent(header(INITIAL, V1, bytes([n % 256]) * 8, b"") + bytes(1200)) for n in range(50)]
    told, reading = follow([*hellos(100), *junk, *course()], path, total_bytes=100_000)
    assert len(told) == 101
    assert reading._budget.used == 0
    assert 80_000 < max(used) < 110_000
    assert reading.summary.given_up > 50


def test_keys_are_derived_at_most_twice_for_an_initial(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    derived = []
    expand = quic_keys.hkdf_expand

    def counted(secret: bytes, infos: tuple[bytes, ...], hash_name: str) -> list[bytes]:
        # The secret of a side is expanded alone, its keys together.
        derived.extend([secret] * (len(infos) > 1))
        return expand(secret, infos, hash_name)

    monkeypatch.setattr(quic_keys, "hkdf_expand", counted)
    junk = [Sent(header(INITIAL, V1, n.to_bytes(8, "big"), b"\7") + bytes(1200)) for n in range(1000, 1200)]
    follow([*course(), *junk], path)
    assert 0 < len(derived) <= 2 + 2 * len(junk)


def test_budget_of_the_whole_reading_is_not_touched_by_other_udp(path: Path) -> None:
    told, reading = follow([Sent(b"\0\1\2\3" * 10)] * 20, path)
    assert (told, reading._budget.used) == ([], 0)
    assert isinstance(reading._budget, Budget)


def test_an_id_that_was_sent_encrypted_counts_once_it_comes_again(path: Path) -> None:
    """The first packet with it is the server's answer then. Random bytes, as of a Stateless Reset, are none."""
    *handshaking, _, _ = course()
    new, other = Sent(short(b"\x66" * 8), by_client=False), Sent(short(b"\x66" * 8, 41), by_client=False)
    [one] = read(path, [*handshaking, new, other])
    [usual] = read(path, course())
    assert (one["outcome"], one["timing"]) == ("established", usual["timing"])
    resets = [Sent(b"\x41" + bytes([number]) * 40, by_client=False) for number in (7, 8, 9)]
    # What was captured twice came once.
    for others in (resets, [new], [new, new]):
        [one] = read(path, [*handshaking, *others])
        assert one["outcome"] == "incomplete"
    # Before the client's first 1-RTT packet, an answer is no evidence that the client's flight came.
    [one] = read(path, [*handshaking[:-1], new, handshaking[-1], other])
    later = usual["timing"]["server_record_ms"] + 10
    assert (one["outcome"], one["timing"]["server_record_ms"]) == ("established", later)


def test_a_connection_is_returned_when_its_handshake_is_decided(path: Path) -> None:
    """And not again at the end; what comes later is another connection, or nothing."""
    path.write_bytes(pcap([*course(), *[Sent(short(SERVER))] * 5]))
    reading = Reading([path], Options(idle=1.0))
    [(place, one)] = list(reading.placed())
    assert (place.frame, one.open, one.packets, one.outcome) == (7, True, 7, "established")
    assert reading._budget.used == 0
    first = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT))
    refused = Sent(initial(close(0x128), CLIENT, SERVER, side="server", keyed=ORIGINAL), by_client=False)
    path.write_bytes(pcap([first, refused, first, *course(b"\7" * 8, keyed=RETRIED)[:2]]))
    told = [(place.frame, one.outcome) for place, one in Reading([path], Options(idle=1.0)).placed()]
    assert [outcome for _, outcome in told] == ["alert", "one_sided"]
    assert told[0][0] == 2
