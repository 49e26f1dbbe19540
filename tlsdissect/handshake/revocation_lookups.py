"""OCSP requests (RFC 6960 appendix A) and CRL downloads over plain HTTP, recognised by their first bytes."""

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
"""Maximum certificates reported of one OCSP request."""

_EXPLICIT_0, _EXPLICIT_1 = 0xA0, 0xA1


class CertId(Struct, frozen=True):
    """A CertID of an OCSP request (RFC 6960 section 4.1.1), in hexadecimal; the hash algorithm is the request's."""

    issuer_name_hash: str
    issuer_key_hash: str
    serial: str


class LookupExchange(Struct, frozen=True):
    """A request and its response; times are in nanoseconds or UNTIMED, frames are numbered as in Wireshark."""

    kind: Literal["ocsp", "crl"]
    host: str | None
    """The Host header."""
    target: str
    """The path, without an OCSP request in it."""
    about: tuple[CertId, ...]
    """The certificates of an OCSP request."""
    asked: int
    asked_frame: int
    answered: int
    answered_frame: int
    answer: OcspStaple | None
    """The OCSP response; None if the body is not one, and for CRLs."""
    sha256: str
    """The SHA-256 of the response's body."""


class RevocationLookup(Struct, frozen=True):
    """An exchange with its flow and endpoints."""

    source: str
    stream: int
    client: Endpoint
    server: Endpoint
    exchange: LookupExchange

    @property
    def url(self) -> str:
        """The URL of the request."""
        return f"http://{self.exchange.host or self.server}{self.exchange.target}"


class CapturedLookup(Struct, frozen=True):
    """A lookup in a capture, with the response's body. It is known once `frame` was read."""

    lookup: RevocationLookup
    body: bytes

    @property
    def frame(self) -> int:
        """The frame that completed the response."""
        return self.lookup.exchange.answered_frame

    @property
    def transport(self) -> str:
        """The transport of its flow: HTTP over TCP."""
        return "tcp"

    @property
    def stream(self) -> int:
        """The stream number of its flow."""
        return self.lookup.stream


class _HttpStream:
    """The reassembled bytes of one side, cut into messages."""

    __slots__ = ("arrivals", "assembler", "data", "ended", "needed")

    def __init__(self, first: int) -> None:
        self.assembler = Assembler()
        if first != UNKNOWN:
            self.assembler.start(first)
        self.data = bytearray()
        self.arrivals: list[tuple[int, int, int]] = []
        """The number of bytes after a packet, its frame and its time."""
        self.ended = False
        self.needed = 0
        """Bytes needed before the next attempt to decode a message."""

    @property
    def held(self) -> int:
        """Bytes that are buffered."""
        return len(self.data) + self.assembler.held_bytes

    def add(self, sequence: int, data: bytes, size: int, frame: int, time: int) -> bool:
        """Add a packet's payload; return False if bytes are missing from the packet, or too many are buffered."""
        for arrival in self.assembler.feed(sequence, data, size, frame, time):
            self.data += arrival.data
            self.arrivals.append((len(self.data), arrival.frame, arrival.time))
            if len(arrival.data) < arrival.size:
                return False
        return self.held <= 2 * MAX_BODY

    def next(self) -> tuple[Message, tuple[int, int], tuple[int, int]] | None:
        """Remove and return the next message, with frame and time of its first and of its last packet."""
        if not self.data or (len(self.data) < self.needed and not self.ended):
            return None
        found = message(bytes(self.data), ended=self.ended)
        if isinstance(found, int):
            self.needed = found
            return None
        self.needed = 0
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
        """The streams of both sides; None once the flow cannot contain lookups."""
        if flow.interest == Interest.PACKETS and not flow.passed:
            self._streams = (_HttpStream(flow.one.first), _HttpStream(flow.other.first))
        self._requests: list[tuple[Message, tuple[int, int]]] = []
        self._held = 0
        self.found: list[tuple[LookupExchange, bytes]] = []
        """Exchanges with the bodies of their responses; the caller removes them."""

    @property
    def is_active(self) -> bool:
        """Whether the flow may contain lookups."""
        return self._streams is not None

    @property
    def has_payload(self) -> bool:
        """Whether the flow has payload that may be a lookup."""
        return self._streams is not None and any(one.assembler.position for one in self._streams)

    def feed(self, packet: Packet, sender: int) -> None:
        """Read a packet."""
        if self._streams is not None:
            self._read(self._streams, packet, sender)
            self._account()

    def release(self) -> None:
        """Return the bytes that are held to the budget."""
        self._streams = None
        self._account()

    def _account(self) -> None:
        """Count the buffered bytes in the budget; if it is exceeded, stop."""
        if self._budget.is_spent():
            self._streams = None
        held = sum(one.held for one in self._streams) if self._streams else 0
        self._budget.used += held - self._held
        self._held = held

    def _read(self, streams: tuple[_HttpStream, _HttpStream], packet: Packet, sender: int) -> None:
        direction, length = streams[sender], packet.length
        start = (packet.sequence + 1) & 0xFFFFFFFF if packet.flags & SYN else packet.sequence
        if packet.flags & SYN and not direction.assembler.started:
            direction.assembler.start(start)
        if packet.flags & RST:
            # Text in a RST is no stream data (RFC 9293 section 3.5.3).
            length = 0
        chunk = packet.captured_payload() if length else b""
        if length and not direction.add(start, chunk, length, packet.frame, packet.time):
            self._streams = None
            return
        direction.ended = direction.ended or bool(packet.flags & (FIN | RST))
        if length or direction.ended:
            try:
                self._pair_messages(streams)
            except NoHttpError:
                self._streams = None

    def _pair_messages(self, streams: tuple[_HttpStream, _HttpStream]) -> None:
        """Decode complete messages, and pair requests with responses in order."""
        if not all(begins(bytes(one.data[:8])) for one in streams):
            raise NoHttpError
        for direction in streams:
            while (read := direction.next()) is not None:
                found, first, last = read
                if found.method is not None:
                    self._requests.append((found, first))
                elif self._requests:
                    self._add_exchange(*self._requests.pop(0), found, last)

    def _add_exchange(self, request: Message, first: tuple[int, int], response: Message, last: tuple[int, int]) -> None:
        kind = _kind(request, response)
        if kind is None:
            # A client that requests other resources is a browser: its traffic is not kept.
            raise NoHttpError
        target, body = _split_target(request) if kind == "ocsp" else (request.target, b"")
        exchange = LookupExchange(
            kind=kind,
            host=request.host,
            target=target,
            about=_about(body),
            asked=first[1],
            asked_frame=first[0],
            answered=last[1],
            answered_frame=last[0],
            answer=_answer(response) if kind == "ocsp" else None,
            sha256=sha256(response.body).hexdigest(),
        )
        self.found.append((exchange, response.body))


def _kind(request: Message, response: Message) -> Literal["ocsp", "crl"] | None:
    if request.content_type == "application/ocsp-request" or response.content_type == "application/ocsp-response":
        return "ocsp"
    if response.content_type in ("application/pkix-crl", "application/x-pkcs7-crl"):
        return "crl"
    named = request.target.partition("?")[0].lower().endswith(".crl")
    return "crl" if named and (_is_crl(response.body) or response.body.startswith(b"-----BEGIN X509 CRL")) else None


def _is_crl(body: bytes) -> bool:
    """Return whether these bytes have the structure of a CertificateList (RFC 5280 section 5.1)."""
    try:
        parts = der.first(body).expect(der.SEQUENCE).items()
    except WireError:
        return False
    return [part.tag for part in parts] == [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]


def _split_target(request: Message) -> tuple[str, bytes]:
    """Return the path and the OCSP request: the body of a POST, or the end of a GET's path (RFC 6960 appendix A.1)."""
    if request.method == "POST":
        return request.target, request.body
    path = request.target
    for at in [place for place, char in enumerate(path) if char == "/"]:
        body = _decoded(path[at + 1 :])
        if body[:1] == b"\x30":
            return path[: at + 1], body
    return path, b""


def _decoded(text: str) -> bytes:
    try:
        return b64decode(unquote_to_bytes(text), validate=True)
    except (Base64Error, ValueError):
        return b""


def _about(request: bytes) -> tuple[CertId, ...]:
    """Return the CertIDs of an OCSPRequest (RFC 6960 section 4.1.1)."""
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


def _answer(response: Message) -> OcspStaple | None:
    facts, _ = staple(response.body)
    return None if facts.response_status is None else facts
