# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Facts that encryption hides, for whoever has the keys.

They stand beside the facts that anyone on the path can read, and change none of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import cython
from msgspec.structs import replace

from tlsdissect.handshake.decompression import DecompressionError, decompressed
from tlsdissect.handshake.events import HandshakeEvent, new_event
from tlsdissect.handshake.facts import endings, negotiation
from tlsdissect.handshake.facts.exposure import CERTIFICATE_TYPES, MessageDecoder, flawless, stapled
from tlsdissect.handshake.facts.extensions import ExtensionDecoder
from tlsdissect.handshake.facts.handshake import CLIENT, SERVER, Handshake
from tlsdissect.handshake.facts.hello_extensions import NOTHING, Extensions, decode_extensions
from tlsdissect.handshake.facts.hellos import sni
from tlsdissect.handshake.facts.quic import quic_close
from tlsdissect.handshake.facts.text import text
from tlsdissect.handshake.facts.timing import begin_of, milliseconds, round_trips
from tlsdissect.handshake.opening import opened
from tlsdissect.model.connection import CertificateRequest, Hidden, HiddenTicket, Keys, Message, Problem
from tlsdissect.model.transcript import OpenedMessage
from tlsdissect.tls.certificate import Certificate as Certificate12
from tlsdissect.tls.certificate import Certificate13, CertificateRequest13, CompressedCertificate
from tlsdissect.tls.codepoints import RAW_PUBLIC_KEY, HandshakeType, Registry
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.dtls import ACK
from tlsdissect.tls.extensions import FROM_CERTIFICATE_REQUEST, FROM_CLIENT, FROM_SERVER, decode
from tlsdissect.tls.handshake import decoder as message_decoder
from tlsdissect.tls.messages import NewSessionTicket13, NewSessionTicketDraft
from tlsdissect.tls.server_hello import EncryptedExtensions
from tlsdissect.tls.wire import WireError

if TYPE_CHECKING:
    from msgspec import Struct

    from tlsdissect.handshake.encrypted_hello import InnerHello
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.facts.exposure import Chain
    from tlsdissect.handshake.key_logs import CaptureKeys
    from tlsdissect.handshake.opening import Opened
    from tlsdissect.handshake.quic_keys import OpenedPacket
    from tlsdissect.model.connection import Alert, Certificate, Connection, OcspStaple, QuicClose, Side

_CLIENT, _SERVER = CLIENT, SERVER  # C integers, by the .pxd
# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_CERTIFICATE, _COMPRESSED = HandshakeType.CERTIFICATE, HandshakeType.COMPRESSED_CERTIFICATE
_CERTIFICATE_REQUEST, _FINISHED = HandshakeType.CERTIFICATE_REQUEST, HandshakeType.FINISHED
_ENCRYPTED_EXTENSIONS, _TICKET = HandshakeType.ENCRYPTED_EXTENSIONS, HandshakeType.NEW_SESSION_TICKET
_TYPE_NAMES = Registry.HANDSHAKE_TYPES.names
_ALPN = Type.APPLICATION_LAYER_PROTOCOL_NEGOTIATION
_CLIENT_EXTENSIONS, _SERVER_EXTENSIONS = ExtensionDecoder(FROM_CLIENT), ExtensionDecoder(FROM_SERVER)


def with_hidden(
    result: Connection, handshake: Handshake, keys: CaptureKeys, evidence: Evidence | None = None
) -> tuple[Connection, tuple[OpenedMessage, ...], dict[tuple[Side, int], OpenedPacket]]:
    """Return the connection with the facts that keys open.

    The opened messages, and the opened packets of QUIC by sender and start, are for its transcript, if it has one.
    Certificates are kept as evidence.
    """
    found = opened(handshake.log, keys)
    if found is None:
        return result, (), {}
    keys.use([key for _, key in found.used], result.transport, result.stream)
    decoder = _HiddenMessages(handshake, found, evidence)
    kept = handshake.log.recording is not None
    messages = tuple([_message(handshake, event, found.numbers.get(event)) for event in found.events]) if kept else ()
    messages += tuple([OpenedMessage(handshake.side(sender), ACK, start, data) for sender, start, data in found.acks])
    packets = {(handshake.side(sender), start): packet for (sender, start), packet in found.packets.items()}
    return replace(result, hidden=decoder.hidden(), keys=Keys(found.origin, found.labels)), messages, packets


def _message(handshake: Handshake, event: HandshakeEvent, number: Any) -> OpenedMessage:
    """Return a message with its header, an alert without; `number` is the message's number in DTLS."""
    kind, data = event.handshake_type, event.body
    if kind is not None:
        size = len(data).to_bytes(3, "big")
        fragment = b"" if number is None else number.to_bytes(2, "big") + bytes(3) + size
        data = bytes([kind]) + size + fragment + data
    return OpenedMessage(handshake.side(event.sender), event.content_type, event.start, data)


@cython.no_gc
@cython.cclass
class _HiddenMessages(MessageDecoder):
    """Decodes the messages that keys opened."""

    _opened: Opened
    _first: tuple[dict[int, HandshakeEvent], dict[int, HandshakeEvent]]
    """The first message of each type of client and server."""
    _extensions: Extensions

    def __init__(self, handshake: Handshake, found: Opened, evidence: Evidence | None) -> None:
        MessageDecoder.__init__(self, handshake, evidence)
        event: HandshakeEvent
        firsts: tuple[dict[int, HandshakeEvent], dict[int, HandshakeEvent]] = ({}, {})
        for event in found.events:
            if event.handshake_type is not None:
                firsts[event.sender ^ handshake.client].setdefault(event.handshake_type, event)
        self._opened = found
        self._first = firsts
        self._extensions = self._encrypted_extensions()

    def hidden(self) -> Hidden:
        """Return all facts."""
        asked = self._event(_SERVER, _CERTIFICATE_REQUEST)
        early_data = self._early_data()
        certificates, staple = self._server_certificates()
        facts = Hidden(
            certificates=certificates,
            client_certificate_requested=self._requested(asked),
            certificate_request=self._request(asked),
            client_certificates=self._client_certificates(),
            ocsp_staple=staple,
            alpn=self._alpn(),
            alerts=self._alerts(),
            session_tickets=self._tickets(),
            messages=self._messages(),
            encrypted_extensions=None
            if self._event(_SERVER, _ENCRYPTED_EXTENSIONS) is None
            else self._extensions.facts,
            early_data=early_data,
            round_trips=self._round_trips(early_data),
            quic_close=self._quic_close(),
        )
        if self._opened.inner is not None:
            facts = self._with_inner(facts, self._opened.inner)
        return replace(facts, problems=(*self.problems, *self._failures()))

    def _with_inner(self, facts: Hidden, inner: InnerHello) -> Hidden:
        """Return the facts with those of the inner ClientHello."""
        found = decode_extensions(_CLIENT_EXTENSIONS, inner.hello.extensions)
        names = found.get(_ALPN, "protocol_name_list")
        return replace(
            facts,
            ech=None if inner.accepted is None else "accepted" if inner.accepted else "rejected",
            inner_sni=sni(found),
            inner_alpn=None if names is None else tuple(map(text, names)),
            messages=None if self._opened.only_inner else facts.messages,
        )

    @cython.cfunc
    def _event(self, side: cython.longlong, kind: Any) -> HandshakeEvent | None:
        return self._first[side].get(kind)

    @cython.cfunc
    def _encrypted_extensions(self) -> Extensions:
        event = self._event(_SERVER, _ENCRYPTED_EXTENSIONS)
        message = self.read(event, EncryptedExtensions.read)
        if event is None or message is None:
            return NOTHING
        found = decode_extensions(_SERVER_EXTENSIONS, message.extensions)
        for code, detail in found.problems:
            self.report(code, detail, event)
        return found

    def _server_certificates(self) -> tuple[tuple[Certificate, ...] | None, OcspStaple | None]:
        """Return the server's chain in TLS 1.3 and the OCSP response for its first certificate."""
        chain = self._chain13(_SERVER) if self._handshake.tls13 else None
        if chain is None:
            # A server without a certificate authenticates by a pre-shared key, which is visible.
            return None, None
        staple = chain.staples[0] if chain.staples else None
        return chain.certificates, None if staple is None else self.response(staple, chain.event)

    def _client_certificates(self) -> tuple[Certificate, ...] | None:
        if self._handshake.tls13:
            chain = self._chain13(_CLIENT)
            return None if chain is None else chain.certificates
        # A client that shows a certificate in a renegotiation.
        event = self._event(_CLIENT, _CERTIFICATE)
        message = self.read(event, Certificate12.read)
        return None if event is None or message is None else self.facts(message.certificate_list, event)

    def _chain13(self, side: cython.longlong) -> _Chain | None:
        """Return a side's chain; of several Certificates of a client, the last that is not empty."""
        event: HandshakeEvent
        chains: list[_Chain] = []
        for event in self._opened.events:
            kind = event.handshake_type
            if event.sender ^ self._handshake.client == side and kind in (_CERTIFICATE, _COMPRESSED):
                found = self._certificate13(event)
                chains += [] if found is None else [found]
        shown = [chain for chain in chains if chain.entries] or chains
        if not shown:
            return None
        chain = shown[len(shown) - 1]
        if self._extensions.get(CERTIFICATE_TYPES[side], "certificate_type") == RAW_PUBLIC_KEY:
            # A raw public key is sent instead of certificates (RFC 7250 section 3).
            return chain
        known = None if chain.known is None else self.keep(chain.known)
        return chain._replace(certificates=self.facts(chain.entries, chain.event) if known is None else known)

    def _certificate13(self, event: HandshakeEvent) -> _Chain | None:
        """Decode a Certificate of TLS 1.3, which may be compressed."""
        if event.handshake_type == _COMPRESSED:
            compressed = self.read(event, CompressedCertificate.read)
            if compressed is None:
                return None
            try:
                body = decompressed(
                    compressed.algorithm, compressed.compressed_certificate_message, compressed.uncompressed_length
                )
            except DecompressionError as error:
                self.report("malformed_message", f"compressed_certificate: {error}", event)
                return None
            event = new_event(
                event.sender, event.content_type, _CERTIFICATE, len(body), body, event.frame, event.time,
                event.start, event.end, event.encrypted,
            )  # fmt: skip
        known = flawless(event.body, True)
        if known is not None:
            return _Chain(event, known.encodings, known.staples, known)
        message = self.read(event, Certificate13.read)
        if message is None:
            return None
        entries = message.certificate_list
        staples, errors = stapled(entries)
        for wrong in errors:
            self.report("malformed_message", f"extension status_request: {wrong}", event)
        return _Chain(event, tuple([entry.cert_data for entry in entries]), staples)

    def _requested(self, asked: HandshakeEvent | None) -> bool | None:
        """Return whether the server asked for a certificate, unless it did so in the clear."""
        if asked is not None:
            return True
        finished = self._event(_SERVER, _FINISHED)
        if finished is None or not self._handshake.tls13 or self._lacks(_SERVER):
            return None
        return False if self._handshake.direction(_SERVER).is_whole(finished.end) else None

    @cython.cfunc
    def _lacks(self, side: cython.longlong) -> cython.bint:
        """Return whether something is missing of what a side sent encrypted."""
        return bool(
            [1 for one in self._opened.wrong if one.code == "gap" and one.sender ^ self._handshake.client == side]
        )

    def _request(self, asked: HandshakeEvent | None) -> CertificateRequest | None:
        if asked is None:
            return None
        if not self._handshake.tls13:
            return self.request(asked)
        message = self.read(asked, CertificateRequest13.read)
        if message is None:
            return None
        from tlsdissect.x509.names import name  # noqa: PLC0415

        bodies: dict[int, Struct | None] = {}
        for extension in message.extensions:
            try:
                body = decode(FROM_CERTIFICATE_REQUEST, extension.extension_type, extension.extension_data)
            except WireError as error:
                named = Registry.EXTENSIONS.names[extension.extension_type]
                self.report("malformed_message", f"extension {named}: {error}", asked)
                continue
            bodies.setdefault(extension.extension_type, body)
        schemes = getattr(bodies.get(Type.SIGNATURE_ALGORITHMS), "supported_signature_algorithms", None)
        authorities = getattr(bodies.get(Type.CERTIFICATE_AUTHORITIES), "authorities", ())
        return CertificateRequest(
            types=None,
            signature_schemes=None if schemes is None else Registry.SIGNATURE_SCHEMES.names.of(schemes),
            authorities=tuple([name(authority) for authority in authorities]),
        )

    def _alpn(self) -> str | None:
        names = self._extensions.get(_ALPN, "protocol_name_list")
        return text(names[0]) if names else None

    def _reads_data_of(self, *sides: str) -> bool:
        """Return whether the keys of application data opened something of these sides of TLS 1.3."""
        labels: tuple[str, ...] = self._opened.labels
        return {label.partition("_TRAFFIC_SECRET_")[0] for label in labels}.issuperset(sides)

    def _alerts(self) -> tuple[Alert, ...] | None:
        """Return the alerts that were sent encrypted; None if there may be some, but not where the keys open."""
        found = endings.named_alerts(self._handshake, self._opened.events)
        if self._handshake.tls13:
            whole = self._reads_data_of("CLIENT", "SERVER")
        else:
            whole = not self._opened.failed and not self._handshake.log.unkept
        whole = whole and not (self._lacks(_CLIENT) or self._lacks(_SERVER))
        return found if found or whole else None

    def _tickets(self) -> tuple[HiddenTicket, ...] | None:
        """Return the tickets of TLS 1.3; None if the keys do not open what the server sent after the handshake."""
        if not (self._handshake.tls13 and self._reads_data_of("SERVER")):
            return None
        event: HandshakeEvent
        tickets: list[HiddenTicket] = []
        layout = message_decoder(_TICKET, self._handshake.log.version)
        for event in self._opened.events:
            if event.handshake_type == _TICKET:
                message = None if layout is None else self.read(event, layout.read)
                if isinstance(message, (NewSessionTicket13, NewSessionTicketDraft)):
                    ticket = message.ticket
                    tickets.append(HiddenTicket(message.ticket_lifetime, len(ticket), ticket.hex(), event.frame))
        return tuple(tickets)

    def _messages(self) -> tuple[Message, ...]:
        """Return the messages and alerts in order."""
        handshake: Handshake = self._handshake
        begin, start = begin_of(handshake)
        return tuple([
            Message(
                handshake.side(event.sender),
                "alert" if event.handshake_type is None else _TYPE_NAMES[event.handshake_type],
                event.size,
                event.frame,
                milliseconds(begin, start, event.frame, event.time),
            )
            for event in self._opened.events
        ])  # fmt: skip

    def _early_data(self) -> str | None:
        """Return what the server said of early data (RFC 8446 section 4.2.10)."""
        shown = self._event(_SERVER, _ENCRYPTED_EXTENSIONS) is not None
        if not shown or not negotiation.infers_early_data(self._handshake):
            return None
        return "accepted" if Type.EARLY_DATA in self._extensions.bodies else "rejected"

    def _round_trips(self, early_data: str | None) -> Any:
        """Return the round trips of a finished handshake, where they depend on early data."""
        if early_data is None or self._event(_CLIENT, _FINISHED) is None:
            return None
        return round_trips(self._handshake, early_data, True)

    def _quic_close(self) -> QuicClose | None:
        """Return the CONNECTION_CLOSE of a Handshake packet, unless anyone can read one."""
        log = self._handshake.log.quic
        return None if log is None or log.close is not None else quic_close(self._handshake, self._opened.close)

    def _failures(self) -> tuple[Problem, ...]:
        """Report the records that did not open, and those that were not kept."""
        log, failed = self._handshake.log, () if self._opened.only_inner else self._opened.failed
        what = "packets" if log.transport == "quic" else "records"
        found = []
        if failed:
            first = failed[0]
            detail = f"{what} that the keys do not open: {len(failed)}, the first in this frame"
            found.append(Problem("not_opened", detail, first.frame, first.start, self._handshake.side(first.sender)))
        for code, detail, sender, frame, start, copies in self._opened.wrong:
            found.append(Problem(code, detail, frame, start, self._handshake.side(sender), copies))
        if log.unkept:
            found.append(Problem("limit", f"more protected {what} were sent than are kept to be opened"))
        return tuple(found)


class _Chain(NamedTuple):
    """A Certificate message of TLS 1.3."""

    event: HandshakeEvent
    entries: tuple[bytes, ...]
    """The certificates or raw public keys."""
    staples: tuple[bytes, ...]
    """The OCSP responses of the first entry."""
    known: Chain | None = None
    """Their facts, if nothing is wrong with them."""
    certificates: tuple[Certificate, ...] = ()
