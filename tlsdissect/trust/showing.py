"""A connection by what it showed of certificates: all that verdicts on these rest on, and small enough to be sent."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, msgpack
from msgspec.structs import replace

from tlsdissect.transcript.connection import Certificate, Endpoint, Hidden, OcspStaple
from tlsdissect.transcript.facts.moments import Moments  # noqa: TC001 (msgspec reads the annotations)
from tlsdissect.transcript.x509.certificates import certificate
from tlsdissect.trust.chain import Chain, Link

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.transcript.connection import Connection
    from tlsdissect.transcript.facts.evidence import Evidence

Side = Literal["server", "client"]

BYTES_MISSING = frozenset(("gap", "truncated_packet"))
"""Problems by which the capture lacks bytes of a stream."""
_AFTER_THE_STAPLE = frozenset(("server_key_exchange", "certificate_request", "server_hello_done"))


class Showing(Struct, frozen=True):
    """What a connection showed."""

    source: str
    stream: int
    start: str | None
    end: str | None
    client: Endpoint
    server: Endpoint
    sni: str | None
    alpn: str | None
    chains: tuple[Chain, ...]
    """The server's first; none of a side that showed no certificate."""
    hidden: tuple[Side, ...]
    """The sides of which it cannot be seen whether they showed any."""
    staple: OcspStaple | None
    response: bytes | None
    """The staple as it was sent, where that was kept."""
    unstapled: bool
    """The client asked for a staple, and the capture shows that none came."""
    moments: Moments | None

    @classmethod
    def of(cls, connection: Connection, evidence: Evidence) -> Showing:
        """Gather what a connection showed, with the encodings that were kept."""
        hidden = connection.hidden or Hidden()
        servers = _links(connection.certificates or hidden.certificates, evidence)
        clients = _links(connection.client_certificates or hidden.client_certificates, evidence)
        staple = connection.ocsp_staple
        unseen: list[Side] = ["server"] if connection.certificates is None else []
        unseen += ["client"] if connection.client_certificate_requested is None else []
        return cls(
            source=connection.source,
            stream=connection.stream,
            start=connection.start,
            end=connection.end,
            client=connection.client,
            server=connection.server,
            sni=connection.sni,
            alpn=connection.alpn,
            chains=_chains(
                ("server", certificate_frame(connection, "server"), servers),
                ("client", certificate_frame(connection, "client"), clients),
            ),
            hidden=tuple(unseen),
            staple=staple,
            response=None if staple is None or staple.sha256 is None else evidence.encoding(staple.sha256),
            unstapled=staple is None and _asked(connection) and _lacks_staple(connection),
            moments=evidence.moments(connection.source, connection.stream),
        )

    def shown(self, side: Side) -> tuple[Link, ...] | None:
        """Tell what a side showed; None if that is hidden."""
        links = next((chain.links for chain in self.chains if chain.side == side), ())
        return links or (None if side in self.hidden else ())


def packed(showing: Showing) -> bytes:
    """Write it for another process: of certificates what was sent, for facts are soon read again."""
    chains = [(chain.side, chain.frame, [_sent(link) for link in chain.links]) for chain in showing.chains]
    try:
        return _PLAIN + _ENCODER.encode((replace(showing, chains=()), chains))
    except UnicodeEncodeError:  # a file whose name is no text
        return _PICKLED + pickle.dumps(showing, pickle.HIGHEST_PROTOCOL)


def unpacked(data: bytes) -> Showing:
    """Read what `packed` wrote in another process of this run."""
    if data[:1] == _PICKLED:
        restored: Showing = pickle.loads(data[1:])  # noqa: S301  # written by our own process
        return restored
    showing, chains = _DECODER.decode(memoryview(data)[1:])
    return replace(showing, chains=_chains(*[(side, frame, _received(sent)) for side, frame, sent in chains]))


_PLAIN, _PICKLED = b"m", b"p"
_ENCODER = msgpack.Encoder()
_DECODER = msgpack.Decoder(tuple[Showing, list[tuple[Side, int | None, list[bytes | Certificate]]]])


def _sent(link: Link) -> bytes | Certificate:
    return link.facts if link.encoding is None else link.encoding


def _received(sent: Iterable[bytes | Certificate]) -> tuple[Link, ...]:
    return tuple([Link(certificate(one)[0], one) if isinstance(one, bytes) else Link(one, None) for one in sent])


def _chains(*shown: tuple[Side, int | None, tuple[Link, ...]]) -> tuple[Chain, ...]:
    """Put what both sides showed together: a client's issuer may be in the server's chain."""
    known: tuple[Link, ...] = ()
    found = []
    for side, frame, links in shown:
        if links:
            found.append(Chain(side, links, known, frame))
            known = links
    return tuple(found)


def _links(shown: tuple[Certificate, ...] | None, evidence: Evidence) -> tuple[Link, ...]:
    return tuple([Link(one, evidence.encoding(one.sha256)) for one in shown or ()])


def certificate_frame(connection: Connection, sender: str) -> int | None:
    """Tell the frame that completed a side's Certificate."""
    for message in connection.messages:
        if message.type == "certificate" and message.sender == sender:
            return message.frame
    return None


def _asked(connection: Connection) -> bool:
    hello = connection.client_hello
    return hello is not None and any(one.type == "status_request" for one in hello.extensions or ())


def _lacks_staple(connection: Connection) -> bool:
    """Whether the capture shows that no staple came: what follows on it did, and nothing before that is missing."""
    if any(problem.code in BYTES_MISSING and problem.sender == "server" for problem in connection.problems):
        return False
    return any(one.type in _AFTER_THE_STAPLE and one.sender == "server" for one in connection.messages)
