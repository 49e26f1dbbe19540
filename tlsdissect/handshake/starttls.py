"""Which protocol spoke on a stream before TLS began on it, and whom a proxy was asked for.

Both sides' bytes come as they were sent up to the first TLS record; of a long prelude only its beginning and its end,
of a side that the capture lacks none. What fits no protocol is "unknown".
"""

from __future__ import annotations

import re
from functools import cache

from msgspec import Struct

from tlsdissect.handshake import proxies


class _Shape(Struct, frozen=True):
    """What each side's bytes begin with; where only one side was seen, it must be told by itself."""

    name: str
    client: bytes
    server: bytes
    client_alone: bytes | None = None
    server_alone: bytes | None = None

    def fits(self, client: bytes, server: bytes) -> bool:
        """Tell whether what was seen has this shape."""
        if client and server:
            return _begins(client, self.client) and _begins(server, self.server)
        if client:
            return _begins(client, self.client if self.client_alone is None else self.client_alone)
        return _begins(server, self.server if self.server_alone is None else self.server_alone)


def _begins(data: bytes, shape: bytes) -> bool:
    return _compiled(shape).match(data) is not None


@cache
def _compiled(shape: bytes) -> re.Pattern[bytes]:
    return re.compile(shape, re.IGNORECASE | re.MULTILINE | re.DOTALL)


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

_SHAPES = (
    # SSLRequest or GSSENCRequest, each answered by one byte: "Message Formats" of PostgreSQL's documentation.
    _Shape("postgresql", rb"\x00\x00\x00\x08\x04\xd2\x16[\x2f\x30]", rb"(?-i:[GNS])", None, rb"(?-i:N?S\Z)"),
    # The greeting of protocol version 10; then the client's SSLRequest, packet 1, has 32 bytes (5 before version 4.1).
    _Shape("mysql", rb"[\x20\x05]\x00\x00\x01", rb"..\x00\x00\x0a[0-9][^\x00]{0,100}\x00"),
    # A TPKT (RFC 1006 section 6) with X.224's connection request and confirm: MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2.
    _Shape("rdp", rb"\x03\x00..[\x06-\xfe]\xe0", rb"\x03\x00..[\x06-\xfe]\xd0"),
    # PRELOGIN and its answer: MS-TDS section 2.2.6.5.
    _Shape("tds", rb"\x12[\x00\x01]..\x00\x00", rb"[\x04\x12][\x00\x01]..\x00\x00"),
    _Shape("ldap", _LDAP, _LDAP),
    _Shape("xmpp", _XMPP, _XMPP),
    _Shape("rfb", _RFB, _RFB),
    _Shape("amqp", _AMQP, _AMQP),
    _Shape("nbd", _ANY, rb"NBDMAGICIHAVEOPT", _NEVER),
    _Shape("nats", _ANY, rb"INFO\s+\{", _NEVER),
    # A call of procedure 0 with AUTH_TLS, answered with a verifier that says STARTTLS: RFC 9289 section 4.1.
    _Shape("sunrpc", _RPC_CALL, rb"[\x80\x00].{7}\x00\x00\x00\x01.{0,20}STARTTLS"),
    _Shape("telnet", _TELNET, _TELNET),
    # A_CNXN, and A_STLS both ways: "ADB protocol" of Android's documentation.
    _Shape("adb", rb"CNXN.{20}.*STLS", rb"(?:CNXN.{20}.*)?STLS"),
    # Its handshake upgrades as HTTP does: "Gnutella 0.6", with Upgrade: TLS/1.0.
    _Shape("gnutella", rb"GNUTELLA CONNECT/.*^Upgrade:[^\n]*TLS/", rb"GNUTELLA/", None, _NEVER),
    _Shape(
        "ftp",
        rb"(?:AUTH|USER|FEAT|HOST|OPTS|SYST|CLNT|PBSZ|LANG|HELP|NOOP)\b",
        rb"[12]20[ -]",
        rb".*^AUTH (?:TLS|SSL)",
        rb"[12]20[^\n]*FTP|[12]20[ -].*^234[ -]",
    ),
    _Shape("lmtp", rb"LHLO\b", rb"220[ -]", None, rb"220[^\n]*LMTP"),
    _Shape("smtp", rb"(?:EHLO|HELO|STARTTLS)\b", rb"220[ -]", rb"(?:EHLO|HELO)\b", rb"220[^\n]*SMTP|220 .*^250[ -]"),
    _Shape("pop3", rb"(?:CAPA|STLS|AUTH|USER|APOP|NOOP|UTF8|LANG)\b", rb"\+OK", rb".*^STLS\b"),
    _Shape("imap", rb"[!-~]{1,64} [A-Z]{2,}", rb"\* (?:OK|PREAUTH)\b", rb".*^[!-~]{1,64} STARTTLS\b"),
    _Shape("sieve", rb"(?:STARTTLS|CAPABILITY|NOOP)\b", rb'"[A-Z]+"', _NEVER, rb'.*^"(?:IMPLEMENTATION|SIEVE)"'),
    _Shape(
        "nntp",
        rb"(?:CAPABILITIES|MODE|STARTTLS|LIST|AUTHINFO|HELP|DATE)\b",
        rb"20[01] ",
        rb"(?:CAPABILITIES|MODE READER)\b",
        rb"20[01] .*^382 ",
    ),
    _Shape(
        "irc",
        rb"(?:STARTTLS|CAP|NICK|USER|PASS|WEBIRC)\b",
        rb":\S+ |NOTICE |PING |ERROR ",
        rb"(?:CAP|NICK|WEBIRC) .*^STARTTLS",
        rb".*^:\S+ 670 ",
    ),
    # Upgrade: TLS/1.0, answered by 101: RFC 2817 section 3.
    _Shape("http-upgrade", rb"[A-Z]+ \S+ HTTP/1.*^Upgrade:[^\n]*TLS/", rb"HTTP/1\.1 101", None, _NEVER),
)


# What a conversation that may come to TLS begins with, as seen in any one of its directions ...
_OPENING = re.compile(
    rb"[12]20|20[01] |\+OK|\* |\"[a-z]|:\S|RFB |INFO\s|NBDMAGIC|AMQP|CNXN|STLS|GNUTELLA|NOTICE |PING |ERROR "
    rb"|EHLO|HELO|LHLO|STARTTLS|CONNECT |PROXY |CAP |NICK |PASS |USER |WEBIRC|\s*(?:<|\Z)|\r\n\r\n\x00"
    rb"|..\x00\x00\x0a|\x00\x00\x00\x08\x04\xd2\x16|\x03\x00..[\x06-\xfe][\xe0\xd0]|\x12[\x00\x01]|\xff[\xfa-\xfe]"
    rb"|\x04[\x01\x02]|\x05[\x01-\x10]|\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....)\x02"
    rb"|[\x80\x00].{7}(?:\x00{7}\x02.{8}\x00{7}\x07|.{0,23}\Z)"
    rb"|[a-z]+ \S+ HTTP/1.*\nUpgrade:[^\n]*TLS/",
    re.IGNORECASE | re.DOTALL,
)
# ... and in addition where the capture lacks the other.
_ALONE = re.compile(
    rb"[GNS](?:[GNS\x16]|\Z)|HTTP/1\.[01] (?:\Z|1|2)|\x00[\x5a-\x5d]|\x05[\x00-\x02]|\x04[\x00\x01]"
    rb"|[\x20\x05]\x00\x00\x01|[\x80\x00].{7}\x00\x00\x00\x01|(?:CAPABILITIES|MODE|LIST|AUTHINFO|DATE)\b"
    rb"|(?:AUTH|FEAT|HOST|OPTS|SYST|CLNT|PBSZ|LANG|HELP|NOOP|CAPA|STLS|APOP|UTF8)\b"
    rb"|[!-~]{1,64}(?:\Z| (?:STARTTLS|CAPABILITY|ID|NOOP)\b| [a-z]{0,10}\Z)",
    re.IGNORECASE | re.DOTALL,
)
_DECISIVE = 8  # bytes; with fewer, what is there may be the beginning of one of the above
_FIRST_BYTES = frozenset(b'12+*":<RINAPECHLSUWG0 \t\r\n\x00\x03\x04\x05\x12\x80\xffrinapechlsuwg')


def may_upgrade(a: bytes, b: bytes) -> bool:
    """Tell from the first bytes of both directions whether TLS may begin later on the conversation.

    True for whatever `recognise` knows, but for a request of HTTP that does not show its Upgrade header yet. A
    direction without bytes is one that was not seen, or has not spoken.
    """
    if a and b:
        return _opens(a) or _opens(b)
    return _opens(a or b) or _ALONE.match(a or b) is not None


def _opens(data: bytes) -> bool:
    if len(data) < _DECISIVE and (len(data) < 5 or data[0] in _FIRST_BYTES):
        return True
    return _OPENING.match(data) is not None


def recognise(client: bytes, server: bytes) -> tuple[str, str | None]:
    """Name the protocol that was spoken before TLS, and the target that a proxy was asked for or tells of.

    A protocol behind a PROXY header is named itself; where there is none, "proxy" is.
    """
    header = proxies.proxy_header(client)
    if header is None:
        return _spoken(client, server)
    target, rest = header
    name, asked = _spoken(rest, server)
    return ("proxy", target) if name == "unknown" else (name, asked or target)


def _spoken(client: bytes, server: bytes) -> tuple[str, str | None]:
    if not client and not server:
        return "unknown", None
    connect = proxies.http_connect(client, server)
    if connect is not None:
        return connect
    for shape in _SHAPES:
        if shape.fits(client, server):
            return shape.name, None
    return proxies.socks(client, server) or ("unknown", None)
