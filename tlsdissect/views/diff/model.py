"""The result of a diff: its structs are what `tlsdissect diff --format json` prints (docs/diff.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, to_builtins

from tlsdissect.views.comparison.model import Difference, Spread  # noqa: TC001 (parts of the result)
from tlsdissect.views.explain.model import Sentence  # noqa: TC001
from tlsdissect.views.summary import Peer  # noqa: TC001

if TYPE_CHECKING:
    from tlsdissect.model.connection import Side

By = Literal["name", "address"]
"""By what servers are paired: the name that was asked for and the port, or address and port."""
State = Literal["works", "fails", "mixed"]
"""What became of the handshakes of a client with a server: all were established, none, or some."""
Fact = Literal["version", "cipher_suite", "group", "alpn", "transport"]
"""What is compared of established handshakes of the same client with the same server."""


class Failure(Struct, frozen=True):
    """Handshakes that failed for the same reason, with the first of them as an example."""

    what: str
    """As a summary names it: "alert unknown_ca by client"."""
    failed_by: Side | None
    connections: int
    source: str
    stream: str
    why: tuple[Sentence, ...]
    """What `explain` says of the example's end."""


class Outcomes(Struct, frozen=True):
    """The handshakes of a client with a server in one capture."""

    established: int
    failed: int
    undecided: int
    """Handshakes of which the capture does not show the end."""
    versions: tuple[str, ...]
    """Of the established ones, most frequent first."""
    cipher_suites: tuple[str, ...]
    failures: tuple[Failure, ...]
    """By reason, most frequent first."""

    @property
    def state(self) -> State | None:
        """What became of them; None if the capture does not show it."""
        if self.established and self.failed:
            return "mixed"
        return "works" if self.established else "fails" if self.failed else None


class PairChange(Struct, frozen=True):
    """A client and a server whose handshakes end in another way than before."""

    client: str | None
    """Its address; None if the pair is by JA4."""
    ja4: str | None
    """For a server without a client in both captures: what is compared are clients with this fingerprint."""
    server: str
    before: Outcomes
    after: Outcomes


class FactChange(Struct, frozen=True):
    """A fact that differs between the established handshakes of the same clients with a server."""

    fact: Fact
    before: tuple[str, ...]
    """The values seen, most frequent first; "none" if nothing was negotiated."""
    after: tuple[str, ...]
    clients: tuple[str, ...]
    ja4: tuple[str, ...]
    """For a server without a client in both captures: the fingerprints of its clients instead."""
    with_keys: bool
    """Whether only keys show one of the values."""


class Leaf(Struct, frozen=True):
    """A server's own certificate."""

    sha256: str
    subject: str | None
    issuer: str | None
    not_before: str | None
    not_after: str | None
    key: str
    """Its curve, or its type and bits."""
    names: tuple[str, ...]
    """DNS names and IP addresses."""
    with_keys: bool
    """Whether only keys show it."""


class CertificateChange(Struct, frozen=True):
    """Certificates of a server that were seen in one capture only."""

    gone: tuple[Leaf, ...]
    new: tuple[Leaf, ...]
    differs: tuple[str, ...] | None
    """If one took the place of another, the names of the fields in which they differ."""


class ServerChange(Struct, frozen=True):
    """What changed at a server besides failures."""

    server: str
    facts: tuple[FactChange, ...]
    certificates: CertificateChange | None
    """None if none changed, or if they are not visible in both captures."""


class Fingerprint(Struct, frozen=True):
    """A JA4, and the clients that had it."""

    ja4: str
    connections: int
    clients: tuple[Peer, ...]


class Fingerprints(Struct, frozen=True):
    """Fingerprints that were seen in one capture only."""

    new: tuple[Fingerprint, ...]
    gone: tuple[Fingerprint, ...]


class Times(Struct, frozen=True):
    """Handshakes of the same clients with the same servers: the milliseconds of full and of resumed ones."""

    before: dict[str, Spread]
    """By kind, "full" and "resumed"."""
    after: dict[str, Spread]
    differences: tuple[Difference, ...] | None
    """Before minus after; None if there are too few connections."""
    left_out: int
    """Handshakes beyond the limit, which were not compared."""


class Pair(Struct, frozen=True):
    """A client and a server."""

    client: str
    server: str


class Unpaired(Struct, frozen=True):
    """What was seen in one capture only."""

    clients: tuple[str, ...]
    servers: tuple[str, ...]
    pairs: tuple[Pair, ...]
    """Clients and servers that were both seen in the other capture, but not with each other."""


class Unchanged(Struct, frozen=True):
    """Pairs of client and server in both captures without any change."""

    works: int
    fails: int
    mixed: int


class Read(Struct, frozen=True):
    """What was read on one side."""

    captures: tuple[str, ...]
    """The files and folders that were given."""
    connections: int
    connections_read: int
    """With those that were not selected."""
    failed: int
    start: str | None
    end: str | None
    clients: int
    servers: int
    left_out: int
    """Connections beyond the limit, which count here but are not compared."""
    notes: tuple[str, ...]
    """What was seen and not decoded, and what could not be read."""


class CaptureDiff(Struct, frozen=True, kw_only=True):
    """What changed between two captures."""

    by: By
    before: Read
    after: Read
    broke: tuple[PairChange, ...]
    """Who worked before and fails now, always or at times; or failed at times and now fails always."""
    recovered: tuple[PairChange, ...]
    """The reverse."""
    fails_differently: tuple[PairChange, ...]
    """Who fails as before, but for reasons that were not seen before."""
    servers: tuple[ServerChange, ...]
    ja4: Fingerprints | None
    """None if a side had more than are kept."""
    times: Times
    only_before: Unpaired | None
    """What the capture after lacks; None if it had more than is kept, so that this is not known."""
    only_after: Unpaired | None
    paired: int
    """Pairs of client and server in both captures; a server without a client in both is one pair."""
    undecided: int
    """Pairs of which a capture does not show how their handshakes ended."""
    not_compared: int
    """Pairs with more distinct values than are kept."""
    unchanged: Unchanged

    @property
    def changed(self) -> bool:
        """Whether anything differs apart from times and what was seen on one side only."""
        fingerprints = self.ja4 is not None and bool(self.ja4.new or self.ja4.gone)
        return bool(self.broke or self.recovered or self.fails_differently or self.servers or fingerprints)

    def to_dict(self) -> dict[str, Any]:
        """Return the diff as `--format json` prints it."""
        found: dict[str, Any] = to_builtins(self)
        return found

    def __str__(self) -> str:
        from tlsdissect.views.diff.text import lines  # noqa: PLC0415 (it imports this module)

        return "\n".join(lines(self))

    def _repr_html_(self) -> str:
        from tlsdissect.views.diff.text import as_page  # noqa: PLC0415 (as above)

        return as_page(self)
