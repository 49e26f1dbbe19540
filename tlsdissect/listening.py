"""Connections from an interface, each told when its handshake is decided."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Self

from tlsdissect.capture.live import LiveCapture
from tlsdissect.flows.limits import Limits, seconds, whole
from tlsdissect.pipeline import Place, Reading
from tlsdissect.transcript.options import Options
from tlsdissect.views.printable import printable
from tlsdissect.views.watch import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from tlsdissect.pipeline import Told
    from tlsdissect.transcript.connection import Connection
    from tlsdissect.trust.judge import Judge

IDLE = 10.0
"""Seconds after which a silent handshake is told as it is."""
USUAL_PORT = 8443
"""Where to listen if no port and no filter is asked for."""


class Listening(Reading):
    """A reading that ends with its capture, when it is stopped, or with `count` connections.

    As a context it lets go of the interface at its end. While it is iterated over, `stop` may be called from anywhere.
    """

    def __init__(
        self,
        capture: LiveCapture,
        *,
        idle: float | None = IDLE,
        count: int | None = None,
        limits: Limits | None = None,
        judge: Judge | None = None,
        keep: bool = False,
    ) -> None:
        options = Options(idle=idle, limits=limits or Limits(), keep=keep)
        super().__init__([capture.interface], options, judge=judge)
        self._capture_live = capture
        self._left = count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._capture_live.close()

    def placed(self) -> Iterator[tuple[Place, Told]]:
        """Yield each connection with its place."""
        yield from self._told(0, self._capture_live.interface, self._capture_live)

    def __iter__(self) -> Iterator[Connection]:
        """Yield each connection when its handshake is decided; at the end, those that are not."""
        for told in super().__iter__():
            if self._left is not None:
                if not self._left:
                    return
                self._left -= 1
                if not self._left:
                    self.stop()
            yield told

    async def __aiter__(self) -> AsyncIterator[Connection]:
        """Yield the same, and let other tasks run while nothing comes."""
        told = iter(self)
        try:
            while (one := await asyncio.to_thread(next, told, None)) is not None:
                yield one
        finally:
            self.stop()

    def watch(self) -> list[Connection]:
        """Show the connections in a notebook, the latest ones in a table that is updated in place; return them all.

        It ends as iteration does; to interrupt the kernel ends it too. Needs IPython.
        """
        with Watch(self._figures) as watch:
            try:
                for told in self:
                    watch.told.append(told)
            except KeyboardInterrupt:
                self.stop()
        return watch.told

    def _figures(self) -> str:
        """Sum up what was seen so far."""
        counts = (
            f"{self.summary.connections:,} connections",
            f"{self.summary.undecided:,} handshakes open",
            f"{self._capture_live.frames:,} packets",
            f"{self.dropped:,} dropped by the kernel",
        )
        return ", ".join(counts)

    @property
    def dropped(self) -> int:
        """Packets for which the kernel had no room, so far."""
        return self._capture_live.drops.dropped

    def progress(self) -> tuple[int, int | None]:
        """Bytes received."""
        return self._capture_live.position, None

    def stop(self) -> None:
        """Listen no more; what came before is still told."""
        self._capture_live.stop()


def expression(ports: Sequence[int], given: str | None) -> str:
    """Make one filter, as pcap-filter(7) has it, of TCP ports and a filter."""
    if given is None:
        return " or ".join(f"tcp port {port}" for port in ports or (USUAL_PORT,))
    return f"({given}) and ({expression(ports, None)})" if ports else given


def live(
    interface: str = "lo",
    *,
    port: int | Sequence[int] = (),
    filter: str | None = None,  # noqa: A002 (what everybody calls it)
    duration: float | None = None,
    count: int | None = None,
    idle: float = IDLE,
    save: str | None = None,
    limits: Limits | None = None,
    keep: bool = False,
) -> Listening:
    """Listen to an interface, and yield its TLS connections, each as soon as its handshake is decided.

    A handshake is decided when it succeeded, failed, or was silent for `idle` seconds; what is told of the connection
    is as of then, and `open` says whether it goes on. `port` and `filter` (pcap-filter(7)) say which packets; TCP port
    8443 without them. It ends after `duration` seconds, with `count` connections, or by `stop()`; "any" is every
    interface. `save` is the path of a pcapng for all packets. What becomes of the interface comes as a RuntimeWarning.
    `limits` and `keep` are as for `read`. In a notebook `watch()` shows them as they come.

        with tlsdissect.live("lo", port=8443) as listening:
            for connection in listening:        # or: async for
                print(connection.sni, connection.version, connection.round_trips)

    Raises PermissionError without CAP_NET_RAW, CaptureError where interface, filter or `save` is wrong, and TypeError
    or ValueError where another argument is.
    """
    if limits is not None and not isinstance(limits, Limits):
        raise TypeError(f"limits is a tlsdissect.Limits, not {type(limits).__name__}")
    seconds("idle", idle)
    if duration is not None:
        seconds("duration", duration)
    if count is not None:
        whole("count", count, 1)
    ports = (port,) if isinstance(port, int) else tuple(port)
    capture = LiveCapture(interface, expression(ports, filter), duration=duration, save=save, notify=_warn)
    try:
        capture.start()
    except BaseException:
        capture.close()
        raise
    return Listening(capture, idle=idle, count=count, limits=limits, keep=keep)


def _warn(what: str) -> None:
    warnings.warn(printable(what), RuntimeWarning, stacklevel=2)
