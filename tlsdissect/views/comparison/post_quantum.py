"""Counts post-quantum key exchange: how often it is offered and negotiated, and how many bytes it takes."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from tlsdissect.views.comparison import predicates
from tlsdissect.views.comparison.model import PostQuantum
from tlsdissect.views.comparison.sampling import Sample

if TYPE_CHECKING:
    from tlsdissect.model.connection import ClientHello, Connection
    from tlsdissect.views.comparison.sampling import Budget

_MEASURES = ("hello_bytes", "hello_segments", "share_bytes", "server_hello_bytes")


class PostQuantumCounter:
    """Counts connections that offer or negotiate it, and the sizes of hellos with and without it."""

    def __init__(self, budget: Budget) -> None:
        self._n: Counter[str] = Counter()
        self._sizes: defaultdict[str, Sample] = defaultdict(lambda: Sample(budget))

    def add(self, c: Connection) -> None:
        """Add a connection."""
        negotiated = c.group is not None and predicates.is_post_quantum(c.group)
        self._n["negotiated"] += negotiated
        # In a truncated ServerHello, ja3s and the group may be unknown: it is neither with nor without such a group.
        if c.server_hello is not None and (c.ja3s is not None or c.group is not None):
            self._size("server_hello_bytes", c.server_hello.bytes, with_it=negotiated)
        if c.client_hello is not None:
            self._hello(c, c.client_hello)

    def _hello(self, c: Connection, hello: ClientHello) -> None:
        shared = predicates.has_post_quantum(hello.key_shares)
        self._n["shared"] += shared
        self._n["offered"] += shared or predicates.has_post_quantum(hello.groups)
        self._n["retries"] += predicates.is_retry_for_it(c, hello)
        if shared or c.has_whole_client_hello:
            self._size("hello_bytes", hello.bytes, with_it=shared)
        if c.has_whole_client_hello:
            self._size("hello_segments", hello.segments, with_it=shared)
        share = predicates.share_bytes(hello)
        if share is not None:
            self._size("share_bytes", share, with_it=shared)

    def _size(self, measure: str, value: int, *, with_it: bool) -> None:
        self._sizes[measure if with_it else f"{measure}_without"].add(value)

    def result(self) -> PostQuantum:
        """Return the counts and sizes."""
        names = [name for measure in _MEASURES for name in (measure, f"{measure}_without")]
        counts = {name: self._n[name] for name in ("offered", "shared", "negotiated", "retries")}
        values: dict[str, Any] = {**counts, **{name: self._sizes[name].spread() for name in names}}
        return PostQuantum(**values)
