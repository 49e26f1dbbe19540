"""HTTP as lookups travel over it: read whole, cut anywhere, and never trusted."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.capture.packet import Packet
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.flow import ACK, FIN, SYN, Flow
from tlsdissect.flows.limits import Limits
from tlsdissect.handshake.http import MAX_BODY, MAX_HEAD, Message, NoHttpError, message
from tlsdissect.handshake.revocation_lookups import LookupExchange, LookupListener

if TYPE_CHECKING:
    from collections.abc import Iterable

# OCSPRequest { { { { {SHA-1}, 0x01.., 0x02.., 77 } } } }
CERT_ID = bytes.fromhex("3035 3009 06052b0e03021a0500 0414") + b"\1" * 20 + b"\x04\x14" + b"\2" * 20 + b"\x02\x01\x4d"
CERT_ID = b"\x30" + bytes([len(CERT_ID) - 2]) + CERT_ID[2:]


def wrapped(content: bytes) -> bytes:
    return b"\x30" + bytes([len(content)]) + content


QUESTION = wrapped(wrapped(wrapped(wrapped(CERT_ID))))
TRY_LATER = b"\x30\x03\x0a\x01\x03"
POST = (
    b"POST /ocsp HTTP/1.0\r\nHost: r.example\r\nContent-Type: application/ocsp-request\r\nContent-Length: %d\r\n\r\n"
    % len(QUESTION)
)
ANSWER = b"HTTP/1.0 200 OK\r\nContent-type: application/ocsp-response\r\nContent-Length: 5\r\n\r\n" + TRY_LATER
CRL = b"\x30\x0a\x30\x00\x30\x00\x03\x04\x00abc"


def segment(frame: int, flags: int, sequence: int, acknowledgement: int, payload: bytes) -> Packet:
    packet = Packet()
    packet.frame, packet.time, packet.flags = frame, frame * 1_000_000, flags
    packet.sequence, packet.acknowledgement = sequence, acknowledgement
    packet.data, packet.length, packet.captured = payload, len(payload), len(payload)
    return packet


def flow() -> Flow:
    return Flow(bytes(12), 0)


def exchanges(
    asked: bytes, answered: bytes, *, sizes: Iterable[int] = (10**9,), close: bool = True, budget: Budget | None = None
) -> list[LookupExchange]:
    """What is found in a conversation whose sides say this, in packets of these sizes."""
    tracker = LookupListener(budget or Budget(Limits()), flow())
    frame, position = 0, [100, 500]
    sizes = list(sizes)

    def packet(sender: int, flags: int, payload: bytes = b"") -> None:
        nonlocal frame
        frame += 1
        tracker.feed(segment(frame, flags, position[sender], position[1 - sender], payload), sender)
        position[sender] += len(payload) + bool(flags & (SYN | FIN))

    packet(0, SYN)
    packet(1, SYN | ACK)
    for sender, said in ((0, asked), (1, answered)):
        at = 0
        while at < len(said):
            size = sizes[frame % len(sizes)]
            packet(sender, ACK, said[at : at + size])
            at += size
    if close:
        packet(1, FIN | ACK)
    return [exchange for exchange, _ in tracker.found]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_a_question_and_its_answer_in_packets_of_any_size(sizes: list[int]) -> None:
    (one,) = exchanges(POST + QUESTION, ANSWER, sizes=sizes)
    assert (one.kind, one.host, one.target) == ("ocsp", "r.example", "/ocsp")
    assert [(asked.serial, asked.issuer_name_hash) for asked in one.about] == [("4d", "01" * 20)]
    assert one.answer is not None
    assert one.answer.response_status == "tryLater"
    assert one.asked < one.answered


def test_several_on_one_connection() -> None:
    found = exchanges((POST + QUESTION) * 3, ANSWER * 3, close=False)
    assert [one.kind for one in found] == ["ocsp"] * 3


@pytest.mark.parametrize("prefix", ["/", "/ocsp/", "/a/b/"])
def test_a_question_in_what_a_get_asks_for(prefix: str) -> None:
    target = prefix + quote(b64encode(QUESTION).decode(), safe="")
    (one,) = exchanges(f"GET {target} HTTP/1.1\r\nHost: r.example\r\n\r\n".encode(), ANSWER)
    assert (one.target, [asked.serial for asked in one.about]) == (prefix, ["4d"])


@pytest.mark.parametrize(
    ("target", "head", "body", "found"),
    [
        ("/a.crl", b"Content-Type: application/pkix-crl\r\n", CRL, ["crl"]),
        ("/a", b"Content-Type: application/pkix-crl; x=y\r\n", CRL, ["crl"]),
        ("/a.crl?x", b"", CRL, ["crl"]),
        ("/a.crl", b"", b"-----BEGIN X509 CRL-----", ["crl"]),
        ("/a.crl", b"Content-Type: text/html\r\n", b"<title>404", []),
        ("/a", b"Content-Type: application/octet-stream\r\n", CRL, []),
    ],
)
def test_crls(target: str, head: bytes, body: bytes, found: list[str]) -> None:
    asked = f"GET {target} HTTP/1.1\r\n\r\n".encode()
    told = exchanges(asked, b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert [one.kind for one in told] == found


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    asked, answered = b"GET /a.crl HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n" + CRL
    assert exchanges(asked, answered, close=False) == []
    assert [one.kind for one in exchanges(asked, answered)] == ["crl"]


def test_a_body_in_chunks() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/ocsp-response\r\n\r\n"
    (one,) = exchanges(POST + QUESTION, head + b"2;x=y\r\n\x30\x03\r\n3\r\n\x0a\x01\x03\r\n0\r\n\r\n", sizes=[3])
    assert one.answer is not None
    assert one.answer.response_status == "tryLater"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        (b"\x16\x03\x01" * 9, b""),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", ANSWER),
        (POST + QUESTION, b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        (POST + QUESTION, b"nonsense" * 9),
    ],
)
def test_what_else_travels_is_let_go(asked: bytes, answered: bytes) -> None:
    assert exchanges(asked, answered) == []


def test_an_answer_that_is_none_is_told_as_such() -> None:
    (one,) = exchanges(POST + QUESTION, b"HTTP/1.0 500 Oops\r\nContent-Length: 4\r\n\r\nOops")
    assert (one.kind, one.answer) == ("ocsp", None)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_end_without_a_trace(asked: bytes, answered: bytes) -> None:
    for said in (asked, POST + asked):
        exchanges(said, answered)
        exchanges(said, b"HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\n" + answered)


@given(st.integers(0, len(ANSWER)), st.binary(min_size=1, max_size=4))
def test_damage_anywhere(place: int, noise: bytes) -> None:
    exchanges(POST + QUESTION, ANSWER[:place] + noise + ANSWER[place + len(noise) :])


def test_what_is_held_is_given_back() -> None:
    budget = Budget(Limits())
    tracker = LookupListener(budget, flow())
    before = budget.used
    payload = POST + QUESTION[:9]
    tracker.feed(segment(1, ACK, 100, 500, payload), 0)
    assert budget.used - before >= len(payload)
    tracker.release()
    assert budget.used == before


def test_no_more_is_held_than_all_conversations_may() -> None:
    budget = Budget(Limits(total_bytes=10))
    assert exchanges(POST + QUESTION, ANSWER, sizes=[40], budget=budget) == []


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n" + b"x" * MAX_HEAD, b"PUT / HTTP/1.1\r\n\r\n", b"GET / SPDY\r\n\r\n"]
)
def test_heads_that_are_none(data: bytes) -> None:
    with pytest.raises(NoHttpError):
        message(data, ended=False)


def test_sizes_of_messages() -> None:
    read = message(ANSWER + b"more", ended=False)
    assert isinstance(read, Message)
    assert (read.size, read.body) == (len(ANSWER), TRY_LATER)
    assert message(ANSWER[:-1], ended=False) == len(ANSWER)
    assert message(b"HTTP/1.0 200 OK\r\n\r\nabc", ended=False) == 19 + MAX_BODY
