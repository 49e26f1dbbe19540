from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upgrading import CONVERSATIONS

from tlsdissect.handshake.starttls import may_upgrade, recognise

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


def test_a_connect_after_another_request_to_the_proxy() -> None:
    first, second = b"GET http://a.example/ HTTP/1.1\r\n\r\n", b"CONNECT b.example:443 HTTP/1.1\r\n\r\n"
    answers = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"
    assert recognise(first + second, answers) == ("http-connect", "b.example:443")
    assert recognise(first, answers)[0] == "unknown"


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
