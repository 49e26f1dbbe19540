"""DTLS handshakes as trees, ladders and explanations."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from datagrams import CLIENT, SERVER, sent, write
from dtlswriting import HANDSHAKE, fragment, record, unified
from recorded import ROOT
from test_tree import bytes_of, leaves, uneven
from tlswriting import extension, sized

import tlsdissect
from tlsdissect import tree
from tlsdissect.tls.dtls import ACK, MESSAGE_HEADER
from tlsdissect.views.ladder.model import drawn

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.views.tree.model import Node

SAMPLES = sorted((ROOT / "samples" / "dtls").glob("*.pcap"), key=lambda path: path.stem)
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)


def kept(path: Path) -> list[tlsdissect.Connection]:
    return list(tlsdissect.read(path, keep=True))


def named(connection: tlsdissect.Connection, name: str) -> list[Node]:
    """The parts of records of a name."""
    return [part for record in tree(connection).records for part in record.node.children if part.name == name]


# ---------------------------------------------------------------- trees


@each_sample
def test_leaves_cover_every_byte_of_every_record_once(sample: Path) -> None:
    for connection in kept(sample):
        whole = tree(connection)
        assert uneven(whole) == []
        records = Counter(at for record in whole.records for at in bytes_of(record.node.bytes))
        parts = Counter(at for record in whole.records for part in record.node.children for at in bytes_of(part.bytes))
        assert parts == records
        drawn = Counter(
            (record.sender, part.name, sum(span.length for span in part.bytes))
            for record in whole.records
            for part in record.node.children
        )
        told = Counter(
            (one.sender, one.type, one.bytes + MESSAGE_HEADER)
            for one in connection.messages
            if one.type not in ("encrypted", "change_cipher_spec", "alert")
        )
        assert told - drawn == Counter()


def test_fragments_of_a_message_are_its_parts() -> None:
    [connection] = kept(ROOT / "samples" / "dtls" / "dtls12-fragments.pcap")
    [certificate] = named(connection, "certificate")
    assert len({span.frame for span in certificate.bytes}) == 7
    fragments = named(connection, "fragment")
    assert {part.meaning for part in fragments} == {
        "certificate, which began in frame 4",
        "server_key_exchange, which began in frame 10",
    }
    assert [child.name for child in fragments[0].children] == [
        "msg_type",
        "length",
        "message_seq",
        "fragment_offset",
        "fragment_length",
    ]


def test_what_was_sent_again_is_marked() -> None:
    [connection] = kept(ROOT / "samples" / "dtls" / "dtls12-loss.pcap")
    again = [part for part in named(connection, "fragment") if part.children[-1].name == "repeated"]
    assert "server_hello, which began in frame 5" in {part.meaning for part in again}
    assert "client_key_exchange, which began in frame 22" in {part.meaning for part in again}


def test_a_message_with_a_hole_is_shown_as_far_as_it_was_captured(tmp_path: Path) -> None:
    datagrams = [one for number, one in enumerate(sent("dtls12-fragments")) if number != 5]
    [connection] = kept(write(tmp_path / "hole.pcap", datagrams))
    [certificate] = named(connection, "certificate")
    assert certificate.problem == "the rest of the message is not in the capture"
    assert certificate.children[-1].name == "unread"
    assert uneven(tree(connection)) == []


def test_headers_are_cited() -> None:
    [connection] = kept(ROOT / "samples" / "dtls" / "dtls12-full.pcap")
    [first, *_] = tree(connection).records
    assert first.node.reference == "RFC 6347 section 4.1"
    assert [leaf.name for leaf in leaves(first.node)][:5] == ["type", "version", "epoch", "sequence_number", "length"]
    [request] = named(connection, "hello_verify_request")
    assert request.children[-1].name == "cookie"


# ---------------------------------------------------------------- ladders and explanations


def test_a_ladder_has_the_datagrams_that_were_sent_again() -> None:
    [connection] = kept(ROOT / "samples" / "dtls" / "dtls12-loss.pcap")
    again = [arrow for arrow in drawn(connection).arrows if arrow.kind == "again"]
    assert [arrow.frames[0] for arrow in again] == [2, 11, 12, 17, 18, 19, 20, 21, 23, 24, 25]
    assert again[0].labels == ("171 bytes sent again",)


def test_a_ladder_shows_each_part_of_a_flight_at_its_own_time() -> None:
    """The certificate came whole only with the second copy of the flight; the rest was there a second before."""
    [connection] = kept(ROOT / "samples" / "dtls" / "dtls12-loss.pcap")
    flight = [arrow for arrow in drawn(connection).arrows if arrow.sender == "server" and arrow.kind == "clear"][1:3]
    assert [arrow.labels for arrow in flight] == [
        ("server_hello 61", "server_key_exchange 296", "server_hello_done 0"),
        ("certificate 2088",),
    ]
    assert [(arrow.frames, round(arrow.ms or 0)) for arrow in flight] == [((5, 10), 1030), ((13, 16), 2057)]
    sent = {packet.frame: packet.length for packet in connection.transcript.packets}
    # The ServerHello of frame 12 has an arrow as one that was sent again.
    assert [arrow.bytes for arrow in flight] == [
        sum(sent[at] for at in frames) for frames in (range(5, 11), range(13, 17))
    ]


def test_a_ladder_counts_the_bytes_of_record_headers() -> None:
    [connection] = kept(ROOT / "samples" / "dtls" / "dtls12-full.pcap")
    arrows = drawn(connection).arrows
    payload = {packet.frame: packet.length for packet in connection.transcript.packets}
    assert [arrow.bytes for arrow in arrows[:6]] == [payload[arrow.frames[0]] for arrow in arrows[:6]]


def explained(sample: str) -> dict[str, str]:
    """The sentences about a sample by their codes; of those with one code, the last."""
    [connection] = kept(ROOT / "samples" / "dtls" / f"{sample}.pcap")
    return {sentence.code: sentence.text for sentence in tlsdissect.explain(connection).sentences}


def test_the_cookie_and_its_round_trip_are_explained() -> None:
    found = explained("dtls12-full")
    assert "sent a cookie of 20 bytes and asked for it back (HelloVerifyRequest)" in found["hello_retry"]
    assert found["trip_retry"].startswith("Round trip 1: the ClientHello, and the server's request for its cookie")
    assert found["trip_keys"].startswith("Round trip 3:")
    assert "no_tcp_handshake" not in found
    assert "flight_again" not in found


def test_fragments_and_flights_that_were_sent_again_are_explained() -> None:
    found = explained("dtls12-loss")
    assert found["fragments"].startswith("The server sent messages in 11 fragments")
    assert found["flight_again"].startswith("The client sent 1 datagram again, 1,029 ms after its latest datagram: its")
    more = "1 datagram of the client after 1,027 ms, 10 datagrams of the server after 1,027 ms and 3 datagrams of the "
    assert found["flight_again_more"] == f"3 more flights were sent again: {more}client after 1,022 ms."
    assert "6 datagrams" in found["flight_segments"]


@each_sample
def test_every_view_shows_every_sample(sample: Path) -> None:
    for connection in kept(sample):
        assert str(tlsdissect.ladder(connection))
        assert str(tlsdissect.explain(connection))
        assert str(tree(connection))


def test_a_cookie_of_dtls_13_is_the_reason_of_a_second_hello(tmp_path: Path) -> None:
    """A HelloRetryRequest without a group (RFC 9147 section 5.1)."""
    flow = sent("dtls13-full")
    random = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    extensions = extension(43, b"\xfe\xfc") + extension(44, sized(b"cookie"))
    body = b"\xfe\xfd" + random + b"\0" + b"\x13\x01\0" + sized(extensions)
    retry = record(HANDSHAKE, fragment(2, 0, body))
    path = write(tmp_path / "cookie.pcap", [flow[0], (SERVER, retry)])
    [connection] = tlsdissect.read(path, keep=True)
    said = " ".join(sentence.text for sentence in tlsdissect.explain(connection).about("choice"))
    assert "sent a cookie of 6 bytes and asked for it back (HelloRetryRequest)" in said
    assert "another ClientHello" not in said


@pytest.mark.parametrize(
    ("sample", "code", "text"),
    [
        (
            "dtls12-psk",
            "psk_identity_visible",
            "The client's PSK identity, which names the pre-shared key (RFC 4279 section 2): sensor-7.",
        ),
        ("dtls12-srtp", "use_srtp", "with SRTP_AES128_CM_HMAC_SHA1_80 "),
        ("dtls12-full", None, ""),
    ],
)
def test_pre_shared_keys_and_media(sample: str, code: str | None, text: str) -> None:
    [connection] = kept(ROOT / "samples" / "dtls" / f"{sample}.pcap")
    said = [one for one in tlsdissect.explain(connection).sentences if one.code in {"psk_identity_visible", "use_srtp"}]
    assert [one.code for one in said] == ([code] if code else [])
    assert all(text in one.text for one in said)


def test_a_datagram_is_either_of_the_flight_or_sent_again() -> None:
    [connection] = kept(ROOT / "samples" / "dtls" / "dtls12-loss.pcap")
    said = {one.code: one.frames for one in tlsdissect.explain(connection).sentences if one.code == "flight_segments"}
    [again] = [one.frames for one in tlsdissect.explain(connection).sentences if one.code == "flight_again_more"]
    assert said["flight_segments"] == (5, 10)
    assert again == (11, 12, 21, 23, 25)


def test_a_report_names_the_request_of_a_dtls_server() -> None:
    page = tlsdissect.report(ROOT / "samples/dtls/dtls12-loss.pcap").decode()
    assert "asked for another ClientHello (HelloVerifyRequest)" in page
    assert "another ClientHello (HelloRetryRequest)" not in page


def test_ladders_draw_every_fragment_of_a_message() -> None:
    # Both browsers send their ClientHello in two datagrams.
    for name, frames, size in (("webrtc-firefox", (5, 6), 1511), ("webrtc-chromium", (3, 4), 1463)):
        [connection] = tlsdissect.read(ROOT / "samples" / "dtls" / f"{name}.pcap", keep=True)
        [arrow] = [one for one in drawn(connection).arrows if one.labels[0].startswith("client_hello")]
        assert (arrow.frames, arrow.bytes) == (frames, size)


def test_early_data_is_named_though_only_keys_show_its_fate(tmp_path: Path) -> None:
    identity = sized(sized(b"ticket") + bytes(4)) + sized(sized(bytes(32), 1))
    offered = extension(43, b"\x02\xfe\xfc") + extension(42, b"") + extension(41, identity)
    chosen = extension(43, b"\xfe\xfc") + extension(41, b"\0\0")
    hello = fragment(1, 0, b"\xfe\xfd" + bytes(32) + b"\0\0" + sized(b"\x13\x01") + b"\1\0" + sized(offered))
    answer = fragment(2, 0, b"\xfe\xfd" + bytes(32) + b"\0" + b"\x13\x01\0" + sized(chosen))
    early = [(CLIENT, unified(1, bytes(40)))]
    for data, said in ((early, "It sent application data before"), ([], "It offered to send application data at once")):
        datagrams = [(CLIENT, record(HANDSHAKE, hello)), *data, (SERVER, record(HANDSHAKE, answer))]
        [connection] = tlsdissect.read(write(tmp_path / "early.pcap", datagrams), keep=True)
        [sentence] = [one for one in tlsdissect.explain(connection).sentences if one.code == "early_data"]
        assert connection.early_data is None
        assert sentence.text.startswith(said)
        assert sentence.frames == ((1, 2) if data else (1,))


def test_keys_name_the_acknowledgements_of_dtls13() -> None:
    path = ROOT / "samples" / "dtls" / "dtls13-key-update.pcap"
    [opened] = tlsdissect.read(path, keep=True, keylog=path.with_suffix(".keys"))
    [seen] = tlsdissect.read(path, keep=True)
    inside = [part for node in named(opened, "encrypted") for part in node.children if part.name == "ack"]
    assert [(part.meaning, part.reference) for part in inside] == [("opened with keys", "RFC 9147 section 7")]
    (numbers,) = inside[0].children
    assert [[part.value for part in one.children] for one in numbers.children if one.children] == [[2, 0]]
    assert not [part for node in named(seen, "encrypted") for part in node.children]
    assert opened.hidden is not None
    assert "ack" not in [message.type for message in opened.hidden.messages or ()]


def test_an_acknowledgement_in_plaintext_is_read(tmp_path: Path) -> None:
    hello = fragment(1, 0, b"\xfe\xfd" + bytes(32) + b"\0\0" + sized(b"\x13\x01") + b"\1\0" + sized(b""))
    numbers = sized(bytes(15) + b"\5")
    datagrams = [(CLIENT, record(HANDSHAKE, hello)), (SERVER, record(ACK, numbers))]
    [connection] = tlsdissect.read(write(tmp_path / "ack.pcap", datagrams), keep=True)
    [part] = named(connection, "ack")
    assert part.reference == "RFC 9147 section 7"
