"""Live capture from an interface, whose packets come from a PacketReader like those of a file."""

from __future__ import annotations

import ctypes
import math
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Self

from tlsdissect.capture import device
from tlsdissect.capture.errors import CaptureError
from tlsdissect.capture.packet import UNTIMED, Packet
from tlsdissect.capture.reader import PacketReader
from tlsdissect.capture.ring import Drops, Ring
from tlsdissect.capture.ring_frames import RingFrames
from tlsdissect.capture.saving import Rotation, Saved, Saver

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from tlsdissect.capture.blocks import SecretsBlock
    from tlsdissect.capture.errors import Damage

RING_BYTES = 64 << 20
"""Bytes that the kernel buffers before it drops frames."""
TICK = 0.05
"""Seconds without packets after which the iteration yields None."""
MANY, PATIENCE = 128, 0.05
"""After a batch of MANY packets or more, wait PATIENCE seconds for the next one; after fewer, proportionally less.

Each batch has a constant cost, but a single handshake should not wait.
"""
_DLT_EN10MB, _DLT_RAW = 1, 12
"""Link types for which filters are compiled."""
_RETURN, _WHOLE = 0x06, 0xFFFFFFFF
"""The BPF instruction that accepts a packet (BPF_RET | BPF_K of bpf_common.h), and its value for the whole packet."""
EVERY = "any"


class Interface(NamedTuple):
    """An interface of this machine."""

    name: str
    addresses: tuple[str, ...]
    state: str


class LiveCapture:
    """The packets of an interface from now on.

    If the interface goes down, the capture waits for it; if it disappears, the capture ends. Both are reported to
    `notify`. Raises CaptureError if the interface, the filter or the folder to save in is invalid, and PermissionError
    without the privilege to capture.
    """

    def __init__(
        self,
        interface: str,
        expression: str,
        *,
        duration: float | None = None,
        save: str | None = None,
        rotation: Rotation | None = None,
        notify: Callable[[str], object] = str,
        ring_bytes: int = RING_BYTES,
    ) -> None:
        """`expression` is a pcap-filter(7), `duration` is in seconds, and `save` is the path of a pcapng file."""
        self.interface = interface
        self._duration = duration
        self._end = math.inf
        self._notify = notify
        self._using = threading.Lock()
        cooked = not _has_ethernet(interface)
        self._frames = RingFrames(cooked=cooked)
        self._reader = PacketReader(self._frames)
        self.damage: list[Damage] = self._reader.damage
        self.skipped: Counter[str] = self._reader.skipped
        self.secrets: list[SecretsBlock] = self._reader.secrets
        self.until = UNTIMED
        """The end is now."""
        self.size = None
        """The number of bytes is unknown."""
        self._index = None if interface == EVERY else device.index(interface)
        self._down = self._index is not None and not device.is_up(interface)
        program = _compiled(expression, _DLT_RAW if cooked else _DLT_EN10MB)
        self._saver: Saver | None = None
        self._ring = Ring(cooked=cooked, size=ring_bytes)
        try:
            self._listen(program)
            if save is not None:
                saved = Saved(save, interface, self._frames.link, expression, rotation)
                self._saver = self._frames.recorder = _saver(saved, lambda: self.drops)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the duration, and create the file to save in; raises CaptureError if that fails."""
        if self._duration is not None:
            self._end = time.monotonic() + self._duration
        if self._saver is not None:
            try:
                self._saver.start()
            except OSError as error:
                raise CaptureError(f"{self._saver.path}: {error.strerror}") from error

    def __iter__(self) -> Iterator[PacketReader | None]:
        """Yield the reader whenever it has packets, and None after a moment without any."""
        if self._down:
            self._notify(f"{self.interface} is down: waiting for it")
        try:
            while time.monotonic() < self._end:
                before = self._reader.frames
                yield self._reader if self._look() else None
                self._pause(self._reader.frames - before)
            # Packets that arrived before the end and are still in the ring.
            for _ in range(self._ring.blocks):
                if not self._look():
                    break
                yield self._reader
        finally:
            self._frames.end()
            # Count the fragments whose packets are incomplete.
            self._reader.next(Packet())
            with self._using:
                if self._saver is not None:
                    self._saver.finish()

    def stop(self) -> None:
        """End the capture after the packets that are in the ring now."""
        self._end = 0.0

    @property
    def frames(self) -> int:
        """Frames received."""
        return self._reader.frames

    @property
    def position(self) -> int:
        """Bytes received."""
        return self._reader.position

    @property
    def drops(self) -> Drops:
        """Frames received, and frames that the kernel dropped for lack of room."""
        return self._ring.drops

    @property
    def unsaved(self) -> tuple[int, str | None]:
        """Packets that could not be written to the file, and why the last of them could not."""
        return (0, None) if self._saver is None else (self._saver.unsaved, self._saver.problem)

    def close(self) -> None:
        """Close the socket and the file. Another thread may be iterating: its iteration ends."""
        self.stop()
        with self._using:
            self._ring.close()
            if self._saver is not None:
                self._saver.close()

    def _listen(self, program: bytes) -> None:
        try:
            self._ring.filter(program)
            if self.interface == "lo":
                self._ring.ignore_outgoing()
            elif self._index is not None:
                self._ring.promiscuous(self._index)
            self._ring.start(self._index or 0)
        except OSError as error:
            raise CaptureError(f"cannot be captured from: {error.strerror}") from error

    def _is_ready(self) -> bool:
        try:
            ready = self._ring.wait(TICK)
        except OSError:
            ready = False
            if not self._down:
                self._down = True
                self._notify(f"{self.interface} went down: waiting for it")
        if self._down:
            self._look_for_it()
        return ready

    def _look_for_it(self) -> None:
        """Check the interface: the socket receives again once it is up, but not from one that was created again."""
        if self._index is not None and device.index(self.interface) != self._index:
            self._notify(f"{self.interface} disappeared")
            self.stop()
        elif self._index is None or device.is_up(self.interface):
            self._down = False
            self._notify(f"{self.interface} is up")

    def _look(self) -> bool:
        """Load the frames that arrived; False if there are none."""
        with self._using:
            if self._ring.closed or not self._is_ready():
                return False
            self._frames.load(self._ring.take())
            return True

    def _pause(self, packets: int) -> None:
        """After a batch of this many packets, write what is to be saved, and wait for the next batch to grow."""
        with self._using:
            if self._ring.closed:
                return
            if self._saver is not None:
                self._saver.tick()
            self._ring.gather(PATIENCE * min(packets / MANY, 1.0))


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
        return device.hardware(interface) in (device.ETHERNET, device.LOOPBACK)
    except OSError:
        raise CaptureError("no such interface (tlsdissect live --list shows all)") from None


def _saver(saved: Saved, drops: Callable[[], Drops]) -> Saver:
    try:
        return Saver(saved, drops)
    except OSError as error:
        raise CaptureError(f"{saved.path}: {error.strerror}") from error


def _compiled(expression: str, link: int) -> bytes:
    """Compile a filter to a `struct sock_fprog` that points to the instructions."""
    from scapy.arch.common import compile_filter  # noqa: PLC0415 (slow to load)
    from scapy.error import Scapy_Exception  # noqa: PLC0415

    try:
        program = compile_filter(expression, linktype=link)
    except ImportError as error:
        raise CaptureError(f"{error} (Debian: libpcap0.8)") from None
    except Scapy_Exception as error:
        raise CaptureError(str(error)) from None
    for instruction in program.bf_insns[: program.bf_len]:
        # The snap length that scapy passes to libpcap is too small for the segments of `lo`.
        if instruction.code == _RETURN and instruction.k:
            instruction.k = _WHOLE
    return ctypes.string_at(ctypes.addressof(program), ctypes.sizeof(program))
