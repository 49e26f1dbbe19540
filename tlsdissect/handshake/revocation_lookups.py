"""OCSP and CRLs that travel over plain HTTP, found by their first bytes, as facts (RFC 6960 appendix A)."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from hashlib import sha256
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from tlsdissect.flows.flow import FIN, RST, SYN, UNKNOWN, Interest
from tlsdissect.flows.reassembly import Assembler
from tlsdissect.handshake.http import MAX_BODY, Message, NoHttpError, begins, message
from tlsdissect.model.connection import Endpoint, OcspStaple  # noqa: TC001 (msgspec reads the annotations)
from tlsdissect.tls.wire import WireError
from tlsdissect.x509 import der
from tlsdissect.x509.staples import staple

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.flow import Flow

MAX_CERTIFICATES = 64
"""Certificates that one OCSP request may be about, to be told."""

_EXPLICIT_0, _EXPLICIT_1 = 0xA0, 0xA1


class CertId(Struct, frozen=True):
    """Which certificate is asked about (RFC 6960 section 4.1.1): hexadecimal, the hashes by the request's algorithm."""

    issuer_name_hash: str
    issuer_key_hash: str
    serial: str


class Exchange(Struct, frozen=True):
    """A question and its answer; times in nanoseconds (UNTIMED: not told), frames as in Wireshark."""

    kind: Literal["ocsp", "crl"]
    host: str | None
    """By the Host header."""
    target: str
    """The path that was asked for; without the request, where that stood in it."""
    about: tuple[CertId, ...]
    """Of OCSP: the certificates that were asked about."""
    asked: int
    asked_frame: int
    answered: int
    answered_frame: int
    answer: OcspStaple | None
    """Of OCSP; None where the answer was no OCSP response."""
    sha256: str
    """Of the answer's body."""


class Lookup(Struct, frozen=True):
    """An exchange, and between whom it was."""

    source: str
    stream: int
    client: Endpoint
    server: Endpoint
    exchange: Exchange

    @property
    def url(self) -> str:
        """Where the answer came from."""
        return f"http://{self.exchange.host or self.server}{self.exchange.target}"


class Heard(Struct, frozen=True):
    """A lookup as a capture shows it, with the answer's body: it is known from the frame on that completed it."""

    lookup: Lookup
    body: bytes

    @property
    def frame(self) -> int:
        """The frame that completed the answer."""
        return self.lookup.exchange.answered_frame

    @property
    def stream(self) -> int:
        """The conversation that it was."""
        return self.lookup.stream


class _HttpStream:
    """One side's bytes, put in order, and where each message among them began and ended."""

    __slots__ = ("arrivals", "assembler", "data", "ended", "wanted")

    def __init__(self, first: int) -> None:
        self.assembler = Assembler()
        if first != UNKNOWN:
            self.assembler.start(first)
        self.data = bytearray()
        self.arrivals: list[tuple[int, int, int]] = []
        """Bytes that were there after a packet, its frame and its time."""
        self.ended = False
        self.wanted = 0
        """Bytes that there have to be before it is worthwhile to look again."""

    @property
    def held(self) -> int:
        """Bytes that wait for more."""
        return len(self.data) + self.assembler.held_bytes

    def take(self, sequence: int, data: bytes, size: int, frame: int, time: int) -> bool:
        """Add a packet's payload; False where the stream can no longer be put in order."""
        for arrival in self.assembler.feed(sequence, data, size, frame, time):
            self.data += arrival.data
            self.arrivals.append((len(self.data), arrival.frame, arrival.time))
            if len(arrival.data) < arrival.size:
                return False
        return self.held <= 2 * MAX_BODY

    def next(self) -> tuple[Message, tuple[int, int], tuple[int, int]] | None:
        """Cut off the next message, with frame and time of its first and of its last packet."""
        if not self.data or (len(self.data) < self.wanted and not self.ended):
            return None
        found = message(bytes(self.data), ended=self.ended)
        if isinstance(found, int):
            self.wanted = found
            return None
        self.wanted = 0
        first = self.arrivals[0]
        last = next((one for one in self.arrivals if one[0] >= found.size), self.arrivals[-1])
        del self.data[: found.size]
        self.arrivals = [(at - found.size, frame, time) for at, frame, time in self.arrivals if at > found.size]
        return found, first[1:], last[1:]


class LookupListener:
    """Decodes the OCSP and CRL lookups of one connection."""

    def __init__(self, budget: Budget, flow: Flow) -> None:
        self._budget = budget
        self._streams: tuple[_HttpStream, _HttpStream] | None = None
        """The streams of both sides; None once the connection cannot be one that looks up revocation."""
        if flow.interest == Interest.PACKETS and not flow.passed:
            self._streams = (_HttpStream(flow.one.first), _HttpStream(flow.other.first))
        self._asked: list[tuple[Message, tuple[int, int]]] = []
        self._held = 0
        self.found: list[tuple[Exchange, bytes]] = []
        """Lookups with the bodies of their answers; the caller removes them."""

    @property
    def listens(self) -> bool:
        """Whether the connection may be one that looks up revocation."""
        return self._streams is not None

    @property
    def hears(self) -> bool:
        """Whether there was payload that may be a lookup."""
        return self._streams is not None and any(one.assembler.position for one in self._streams)

    def feed(self, packet: Packet, sender: int) -> None:
        """Read a packet."""
        if self._streams is not None:
            self._listen(self._streams, packet, sender)
            self._account()

    def release(self) -> None:
        """Return the bytes that are held to the budget."""
        self._streams = None
        self._account()

    def _account(self) -> None:
        """Count what is held; where all conversations together hold too much, this one listens no more."""
        if self._budget.spent:
            self._streams = None
        held = sum(one.held for one in self._streams) if self._streams else 0
        self._budget.used += held - self._held
        self._held = held

    def _listen(self, streams: tuple[_HttpStream, _HttpStream], packet: Packet, sender: int) -> None:
        direction, length = streams[sender], packet.length
        start = (packet.sequence + 1) & 0xFFFFFFFF if packet.flags & SYN else packet.sequence
        if packet.flags & SYN and not direction.assembler.started:
            direction.assembler.start(start)
        if packet.flags & RST:
            # Text in a RST is no stream data (RFC 9293 section 3.5.3).
            length = 0
        chunk = packet.captured_payload() if length else b""
        if length and not direction.take(start, chunk, length, packet.frame, packet.time):
            self._streams = None
            return
        direction.ended = direction.ended or bool(packet.flags & (FIN | RST))
        if length or direction.ended:
            try:
                self._converse(streams)
            except NoHttpError:
                self._streams = None

    def _converse(self, streams: tuple[_HttpStream, _HttpStream]) -> None:
        """Read what is whole: questions, and the answers to them in their order."""
        if not all(begins(bytes(one.data[:8])) for one in streams):
            raise NoHttpError
        for direction in streams:
            while (read := direction.next()) is not None:
                found, first, last = read
                if found.method is not None:
                    self._asked.append((found, first))
                elif self._asked:
                    self._answered(*self._asked.pop(0), found, last)

    def _answered(self, question: Message, first: tuple[int, int], given: Message, last: tuple[int, int]) -> None:
        kind = _kind(question, given)
        if kind is None:
            # Whoever asks for other things is a browser: what it fetches is not kept.
            raise NoHttpError
        target, request = _question(question) if kind == "ocsp" else (question.target, b"")
        exchange = Exchange(
            kind=kind,
            host=question.host,
            target=target,
            about=_about(request),
            asked=first[1],
            asked_frame=first[0],
            answered=last[1],
            answered_frame=last[0],
            answer=_answer(given) if kind == "ocsp" else None,
            sha256=sha256(given.body).hexdigest(),
        )
        self.found.append((exchange, given.body))


def _kind(question: Message, given: Message) -> Literal["ocsp", "crl"] | None:
    if question.content_type == "application/ocsp-request" or given.content_type == "application/ocsp-response":
        return "ocsp"
    if given.content_type in ("application/pkix-crl", "application/x-pkcs7-crl"):
        return "crl"
    named = question.target.partition("?")[0].lower().endswith(".crl")
    return "crl" if named and (_is_crl(given.body) or given.body.startswith(b"-----BEGIN X509 CRL")) else None


def _is_crl(body: bytes) -> bool:
    """Tell whether these bytes have the outline of a CertificateList (RFC 5280 section 5.1)."""
    try:
        parts = der.first(body).expect(der.SEQUENCE).items()
    except WireError:
        return False
    return [part.tag for part in parts] == [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]


def _question(question: Message) -> tuple[str, bytes]:
    """Find the OCSP request: the body of a POST, or at the end of what a GET asks for (RFC 6960 appendix A.1)."""
    if question.method == "POST":
        return question.target, question.body
    path = question.target
    for at in [place for place, char in enumerate(path) if char == "/"]:
        request = _decoded(path[at + 1 :])
        if request[:1] == b"\x30":
            return path[: at + 1], request
    return path, b""


def _decoded(text: str) -> bytes:
    try:
        return b64decode(unquote_to_bytes(text), validate=True)
    except (Base64Error, ValueError):
        return b""


def _about(request: bytes) -> tuple[CertId, ...]:
    """Read whom an OCSPRequest asks about (RFC 6960 section 4.1.1)."""
    try:
        asked = der.first(request).expect(der.SEQUENCE).items(least=1)[0].expect(der.SEQUENCE).items(least=1)
        listed = next(part for part in asked if part.tag not in (_EXPLICIT_0, _EXPLICIT_1))
        return tuple([_cert_id(one) for one in listed.expect(der.SEQUENCE).items()[:MAX_CERTIFICATES]])
    except (WireError, StopIteration):
        return ()


def _cert_id(request: der.Value) -> CertId:
    _, name, key, serial, *_ = request.items(least=1)[0].expect(der.SEQUENCE).items(least=4)
    number = der.integer(serial.expect(der.INTEGER))
    return CertId(name.body.hex(), key.body.hex(), der.hexadecimal(number))


def _answer(given: Message) -> OcspStaple | None:
    facts, _ = staple(given.body)
    return None if facts.response_status is None else facts
