# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""Alerts, and the ERROR message of SSL 2.0."""

from typing import Self

from msgspec import Struct

from tlsdissect.tls.codepoints import AlertDescription, AlertLevel, Ssl2Error, Ssl2Message
from tlsdissect.tls.wire import Reader


class Alert(Struct, frozen=True, gc=False):
    """RFC 8446 section 6; RFC 5246 section 7.2."""

    level: AlertLevel
    description: AlertDescription

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(level=r.u8(), description=r.u8())


class Ssl2ErrorMessage(Struct, frozen=True, gc=False):
    """The ERROR message of SSL 2.0 (draft-hickman-netscape-ssl-00 section 5.8), after the 2-byte record length."""

    msg_type: Ssl2Message
    error_code: Ssl2Error

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(msg_type=r.u8(), error_code=r.u16())
