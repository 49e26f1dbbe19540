"""Captures: file, pipe or interface in, packets out."""
# ruff: noqa: E402 (nothing of a stale kernel may be imported)

from tlsdissect import kernel

kernel.refuse_stale()

from tlsdissect.capture.errors import CaptureError, Damage, NoCaptureError
from tlsdissect.capture.packet import TCP, UDP, Packet
from tlsdissect.capture.reader import PacketReader, open_capture

__all__ = ["TCP", "UDP", "CaptureError", "Damage", "NoCaptureError", "Packet", "PacketReader", "open_capture"]
