"""Records that no program at hand writes: DTLS 1.3 in every form of its header, and DTLS 1.2 with a connection ID."""

from __future__ import annotations

import hmac
import subprocess
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from datagrams import CLIENT, SERVER, facts, sent, write
from dtlswriting import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, cid_record, fragment, record, unified
from recorded import ROOT, need
from tlswriting import extension, sized

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = b"r" * 32
SECRETS = {label: bytes([number]) * 32 for number, label in enumerate(("HANDSHAKE_TRAFFIC_SECRET", "TRAFFIC_SECRET_0"))}
CCM_8 = 0x1305


def expanded(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label with SHA-256, for at most one block of output (RFC 8446 section 7.1, RFC 9147 section 5.9)."""
    info = size.to_bytes(2, "big") + sized(b"dtls13" + label, 1) + b"\0\1"
    return hmac.digest(secret, info, "sha256")[:size]


def sealed(epoch: int, number: int, content: bytes, form: int, cid: bytes) -> bytes:
    """A record of the server with AES-128-CCM-8 (RFC 9147 section 4.2); `form` has the bits of its header."""
    secret = SECRETS["HANDSHAKE_TRAFFIC_SECRET" if epoch == 2 else "TRAFFIC_SECRET_0"]
    size = 2 if form & 0x08 else 1
    low = number.to_bytes(8, "big")[-size:]
    length = (len(content) + 8).to_bytes(2, "big") if form & 0x04 else b""
    first = bytes([0x20 | form | (0x10 if cid else 0) | epoch & 3]) + cid
    nonce = (int.from_bytes(expanded(secret, b"iv", 12), "big") ^ number).to_bytes(12, "big")
    body = AESCCM(expanded(secret, b"key", 16), tag_length=8).encrypt(nonce, content, first + low + length)
    mask = Cipher(AES(expanded(secret, b"sn", 16)), ECB()).encryptor().update(body[:16])  # noqa: S305
    return first + bytes([one ^ other for one, other in zip(low, mask, strict=False)]) + length + body


def message(kind: int, number: int, body: bytes) -> bytes:
    return fragment(kind, number, body) + bytes([HANDSHAKE])


def hello(kind: int, versions: bytes, chosen: bytes) -> bytes:
    suite = CCM_8.to_bytes(2, "big")
    suites = b"\0" + sized(suite) + b"\1\0" if kind == 1 else suite + b"\0"
    extensions = extension(43, versions) + (extension(54, sized(chosen, 1)) if chosen else b"")
    return record(HANDSHAKE, fragment(kind, 0, b"\xfe\xfd" + RANDOM + b"\0" + suites + sized(extensions)))


def keyed(
    folder: Path, contents: list[tuple[int, int, bytes]], form: int = 0x0C, cid: bytes = b""
) -> tuple[Path, Path]:
    """A capture of a server's encrypted records after both hellos, and the key log that opens them."""
    datagrams = [(CLIENT, hello(1, b"\x02\xfe\xfc", cid)), (SERVER, hello(2, b"\xfe\xfc", b"server" if cid else b""))]
    datagrams += [(SERVER, sealed(epoch, number, content, form, cid)) for epoch, number, content in contents]
    keylog = folder / "dtls.keys"
    keylog.write_text("".join(f"SERVER_{label} {RANDOM.hex()} {secret.hex()}\n" for label, secret in SECRETS.items()))
    return write(folder / "dtls.pcap", datagrams), keylog


@pytest.mark.parametrize("cid", [b"", b"c-1"])
@pytest.mark.parametrize("form", [0x0C, 0x04, 0x08, 0x00])
def test_every_form_of_the_unified_header_opens(tmp_path: Path, form: int, cid: bytes) -> None:
    # Numbers that wrap in one byte, and a message in two fragments.
    finished = message(20, 2, b"f" * 32)
    parts = [fragment(11, 3, b"\0\0\0\0"[:2], length=4), fragment(11, 3, b"\0\0", length=4, offset=2)]
    contents = [(2, 0, message(8, 1, b"\0\0")), (2, 1, finished), (3, 0, b"secret data \x17\0\0")]
    contents += [(3, number, b"secret data \x17") for number in range(100, 300, 100)]
    contents += [(3, 300 + number, part + bytes([HANDSHAKE])) for number, part in enumerate(parts)]
    contents.append((3, 302, b"\1\0\x15" + bytes(9)))
    path, keylog = keyed(tmp_path, contents, form, cid)
    [opened], [seen] = facts(path, keylog=keylog), facts(path)
    hidden = opened["hidden"]
    assert [(one["type"], one["frame"]) for one in hidden["messages"]] == [
        ("encrypted_extensions", 3),
        ("finished", 4),
        ("certificate", 9),
        ("alert", 10),
    ]
    assert hidden["alerts"][0]["description"] == "close_notify"
    assert hidden["problems"] == []
    assert opened | {"hidden": None, "keys": None} == seen


def test_forged_records_do_not_hide_those_that_follow(tmp_path: Path) -> None:
    """Nobody checks their tag: each with any number, some with the content type of application data by chance."""
    flow, keys = sent("dtls13-full"), ROOT / "samples" / "dtls" / "dtls13-full.keys"
    forged = [
        (SERVER, unified(3, body, number=body[:2])) for body in (sha256(bytes([n, 0])).digest() for n in range(256))
    ]
    for datagrams in (flow, [*flow[:7], *forged, *flow[7:]]):
        [one] = facts(write(tmp_path / "forged.pcap", datagrams), keylog=keys)
        assert [(alert["from"], alert["description"]) for alert in one["hidden"]["alerts"]] == [
            ("client", "close_notify"),
            ("server", "close_notify"),
        ]


# ---------------------------------------------------------------- DTLS 1.2 with a connection ID (RFC 9146)

MASTER = b"m" * 48
TO_CLIENT, TO_SERVER = b"c-1", b"server-7"
GCM, CCM8, POLY, CBC = 0xC02F, 0xC0AE, 0xCCA8, 0xC027
FINISHED = fragment(20, 4, b"v" * 12)
SECRET_DATA = b"application data"


def key_block(size: int) -> bytes:
    """Compute the PRF of TLS 1.2 with SHA-256 (RFC 5246 section 5)."""
    seed = b"key expansion" + b"s" * 32 + b"r" * 32
    block, data = seed, b""
    while len(data) < size:
        block = hmac.digest(MASTER, block, "sha256")
        data += hmac.digest(MASTER, block + seed, "sha256")
    return data


def with_cid(suite: int, side: int, sequence: int, kind: int, content: bytes, padding: int = 0) -> bytes:
    """A record with a connection ID (RFC 9146 sections 4 and 5.3)."""
    key_bytes, iv_bytes = (32, 12) if suite == POLY else (16, 4)
    block = key_block(2 * (key_bytes + iv_bytes))
    key = block[side * key_bytes :][:key_bytes]
    iv = block[2 * key_bytes + side * iv_bytes :][:iv_bytes]
    cid = (TO_SERVER, TO_CLIENT)[side]
    number = b"\x00\x01" + sequence.to_bytes(6, "big")
    inner = content + bytes([kind]) + bytes(padding)
    additional = b"\xff" * 8 + bytes([25, len(cid), 25]) + b"\xfe\xfd" + number + cid + len(inner).to_bytes(2, "big")
    if suite == POLY:
        nonce = (int.from_bytes(iv, "big") ^ int.from_bytes(number, "big")).to_bytes(12, "big")
        body = ChaCha20Poly1305(key).encrypt(nonce, inner, additional)
    else:
        aead = AESGCM(key) if suite == GCM else AESCCM(key, tag_length=8)
        body = number + aead.encrypt(iv + number, inner, additional)
    return cid_record(cid, body, sequence=sequence)


def handshake_with_ids(tmp_path: Path, suite: int, later: list[tuple[int, bytes]]) -> dict[str, Any]:
    """Read a handshake of DTLS 1.2 with connection IDs, with its key log."""

    def hello(kind: int, random: bytes, cid: bytes) -> bytes:
        number = suite.to_bytes(2, "big")
        chosen = sized(number) + b"\x01\0" if kind == 1 else number + b"\0"
        cookie = b"\0" if kind == 1 else b""
        body = b"\xfe\xfd" + random + b"\0" + cookie + chosen + sized(extension(54, sized(cid, 1)))
        return record(HANDSHAKE, fragment(kind, 0, body))

    change = record(CHANGE_CIPHER_SPEC, b"\x01", sequence=5)
    done = record(HANDSHAKE, fragment(14, 1, b""), sequence=1)
    datagrams = [(CLIENT, hello(1, b"r" * 32, TO_CLIENT)), (SERVER, hello(2, b"s" * 32, TO_SERVER) + done)]
    datagrams += [(CLIENT, record(HANDSHAKE, fragment(16, 1, sized(b"key", 1)), sequence=1) + change)]
    path = write(tmp_path / "ids.pcap", [*datagrams, (SERVER, change), *later])
    path.with_suffix(".keys").write_text(f"CLIENT_RANDOM {RANDOM.hex()} {MASTER.hex()}")
    [found] = facts(path, keylog=path.with_suffix(".keys"))
    return found


@pytest.mark.parametrize("suite", [GCM, CCM8, POLY])
def test_records_with_a_connection_id_open(tmp_path: Path, suite: int) -> None:
    later = [
        (CLIENT, with_cid(suite, CLIENT, 0, HANDSHAKE, FINISHED)),
        (SERVER, with_cid(suite, SERVER, 0, HANDSHAKE, FINISHED, padding=7)),
        (CLIENT, with_cid(suite, CLIENT, 1, APPLICATION_DATA, SECRET_DATA)),
        (SERVER, with_cid(suite, SERVER, 1, APPLICATION_DATA, SECRET_DATA * 20)),
        (CLIENT, with_cid(suite, CLIENT, 2, ALERT, b"\x01\x00")),
    ]
    found = handshake_with_ids(tmp_path, suite, later)
    assert found["keys"] == {"from": "keylog", "labels": ["CLIENT_RANDOM"]}
    shown = [(one["from"], one["type"], one["frame"]) for one in found["hidden"]["messages"]]
    assert shown == [("client", "finished", 5), ("server", "finished", 6), ("client", "alert", 9)]
    assert found["hidden"]["alerts"][0]["description"] == "close_notify"
    assert found["hidden"]["problems"] == []
    assert SECRET_DATA.decode() not in str(found)
    assert SECRET_DATA.hex() not in str(found)
    if suite != POLY:  # tshark 4.0 does not open such records of ChaCha20-Poly1305
        assert told_by_tshark(tmp_path / "ids.pcap") == {"5": "20", "6": "20", "9": "0"}


def told_by_tshark(path: Path) -> dict[str, str]:
    """What tshark reads of encrypted records with the same key log: by frame, a handshake type or an alert."""
    fields = ["-e", "frame.number", "-e", "dtls.handshake.type", "-e", "dtls.alert_message.desc"]
    options = ["-o", f"tls.keylog_file:{path.with_suffix('.keys')}", "-d", "udp.port==0-65535,dtls", "-T", "fields"]
    command = [need("tshark"), "-n", "-r", str(path), *options, *fields]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    rows = [line.split("\t") for line in printed.splitlines()]
    return {frame: kind + alert for frame, kind, alert in rows if int(frame) > 4 and kind + alert}


def test_a_connection_id_is_authenticated(tmp_path: Path) -> None:
    good = with_cid(GCM, CLIENT, 0, HANDSHAKE, FINISHED)
    wrong = good.replace(TO_SERVER, b"server-8")
    found = handshake_with_ids(
        tmp_path, GCM, [(CLIENT, wrong), (SERVER, with_cid(GCM, SERVER, 0, HANDSHAKE, FINISHED))]
    )
    assert [one["from"] for one in found["hidden"]["messages"]] == ["server"]
    assert [problem["code"] for problem in found["hidden"]["problems"]] == ["not_opened"]


def test_without_an_aead_the_content_type_is_not_looked_for(tmp_path: Path) -> None:
    """It could only be found by decrypting what may be application data."""
    body = b"b" * 16 + b"x" * 64
    found = handshake_with_ids(tmp_path, CBC, [(CLIENT, cid_record(TO_SERVER, body))])
    assert found["hidden"] is None


def test_a_message_of_a_decrypted_flight_that_is_missing_is_named_by_its_number(tmp_path: Path) -> None:
    messages = [(2, 0, message(8, 1, b"\0\0")), (2, 1, message(13, 2, b"\0\0\0")), (2, 2, message(20, 3, b"f" * 32))]
    messages.append((3, 0, message(4, 4, b"\0\0\0\1" + bytes(4) + b"\0\0\1t\0\0")))
    messages.append((3, 1, message(24, 5, b"\0")))
    expected = {0: (1, True), 1: (2, None), 3: (4, True)}
    for lacking, (number, requested) in expected.items():
        contents = [one for index, one in enumerate(messages) if index != lacking]
        path, keylog = keyed(tmp_path, contents)
        [opened] = facts(path, keylog=keylog)
        [problem] = opened["hidden"]["problems"]
        assert problem["code"] == "gap"
        assert problem["detail"] == f"the handshake message with number {number} is not in the capture"
        assert problem["frame"] == 3 + lacking
        assert opened["hidden"]["client_certificate_requested"] is requested
    path, keylog = keyed(tmp_path, messages)
    assert facts(path, keylog=keylog)[0]["hidden"]["problems"] == []
