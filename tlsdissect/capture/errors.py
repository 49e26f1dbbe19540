"""The one exception of this folder."""

from __future__ import annotations


class CaptureError(Exception):
    """An input that is not a capture, or one of which nothing can be read; the message tells what is wrong."""


class NoCaptureError(CaptureError):
    """An input whose first bytes are those of something else."""
