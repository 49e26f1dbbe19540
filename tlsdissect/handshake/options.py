"""How captures are read, and what is told of their connections."""

from __future__ import annotations

from msgspec import Struct

from tlsdissect.flows.limits import Limits


class Options(Struct, frozen=True, kw_only=True):
    """The options of a reading."""

    batch: int = 65_536
    """Packets looked at together, which what is told does not depend on."""
    raw_fingerprints: bool = False
    """Fingerprints are told also before they are hashed."""
    keep: bool = False
    """Connections are KeptConnections, which have a transcript."""
    limits: Limits = Limits()
    idle: float | None = None
    """Connections are told when their handshake is decided, or silent for so many seconds; None: when they are over."""
    linked: bool = True
    """Connections name those before them that they belong to."""


DEFAULTS = Options()
