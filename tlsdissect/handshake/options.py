"""The options of a reading of captures."""

from __future__ import annotations

from msgspec import Struct

from tlsdissect.flows.limits import Limits
from tlsdissect.handshake.key_logs import KeyLog  # noqa: TC001  # the type of a field


class Options(Struct, frozen=True, kw_only=True):
    """How captures are read, and which facts of connections are returned."""

    batch: int = 65_536
    """Packets read at a time. The results do not depend on it."""
    raw_fingerprints: bool = False
    """Whether fingerprints are also returned unhashed."""
    keep: bool = False
    """Whether connections are KeptConnections, which have a transcript."""
    limits: Limits = Limits()
    idle: float | None = None
    """Seconds of silence that decide a handshake; connections are returned once decided. None: once they are over."""
    joined: bool = False
    """Whether all captures are read as one, in the order of their first packets."""
    linked: bool = True
    """Whether connections are linked to earlier ones."""
    keylog: KeyLog | None = None
    """Secrets that open what is encrypted, besides those in the captures."""


DEFAULTS = Options()
