"""Live capture: connections of an interface, each yielded as soon as its handshake is decided."""

from __future__ import annotations

import asyncio
import os
import warnings
from typing import TYPE_CHECKING, Self, Unpack

from tlsdissect.capture.live import LiveCapture
from tlsdissect.capture.names import CaptureNames
from tlsdissect.corpus.reading import LiveOptions, judge, refuse_unknown, selection
from tlsdissect.corpus.selection import Selection
from tlsdissect.flows.limits import Limits, seconds, whole
from tlsdissect.handshake.key_logs import KeyLog
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading
from tlsdissect.views.notebook import Watch
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from tlsdissect.model.connection import Connection
    from tlsdissect.pipeline import NumberedEvent
    from tlsdissect.trust.judge import Judge

IDLE = 10.0
"""Seconds without a packet after which a handshake counts as decided."""
USUAL_PORT = 8443
"""Port of TCP and UDP that is captured if neither port nor filter is given."""


class Listening(Reading):
    """A reading of a live capture; ends with the capture, on `stop`, or after `count` connections.

    As a context manager it closes the capture at the end. `stop` may be called from any thread during iteration.
    """

    def __init__(
        self,
        capture: LiveCapture,
        options: Options,
        *,
        count: int | None = None,
        judge: Judge | None = None,
        selection: Selection | None = None,
    ) -> None:
        """`count` includes connections that are not selected."""
        super().__init__([capture.interface], options, judge=judge)
        self._capture_live = capture
        self._left = count
        self._selection = selection or Selection()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._capture_live.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def _numbered(self) -> Iterator[NumberedEvent]:
        yield from self._events(0, CaptureNames(self._capture_live.interface), self._capture_live)

    def __iter__(self) -> Iterator[Connection]:
        """Yield each selected connection when its handshake is decided, and the remaining ones at the end."""
        for connection in super().__iter__():
            if self._left is not None:
                if not self._left:
                    return
                self._left -= 1
                if not self._left:
                    self.stop()
            if self._selection.matches(connection, self.begin):
                yield connection

    async def __aiter__(self) -> AsyncIterator[Connection]:
        """Yield the same; other tasks run while this waits for packets."""
        connections = iter(self)
        try:
            while (one := await asyncio.to_thread(next, connections, None)) is not None:
                yield one
        finally:
            self.stop()

    def watch(self) -> list[Connection]:
        """Show the latest connections in a notebook, in a table that is updated in place; return all connections.

        It ends like iteration, or when the kernel is interrupted. Needs IPython.
        """
        with Watch(self._figures) as watch:
            try:
                for connection in self:
                    watch.connections.append(connection)
            except KeyboardInterrupt:
                self.stop()
        return watch.connections

    def _figures(self) -> str:
        """Return a line with the counts so far."""
        counts = (
            f"{self.summary.connections:,} connections",
            f"{self.summary.undecided:,} handshakes open",
            f"{self._capture_live.frames:,} packets",
            f"{self.dropped:,} dropped by the kernel",
        )
        return ", ".join(counts)

    @property
    def dropped(self) -> int:
        """Packets that the kernel has dropped so far."""
        return self._capture_live.drops.dropped

    def progress(self) -> tuple[int, int | None]:
        """Bytes received."""
        return self._capture_live.position, None

    def stop(self) -> None:
        """Stop capturing; connections of earlier packets still follow."""
        self._capture_live.stop()


def expression(ports: Sequence[int], given: str | None) -> str:
    """Combine ports of TCP and UDP and a filter into one pcap-filter(7) expression."""
    if given is None:
        return " or ".join(f"port {port}" for port in ports or (USUAL_PORT,))
    return f"({given}) and ({expression(ports, None)})" if ports else given


def live(
    interface: str = "lo",
    *,
    port: int | Sequence[int] = (),
    filter: str | None = None,  # noqa: A002 (the usual name)
    duration: float | None = None,
    count: int | None = None,
    idle: float = IDLE,
    save: str | None = None,
    limits: Limits | None = None,
    keep: bool = False,
    keylog: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    **given: Unpack[LiveOptions],
) -> Listening:
    """Capture from an interface and yield its TLS connections, each as soon as its handshake is decided.

    A handshake is decided when it has succeeded, failed, or been idle for `idle` seconds. The facts are those known at
    that time, and `open` is true if the connection continues. `port` and `filter` (pcap-filter(7)) select packets; the
    default is port 8443 of TCP and UDP. The capture ends after `duration` seconds, after `count` connections, or by
    `stop()`. The interface "any" means all interfaces. `save` is the path of a pcapng file for all packets. If the
    interface goes down or disappears, a RuntimeWarning is issued. `limits`, `keep` and `keylog` are as for `read`; the
    files of `keylog` may grow while the capture goes on. What selects connections and asks for findings is as for
    `read` too, except `stream` and `port`; `count` includes connections that are not selected. In a notebook,
    `watch()` shows the connections.

        with tlsdissect.live("lo", port=8443) as listening:
            for connection in listening:        # or: async for
                print(connection.sni, connection.version, connection.round_trips)

    Raises PermissionError without CAP_NET_RAW, CaptureError if the interface, the filter or `save` is invalid, and
    TypeError or ValueError for other arguments.
    """
    if limits is not None and not isinstance(limits, Limits):
        raise TypeError(f"limits must be tlsdissect.Limits, not {type(limits).__name__}")
    seconds("idle", idle)
    if duration is not None:
        seconds("duration", duration)
    if count is not None:
        whole("count", count, 1)
    refuse_unknown(given, LiveOptions)
    chosen = selection(given)
    checker = judge(given, chosen)
    ports = (port,) if isinstance(port, int) else tuple(port)
    paths = [keylog] if isinstance(keylog, str | os.PathLike) else [*keylog]
    options = Options(
        idle=idle,
        limits=limits or Limits(),
        keep=keep,
        keylog=KeyLog(paths, follows=True) if paths else None,
        raw_fingerprints=chosen.needs_raw_fingerprints,
    )
    capture = LiveCapture(interface, expression(ports, filter), duration=duration, save=save, notify=_warn)
    try:
        capture.start()
    except BaseException:
        capture.close()
        raise
    return Listening(capture, options, count=count, judge=checker, selection=chosen)


def _warn(what: str) -> None:
    warnings.warn(printable(what), RuntimeWarning, stacklevel=2)
