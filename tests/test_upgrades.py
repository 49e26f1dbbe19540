"""TLS that does not start its stream, read from captures: what servers and clients say first, step by step."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, SERVER, Said, Talk, said, write
from recorded import facts

from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

TLS = said("tls12-full")
STREAM = b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
V2 = b"\r\n\r\n\x00\r\nQUIT\n"

STEPS: dict[str, list[bytes]] = {
    # RFC 3207 section 2; the server speaks first where the first step is empty.
    "smtp": [b"", b"220 mx ESMTP\r\n", b"EHLO a\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"STARTTLS\r\n", b"220 go\r\n"],
    # RFC 2033 section 4.1.
    "lmtp": [b"", b"220 mx LMTP\r\n", b"LHLO a\r\n", b"250 STARTTLS\r\n", b"STARTTLS\r\n", b"220 go\r\n"],
    # RFC 9051 section 6.2.1.
    "imap": [b"", b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready.\r\n", b". STARTTLS\r\n", b". OK Begin TLS\r\n"],
    # RFC 2595 section 4.
    "pop3": [b"", b"+OK ready\r\n", b"STLS\r\n", b"+OK Begin TLS\r\n"],
    # RFC 4217 section 4.
    "ftp": [b"", b"220-Welcome\r\n220 here\r\n", b"AUTH TLS\r\n", b"234 go\r\n"],
    # RFC 4642 section 2.2.
    "nntp": [b"", b"200 news\r\n", b"STARTTLS\r\n", b"382 Continue\r\n"],
    # RFC 5804 section 2.2.
    "sieve": [b"", b'"IMPLEMENTATION" "x"\r\n"STARTTLS"\r\nOK\r\n', b"STARTTLS\r\n", b'OK "go"\r\n'],
    # IRCv3, tls 3.1.
    "irc": [b"STARTTLS\r\n", b":irc.example 670 * :STARTTLS successful\r\n"],
    # RFC 6120 section 5.4.2.
    "xmpp": [
        STREAM,
        STREAM + b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
        b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    ],
    # RFC 4511 section 4.14.
    "ldap": [
        b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037",
        bytes.fromhex("300c02010178070a010004000400"),
    ],
    # "Message Formats" of PostgreSQL's documentation: GSSENCRequest refused, then SSLRequest.
    "postgresql": [bytes.fromhex("0000000804d21630"), b"N", bytes.fromhex("0000000804d2162f"), b"S"],
    # "Protocol::SSLRequest" of MySQL's documentation, after MariaDB's greeting.
    "mysql": [
        b"",
        b"\x5b\x00\x00\x00\x0a5.5.5-10.6.16-MariaDB\x00" + bytes(68),
        b"\x20\x00\x00\x01" + bytes.fromhex("85aeff2000000001e0") + bytes(23),
    ],
    # MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2, with a cookie.
    "rdp": [
        bytes.fromhex("0300002b26e00000000000") + b"Cookie: mstshash=admin\r\n" + bytes.fromhex("0100080003000000"),
        bytes.fromhex("030000130ed000001234000209080001000000"),
    ],
}  # fmt: skip

PROXIES: dict[str, tuple[str, str | None, list[bytes]]] = {
    # RFC 9110 section 9.3.6, with a password at the second try.
    "connect": (
        "http-connect",
        "a.example:443",
        [
            b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
            b"HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\nnope\n",
            b"CONNECT a.example:443 HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
        ],
    ),
    # SOCKS 4 and 4a, as their memos have it: the host name stands behind the user's.
    "socks4": ("socks", "192.0.2.5:443", [b"\x04\x01\x01\xbb\xc0\x00\x02\x05\x00", b"\x00\x5a" + bytes(6)]),
    "socks4a": (
        "socks",
        "a.example:443",
        [b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00a.example\x00", b"\x00\x5a" + bytes(6)],
    ),
    # RFC 1928 sections 3 to 6, with RFC 1929.
    "socks5": (
        "socks",
        "a.example:443",
        [
            b"\x05\x02\x00\x02",
            b"\x05\x02",
            b"\x01\x04user\x04pass",
            b"\x01\x00",
            b"\x05\x01\x00\x03\x09a.example\x01\xbb",
            b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38",
        ],
    ),
    # "The PROXY protocol, versions 1 & 2", sections 2.1 and 2.2; version 2 with a TLV (NOOP, 5 bytes) and LOCAL.
    "proxy1": (
        "proxy",
        "192.0.2.1:56324 -> 198.51.100.1:443",
        [b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"],
    ),
    "proxy2": (
        "proxy",
        "[2001:db8::1]:5 -> [2001:db8::2]:443",
        [
            V2
            + b"\x21\x21\x00\x2c"
            + ip_address("2001:db8::1").packed
            + ip_address("2001:db8::2").packed
            + b"\x00\x05\x01\xbb\x04\x00\x05"
            + bytes(5)
        ],
    ),
    "proxy2-local": ("proxy", None, [V2 + b"\x20\x00\x00\x00"]),
}  # fmt: skip


def taking_turns(steps: list[bytes]) -> Said:
    return [(number % 2, step) for number, step in enumerate(steps) if step]


def by_single_bytes(told: Said) -> Said:
    return [(side, bytes([byte])) for side, data in told for byte in data]


@pytest.mark.parametrize("protocol", STEPS)
@pytest.mark.parametrize("split", [False, True])
def test_a_protocol_that_turns_to_tls(tmp_path: Path, protocol: str, split: bool) -> None:
    before = taking_turns(STEPS[protocol])
    talk = Talk((by_single_bytes(before) if split else before) + TLS, 0, 1, 50_000)
    (one,) = facts(write(tmp_path / "talk.pcap", talk))
    assert (one["upgrade"], one["upgrade_target"], one["outcome"]) == (protocol, None, "established")
    assert one["problems"] == []


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("split", [False, True])
def test_a_proxy_tells_who_is_meant(tmp_path: Path, proxy: str, split: bool) -> None:
    name, target, steps = PROXIES[proxy]
    before = taking_turns(steps)
    talk = Talk((by_single_bytes(before) if split else before) + TLS, 0, 1, 50_000)
    (one,) = facts(write(tmp_path / "talk.pcap", talk))
    assert (one["upgrade"], one["upgrade_target"], one["outcome"]) == (name, target, "established")


@pytest.mark.parametrize("proxy", ["proxy1", "proxy2", "proxy2-local"])
def test_a_header_and_a_hello_in_one_packet(tmp_path: Path, proxy: str) -> None:
    name, target, (header,) = PROXIES[proxy]
    (_, hello), *rest = TLS
    (one,) = facts(write(tmp_path / "talk.pcap", Talk([(CLIENT, header + hello), *rest], 0, 1, 50_000)))
    assert (one["upgrade"], one["upgrade_target"], one["sni"]) == (name, target, "localhost")


def test_records_in_packets_of_tds(tmp_path: Path) -> None:
    """MS-TDS sections 2.2.3.1 and 2.2.6.5: until TLS is set up, its records travel in packets of type PRELOGIN."""

    def packet(kind: int, data: bytes) -> bytes:
        return struct.pack(">BBHHBB", kind, 1, 8 + len(data), 0, 0, 0) + data

    options = bytes.fromhex("00000b00060100110001ff0f0000000100")
    before = [(CLIENT, packet(0x12, options)), (SERVER, packet(0x04, options))]
    inside = [(side, data if data[0] == 23 else packet(0x12, data)) for side, data in TLS]
    (one,) = facts(write(tmp_path / "talk.pcap", Talk(before + inside, 0, 1, 50_000)))
    assert (one["upgrade"], one["outcome"], one["problems"]) == ("tds", "established", [])


@pytest.mark.parametrize("protocol", [*STEPS, *PROXIES])
def test_no_connection_where_tls_does_not_follow(tmp_path: Path, protocol: str) -> None:
    steps = STEPS.get(protocol) or PROXIES[protocol][2]
    talk = Talk([*taking_turns(steps), (CLIENT, b"no more\r\n"), (SERVER, b"no\r\n")], 0, 1, 50_000)
    assert facts(write(tmp_path / "talk.pcap", talk)) == []


@pytest.mark.parametrize(("lines", "upgrade"), [(10, "smtp"), (60, "unknown")])
@pytest.mark.parametrize("batch", [1, 65_536])
def test_what_was_said_long_before_is_forgotten_in_any_batch(
    tmp_path: Path, lines: int, upgrade: str, batch: int
) -> None:
    talk = said("smtp-starttls")
    hello = next(number for number, (_, data) in enumerate(talk) if data[:1] == b"\x16")
    long: Said = [(CLIENT, b"NOOP " + b"x" * 1200 + b"\r\n"), (SERVER, b"250 OK\r\n")] * lines
    path = write(tmp_path / "long.pcap", Talk(talk[:hello] + long + talk[hello:], 0, 5, 4000))
    (connection,) = Reading([path], Options(batch=batch))
    assert (connection.upgrade, connection.outcome) == (upgrade, "established")
