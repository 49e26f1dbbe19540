"""An interface, listened to: its frames in batches, like those of a file."""

from __future__ import annotations

import ctypes
import math
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from tlsdissect.capture import device
from tlsdissect.capture.batches import Batches
from tlsdissect.capture.errors import CaptureError
from tlsdissect.capture.records import Records
from tlsdissect.capture.ring import Drops, Ring, cooked, tagged
from tlsdissect.capture.saving import Rotation, Saved, Saver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.capture.packets import Damage, Packets

RING_BYTES = 64 << 20
"""Bytes that the kernel may hold before it drops frames."""
TICK = 0.05
"""Seconds after which a silent interface says that nothing came."""
MANY, PATIENCE = 128, 0.05
"""Packets of a batch behind which others are gathered for so many seconds, and behind fewer for as much less.

A batch has its price, however small it is; but a handshake that comes alone is not to wait.
"""
_ETHERNET, _COOKED = 1, 276
"""Link types of what is told: LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL2."""
_DLT_EN10MB, _DLT_RAW = 1, 12
"""Link types for filters: the kernel runs them before it is told what came from where."""
_RETURN, _WHOLE = 0x06, 0xFFFFFFFF
"""A filter's instruction to take a packet (BPF_RET | BPF_K of bpf_common.h), and to take all of it."""
EVERY = "any"


class Interface(NamedTuple):
    """An interface of this machine."""

    name: str
    addresses: tuple[str, ...]
    state: str


class LiveCapture:
    """What comes over an interface from now on; None in the place of a batch: for a moment nothing came.

    An interface that goes down is waited for; one that disappears ends the capture; `notify` is told of both. Raises
    CaptureError where the interface, the filter or the folder to save in is wrong, PermissionError without the right
    to listen.
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
        """`expression` filters as pcap-filter(7) has it; `duration` is in seconds; `save` is the path of a pcapng."""
        self.interface = interface
        self.damage: list[Damage] = []
        self.skipped: Counter[str] = Counter()
        self.secrets: list[bytes] = []
        self.frames = 0
        self.position, self.size = 0, None
        """Bytes received; how many there will be is not known."""
        self._duration = duration
        self._end = math.inf
        self._notify = notify
        self._using = threading.Lock()
        self._batches = Batches(self.skipped)
        self._cooked = not _has_ethernet(interface)
        self._link = _COOKED if self._cooked else _ETHERNET
        self._index = None if interface == EVERY else device.index(interface)
        self._down = self._index is not None and not device.is_up(interface)
        program = _compiled(expression, _DLT_RAW if self._cooked else _DLT_EN10MB)
        self._saver: Saver | None = None
        self._ring = Ring(cooked=self._cooked, size=ring_bytes)
        try:
            self._listen(program)
            if save is not None:
                self._saver = _saver(Saved(save, interface, self._link, expression, rotation), lambda: self.drops)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin the time that the capture is to last, and the file that it is saved in (CaptureError)."""
        if self._duration is not None:
            self._end = time.monotonic() + self._duration
        if self._saver is not None:
            try:
                self._saver.start()
            except OSError as error:
                raise CaptureError(f"{self._saver.path}: {error.strerror}") from error

    def __iter__(self) -> Iterator[Packets | None]:
        """Give the packets in batches, of which only the latest is valid."""
        if self._down:
            self._notify(f"{self.interface} is down: waiting for it")
        try:
            while time.monotonic() < self._end:
                _, packets = self._look()
                yield packets
                self._pause(0 if packets is None else len(packets))
            # What came before the end and is still in the ring.
            for _ in range(self._ring.blocks):
                ready, packets = self._look()
                if not ready:
                    return
                yield packets
        finally:
            self._batches.finish()
            with self._using:
                if self._saver is not None:
                    self._saver.finish()

    def stop(self) -> None:
        """Listen no more: what is in the ring now is the last."""
        self._end = 0.0

    @property
    def drops(self) -> Drops:
        """Frames that passed the filter, and those for which the kernel had no room."""
        return self._ring.drops

    @property
    def unsaved(self) -> tuple[int, str | None]:
        """Packets that could not be written to the file, and why the latest could not."""
        return (0, None) if self._saver is None else (self._saver.unsaved, self._saver.trouble)

    def close(self) -> None:
        """Let go of the interface, also while another thread iterates: what that has taken is the last."""
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
            raise CaptureError(f"cannot be listened to: {error.strerror}") from error

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
        """The socket hears an interface again when it comes back up, but never one that is made anew."""
        if self._index is not None and device.index(self.interface) != self._index:
            self._notify(f"{self.interface} disappeared")
            self.stop()
        elif self._index is None or device.is_up(self.interface):
            self._down = False
            self._notify(f"{self.interface} is up")

    def _look(self) -> tuple[bool, Packets | None]:
        """Whether something came, and what of it is to be told."""
        with self._using:
            ready = not self._ring.closed and self._is_ready()
            return ready, self._take() if ready else None

    def _pause(self, packets: int) -> None:
        """Behind a batch of so many packets, see to what is saved, and let the next batch grow."""
        with self._using:
            if self._ring.closed:
                return
            if self._saver is not None:
                self._saver.tick()
            self._ring.gather(PATIENCE * min(packets / MANY, 1.0))

    def _take(self) -> Packets | None:
        frames = self._ring.take()
        frames = cooked(frames) if self._cooked else tagged(frames)
        many = len(frames.head)
        if not many:
            return None
        if self._saver is not None:
            self._saver.add(frames)
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
        return device.hardware(interface) in (device.ETHERNET, device.LOOPBACK)
    except OSError:
        raise CaptureError("there is no such interface (tlsdissect live --list)") from None


def _saver(saved: Saved, drops: Callable[[], Drops]) -> Saver:
    try:
        return Saver(saved, drops)
    except OSError as error:
        raise CaptureError(f"{saved.path}: {error.strerror}") from error


def _compiled(expression: str, link: int) -> bytes:
    """Compile a filter to a `struct sock_fprog`, and the instructions that it points to."""
    from scapy.arch.common import compile_filter  # noqa: PLC0415 (slow to load)
    from scapy.error import Scapy_Exception  # noqa: PLC0415

    try:
        program = compile_filter(expression, linktype=link)
    except ImportError as error:
        raise CaptureError(f"{error} (Debian: libpcap0.8)") from None
    except Scapy_Exception as error:
        raise CaptureError(str(error)) from None
    for instruction in program.bf_insns[: program.bf_len]:
        # libpcap writes how many bytes of a packet to take, of which scapy asks for too few for segments of `lo`.
        if instruction.code == _RETURN and instruction.k:
            instruction.k = _WHOLE
    return ctypes.string_at(ctypes.addressof(program), ctypes.sizeof(program))
