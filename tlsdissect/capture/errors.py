"""Errors of a whole input, and damage inside a capture."""

from __future__ import annotations

import msgspec


class CaptureError(Exception):
    """An input that is not a capture, or that cannot be read at all; the message gives the reason."""


class NoCaptureError(CaptureError):
    """An input whose first bytes are not those of any capture format."""


class Damage(msgspec.Struct, frozen=True):
    """A part of a capture that could not be read, and its position.

    `frame` is the number that the unreadable packet has or would have had, `offset` the byte of the capture
    (uncompressed) where the damage begins.
    """

    detail: str
    frame: int
    offset: int
    capture: str = ""
    """Of several captures that are read as one, the name of this one."""
    frames_before: int = 0
    """Their frames before those of this one."""
