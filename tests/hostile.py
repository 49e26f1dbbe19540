"""A real handshake in which every name that a peer may choose means harm, as a capture."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unicodedata import category

from conversing import CLIENT, SERVER, Said, Talk, write
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

if TYPE_CHECKING:
    from pathlib import Path

FORMULA = "=cmd()"
MARKUP = "<script>document.title='owned'</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
TERMINAL = "\x1b]0;owned\x07"
TURNED = "\u202egnp.exe\u2066"
CONTROLS = "\x7f\x85\x9b31mred"
"""The control characters DEL, NEL and CSI; of them only DEL is ASCII."""
LINES = "one\u2028two\u2029three"
MARKS = "\u0301\u20e3" * 4 + "e" + "\u0489" * 8
"""Combining marks without a base character, and many on one letter."""
UNSEEN = "a\u200bb\ufeffc\u00add\U000e0041e\u3164f\u180e\U0010fffd\uffff"
"""Characters without width, a character for private use, and a noncharacter."""
LONG = "l" * 255
NAMES = (FORMULA, MARKUP, IMAGE, TERMINAL, TURNED, CONTROLS, LINES, MARKS, UNSEEN, LONG)
FILE = f"{MARKS}{FORMULA}<script>{IMAGE}{TURNED}\x1b[2J\u2028\x9bK\x7f\udcff"
"""The name of a file; its last byte is not UTF-8."""
_BEGUN = datetime(2023, 11, 1, tzinfo=UTC)


def capture(folder: Path) -> Path:
    """Write a capture with a conversation for each name; its own name means harm, too."""
    talks = []
    for number, name in enumerate(NAMES):
        pem = folder / f"{number}.pem"
        pem.write_bytes(_party(name))
        talks.append(Talk(_handshake(name, pem), number, number + 0.5, 40_000 + number))
    return write(folder / f"{FILE}.pcap", *talks)


def obeyed(shown: str) -> set[str]:
    """The characters of an output, as code points, that a terminal would obey, hide, or draw over others."""
    return {
        f"U+{ord(one):04X}" for one in set(shown) if one != "\n" and (not one.isprintable() or category(one)[0] == "M")
    }


def _party(name: str) -> bytes:
    """A certificate with this name for everything, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    kinds = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
    subject = x509.Name([x509.NameAttribute(kind, name[:64]) for kind in kinds])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7, _BEGUN, _BEGUN + timedelta(days=90))
    if name.isascii():
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return written + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _handshake(name: str, pem: Path) -> Said:
    """Connect with this name in SNI and ALPN."""
    server = SSL.Context(SSL.TLS_METHOD)
    server.set_max_proto_version(SSL.TLS1_2_VERSION)
    server.use_certificate_file(str(pem))
    server.use_privatekey_file(str(pem))
    server.set_alpn_select_callback(lambda _, offered: offered[0])
    client = SSL.Context(SSL.TLS_METHOD)
    client.set_alpn_protos([name.encode()])
    ends = (SSL.Connection(client, None), SSL.Connection(server, None))
    ends[CLIENT].set_tlsext_host_name(name.encode())
    ends[CLIENT].set_connect_state()
    ends[SERVER].set_accept_state()
    return _said(ends)


def _said(ends: tuple[SSL.Connection, SSL.Connection]) -> Said:
    """Pass what each end says to the other, until neither has anything to say."""
    said: Said = []
    while True:
        before = len(said)
        for side in (CLIENT, SERVER):
            with suppress(SSL.WantReadError):
                ends[side].do_handshake()
            try:
                data = ends[side].bio_read(65_536)
            except SSL.WantReadError:
                continue
            said.append((side, data))
            ends[1 - side].bio_write(data)
        if len(said) == before:
            return said
