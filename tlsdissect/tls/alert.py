"""Alerts, and the ERROR message of SSL 2.0."""

from tlsdissect.tls.codepoints import AlertDescription, AlertLevel, Ssl2Error, Ssl2Message
from tlsdissect.tls.layout import WireStruct


class Alert(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 6."""

    level: AlertLevel
    description: AlertDescription


class Alert12(WireStruct, frozen=True, gc=False):
    """An alert before TLS 1.3 (RFC 5246 section 7.2)."""

    level: AlertLevel
    description: AlertDescription


class Ssl2ErrorMessage(WireStruct, frozen=True, gc=False):
    """The ERROR message of SSL 2.0 (draft-hickman-netscape-ssl-00 section 5.8), after the 2-byte record length."""

    msg_type: Ssl2Message
    error_code: Ssl2Error
