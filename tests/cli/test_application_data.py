"""What peers say to each other once they encrypt is in no output, and is not decrypted.

Keys show handshakes, alerts and tickets, never what the connection is for. The samples here have every kind of cipher;
what their programs said is known, and tshark proves that it is in them.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import zlib
from base64 import b64decode, b64encode
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import planted
import pytest
from commands import run
from cryptography.hazmat.primitives.ciphers import Cipher
from pyarrow import parquet
from recorded import ROOT, need, packets
from tries import Try, tries

import tlsdissect
from tlsdissect.handshake import protection
from tlsdissect.views.notebook import card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ALERT, HANDSHAKE, ACK = 21, 22, 26
REQUEST, PAGE = b"GET / HTTP/1.0", b"<HTML><BODY BGCOLOR="
HELLO, DATAGRAM, OF_NSS = b"Hello fro", b"GET / in a d", b"GET / hello"
PAGE_OVER_QUIC = b"le>A page</"
GOODBYE = b"221 Bye\r\n"
ALICE = b"alice@sa"
"""The inner identity; the outer one is anonymous."""
SAID = {
    "tls12-full": [REQUEST, PAGE],
    "tls12-static-rsa": [REQUEST, PAGE],
    "tls12-renegotiation": [REQUEST, PAGE],
    "tls13-full": [REQUEST, PAGE],
    "tls13-early-data": [REQUEST, HELLO],
    "smtp-starttls": [GOODBYE],
    "keys/tls12-suites": [REQUEST, PAGE],
    "keys/older-suites": [REQUEST, PAGE],
    "keys/tls13-suites": [REQUEST, PAGE],
    "keys/tls13-key-update": [REQUEST, PAGE],
    "keys/tls13-later-certificate": [HELLO],
    "keys/gnutls-older-suites": [REQUEST],
    "keys/gnutls-tls12": [REQUEST],
    "dtls/dtls12-suites": [DATAGRAM],
    "dtls/dtls13-full": [OF_NSS],
    "dtls/dtls13-key-update": [OF_NSS],
    "quic/quic-full": [PAGE_OVER_QUIC],
    "quic/quic-early-data": [PAGE_OVER_QUIC],
    "quic/quic-quinn": [b"GET / by q"],
    "eap/radius-peap-tls12": [ALICE],
    "eap/radius-peap-tls13": [ALICE],
    "eap/radius-ttls-tls12": [ALICE],
    "eap/radius-ttls-tls13": [ALICE],
    "eap/eapol-peap-wrong-password-tls13": [ALICE],
}
"""What the programs of each sample said in application data: parts that stand nowhere else."""


class Sample(NamedTuple):
    """A capture with its key log, and what its programs said."""

    path: Path
    said: list[bytes]

    @property
    def keylog(self) -> Path:
        return self.path.with_suffix(".keys")


EVERY = [Sample(ROOT / "samples" / f"{name}.pcap", said) for name, said in SAID.items()]
each_sample = pytest.mark.parametrize("sample", EVERY, ids=lambda sample: sample.path.stem)
WINDOW = 8
"""Bytes of a text in a row that an output must not have; a dump of bytes puts a line's end into a longer text."""


def forms(text: bytes) -> Iterator[bytes]:
    """How an output may write what begins each part of a text."""
    for begin in range(len(text) - WINDOW + 1):
        part = text[begin : begin + WINDOW]
        yield part
        for digits in (part.hex(), part.hex(" "), part.hex(":")):
            yield from (digits.encode(), digits.upper().encode())
        for lead in range(3):
            # A character of base64 whose 6 bits depend on neighbouring bytes is left out.
            yield b64encode(bytes(lead) + part)[(8 * lead + 5) // 6 : 8 * (lead + WINDOW) // 6]
        shown = part.decode()
        yield from (one.encode() for one in (html.escape(shown), repr(shown)[1:-1], json.dumps(shown)[1:-1]))
        yield quote(shown, safe="").encode()
        yield part.replace(b"<", rb"\u003c").replace(b">", rb"\u003e")


def searched(texts: list[bytes]) -> re.Pattern[bytes]:
    """What finds any form of some texts."""
    found = {form for text in texts for form in forms(text)}
    return re.compile(b"|".join(map(re.escape, sorted(found))))


ANY = searched(sorted({text for one in EVERY for text in one.said}))


def opened_by_tshark(sample: Sample) -> bytes:
    """All that tshark decrypts of a capture."""
    keys = ["-o", f"tls.keylog_file:{sample.keylog}", "-d", f"udp.port==8443,{sample.path.stem[:4]}"]
    keys = keys if sample.path.parent.stem in {"dtls", "quic"} else keys[:2]
    command = [need("tshark"), "-n", "-r", str(sample.path), *keys, "-x"]
    dump = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    blocks = re.findall(r"^(?:Decrypted|Reassembled).*\n((?:[0-9a-f]{4} .*\n)+)", dump, re.MULTILINE)
    lines = [line[6:54] for block in blocks for line in block.splitlines()]
    return bytes.fromhex("".join(lines))


@each_sample
def test_what_is_searched_for_was_said(sample: Sample) -> None:
    if "dtls13" not in sample.path.stem:  # version 4.0 of tshark does not read DTLS 1.3
        opened = opened_by_tshark(sample)
        assert [text for text in sample.said if text not in opened] == []


# ---------------------------------------------------------------- ciphers


class Watch:
    """Everything that the ciphers of the package are asked to decrypt, and what they return."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decrypted: list[tuple[str, bytes, bytes]] = []
        """The kind of cipher, what it was given and what it returned."""
        for name in ("AESGCM", "AESCCM", "ChaCha20Poly1305"):
            monkeypatch.setattr(protection, name, partial(WatchedAead, self, getattr(protection, name)))
        monkeypatch.setattr(protection, "Cipher", partial(WatchedCipher, self, Cipher))

    def note(self, kind: object, given: bytes, plain: bytes) -> bytes:
        self.decrypted.append((type(kind).__name__, given, plain))
        return plain


class WatchedAead:
    """An AEAD."""

    def __init__(self, watch: Watch, of: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        self._watch, self._aead = watch, of(*arguments, **named)

    def decrypt(self, nonce: bytes, sealed: bytes, additional: bytes) -> bytes:
        return self._watch.note(self._aead, sealed, self._aead.decrypt(nonce, sealed, additional))

    def encrypt(self, nonce: bytes, plain: bytes, additional: bytes | None) -> bytes:
        """Give the key stream, which would decrypt anything but zeros."""
        assert not any(plain)
        stream: bytes = self._aead.encrypt(nonce, plain, additional)
        return stream


class WatchedCipher:
    """A block cipher or a stream cipher."""

    def __init__(self, watch: Watch, of: Callable[..., Any], algorithm: object, mode: object) -> None:
        self._watch, self._algorithm, self._cipher = watch, algorithm, of(algorithm, mode)
        self._context: Any = None

    def encryptor(self) -> Any:
        """Makes masks and blocks of key stream, as no cipher that is used here decrypts by encrypting."""
        return self._cipher.encryptor()

    def decryptor(self) -> WatchedCipher:
        self._context = self._cipher.decryptor()
        return self

    def update(self, data: bytes) -> bytes:
        return self._watch.note(self._algorithm, data, self._context.update(data))

    def finalize(self) -> bytes:
        rest: bytes = self._context.finalize()
        assert rest == b""
        return rest


def sealed_data(path: Path) -> list[bytes]:
    """The encrypted content of each record of application data, as tshark cuts them."""
    fields = ["-e", "tls.app_data", "-e", "dtls.app_data"]
    command = [need("tshark"), "-n", "-r", str(path), "-d", "udp.port==8443,dtls", "-T", "fields", *fields]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [bytes.fromhex(one) for one in re.split(r"[\s,]+", done.stdout) if one]


@each_sample
def test_no_cipher_is_asked_for_application_data(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before TLS 1.3 no record of it is given to a cipher; since, its content type is in what is encrypted."""
    watch = Watch(monkeypatch)
    versions = {one.version for one in tlsdissect.read(sample.path, keylog=sample.keylog, keep=True)}
    assert watch.decrypted
    for kind, _, plain in watch.decrypted:
        assert [text for text in sample.said if text in plain] == [], kind
    if versions & {"TLS 1.3", "DTLS 1.3"}:
        assert [version for version in versions if not str(version).endswith("1.3")] == []
        if sample.path.parent.stem != "quic":
            assert {plain.rstrip(b"\0")[-1] for _, _, plain in watch.decrypted} <= {ALERT, HANDSHAKE, ACK}
        return
    records = sealed_data(sample.path)
    assert records
    for kind, given, _ in watch.decrypted:
        # An explicit nonce, an initialization vector or a MAC is around what a cipher is given.
        assert not any(given) or not any(given in record for record in records), kind


def test_the_samples_have_every_kind_of_cipher(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, suites = Watch(monkeypatch), set()
    for sample in EVERY:
        suites |= {str(one.cipher_suite) for one in tlsdissect.read(sample.path, keylog=sample.keylog)}
    assert {kind for kind, _, _ in watch.decrypted} >= {"AESGCM", "AESCCM", "ChaCha20Poly1305", "ARC4", "TripleDES"}
    assert {kind for kind, _, _ in watch.decrypted} >= {"AES", "Camellia"}
    assert [name for name in suites if "_NULL_" in name] != []


# ---------------------------------------------------------------- outputs

OF_EACH_CIPHER = (
    *("smtp-starttls", "tls12-renegotiation", "tls13-early-data"),
    *("keys/tls12-suites", "keys/older-suites", "keys/tls13-suites", "keys/gnutls-older-suites"),
    *("dtls/dtls12-suites", "dtls/dtls13-key-update", "quic/quic-early-data"),
    *("eap/radius-peap-tls12", "eap/radius-ttls-tls13"),
)
"""Samples that have all ciphers and carriers between them."""
ONE_CONNECTION = {("ladder", "png"), ("ladder", "pdf"), ("ladder", "svg"), ("plot", "timeline")}
TEXT = REQUEST.decode()
"""What the positive control finds: a text as it stands in application data, but where outputs show it."""


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of captures, and beside it the secrets of all of them."""
    folder: Path = tmp_path_factory.mktemp("said") / "captures"
    folder.mkdir()
    secrets = []
    for name in OF_EACH_CIPHER:
        path = ROOT / "samples" / f"{name}.pcap"
        (folder / path.name).symlink_to(path)
        secrets.append(path.with_suffix(".keys").read_bytes())
    folder.with_suffix(".keys").write_bytes(b"".join(secrets))
    return folder


def unpacked(content: bytes) -> bytes:
    """Return an output followed by what is packed in it: deflated streams, base64, columns of Parquet."""
    parts = [content]
    if content.startswith(b"PAR1"):
        parts.append(repr(parquet.read_table(BytesIO(content)).to_pylist()).encode())
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
    parts += [inflated(stream, zlib.MAX_WBITS) for stream in streams]
    for word in re.findall(rb"(?:[A-Za-z0-9+/]{4}){16,}", content):
        plain = b64decode(word)
        parts += [plain, inflated(plain, -zlib.MAX_WBITS)]
    return b"\n".join(parts)


def inflated(data: bytes, form: int) -> bytes:
    try:
        return zlib.decompressobj(form).decompress(data)
    except zlib.error:
        return b""


def outputs(one: Try, place: Path, *given: str | Path) -> dict[str, bytes]:
    """What a command writes, by the name of the file; 1 and 2 are standard output and error."""
    place.mkdir()
    to = () if one.place is None else (one.place[0], place / one.place[1])
    done = run(*one.words, *to, *given)
    assert done.returncode == 0, done.stderr
    files = [path for path in place.rglob("*") if path.is_file()]
    return {"1": done.stdout, "2": done.stderr} | {path.name: path.read_bytes() for path in files}


def without_frames(content: bytes, folder: Path) -> bytes:
    """A capture without the packets of those in a folder."""
    for path in folder.iterdir():
        for _, frame in packets(path):
            content = content.replace(frame, b"")
    return content


TRIES = list(tries())


@pytest.mark.parametrize("one", TRIES, ids=lambda one: " ".join((*one.words, one.form))[-70:])
def test_no_output_has_application_data(one: Try, capture: Path, tmp_path: Path) -> None:
    """Of what draws one connection, it draws each."""
    alone = {(one.words[0], one.form), one.words[:2]} & ONE_CONNECTION
    chosen = [["--stream", f"tls13-suites.pcap:{number}"] for number in range(4)] if alone else [[]]
    for number, choice in enumerate(chosen):
        keys = ["--keylog", str(capture.with_suffix(".keys")), *choice]
        for name, content in outputs(one, tmp_path / str(number), *keys, capture).items():
            # Suites that encrypt nothing are captured as they are.
            searched_in = without_frames(content, capture) if name.endswith(".pcapng") else unpacked(content)
            assert [found[0] for found in ANY.finditer(searched_in)] == [], name


@pytest.mark.parametrize("words", ["show", "show --bytes", "read --format json", "export --format parquet", "report"])
def test_what_outputs_show_would_be_found(words: str, tmp_path: Path) -> None:
    """The same texts, said in the clear: in names that peers ask for."""
    [path] = [one for one in planted.captures(tmp_path, [TEXT], "plain") if one.stem == "plain-tcp"]
    suffix = {"show": "html", "report": "html"}.get(words)
    place = None if suffix is None else ("-o", f"made.{suffix}")
    place = ("--to", "tables") if words.startswith("export") else place
    made = outputs(Try(tuple(words.split()), "", place), tmp_path / "made", path)
    assert ANY.search(b"\n".join(map(unpacked, made.values())))


def test_no_dataset_has_application_data(capture: Path, tmp_path: Path) -> None:
    keys = ("--keylog", capture.with_suffix(".keys"))
    done = run("scan", *keys, capture, "--to", tmp_path / "dataset", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    written = [path.read_bytes() for path in (tmp_path / "dataset").rglob("*") if path.is_file()]
    written.append(run("read", "--format", "json", tmp_path / "dataset").stdout)
    assert b'"hidden":{' in written[-1]
    assert [found[0] for content in written for found in ANY.finditer(unpacked(content))] == []


def test_no_page_of_a_notebook_has_application_data(capture: Path) -> None:
    keylog = capture.with_suffix(".keys")
    connections = list(tlsdissect.read(capture, keylog=keylog, keep=True, findings=True))
    shown: list[Any] = [tlsdissect.tables(capture, keylog=keylog), tlsdissect.summary(capture, keylog=keylog)]
    shown += [tlsdissect.compare(capture, keylog=keylog)]
    shown += [view(one) for one in connections for view in (tlsdissect.tree, tlsdissect.ladder, tlsdissect.explain)]
    pages = [*(one._repr_html_() for one in shown), *map(card, connections), *map(repr, [*shown, *connections])]
    assert [found[0] for page in pages for found in ANY.finditer(unpacked(page.encode()))] == []
