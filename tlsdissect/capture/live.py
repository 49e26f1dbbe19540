"""An interface, listened to: its frames in batches, like those of a file."""

from __future__ import annotations

import ctypes
import math
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from tlsdissect.capture.batches import Batches
from tlsdissect.capture.errors import CaptureError
from tlsdissect.capture.records import Records
from tlsdissect.capture.ring import Drops, Ring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.capture.packets import Damage, Packets

RING_BYTES = 64 << 20
"""Bytes that the kernel may hold before it drops frames."""
TICK = 0.05
"""Seconds after which a silent interface says that nothing came."""
_ETHERNET, _RAW = 1, 101
"""Link types (LINKTYPE_ETHERNET, LINKTYPE_RAW) of the frames of a socket, with their headers and without."""
_DLT_RAW = 12
_ETHERNET_HARDWARE = frozenset((1, 772))
"""Hardware types of interfaces whose frames have Ethernet's header (ARPHRD_ETHER, ARPHRD_LOOPBACK)."""
EVERY = "any"


class Interface(NamedTuple):
    """An interface of this machine."""

    name: str
    addresses: tuple[str, ...]
    state: str


class LiveCapture:
    """What comes over an interface from now on; None in the place of a batch: for a moment nothing came.

    Raises CaptureError where the interface or the filter is wrong, PermissionError without the right to listen.
    """

    def __init__(
        self, interface: str, expression: str, *, duration: float | None = None, ring_bytes: int = RING_BYTES
    ) -> None:
        """`expression` filters as pcap-filter(7) has it; `duration` is in seconds."""
        self.interface = interface
        self.damage: list[Damage] = []
        self.skipped: Counter[str] = Counter()
        self.secrets: list[bytes] = []
        self.frames = 0
        self.position, self.size = 0, None
        """Bytes received; how many there will be is not known."""
        self._end = math.inf if duration is None else time.monotonic() + duration
        self._batches = Batches(self.skipped)
        cooked = not _has_ethernet(interface)
        self._link = _RAW if cooked else _ETHERNET
        program = _compiled(expression, _DLT_RAW if cooked else _ETHERNET)
        self._ring = Ring(cooked=cooked, size=ring_bytes)
        try:
            self._ring.filter(program)
            if interface in ("lo", EVERY):
                self._ring.ignore_outgoing()
            self._ring.start("" if interface == EVERY else interface)
        except OSError as error:
            self._ring.close()
            raise CaptureError(f"cannot be listened to: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Packets | None]:
        """Give the packets in batches, of which only the latest is valid."""
        while time.monotonic() < self._end:
            try:
                ready = self._ring.wait(TICK)
            except OSError as error:
                self.skipped[f"interface {self.interface}: {error.strerror or error}"] += 1
                time.sleep(TICK)
                ready = False
            yield self._take() if ready else None
        self._batches.finish()

    def stop(self) -> None:
        """Listen no more: what is in the ring now is the last."""
        self._end = 0.0

    @property
    def drops(self) -> Drops:
        """Frames that passed the filter, and those for which the kernel had no room."""
        return self._ring.drops

    def close(self) -> None:
        """Let go of the interface."""
        self._ring.close()

    def _take(self) -> Packets | None:
        frames = self._ring.take()
        many = len(frames.head)
        if not many:
            return None
        records = Records(
            data=frames.data,
            frame=self.frames + 1,
            start=frames.start,
            captured=frames.captured,
            carried=frames.carried,
            link=np.full(many, self._link),
            time=frames.time,
            digits=np.full(many, 9, np.uint8),
        )
        self.frames += many
        self.position += int(frames.captured.sum())
        return self._batches.packets(records)


def interfaces() -> list[Interface]:
    """List the interfaces of this machine."""
    import scapy.arch  # noqa: F401, PLC0415 (slow to load; it finds the interfaces)
    from scapy.config import conf  # noqa: PLC0415

    return [
        Interface(
            one.name, tuple(ip for some in one.ips.values() for ip in some), "up" if "UP" in str(one.flags) else "down"
        )
        for one in conf.ifaces.values()
    ]


def _has_ethernet(interface: str) -> bool:
    if interface == EVERY:
        return False
    try:
        return int(Path("/sys/class/net", interface, "type").read_text()) in _ETHERNET_HARDWARE
    except OSError:
        raise CaptureError("there is no such interface (tlsdissect live --list)") from None


def _compiled(expression: str, link: int) -> bytes:
    """Compile a filter to a `struct sock_fprog`, and the instructions that it points to."""
    from scapy.arch.common import compile_filter  # noqa: PLC0415 (slow to load)
    from scapy.error import Scapy_Exception  # noqa: PLC0415

    try:
        program = compile_filter(expression, linktype=link)
    except (Scapy_Exception, ImportError) as error:
        raise CaptureError(f"{error} (the filter is compiled by libpcap: Debian's libpcap0.8)") from None
    return ctypes.string_at(ctypes.addressof(program), ctypes.sizeof(program))
