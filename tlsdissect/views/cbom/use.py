"""What cryptography servers were seen to use, and what clients offered: each distinct value once, with its evidence."""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING

from msgspec import Struct, field

from tlsdissect.caches import footprint
from tlsdissect.model.connection import Certificate, Endpoint, Side, Transport, is_offer
from tlsdissect.views.comparison.builder import has_post_quantum, is_post_quantum

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection

CBOM_BYTES = 64 << 20
"""Estimated bytes of all distinct values with their evidence; further ones are only counted."""
SIGHTING_BYTES = 512
"""Estimated bytes of the evidence of one value."""
MAX_NAMES = 100
"""Host names listed per server."""
SIDES: tuple[Side, ...] = ("server", "client")


class Sighting(Struct, gc=False):
    """Where a value was first seen, and in how many connections it was."""

    source: str
    stream: str
    frame: int | None
    with_keys: bool = False
    """Whether only keys show it."""
    connections: int = 0


Sightings = dict[str, Sighting]


class SuiteUse(Struct):
    """What a server used with one cipher suite of one version."""

    seen: Sighting
    groups: Sightings = field(default_factory=dict)
    signature_schemes: Sightings = field(default_factory=dict)


class ProtocolUse(Struct):
    """What a server used with one version."""

    seen: Sighting
    cipher_suites: dict[str, SuiteUse] = field(default_factory=dict)


class ServerUse(Struct):
    """What one server used."""

    transport: Transport
    address: Endpoint
    names: dict[str, None] = field(default_factory=dict)
    """Host names that clients asked for."""
    connections: int = 0
    agreements: int = 0
    """Connections that show how their key was agreed on."""
    post_quantum: int = 0
    """Of these, those with a post-quantum group."""
    offered_post_quantum: int = 0
    """Of these, those whose client offered a post-quantum group."""
    unknown_offers: int = 0
    """Of these, those whose client may have offered one, because its offer was not seen as a whole."""
    versions: dict[str, ProtocolUse] = field(default_factory=dict)
    certificates: dict[Side, Sightings] = field(default_factory=lambda: {side: {} for side in SIDES})
    """By SHA-256; those of clients were sent to this server."""


class CryptographicUse:
    """Collects connections in bounded memory."""

    def __init__(self) -> None:
        self.servers: dict[tuple[Transport, Endpoint], ServerUse] = {}
        self.certificates: dict[str, Certificate] = {}
        self.offered: dict[str, Sightings] = {"cipher_suites": {}, "groups": {}, "signature_schemes": {}}
        """What clients offered, by kind, whether a server chose it or not."""
        self.connections = 0
        self.left_out = 0
        """Values of connections that exceeded CBOM_BYTES."""
        self._used = 0

    def add(self, c: Connection) -> None:
        """Add a connection; one without a version or a certificate counts only by what its client offered."""
        self.connections += 1
        self._add_offers(c)
        if c.version is None and not any(map(c.chain, SIDES)):
            return
        key = (c.transport, c.server)
        if key not in self.servers:
            if not self._reserve(SIGHTING_BYTES):
                return
            self.servers[key] = ServerUse(c.transport, c.server)
        server = self.servers[key]
        server.connections += 1
        if shows_key_agreement(c):
            _count_agreement(server, c)
        is_new = c.sni is not None and c.sni not in server.names and len(server.names) < MAX_NAMES
        if c.sni is not None and is_new and self._reserve(getsizeof(c.sni)):
            server.names[c.sni] = None
        self._add_version(server, c)
        for side in SIDES:
            self._add_chain(server.certificates[side], c, side)

    def _add_offers(self, c: Connection) -> None:
        hello = c.client_hello
        if hello is None:
            return
        for kind, seen in self.offered.items():
            for name in dict.fromkeys(filter(is_offer, getattr(hello, kind) or ())):
                self._see(seen, name, c, hello.frame)

    def _add_version(self, server: ServerUse, c: Connection) -> None:
        if c.version is None:
            return
        hello = None if c.server_hello is None else c.server_hello.frame
        version = server.versions.get(c.version)
        if version is None:
            if not self._reserve(SIGHTING_BYTES):
                return
            version = server.versions[c.version] = ProtocolUse(Sighting(c.source, c.stream_name, hello))
        version.seen.connections += 1
        if c.cipher_suite is not None:
            self._add_suite(version, c, c.cipher_suite, hello)

    def _add_suite(self, version: ProtocolUse, c: Connection, name: str, hello: int | None) -> None:
        suite = version.cipher_suites.get(name)
        if suite is None:
            if not self._reserve(SIGHTING_BYTES):
                return
            suite = version.cipher_suites[name] = SuiteUse(Sighting(c.source, c.stream_name, hello))
        suite.seen.connections += 1
        parameters = c.first_message("server_key_exchange", "server")
        frame = hello if parameters is None else parameters.frame
        group = c.group or (f"DH {c.dh_bits}" if c.dh_bits else None)
        if group is not None:
            self._see(suite.groups, group, c, frame)
        if c.signature_scheme is not None:
            self._see(suite.signature_schemes, c.signature_scheme, c, frame)

    def _add_chain(self, seen: Sightings, c: Connection, side: Side) -> None:
        message = c.first_message("certificate", side)
        frame = None if message is None else message.frame
        with_keys = c.needs_keys("certificates" if side == "server" else "client_certificates")
        for one in {one.sha256: one for one in c.chain(side) or ()}.values():
            if one.sha256 not in self.certificates:
                if not self._reserve(footprint(one, enough=CBOM_BYTES)):
                    continue
                self.certificates[one.sha256] = one
            self._see(seen, one.sha256, c, frame, with_keys=with_keys)

    def _see(self, seen: Sightings, name: str, c: Connection, frame: int | None, *, with_keys: bool = False) -> None:
        sighting = seen.get(name)
        if sighting is None:
            if not self._reserve(SIGHTING_BYTES):
                return
            sighting = seen[name] = Sighting(c.source, c.stream_name, frame, with_keys)
        sighting.connections += 1
        sighting.with_keys = sighting.with_keys and with_keys

    def _reserve(self, size: int) -> bool:
        """Reserve bytes for a value; if CBOM_BYTES would be exceeded, count the value as left out and return False."""
        if self._used + size > CBOM_BYTES:
            self.left_out += 1
            return False
        self._used += size
        return True


def shows_key_agreement(c: Connection) -> bool:
    """Return whether a connection agreed on a new key in a way that the capture shows.

    A session that is resumed without a key exchange uses the key of the earlier one.
    """
    return c.group is not None or c.dh_bits is not None or (c.cipher_suite is not None and c.resumption == "none")


def _count_agreement(server: ServerUse, c: Connection) -> None:
    hello = c.client_hello
    chosen = c.group is not None and is_post_quantum(c.group)
    offered = chosen or (hello is not None and (has_post_quantum(hello.groups) or has_post_quantum(hello.key_shares)))
    server.agreements += 1
    server.post_quantum += chosen
    server.offered_post_quantum += offered
    server.unknown_offers += not offered and not c.has_whole_client_hello
