"""Plain text that comes before TLS: what client and server say in each protocol that can switch to it."""

from __future__ import annotations

import struct

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
