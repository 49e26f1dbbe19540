"""What cannot be read: of an input, or of a part of it."""

from __future__ import annotations

import msgspec


class CaptureError(Exception):
    """An input that is not a capture, or of which nothing can be read; the message says why."""


class NoCaptureError(CaptureError):
    """An input whose first bytes are those of something else."""


class Damage(msgspec.Struct, frozen=True):
    """Something of a capture that could not be read, and where it stands.

    `frame` is the number that the unreadable packet has or would have had, `offset` the byte of the capture
    (uncompressed) where the trouble starts.
    """

    detail: str
    frame: int
    offset: int
