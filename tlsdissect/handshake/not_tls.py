"""The kinds of TCP flows without TLS: refused, unanswered, plain HTTP, SMTP with STARTTLS refused, ...

A kind is found by the TCP headers, and by the first bytes of both sides if `upgrade` or one of the patterns here
recognises them. For a protocol that can switch to TLS, the kind includes how far that came: offered, agreed, refused.
"""

from __future__ import annotations

import re
from sys import intern
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.flows.flow import NO_TIME, UNKNOWN
from tlsdissect.handshake.plaintext import PLAINTEXT_BYTES
from tlsdissect.handshake.starttls import may_upgrade, recognise

if TYPE_CHECKING:
    from tlsdissect.flows.flow import Flow

TLS = "TLS"
"""A flow with TLS, whose connection is returned and not counted."""

REFUSED = "refused"
"""The SYN was answered by RST (RFC 9293 section 3.10.7.1)."""
UNANSWERED = "unanswered"
"""SYNs without any packet of the other side."""
SILENT = "without data"
BEGUN = "begun before the capture"
HIDDEN = "with data that the capture lacks"
OTHER = "of an unknown protocol"
RECORDS = "TLS without a hello"
RECORDS_BEGUN = "TLS begun before the capture"

_NAMES = {
    "postgresql": "PostgreSQL", "mysql": "MySQL", "rfb": "VNC", "nbd": "NBD", "nats": "NATS", "sunrpc": "Sun RPC",
    "telnet": "Telnet", "adb": "ADB", "gnutella": "Gnutella", "sieve": "ManageSieve", "socks": "SOCKS",
    "proxy": "PROXY protocol", "http-connect": "HTTP CONNECT", "http-upgrade": "plain HTTP", "openvpn": "OpenVPN",
    "net-tcp": ".NET message framing",
}  # fmt: skip
"""Names of the protocols that `starttls.recognise` and `find_framing` return; others are written in capitals."""

_REQUEST = re.compile(
    rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|TRACE|PATCH|PROPFIND|REPORT|RPC_IN_DATA|RPC_OUT_DATA) (?:[/*]|http:)"
    rb"|PRI \* HTTP/2|[A-Z][A-Z-]{1,30} \S{1,1024} HTTP/1",
)
_RESPONSE = re.compile(rb"HTTP/1\.[01] \d\d\d")
_CONNECT = re.compile(rb"CONNECT \S", re.IGNORECASE)
_ELSE = (
    ("SSH", re.compile(rb"SSH-[12]\.")),
    ("RTSP", re.compile(rb"[A-Z_]{1,30} (?:rtsp:|\* RTSP/)|RTSP/1")),
    ("SIP", re.compile(rb"[A-Z]{1,30} sips?:|SIP/2\.0 ")),
    ("SMB", re.compile(rb"\x00\x00..[\xfe\xff]SMB", re.DOTALL)),
    ("BGP", re.compile(rb"\xff{16}..\x01", re.DOTALL)),
    ("MQTT", re.compile(rb"\x10[\x00-\xff]{1,4}\x00(?:\x04MQTT|\x06MQIsdp)")),
    ("BitTorrent", re.compile(rb"\x13BitTorrent protocol")),
    ("DCE/RPC", re.compile(rb"\x05[\x00\x01][\x00-\x13][\x00-\xff]\x10\x00\x00\x00")),
    # A length, a header of one question and no answer (RFC 1035 sections 4.1.1 and 4.2.2).
    ("DNS", re.compile(rb"[\x00\x01].{3}[\x00\x01].\x00\x01\x00{5}[\x00\x01]", re.DOTALL)),
    # StartupMessage of protocol 3, or CancelRequest, without an SSLRequest before it.
    ("PostgreSQL without TLS", re.compile(rb"\x00\x00..(?:\x00\x03\x00.[a-z]|\x04\xd2\x16\x2e)", re.DOTALL)),
)
"""Protocols that do not switch to TLS, by the first bytes of either side."""


class _Command(Struct, frozen=True):
    """The command by which a line-based protocol switches to TLS."""

    word: str
    sent: re.Pattern[bytes]
    """The client's line with this command."""
    replies: re.Pattern[bytes]
    """Replies, the first of which is the server's greeting."""
    agreed: frozenset[bytes]
    """The reply codes after which TLS begins."""
    offered: re.Pattern[bytes]
    """The server's line that offers the command."""


def _command(word: str, sent: bytes, replies: bytes, agreed: bytes, offered: bytes) -> _Command:
    patterns = [re.compile(one, re.IGNORECASE | re.MULTILINE) for one in (sent, replies, offered)]
    return _Command(word, patterns[0], patterns[1], frozenset((agreed,)), patterns[2])


_SMTP = _command("STARTTLS", rb"STARTTLS\s*$", rb"^([2-5]\d\d)(?: |\r?$)", b"220", rb"^250[ -]STARTTLS\b")
_COMMANDS = {
    "smtp": _SMTP,  # RFC 3207 section 4
    "lmtp": _SMTP,
    "ftp": _command("AUTH TLS", rb"AUTH (?:TLS|SSL)", rb"^([2-5]\d\d) ", b"234", rb"^ AUTH\b.*TLS"),  # RFC 4217
    "pop3": _command("STLS", rb"STLS\s*$", rb"^(\+OK|-ERR)", b"+OK", rb"^STLS\b"),  # RFC 2595 section 4
    "sieve": _command("STARTTLS", rb"STARTTLS\s*$", rb"^(OK|NO|BYE)\b", b"OK", rb'^"STARTTLS"'),  # RFC 5804
}
_IMAP_COMMAND = re.compile(rb"^(\S{1,64}) STARTTLS\s*$", re.IGNORECASE | re.MULTILINE)
_IMAP_OFFER = re.compile(rb"\bSTARTTLS\b", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d)")
_NNTP_REFUSED = re.compile(rb"^(502|580) ", re.MULTILINE)
_XMPP_REFUSED = re.compile(rb"<failure[^>]{1,100}xmpp-tls")
_LDAP_START_TLS = b"1.3.6.1.4.1.1466.20037"
_LDAP_RESULT = re.compile(rb"[\x78].{1,5}?\x0a\x01(.)", re.DOTALL)
"""An ExtendedResponse and its resultCode (RFC 4511 section 4.12)."""
_GSS_REQUEST, _SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x30", b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def name(protocol: str) -> str:
    """Return the usual name of a protocol."""
    return _NAMES.get(protocol, protocol.upper())


def by_first_bytes(a: bytes, b: bytes, opener: int) -> str:
    """Return the protocol by the first bytes of side 0 and side 1, or an empty string.

    `opener` is the side that sent the SYN, or UNKNOWN.
    """
    if opener != UNKNOWN:
        return intern(_named(a, b) if opener == 0 else _named(b, a))
    return intern(_named(a, b) or _named(b, a))


def kind(flow: Flow) -> str:
    """Return the kind of a flow that is over, by its TCP headers, else by its payload."""
    opener = flow.handshake.opener
    if opener != UNKNOWN and flow.handshake.synack == NO_TIME:
        peer = flow.side(1 - opener)
        if peer.rst is not None:
            return REFUSED
        if not peer.seen:
            return UNANSWERED
    if flow.protocol:
        return flow.protocol
    if opener == UNKNOWN:
        return BEGUN
    return OTHER if flow.payload_bytes else SILENT


def _named(client: bytes, server: bytes) -> str:
    """Return the protocol, or an empty string."""
    if _CONNECT.match(client):
        return _connect(server)
    if _REQUEST.match(client) or _RESPONSE.match(server):
        return "plain HTTP"
    for spoken, pattern in _ELSE:
        if pattern.match(client) or pattern.match(server):
            return spoken
    protocol = _recognised(client, server)
    if not protocol:
        return ""
    progress = _progress(protocol, client, server) if client and server else ""
    return f"{name(protocol)} {progress}" if progress else name(protocol)


def _recognised(client: bytes, server: bytes) -> str:
    """Return the protocol that `upgrade` recognises by both sides, or by the server alone."""
    for pair in ((client, server), (b"", server)):
        # `may_upgrade` is fast, and saves most flows the search through all patterns.
        protocol, _ = recognise(*pair) if any(pair) and may_upgrade(*pair) else ("unknown", None)
        # Two bytes are enough for SOCKS, and many other protocols begin with them: both sides have to match.
        if protocol != "unknown" and (protocol != "socks" or all(pair)):
            return protocol
    return ""


def _connect(server: bytes) -> str:
    """Return the kind of a CONNECT request (RFC 9110 section 9.3.6) without TLS in the tunnel."""
    answers = _STATUS.findall(server)
    if not answers or answers[-1].startswith(b"2"):
        return "HTTP CONNECT"
    return f"HTTP CONNECT refused ({answers[-1].decode()})"


def _progress(protocol: str, client: bytes, server: bytes) -> str:
    """Return how far the switch to TLS came, or an empty string."""
    if protocol in _COMMANDS:
        return _of_lines(_COMMANDS[protocol], _beginning(client), _beginning(server))
    if protocol == "imap":
        return _of_imap(client, server)
    if protocol == "nntp":
        refused = _NNTP_REFUSED.search(server)
        return _refused("STARTTLS", refused[1]) if refused and b"STARTTLS" in client.upper() else ""
    if protocol == "xmpp":
        return "with STARTTLS refused" if _XMPP_REFUSED.search(server) else ""
    if protocol == "postgresql":
        return _of_postgresql(client, server)
    if protocol == "ldap" and _LDAP_START_TLS in client:
        refusal = next((found[1][0] for found in _LDAP_RESULT.finditer(server) if found[1] != b"\x00"), None)
        return "" if refusal is None else f"with StartTLS refused (result code {refusal})"
    return ""


def _beginning(said: bytes) -> bytes:
    """Return the contiguous first bytes: of long payload, `Prelude` keeps the beginning and the end."""
    return said if len(said) < 2 * PLAINTEXT_BYTES else said[:PLAINTEXT_BYTES]


def _of_lines(command: _Command, client: bytes, server: bytes) -> str:
    """Find the reply to the command by counting the client's lines (RFC 5321 section 4.3.1)."""
    number = next((n for n, line in enumerate(client.split(b"\n"), 1) if command.sent.match(line)), None)
    if number is None:
        return _unused(command.word, command.offered, server)
    replies = command.replies.findall(server)
    return _outcome(command.word, replies[number] if number < len(replies) else None, command.agreed)


def _of_imap(client: bytes, server: bytes) -> str:
    """Find the tagged response to STARTTLS (RFC 9051 section 6.2.1)."""
    command = _IMAP_COMMAND.search(client)
    if command is None:
        return _unused("STARTTLS", _IMAP_OFFER, server)
    response = re.search(rb"^" + re.escape(command[1]) + rb" (OK|NO|BAD)\b", server, re.IGNORECASE | re.MULTILINE)
    return _outcome("STARTTLS", response[1] if response else None, frozenset((b"OK",)))


def _of_postgresql(client: bytes, server: bytes) -> str:
    """Find the byte that answers SSLRequest, which may follow on GSSENCRequest ("Message Flow", SSL Session)."""
    asked = client.removeprefix(_GSS_REQUEST).startswith(_SSL_REQUEST)
    answer = server[1:2] if client.startswith(_GSS_REQUEST) else server[:1]
    return "with TLS refused (N)" if asked and answer == b"N" else ""


def _unused(word: str, offer: re.Pattern[bytes], server: bytes) -> str:
    return f"with {word} offered and not used" if offer.search(server) else f"without {word}"


def _outcome(word: str, reply: bytes | None, agreed: frozenset[bytes]) -> str:
    if reply is None:
        return f"with {word} unanswered"
    if reply.upper() in agreed:
        return f"with {word} agreed to and not begun"
    return _refused(word, reply)


def _refused(word: str, reply: bytes) -> str:
    return f"with {word} refused ({reply.decode()})"
