"""Captures in which a text stands in every field that a peer, a proxy or a capturing program fills in with words."""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

import derwriting as der
import dtlswriting as dtls
import eapwriting as eap
import quicwriting as quic
from capture.building import block, enhanced, ip4, option, udp
from conversing import CLIENT, SERVER, Said, Talk
from tlswriting import extension, message, record, sized

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

CONTROLS = "".join(map(chr, [*range(1, 10), *range(11, 32), 127, *range(128, 160)]))
"""All controls but NUL and LF: C0 (ECMA-48 section 5.2), DEL and C1."""
HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31;5mred",
    "\x9d0;owned\x9c\x9b2J\x90q\x9c",
    CONTROLS,
    "\u202egnp.exe\u2066\u2069\u200e\u061c",
    "a\u200bb\u200dc\ufeffd\u00ade\U000e0041f\u2060g\u3164h",
    "\u0301\u20e3e\u0489\u0489\u0489",
    "=cmd()|'/C calc'!A0",
    "+1+cmd",
    "-2+cmd",
    '@SUM(1)";\t=1',
    "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)><a href=javascript:alert(1)>x</a>",
    "</script></style></title></textarea>--><iframe src=//x>",
    "]]></text><script>alert(1)</script>&amp;&#60;&lt;",
    "{{7*7}}{% x %}${x}$\\frac{1}{0}$%s%n{0.__class__}",
    "../../../../etc/x",
    "/etc/x\0.pem",
    "one\nFORGED two\r\nFORGED three\u2028FORGED\u2029FORGED\x85FORGED",
    "\ud800\udc00\udfff\udcff",
    "javascript:alert(1)//http://x/",
    "w" * 600,
)
"""Texts that mean harm to a terminal, a spreadsheet, a page, a template, a file system, or whoever counts on lines."""
PLAIN = tuple(f"plain{number}.example" for number in range(len(HOSTILE)))
FORGED = "FORGED"
"""What would begin a line of an output if a line end of the texts were one there."""
_HELLO, _SERVER_HELLO, _CERTIFICATE, _KEY_EXCHANGE, _REQUEST, _DONE, _CLIENT_KEY, _STATUS = 1, 2, 11, 12, 13, 14, 16, 22
_FIRST_SECOND = 1_700_000_000
_UTF8, _IA5, _URI, _DNS, _EMAIL, _DIRECTORY = 0x0C, 0x16, 0x86, 0x82, 0x81, 0xA4
_ATTRIBUTES = ("2.5.4.3", "2.5.4.10", "2.5.4.5", "1.2.840.113549.1.9.1", "0.9.2342.19200300.100.1.25", "1.2.3.4")


def captures(folder: Path, texts: Sequence[str], name: str) -> list[Path]:
    """Write captures with these texts; their own names contain `name`."""
    contents = {
        "tcp.pcapng": _tcp(texts),
        "quic.pcap": _quic(texts),
        "eap.pcap": _eap(texts),
        "dtls.pcap": _dtls(texts),
    }
    for kind, content in contents.items():
        (folder / f"{name}-{kind}").write_bytes(content)
    return [folder / f"{name}-{kind}" for kind in contents]


def _bytes(text: str, most: int) -> bytes:
    """The text as a peer may send it, no longer than a field can be."""
    return text.encode("utf-8", "surrogatepass")[:most]


def _certificate(text: str) -> bytes:
    """A certificate with this text in all its names, addresses and policies."""
    words = _bytes(text, 6000)
    name = der.name(*(der.attribute(kind, _UTF8 if kind != _ATTRIBUTES[-1] else _IA5, words) for kind in _ATTRIBUTES))
    names = der.tlv(
        0x30, *(der.tlv(tag, words) for tag in (_DNS, _EMAIL, _URI)), der.tlv(_DIRECTORY, name),
        der.tlv(0xA0, der.oid("1.3.6.1.4.1.311.20.2.3"), der.tlv(0xA0, der.tlv(_UTF8, words))),
    )  # fmt: skip
    methods = ("1.3.6.1.5.5.7.48.1", "1.3.6.1.5.5.7.48.2")
    places = der.tlv(0x30, *(der.tlv(0x30, der.oid(one), der.tlv(_URI, words)) for one in methods))
    points = der.tlv(0x30, der.tlv(0x30, der.tlv(0xA0, der.tlv(0xA0, der.tlv(_URI, words)))))
    notice = der.tlv(0x30, der.oid("1.3.6.1.5.5.7.2.2"), der.tlv(0x30, der.tlv(_UTF8, words)))
    statement = der.tlv(0x30, der.oid("1.3.6.1.5.5.7.2.1"), der.tlv(_IA5, words))
    policies = der.tlv(0x30, der.tlv(0x30, der.oid("2.23.140.1.2.1"), der.tlv(0x30, statement, notice)))
    limits = der.tlv(0x30, der.tlv(0xA0, der.tlv(0x30, der.tlv(_DNS, words))))
    return der.certificate(
        serial=der.integer(int.from_bytes(b"\x01" + words[:40], "big")),
        issuer=name,
        subject=name,
        extensions=(
            der.extension("2.5.29.17", names),
            der.extension("1.3.6.1.5.5.7.1.1", places),
            der.extension("2.5.29.31", points),
            der.extension("2.5.29.32", policies),
            der.extension("2.5.29.30", limits, critical=True),
            der.extension("1.2.3.4.5", der.tlv(_UTF8, words)),
        ),
    )


def _client_extensions(text: str) -> bytes:
    """SNI, ALPN and others whose content the client chooses freely."""
    words, name = _bytes(text, 60_000), _bytes(text, 255)
    identity = sized(_bytes(text, 2000)) + bytes(4)
    return b"".join(
        (
            extension(0, sized(b"\0" + sized(words))),
            extension(16, sized(sized(name, 1) + sized(b"h2", 1))),
            extension(35, _bytes(text, 2000)),
            extension(44, sized(_bytes(text, 2000))),
            extension(51, sized(struct.pack(">H", 0x1D) + sized(_bytes(text, 64)))),
            extension(13172, b""),
            extension(0x1234, _bytes(text, 2000)),
            extension(41, sized(identity) + sized(sized(bytes(32), 1))),
        )
    )


def _client_hello(text: str, suite: int) -> bytes:
    body = b"\x03\x03" + bytes(32) + sized(_bytes(text, 32), 1) + sized(struct.pack(">HH", suite, 0xFF01)) + b"\x01\0"
    return message(_HELLO, body + sized(_client_extensions(text)))


def _server_hello(text: str, suite: int) -> bytes:
    chosen = extension(16, sized(sized(_bytes(text, 255), 1))) + extension(5, b"")
    body = b"\x03\x03" + bytes(32) + sized(_bytes(text, 32), 1) + struct.pack(">H", suite) + b"\0"
    return message(_SERVER_HELLO, body + sized(chosen))


def _records(*messages: bytes) -> bytes:
    """Handshake messages in records, none of which is too long."""
    whole = b"".join(messages)
    return b"".join(record(22, whole[at : at + 16_000]) for at in range(0, len(whole), 16_000))


def _finished() -> bytes:
    return record(20, b"\x01") + record(22, bytes(40))


def handshake(text: str, suite: int = 0x009C) -> Said:
    """A handshake of TLS 1.2; with a suite of PSKs, there are none of certificates."""
    words = _bytes(text, 2000)
    certificate = _certificate(text)
    chain = message(_CERTIFICATE, sized(sized(certificate, 3), 3))
    authority = der.name(der.attribute("2.5.4.3", _UTF8, words))
    answers = (
        (
            message(_KEY_EXCHANGE, sized(words)),
            message(_DONE, b""),
        )
        if suite != 0x009C
        else (
            chain,
            message(_STATUS, b"\x01" + sized(der.tlv(0x30, der.tlv(0x0A, b"\0"), words), 3)),
            message(_REQUEST, sized(b"\x01", 1) + sized(b"\x04\x01") + sized(sized(authority))),
            message(_DONE, b""),
        )
    )
    mine = () if suite != 0x009C else (chain,)
    return [
        (CLIENT, _records(_client_hello(text, suite))),
        (SERVER, _records(_server_hello(text, suite), *answers)),
        (CLIENT, _records(*mine, message(_CLIENT_KEY, sized(words))) + _finished()),
        (SERVER, _records(message(4, bytes(4) + sized(words))) + _finished()),
    ]


def _before(text: str) -> Iterable[Said]:
    """What may come before a handshake on the same connection, and what is none."""
    line = _bytes(text, 400).replace(b"\n", b"").replace(b"\r", b"")
    word = line.replace(b" ", b"")
    tls = refused(text)
    yield [(CLIENT, b"CONNECT " + word + b":443 HTTP/1.1\r\nHost: " + line + b"\r\n\r\n"),
           (SERVER, b"HTTP/1.1 200 " + line + b"\r\n\r\n"), *tls]  # fmt: skip
    yield [(CLIENT, b"\x05\x01\x00"), (SERVER, b"\x05\x00"),
           (CLIENT, b"\x05\x01\x00\x03" + sized(line[:255], 1) + b"\x01\xbb"),
           (SERVER, b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"), *tls]  # fmt: skip
    yield [(CLIENT, b"PROXY TCP4 " + word[:60] + b" 192.0.2.9 1 443\r\n"), *tls]
    yield [(SERVER, b"220 " + line + b" ESMTP\r\n"), (CLIENT, b"EHLO " + line + b"\r\n"),
           (SERVER, b"250-" + line + b"\r\n250 STARTTLS\r\n"), (CLIENT, b"STARTTLS\r\n"),
           (SERVER, b"220 " + line + b"\r\n"), *tls]  # fmt: skip
    stream = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='" + line + b"'>"
    yield [(CLIENT, b"<?xml version='1.0'?>" + stream), (SERVER, b"<?xml version='1.0'?>" + stream),
           (CLIENT, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
           (SERVER, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), *tls]  # fmt: skip
    yield [(CLIENT, b"GET /" + line + b" HTTP/1.1\r\nHost: " + line + b"\r\n\r\n"),
           (SERVER, b"HTTP/1.1 404 " + line + b"\r\nServer: " + line + b"\r\n\r\n")]  # fmt: skip
    yield [(SERVER, b"220 " + line + b" ESMTP\r\n"), (CLIENT, b"EHLO x\r\nSTARTTLS\r\n"),
           (SERVER, b"250 STARTTLS\r\n454 " + line + b"\r\n")]  # fmt: skip
    yield [(SERVER, b"SSH-2.0-" + line + b"\r\n"), (CLIENT, b"SSH-2.0-" + line + b"\r\n")]
    yield _lookup(line)


def _lookup(words: bytes) -> Said:
    """A question about a certificate to a responder over plain HTTP (RFC 6960 appendix A)."""
    names = der.tlv(
        0x30,
        der.tlv(0x30, der.oid("1.3.14.3.2.26"), b"\5\0"),
        der.tlv(4, bytes(20)),
        der.tlv(4, bytes(20)),
        der.integer(5),
    )
    asked = der.tlv(0x30, der.tlv(0x30, der.tlv(0x30, der.tlv(0x30, names))))
    path = quote(words[:100]).encode() + b"/" + quote(b64encode(asked)).encode()
    answer = der.tlv(0x30, der.tlv(0x0A, b"\x03"))
    return [
        (CLIENT, b"GET /" + path + b" HTTP/1.1\r\nHost: " + words + b"\r\n\r\n"),
        (
            SERVER,
            b"HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: %d\r\n\r\n" % len(answer)
            + answer,
        ),
    ]


def refused(text: str) -> Said:
    """A hello that the server refuses."""
    return [(CLIENT, _records(_client_hello(text, 0x009C))), (SERVER, record(21, b"\x02\x28"))]


def _tcp(texts: Sequence[str]) -> bytes:
    """Conversations over TCP, in pcapng with words of whoever captured them."""
    talks = [one for text in texts for one in (handshake(text), handshake(text, 0x008C), refused(text), *_before(text))]
    packets = sorted(
        (
            one
            for number, said in enumerate(talks)
            for one in Talk(_cut(said), number, number + 0.5, 20_000 + number).packets()
        ),
        key=lambda one: one[0],
    )
    words = [_bytes(text, 6000) for text in texts]
    head = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + b"".join(
        option(code, one) for code in (1, 2, 3, 4) for one in words
    )
    about = b"".join(option(code, one) for code in (1, 2, 3, 12) for one in words) + option(11, b"\0" + words[0])
    names = b"".join(
        struct.pack("<HH", 1, 4 + len(one) + 1) + b"\xc0\0\2\2" + one + bytes(1 + -(len(one) + 5) % 4) for one in words
    )
    log = b"".join(b"# " + one + b"\n" + one + b" 00 11\n" for one in words)
    secrets = struct.pack("<II", 0x544C534B, len(log)) + log
    blocks = [
        block(0x0A0D0D0A, head),
        block(1, struct.pack("<HHI", 101, 0, 0) + about),
        block(4, names + bytes(4)),
        block(10, secrets),
        *(enhanced(packet, (_FIRST_SECOND * 1_000_000) + round(time * 1_000_000)) for time, packet in packets),
    ]
    return b"".join(blocks)


def _cut(said: Said) -> Said:
    """The same in segments that fit an IP packet."""
    return [(side, data[at : at + 20_000]) for side, data in said for at in range(0, len(data), 20_000)]


def _quic(texts: Sequence[str]) -> bytes:
    sent = []
    for number, text in enumerate(texts):
        port, hello = 41_000 + number, _client_hello(text[:200], 0x1301)
        ids = (_bytes(text, 8).ljust(8, b"x"), b"server%02d" % number)
        frames = quic.crypto(0, hello)
        sent.append(quic.Sent(quic.initial(frames, *ids, token=_bytes(text, 100)), port=port))
        reason = quic.close(0x0128, _bytes(text, 900))
        sent.append(
            quic.Sent(quic.initial(reason, ids[1], ids[0], side="server", keyed=ids[0]), by_client=False, port=port)
        )
    return quic.pcap(sent)


def _eap(texts: Sequence[str]) -> bytes:
    frames: list[bytes] = []
    for number, text in enumerate(texts):
        client, server = struct.pack(">HI", 0x0200, number), b"\2\1\0\0\0\1"
        words = _bytes(text, 1000)
        hello = _records(_client_hello(text[:200], 0x009C))
        talk = [
            (False, eap.eap(eap.REQUEST, 1, eap.IDENTITY, words)),
            (True, eap.eap(eap.RESPONSE, 1, eap.IDENTITY, words)),
            (False, eap.eap(eap.REQUEST, 2, eap.TLS, bytes((eap.START,)))),
            *((True, one) for one in eap.fragments(eap.RESPONSE, 2, hello)),
            (False, eap.eap(eap.FAILURE, 40)),
        ]
        frames += [
            eap.eapol(one, to=server if mine else client, source=client if mine else server) for mine, one in talk
        ]
        about = [(code, words[:253]) for code in (eap.USER_NAME, eap.CALLED, eap.CALLING, eap.STATE, 18)]
        for identifier, (mine, one) in enumerate(talk):
            code = eap.ACCESS_REQUEST if mine else eap.CHALLENGE
            ports = (1812, 50_000 + number) if mine else (50_000 + number, 1812)
            packet = udp(eap.radius(code, identifier // 2, one, *about), sport=ports[1], dport=ports[0])
            frames.append(bytes(12) + b"\x08\0" + ip4(packet, 17))
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)]
    out += [struct.pack("<IIII", _FIRST_SECOND + at, 0, len(one), len(one)) + one for at, one in enumerate(frames)]
    return b"".join(out)


def _dtls(texts: Sequence[str]) -> bytes:
    sent = []
    for number, text in enumerate(texts):
        hellos = (_client_hello(text[:200], 0x00A8)[4:], _server_hello(text, 0x00A8)[4:])
        hello = b"\xfe\xfd" + hellos[0][2:]
        at = 2 + 32 + 1 + len(_bytes(text[:200], 32))
        parts = [
            (True, 1, hello[:at] + b"\0" + hello[at:]),
            (False, 2, b"\xfe\xfd" + hellos[1][2:]),
            (False, 12, sized(_bytes(text, 900))),
            (True, 16, sized(_bytes(text, 900))),
        ]
        for at, (mine, kind, body) in enumerate(parts):
            data = dtls.record(dtls.HANDSHAKE, dtls.fragment(kind, at, body), sequence=at)
            sent.append(quic.Sent(data, by_client=mine, port=42_000 + number))
    return quic.pcap(sent)
