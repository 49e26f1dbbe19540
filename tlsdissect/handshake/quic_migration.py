"""Finds the QUIC connection of a client that sends from another address than before (RFC 9000 section 9).

Most often, a NAT gave it another port without its knowledge. Its packets still have the connection ID that the server
chose, which together with the server's address names the connection. A client that moves on purpose takes another
connection ID, which the server had sent encrypted (section 9.5): nobody can link the two.

To have packets taken for those of a foreign connection takes its ID. IDs that can be guessed, those shorter than
`LEAST_ID`, do not count, and whoever sees the ID can as well forge the client's address. About Initial packets the
follower decides (`QuicFollower.goes_on`): a server that has forgotten the ID may begin another connection with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.tls.quic import LONG_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.udp import UdpFlow

LEAST_ID = 4
"""Bytes of the shortest connection ID by which a moved client is recognised: random bytes would match shorter ones."""
_ID_AT = 6
"""Offset of the Destination Connection ID in a long header, behind its length (RFC 8999 section 5.1)."""


class _Server:
    """The connections of an endpoint."""

    def __init__(self) -> None:
        self.flows: dict[bytes, UdpFlow] = {}
        """By connection ID: the server's own, or the one that the client chose for it."""
        self.sizes: set[int] = set()
        """The lengths of these IDs: a short header does not say how long its ID is."""


class MovedClients:
    """The connections whose clients may move, by the server's endpoint and its connection IDs."""

    def __init__(self) -> None:
        self._servers: dict[bytes, _Server] = {}
        self._known: dict[UdpFlow, list[tuple[bytes, bytes]]] = {}
        """What is known of each flow: endpoints and IDs."""

    def __len__(self) -> int:
        return len(self._known)

    def add(self, flow: UdpFlow, ids: Iterable[tuple[int, bytes]]) -> None:
        """Note connection IDs by which servers of a flow know connections, each with the side of the server."""
        for side, one in ids:
            if len(one) >= LEAST_ID:
                endpoint = _endpoint(flow.endpoints, side)
                server = self._servers.setdefault(endpoint, _Server())
                if server.flows.setdefault(one, flow) is flow:
                    server.sizes.add(len(one))
                    self._known.setdefault(flow, []).append((endpoint, one))

    def forget(self, flow: UdpFlow) -> None:
        """Forget the connections of a flow that is over."""
        for endpoint, one in self._known.pop(flow, ()):
            server = self._servers[endpoint]
            server.flows.pop(one, None)
            if not server.flows:
                del self._servers[endpoint]

    def find(self, packet: Packet) -> UdpFlow | None:
        """Return the flow of the connection to which a datagram with QUIC of a client belongs by its connection ID."""
        server = self._servers.get(_endpoint(packet.endpoints, 1))
        if server is None:
            return None
        data = packet.captured_payload()
        if data[0] & LONG_HEADER:
            size = data[_ID_AT - 1] if len(data) >= _ID_AT else 0
            return server.flows.get(data[_ID_AT : _ID_AT + size]) if len(data) >= _ID_AT + size else None
        found = (server.flows.get(data[1 : 1 + size]) for size in server.sizes)
        return next((flow for flow in found if flow is not None), None)


def client_of(flow: UdpFlow, endpoints: bytes) -> int:
    """Return the side of the client in its first flow; `endpoints` are those of a datagram that it sent."""
    return 0 if _endpoint(flow.endpoints, 1) == _endpoint(endpoints, 1) else 1


def _endpoint(endpoints: bytes, side: int) -> bytes:
    """Return the address and port of the source, or of the destination if `side` is 1."""
    size = (len(endpoints) - 4) // 2
    port = 2 * size + 2 * side
    return endpoints[side * size : (side + 1) * size] + endpoints[port : port + 2]
