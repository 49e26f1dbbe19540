"""Captures: file or pipe in, batches of packets out."""

from tlsdissect.capture.errors import CaptureError, NoCaptureError
from tlsdissect.capture.packets import TCP, UDP, Damage, Packets
from tlsdissect.capture.reader import Capture, open_capture

__all__ = ["TCP", "UDP", "Capture", "CaptureError", "Damage", "NoCaptureError", "Packets", "open_capture"]
