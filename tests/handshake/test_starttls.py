from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.handshake.starttls import may_upgrade, recognise

STREAM = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a.example'>"
LDAP_REQUEST = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
LDAP_ANSWER = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
MYSQL_GREETING = b"\x4a\x00\x00\x00\x0a8.0.36\x00" + bytes(62)
MYSQL_REQUEST = b"\x20\x00\x00\x01\x85\xae\xff\x20\x00\x00\x00\x01\x21" + bytes(23)
X224_REQUEST = bytes.fromhex("030000130ee00000000000010008000b000000")
X224_CONFIRM = bytes.fromhex("030000130ed000001234000209080001000000")
PRELOGIN = bytes.fromhex("1201002f0000010000001a00060100200001020021000103002200040400260001ff")
PRELOGIN_ANSWER = bytes.fromhex("0401002b0000010000001a00060100200001020021000103002200000400220001ff")
RPC_CALL = struct.pack(">10I", 0x80000028, 7, 0, 2, 100003, 4, 0, 7, 0, 0) + bytes(4)
RPC_REPLY = struct.pack(">6I", 0x80000020, 7, 1, 0, 0, 8) + b"STARTTLS" + bytes(4)

CONVERSATIONS = {
    "smtp": (b"EHLO a.example\r\nSTARTTLS\r\n", b"220 mx.example ESMTP\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n"),
    "lmtp": (b"LHLO a.example\r\nSTARTTLS\r\n", b"220 mx.example LMTP\r\n250 STARTTLS\r\n220 go\r\n"),
    "imap": (
        b"a001 CAPABILITY\r\na002 STARTTLS\r\n",
        b"* OK ready\r\n* CAPABILITY IMAP4rev1\r\na001 OK\r\na002 OK\r\n",
    ),
    "pop3": (b"CAPA\r\nSTLS\r\n", b"+OK ready\r\n+OK\r\nSTLS\r\n.\r\n+OK begin\r\n"),
    "ftp": (b"AUTH TLS\r\n", b"220 (vsFTPd 3.0.5)\r\n234 Proceed.\r\n"),
    "nntp": (b"CAPABILITIES\r\nSTARTTLS\r\n", b"200 news ready\r\n101 list\r\nSTARTTLS\r\n.\r\n382 go\r\n"),
    "sieve": (b"STARTTLS\r\n", b'"IMPLEMENTATION" "Dovecot"\r\n"STARTTLS"\r\nOK "ready"\r\nOK "go"\r\n'),
    "irc": (b"CAP LS\r\nSTARTTLS\r\n", b":irc.example NOTICE * :hi\r\n:irc.example 670 * :go\r\n"),
    "xmpp": (STREAM + b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", b"<?xml version='1.0'?>" + STREAM),
    "ldap": (LDAP_REQUEST, LDAP_ANSWER),
    "postgresql": (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"S"),
    "mysql": (MYSQL_REQUEST, MYSQL_GREETING),
    "rdp": (X224_REQUEST, X224_CONFIRM),
    "tds": (PRELOGIN, PRELOGIN_ANSWER),
    "rfb": (b"RFB 003.008\n\x13\x00\x02", b"RFB 003.008\n\x01\x13\x00\x02"),
    "amqp": (b"AMQP\x02\x01\x00\x00", b"AMQP\x02\x01\x00\x00"),
    "nbd": (b"\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x05" + bytes(4), b"NBDMAGICIHAVEOPT\x00\x03"),
    "nats": (b"", b'INFO {"tls_required":true}\r\n'),
    "sunrpc": (RPC_CALL, RPC_REPLY),
    "telnet": (b"\xff\xfb\x2e\xff\xfa\x2e\x01\xff\xf0", b"\xff\xfd\x2e\xff\xfa\x2e\x01\xff\xf0"),
    "adb": (
        b"CNXN" + bytes(20) + b"host::\0" + b"STLS" + bytes(20),
        b"STLS" + bytes(20),
    ),
    "gnutella": (
        b"GNUTELLA CONNECT/0.6\r\nUpgrade: TLS/1.0\r\n\r\n",
        b"GNUTELLA/0.6 200 OK\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n",
    ),
    "http-upgrade": (
        b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\nUpgrade: TLS/1.0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n\r\n",
    ),
    "nx": (b"NXSH-8.10.1\n", b"NXD-8.10.1\n"),
    "pcep": (b"\x20\x0d\x00\x04", b"\x20\x0d\x00\x04"),
    "net-tcp": (
        b"\x00\x01\x00\x01\x02\x02\x1dnet.tcp://a.example:808/served\x03\x08\x09\x13application/ssl-tls",
        b"\x0a",
    ),
    "nut": (b"STARTTLS\n", b"OK STARTTLS\n"),
    "http-connect": (b"CONNECT a.example:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 Connection established\r\n\r\n"),
    "socks": (
        b"\x05\x01\x00\x05\x01\x00\x03\x09a.example\x01\xbb",
        b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38",
    ),
    "proxy": (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", b""),
}
SHOWN_BY_ONE_SIDE = set(CONVERSATIONS) - {
    "nbd", "nats", "proxy", "sunrpc", "http-upgrade", "gnutella", "sieve", "irc", "nut",
}  # fmt: skip


@pytest.mark.parametrize("protocol", CONVERSATIONS)
def test_both_sides_tell_the_protocol(protocol: str) -> None:
    assert recognise(*CONVERSATIONS[protocol])[0] == protocol


@pytest.mark.parametrize("protocol", sorted(SHOWN_BY_ONE_SIDE))
def test_the_client_alone_tells_the_protocol(protocol: str) -> None:
    assert recognise(CONVERSATIONS[protocol][0], b"")[0] == protocol


@pytest.mark.parametrize(
    "protocol", sorted((SHOWN_BY_ONE_SIDE | {"sunrpc", "sieve", "irc", "nbd", "nut"}) - {"tds", "net-tcp"})
)
def test_the_server_alone_tells_the_protocol(protocol: str) -> None:
    assert recognise(b"", CONVERSATIONS[protocol][1])[0] == protocol


@pytest.mark.parametrize("protocol", sorted(set(CONVERSATIONS) - {"http-upgrade"}))
def test_no_beginning_of_a_known_conversation_is_given_up(protocol: str) -> None:
    client, server = CONVERSATIONS[protocol]
    for cut in range(max(len(client), len(server)) + 1):
        assert may_upgrade(client[:cut], server[:cut])
        assert may_upgrade(server[:cut], client[:cut])
        assert may_upgrade(client[:cut], server)
        assert may_upgrade(client[:cut], b"")
        assert may_upgrade(b"", server[:cut])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (b"GET / HTTP/1.1\r\nHost: a.example\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"),
        (b"\x17\x03\x03\x01\x00" + bytes(range(64)), b""),
        (b"*3\r\n$3\r\nSET\r\n", b"-ERR unknown\r\n"),
        (b"\x13BitTorrent protocol", b"\x13BitTorrent protocol"),
    ],
)
def test_other_conversations_are_given_up_and_unknown(a: bytes, b: bytes) -> None:
    assert not may_upgrade(a, b)
    assert recognise(a, b) == ("unknown", None)


def test_nothing_seen_yet_may_become_anything() -> None:
    assert may_upgrade(b"", b"")
    assert recognise(b"", b"") == ("unknown", None)


def test_a_server_that_greets_a_client_that_speaks_tls_at_once() -> None:
    assert recognise(b"", b"220 mx.example ESMTP Postfix\r\n") == ("smtp", None)
    assert recognise(b"", b"220 ProFTPD Server\r\n") == ("ftp", None)
    assert recognise(b"", b"220 ready\r\n") == ("unknown", None)


def test_smtp_and_ftp_are_told_apart_by_what_the_client_says() -> None:
    assert recognise(b"FEAT\r\nAUTH TLS\r\n", b"220 ready\r\n211 End\r\n234 go\r\n")[0] == "ftp"
    assert recognise(b"ehlo a\r\nstarttls\r\n", b"220 ready\r\n250 STARTTLS\r\n220 go\r\n")[0] == "smtp"


def test_postgresql_after_a_refused_encryption_by_gssapi() -> None:
    client = b"\x00\x00\x00\x08\x04\xd2\x16\x30\x00\x00\x00\x08\x04\xd2\x16\x2f"
    assert recognise(client, b"NS") == ("postgresql", None)
    assert recognise(b"", b"NS") == ("postgresql", None)


@pytest.mark.parametrize(
    ("request_line", "target"),
    [
        (b"CONNECT a.example:443 HTTP/1.1", "a.example:443"),
        (b"CONNECT [2001:db8::1]:8443 HTTP/1.0", "[2001:db8::1]:8443"),
        (b"connect a.example:443 http/1.1", "a.example:443"),
        (b"CONNECT a\x1b[31m.ex\xc3\xa4mple:443 HTTP/1.1", r"a\x1b[31m.ex\xc3\xa4mple:443"),
        (b"CONNECT " + b"a" * 2000 + b" HTTP/1.1", "a" * 300),
    ],
)
def test_the_target_of_connect(request_line: bytes, target: str) -> None:
    assert recognise(request_line + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n") == ("http-connect", target)


def test_a_connect_that_had_to_be_repeated() -> None:
    refused = b"CONNECT a.example:443 HTTP/1.1\r\n\r\n"
    repeated = b"CONNECT b.example:443 HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
    assert recognise(refused + repeated, b"HTTP/1.1 407 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")[1] == "b.example:443"


@pytest.mark.parametrize(
    ("client", "target"),
    [
        (b"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb", "192.0.2.1:443"),
        (b"\x05\x01\x00\x05\x01\x00\x04" + ip_address("2001:db8::1").packed + b"\x01\xbb", "[2001:db8::1]:443"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x09a.example\x00\x50", "a.example:80"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x03a\x07b\x00\x50", r"a\x07b:80"),
        (b"\x05\x01\x02\x01\x03joe\x03pwd\x05\x01\x00\x03\x09a.example\x01\xbb", "a.example:443"),
        (b"\x05\x01\x00", None),
        (b"\x05\x01\x00\x05\x02\x00\x01\xc0\x00\x02\x01\x01\xbb", None),
        (b"\x05\x01\x00\x05\x01\x00\x09", None),
        (b"\x04\x01\x01\xbb\xc0\x00\x02\x01joe\x00", "192.0.2.1:443"),
        (b"\x04\x01\x01\xbb\x00\x00\x00\x01joe\x00a.example\x00", "a.example:443"),
        (b"\x04\x01\x01\xbb\x00\x00\x00\x01\x00a.example", "0.0.0.1:443"),
    ],
)
def test_the_target_of_socks(client: bytes, target: str | None) -> None:
    assert recognise(client, b"") == ("socks", target)


def test_a_server_that_answers_as_socks_does_not() -> None:
    assert recognise(b"\x05\x01\x00\x05\x01", b"HELLO") == ("unknown", None)
    assert recognise(b"\x04\x01\x01\xbb\xc0\x00\x02\x01\x00", b"HELLO") == ("unknown", None)


def v2(command: int, family: int, addresses: bytes) -> bytes:
    return b"\r\n\r\n\x00\r\nQUIT\n" + bytes((0x20 | command, family)) + len(addresses).to_bytes(2, "big") + addresses


@pytest.mark.parametrize(
    ("header", "target"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1:56324 -> 198.51.100.1:443"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 5 443\r\n", "[2001:db8::1]:5 -> [2001:db8::2]:443"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY TCP4 nobody 198.51.100.1 1 2\r\n", None),
        (v2(1, 0x11, bytes.fromhex("c0000201c6336401dc0401bb")), "192.0.2.1:56324 -> 198.51.100.1:443"),
        (
            v2(1, 0x21, ip_address("2001:db8::1").packed + ip_address("2001:db8::2").packed + b"\x00\x05\x01\xbb"),
            "[2001:db8::1]:5 -> [2001:db8::2]:443",
        ),
        (v2(0, 0x11, bytes.fromhex("c0000201c6336401dc0401bb")), None),
        (v2(1, 0x31, bytes(216)), None),
        (v2(1, 0x11, bytes(3)), None),
        (v2(1, 0x11, bytes(12))[:20], None),
    ],
)
def test_the_addresses_of_a_proxy_header(header: bytes, target: str | None) -> None:
    assert recognise(header, b"") == ("proxy", target)


def test_a_protocol_behind_a_proxy_header_is_named_itself() -> None:
    client, server = CONVERSATIONS["smtp"]
    header = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\n"
    assert recognise(header + client, server) == ("smtp", "192.0.2.1:56324 -> 198.51.100.1:25")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_judged(client: bytes, server: bytes) -> None:
    name, target = recognise(client, server)
    assert name
    assert target is None or target.isprintable()
    assert may_upgrade(client, server) in {True, False}


@given(st.sampled_from(sorted(CONVERSATIONS)), st.binary(max_size=40), st.integers(0, 60), st.integers(0, 60))
def test_damaged_conversations_are_judged(protocol: str, noise: bytes, cut: int, other: int) -> None:
    client, server = CONVERSATIONS[protocol]
    _, target = recognise(client[:cut] + noise + client[cut:], server[:other] + noise)
    assert target is None or target.isprintable()


def test_headers_without_end_do_not_nest() -> None:
    assert recognise(b"PROXY UNKNOWN\r\n" * 10_000, b"") == ("proxy", None)


@given(st.sampled_from(sorted(set(CONVERSATIONS) - {"http-upgrade"})), st.binary(max_size=20))
def test_what_is_recognised_was_worth_following(protocol: str, noise: bytes) -> None:
    client, server = CONVERSATIONS[protocol]
    if recognise(client + noise, server)[0] != "unknown":
        assert may_upgrade(client + noise, server)
