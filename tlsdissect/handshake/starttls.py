"""The protocol before TLS on the same connection, such as SMTP with STARTTLS, and the target of a proxy.

Protocols are recognised by the bytes of both sides before the first TLS record; of long payload, only the beginning and
the end are available, and none of a side that was not captured. Anything else is "unknown".
"""

from __future__ import annotations

import re
from functools import cache

from msgspec import Struct

from tlsdissect.handshake import proxies


class _Signature(Struct, frozen=True):
    """Patterns for the first bytes of each side, and for a side alone if the other was not captured."""

    name: str
    client: bytes
    server: bytes
    client_alone: bytes | None = None
    server_alone: bytes | None = None

    def matches(self, client: bytes, server: bytes) -> bool:
        """Return whether the bytes of both sides, or of the only one captured, match."""
        if client and server:
            return _begins(client, self.client) and _begins(server, self.server)
        if client:
            return _begins(client, self.client if self.client_alone is None else self.client_alone)
        return _begins(server, self.server if self.server_alone is None else self.server_alone)


def _begins(data: bytes, pattern: bytes) -> bool:
    return _compiled(pattern).match(data) is not None


@cache
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.DOTALL)


_ANY = rb""
_NEVER = rb"(?!)"
# An LDAPMessage: a SEQUENCE of a messageID and an operation of type [APPLICATION n] (RFC 4511 section 4.1.1).
_LDAP = (
    rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....)\x02(?:\x01.|\x02..|\x03...|\x04....)"
    rb"(?-i:[\x42\x4a\x50\x60-\x79])"
)
_XMPP = rb"\s*<[^\x00]{0,600}(?:jabber:(?:client|server)|etherx\.jabber\.org|xmpp-tls)"
_RFB = rb"RFB \d{3}\.\d{3}\n"
_AMQP = rb"AMQP[\x00-\x03]"
_TELNET = rb"\xff[\xfa-\xfe]"
# Record mark, xid, a call of RPC version 2, program and its version, procedure 0, AUTH_TLS (RFC 5531 section 9).
_RPC_CALL = rb"[\x80\x00].{7}\x00{7}\x02.{8}\x00{7}\x07"

_SIGNATURES = (
    # SSLRequest or GSSENCRequest, each answered by one byte: "Message Formats" of PostgreSQL's documentation.
    _Signature("postgresql", rb"\x00\x00\x00\x08\x04\xd2\x16[\x2f\x30]", rb"(?-i:[GNS])", None, rb"(?-i:N?S\Z)"),
    # The greeting of protocol version 10; then the client's SSLRequest, packet 1, has 32 bytes (5 before version 4.1).
    _Signature("mysql", rb"[\x20\x05]\x00\x00\x01", rb"..\x00\x00\x0a[0-9][^\x00]{0,100}\x00"),
    # A TPKT (RFC 1006 section 6) with X.224's connection request and confirm: MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2.
    _Signature("rdp", rb"\x03\x00..[\x06-\xfe]\xe0", rb"\x03\x00..[\x06-\xfe]\xd0"),
    # PRELOGIN and its answer: MS-TDS section 2.2.6.5.
    _Signature("tds", rb"\x12[\x00\x01]..\x00\x00", rb"[\x04\x12][\x00\x01]..\x00\x00"),
    _Signature("ldap", _LDAP, _LDAP),
    _Signature("xmpp", _XMPP, _XMPP),
    _Signature("rfb", _RFB, _RFB),
    _Signature("amqp", _AMQP, _AMQP),
    _Signature("nbd", _ANY, rb"NBDMAGICIHAVEOPT", _NEVER),
    _Signature("nats", _ANY, rb"INFO\s+\{", _NEVER),
    # A call of procedure 0 with AUTH_TLS, answered with the verifier "STARTTLS": RFC 9289 section 4.1.
    _Signature("sunrpc", _RPC_CALL, rb"[\x80\x00].{7}\x00\x00\x00\x01.{0,20}STARTTLS"),
    _Signature("telnet", _TELNET, _TELNET),
    # A_CNXN, and A_STLS both ways: "ADB protocol" of Android's documentation.
    _Signature("adb", rb"CNXN.{20}.*STLS", rb"(?:CNXN.{20}.*)?STLS"),
    # The versions of NoMachine's client and server.
    _Signature("nx", rb"NXSH-[0-9]", rb"NXD-[0-9]"),
    # StartTLS of both sides: a common header with message type 13 (RFC 8253 section 3.3, RFC 5440 section 6.1).
    _Signature("pcep", rb"\x20\x0d\x00\x04", rb"\x20\x0d\x00\x04"),
    # An upgrade request, and its response: MC-NMF sections 2.2.3.5 and 2.2.3.6.
    _Signature(
        "net-tcp", rb"\x00\x01\x00\x01[\x01-\x04]\x02.{1,600}\x09\x13application/ssl-tls", rb"\x0a", None, _NEVER
    ),
    # RFC 9271 section 4.2.
    _Signature("nut", rb"STARTTLS\b", rb"OK STARTTLS\b", _NEVER),
    # Its handshake upgrades as HTTP does: "Gnutella 0.6", with Upgrade: TLS/1.0.
    _Signature("gnutella", rb"GNUTELLA CONNECT/.*^Upgrade:[^\n]*TLS/", rb"GNUTELLA/", None, _NEVER),
    _Signature(
        "ftp",
        rb"(?:AUTH|USER|FEAT|HOST|OPTS|SYST|CLNT|PBSZ|LANG|HELP|NOOP)\b",
        rb"[12]20[ -]",
        rb".*^AUTH (?:TLS|SSL)",
        rb"[12]20[^\n]*FTP|[12]20[ -].*^234[ -]",
    ),
    _Signature("lmtp", rb"LHLO\b", rb"220[ -]", None, rb"220[^\n]*LMTP"),
    _Signature(
        "smtp", rb"(?:EHLO|HELO|STARTTLS)\b", rb"220[ -]", rb"(?:EHLO|HELO)\b", rb"220[^\n]*SMTP|220 .*^250[ -]"
    ),
    _Signature("pop3", rb"(?:CAPA|STLS|AUTH|USER|APOP|NOOP|UTF8|LANG)\b", rb"\+OK", rb".*^STLS\b"),
    _Signature("imap", rb"[!-~]{1,64} [A-Z]{2,}", rb"\* (?:OK|PREAUTH)\b", rb".*^[!-~]{1,64} STARTTLS\b"),
    _Signature("sieve", rb"(?:STARTTLS|CAPABILITY|NOOP)\b", rb'"[A-Z]+"', _NEVER, rb'.*^"(?:IMPLEMENTATION|SIEVE)"'),
    _Signature(
        "nntp",
        rb"(?:CAPABILITIES|MODE|STARTTLS|LIST|AUTHINFO|HELP|DATE)\b",
        rb"20[01] ",
        rb"(?:CAPABILITIES|MODE READER)\b",
        rb"20[01] .*^382 ",
    ),
    _Signature(
        "irc",
        rb"(?:STARTTLS|CAP|NICK|USER|PASS|WEBIRC)\b",
        rb":\S+ |NOTICE |PING |ERROR ",
        rb"(?:CAP|NICK|WEBIRC) .*^STARTTLS",
        rb".*^:\S+ 670 ",
    ),
    # Upgrade: TLS/1.0, answered by 101: RFC 2817 section 3.
    _Signature("http-upgrade", rb"[A-Z]+ \S+ HTTP/1.*^Upgrade:[^\n]*TLS/", rb"HTTP/1\.1 101", None, _NEVER),
)


# First bytes, of either side, of a connection that may switch to TLS ...
_OPENING = re.compile(
    rb"[12]20|20[01] |\+OK|\* |\"[a-z]|:\S|RFB |INFO\s|NBDMAGIC|AMQP|CNXN|STLS|GNUTELLA|NOTICE |PING |ERROR "
    rb"|EHLO|HELO|LHLO|STARTTLS|CONNECT |PROXY |CAP |NICK |PASS |USER |WEBIRC|\s*(?:<|\Z)|\r\n\r\n\x00"
    rb"|NX(?:SH|D)-|\x20\x0d\x00\x04|\x00\x01\x00\x01[\x01-\x04]\x02"
    rb"|..\x00\x00\x0a|\x00\x00\x00\x08\x04\xd2\x16|\x03\x00..[\x06-\xfe][\xe0\xd0]|\x12[\x00\x01]|\xff[\xfa-\xfe]"
    rb"|\x04[\x01\x02]|\x05[\x01-\x10]|\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....)\x02"
    rb"|[\x80\x00].{7}(?:\x00{7}\x02.{8}\x00{7}\x07|.{0,23}\Z)"
    rb"|[a-z]+ \S+ HTTP/1.*\nUpgrade:[^\n]*TLS/",
    re.IGNORECASE | re.DOTALL,
)
# ... and in addition if the other side was not captured.
_ALONE = re.compile(
    rb"[GNS](?:[GNS\x16]|\Z)|HTTP/1\.[01] (?:\Z|1|2)|\x00[\x5a-\x5d]|\x05[\x00-\x02]|\x04[\x00\x01]"
    rb"|[\x20\x05]\x00\x00\x01|[\x80\x00].{7}\x00\x00\x00\x01|OK START|(?:CAPABILITIES|MODE|LIST|AUTHINFO|DATE)\b"
    rb"|(?:AUTH|FEAT|HOST|OPTS|SYST|CLNT|PBSZ|LANG|HELP|NOOP|CAPA|STLS|APOP|UTF8)\b"
    rb"|[!-~]{1,64}(?:\Z| (?:STARTTLS|CAPABILITY|ID|NOOP)\b| [a-z]{0,10}\Z)",
    re.IGNORECASE | re.DOTALL,
)
_DECISIVE = 8  # bytes; fewer may be the beginning of a match
_FIRST_BYTES = frozenset(b'12+*":<RINAPECHLSUWGO0 \t\r\n\x00\x03\x04\x05\x12\x80\xffrinapechlsuwg')


def may_upgrade(a: bytes, b: bytes) -> bool:
    """Return whether TLS may begin later on a connection with these first bytes.

    It may for every protocol that `recognise` knows, except for an HTTP request whose Upgrade header is still missing.
    Empty bytes are those of a side that was not captured or has sent nothing.
    """
    if a and b:
        return _opens(a) or _opens(b)
    return _opens(a or b) or _ALONE.match(a or b) is not None


def _opens(data: bytes) -> bool:
    if len(data) < _DECISIVE and (len(data) < 5 or data[0] in _FIRST_BYTES):
        return True
    return _OPENING.match(data) is not None


def recognise(client: bytes, server: bytes) -> tuple[str, str | None]:
    """Return the protocol before TLS, and the target of a proxy request or the addresses of a PROXY header.

    The protocol after a PROXY header is returned; "proxy" if it is unknown.
    """
    header = proxies.proxy_header(client)
    if header is None:
        return _protocol(client, server)
    target, rest = header
    name, asked = _protocol(rest, server)
    return ("proxy", target) if name == "unknown" else (name, asked or target)


def _protocol(client: bytes, server: bytes) -> tuple[str, str | None]:
    if not client and not server:
        return "unknown", None
    connect = proxies.http_connect(client, server)
    if connect is not None:
        return connect
    for signature in _SIGNATURES:
        if signature.matches(client, server):
            return signature.name, None
    return proxies.socks(client, server) or ("unknown", None)
