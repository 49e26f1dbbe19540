"""The certificate chains of a connection, with the facts that verdicts on them depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from tlsdissect.handshake.facts.timing import CertificateTimes  # noqa: TC001 (msgspec reads the annotations)
from tlsdissect.model.connection import Certificate, Endpoint, OcspStaple, Side, Transport  # noqa: TC001 (the same)
from tlsdissect.model.transcript import BYTES_MISSING
from tlsdissect.trust.chain import Chain, Link

if TYPE_CHECKING:
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.model.connection import Connection

_AFTER_THE_STAPLE = frozenset(("server_key_exchange", "certificate_request", "server_hello_done"))


class PresentedChains(Struct, frozen=True):
    """The chains that both sides of a connection presented, and the facts that verdicts on them depend on."""

    source: str
    transport: Transport
    stream: int
    start: str | None
    end: str | None
    client: Endpoint
    server: Endpoint
    sni: str | None
    alpn: str | None
    chains: tuple[Chain, ...]
    """The server's first; a side without certificates has none."""
    hidden: tuple[Side, ...]
    """The sides that may have sent certificates which encryption hides."""
    staple: OcspStaple | None
    response: bytes | None
    """The staple's DER encoding, if it was kept."""
    unstapled: bool
    """True if the client asked for a staple and the capture shows that none came."""
    times: CertificateTimes | None

    @classmethod
    def of(cls, connection: Connection, evidence: Evidence) -> PresentedChains:
        """Collect a connection's chains, with the encodings that were kept."""
        shows = connection.needs_keys
        servers = _links(connection.chain("server"), evidence)
        clients = _links(connection.chain("client"), evidence)
        staple: OcspStaple | None = connection.known("ocsp_staple")
        unseen: list[Side] = ["server"] if connection.chain("server") is None else []
        unseen += ["client"] if connection.known("client_certificate_requested") is None else []
        return cls(
            source=connection.source,
            transport=connection.transport,
            stream=connection.stream,
            start=connection.start,
            end=connection.end,
            client=connection.client,
            server=connection.server,
            sni=connection.sni,
            alpn=connection.known("alpn"),
            chains=_chains(
                Chain("server", servers, (), certificate_frame(connection, "server"), shows("certificates")),
                Chain("client", clients, (), certificate_frame(connection, "client"), shows("client_certificates")),
            ),
            hidden=tuple(unseen),
            staple=staple,
            response=None if staple is None or staple.sha256 is None else evidence.encoding(staple.sha256),
            unstapled=staple is None and _asks_for_staple(connection) and _lacks_staple(connection),
            times=evidence.certificate_times(connection),
        )

    @property
    def only_with_keys(self) -> frozenset[str]:
        """The SHA-256 of each certificate that only keys show."""
        keyed = {link.facts.sha256 for chain in self.chains if chain.with_keys for link in chain.links}
        return frozenset(
            keyed.difference(link.facts.sha256 for chain in self.chains if not chain.with_keys for link in chain.links)
        )

    def links_of(self, side: Side) -> tuple[Link, ...] | None:
        """Return the certificates of a side; None if they may be encrypted."""
        links = next((chain.links for chain in self.chains if chain.side == side), ())
        return links or (None if side in self.hidden else ())


def _chains(*sides: Chain) -> tuple[Chain, ...]:
    """Return the chains that are not empty; the client's issuer may be in the server's chain."""
    known: tuple[Link, ...] = ()
    found = []
    for chain in sides:
        if chain.links:
            found.append(replace(chain, known=known))
            known = chain.links
    return tuple(found)


def _links(certificates: tuple[Certificate, ...] | None, evidence: Evidence) -> tuple[Link, ...]:
    return tuple([Link(one, evidence.encoding(one.sha256)) for one in certificates or ()])


def certificate_frame(connection: Connection, sender: Side) -> int | None:
    """Return the frame that completed a side's Certificate message."""
    message = connection.first_message("certificate", sender)
    return None if message is None else message.frame


def _asks_for_staple(connection: Connection) -> bool:
    hello = connection.client_hello
    return hello is not None and any(one.type == "status_request" for one in hello.extensions or ())


def _lacks_staple(connection: Connection) -> bool:
    """Return whether the server sent no staple: it sent a later message, and none of its bytes are missing."""
    if connection.needs_keys("certificates"):
        # In TLS 1.3, the staple is in the Certificate.
        return True
    if any(problem.code in BYTES_MISSING and problem.sender == "server" for problem in connection.problems):
        return False
    return any(one.type in _AFTER_THE_STAPLE and one.sender == "server" for one in connection.messages)
