"""Key logs as a lens: what they open stands in `hidden`, and nothing else changes."""

from __future__ import annotations

import gzip
import struct
import subprocess
import zlib
from collections import Counter
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import dpkt
import msgspec
import pytest
from capture.building import block, interface, section
from quicwriting import crypto, header, packet_keys, sealed
from recorded import ROOT, SAMPLES, facts, need, packets, with_secrets, without

import tlsdissect
from tlsdissect.capture import open_capture, pcapng
from tlsdissect.capture.packet import Packet
from tlsdissect.handshake.decryption import RecordReader
from tlsdissect.handshake.events import new_event, new_sealed
from tlsdissect.handshake.facts import hidden as hidden_facts
from tlsdissect.handshake.key_logs import KeyLog
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading
from tlsdissect.tls.quic import PacketType
from tlsdissect.tls.quic_packets import long_packets
from tlsdissect.trust.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tlsdissect.handshake.events import HandshakeEvent, SealedRecord
    from tlsdissect.handshake.key_logs import CaptureKeys
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.handshake.opening import Opened

FOLDERS = ("keys", "peers", "talk", "network", "ech")
IN_FOLDERS = [path for name in FOLDERS for path in sorted((ROOT / "samples" / name).glob("*.pcap"))]
OVER_TCP = [path for path in (*SAMPLES, *IN_FOLDERS) if path.with_suffix(".keys").exists()]
OVER_EAP = [path.with_suffix(".pcap") for path in sorted((ROOT / "samples" / "eap").glob("*.keys"))]
OVER_QUIC = sorted((ROOT / "samples" / "quic").glob("*.pcap"))
UNENCRYPTED = ROOT / "samples" / "dtls" / "dtls12-no-encryption.pcap"
WITH_KEYS = sorted(path.with_suffix(".pcap") for path in (ROOT / "samples" / "dtls").glob("*.keys"))
OVER_DTLS = [path for path in WITH_KEYS if path != UNENCRYPTED]
KEYED = [*OVER_TCP, *OVER_QUIC, *OVER_DTLS, *OVER_EAP]
SHOWN = ["encrypted_extensions", "certificate", "certificate_verify", "finished"]
BOTH = ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"]
BOTH = [*BOTH, *(label.replace("CLIENT", "SERVER") for label in BOTH)]

LOSSY = [
    "dtls13-key-update",
    "dtls12-loss",
    "dtls12-resumed-ticket",
    "quic-full",
    "quic-large-hello",
    "quic-unknown-ca",
]
HANDSHAKE_LABELS = ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"]


def each_sample(test: object) -> object:
    return pytest.mark.parametrize("path", KEYED, ids=lambda path: path.stem)(test)


def sample(name: str) -> Path:
    return next(path for path in KEYED if path.stem == name)


def with_keys(path: Path, keylog: Path | None = None, **options: Any) -> list[dict[str, Any]]:
    return facts(path, keylog=keylog or path.with_suffix(".keys"), **options)


def lensed(connection: dict[str, Any]) -> dict[str, Any]:
    """What a connection has besides that which keys add."""
    seen = {name: value for name, value in connection.items() if name not in {"hidden", "keys"}}
    if "transcript" in seen:
        packets = [one for one in seen["transcript"]["quic"] if one["kind"] != PacketType.HANDSHAKE]
        seen["transcript"] = seen["transcript"] | {"opened": [], "quic": packets}
    return seen


@each_sample
def test_facts_outside_hidden_are_the_same_with_and_without_keys(path: Path) -> None:
    for options in ({}, {"keep": True}, {"batch": 1}):
        without = facts(path, **options)
        assert [one["hidden"] for one in without] == [None] * len(without)
        opened = with_keys(path, **options)
        assert [lensed(one) for one in opened] == [lensed(one) for one in without]


@each_sample
def test_keys_of_another_connection_open_nothing(path: Path) -> None:
    foreign = sample("tls13-full" if path.stem != "tls13-full" else "tls12-full").with_suffix(".keys")
    assert with_keys(path, foreign) == facts(path)


def sent(connection: dict[str, Any], side: str) -> list[str]:
    return [one["type"] for one in connection["hidden"]["messages"] if one["from"] == side]


def test_a_full_handshake() -> None:
    (one,) = with_keys(sample("tls13-full"))
    hidden = one["hidden"]
    assert (one["keys"]["from"], sorted(one["keys"]["labels"])) == ("keylog", sorted(BOTH))
    assert sent(one, "server") == [*SHOWN, "new_session_ticket", "new_session_ticket", "alert"]
    assert sent(one, "client") == ["finished", "alert"]
    assert [chain["subject"].split("CN=")[1].split(",")[0] for chain in hidden["certificates"]] == [
        "localhost",
        "smplca",
    ]
    assert hidden["client_certificate_requested"] is False
    assert hidden["client_certificates"] is hidden["certificate_request"] is None
    assert [alert["description"] for alert in hidden["alerts"]] == ["close_notify", "close_notify"]
    assert [ticket["lifetime_s"] for ticket in hidden["session_tickets"]] == [7200, 7200]
    assert [extension["type"] for extension in hidden["encrypted_extensions"]] == []
    assert hidden["early_data"] is hidden["round_trips"] is None
    assert hidden["problems"] == []


def test_the_chain_of_tls13_is_that_of_tls12() -> None:
    (opened,), (clear,) = with_keys(sample("tomcat-tls13")), facts(sample("tomcat-tls12"))
    differing = {"sha256": None, "bytes": None}
    assert [one | differing for one in opened["hidden"]["certificates"]] == [
        one | differing for one in clear["certificates"]
    ]
    assert opened["certificates"] is None


def test_a_client_certificate() -> None:
    stories = (
        ("tls13-client-cert", "CN=Alice", "close_notify"),
        ("tls13-client-cert-rejected", "CN=Mallory", "unknown_ca"),
    )
    for name, subject, answer in stories:
        hidden = with_keys(sample(name))[0]["hidden"]
        assert hidden["client_certificate_requested"] is True
        assert hidden["certificate_request"]["types"] is None
        assert "rsa_pss_rsae_sha256" in hidden["certificate_request"]["signature_schemes"]
        assert subject in hidden["client_certificates"][0]["subject"]
        assert hidden["alerts"][0]["description"] == answer


def test_early_data() -> None:
    first, resumed = with_keys(sample("tls13-early-data"))
    assert (first["hidden"]["early_data"], first["hidden"]["round_trips"]) == (None, None)
    assert (resumed["hidden"]["early_data"], resumed["hidden"]["round_trips"]) == ("accepted", 0)
    assert sent(resumed, "client")[:2] == ["end_of_early_data", "finished"]
    assert "CLIENT_EARLY_TRAFFIC_SECRET" in resumed["keys"]["labels"]
    # Without a pre-shared key in the ServerHello, it is visible that early data was rejected.
    rejected = with_keys(sample("tls13-early-data-rejected"))[1]
    assert (rejected["early_data"], rejected["hidden"]["early_data"]) == ("rejected", None)
    assert sent(rejected, "client")[0] == "finished"


def test_a_renegotiation() -> None:
    (one,) = with_keys(sample("tls12-renegotiation"))
    assert sent(one, "client")[:4] == ["finished", "client_hello", "client_key_exchange", "finished"]
    assert sent(one, "server")[:2] == ["finished", "server_hello"]
    assert [alert["description"] for alert in one["hidden"]["alerts"]] == ["close_notify", "close_notify"]


def hidden_of(name: str) -> list[dict[str, Any]]:
    return [one["hidden"] for one in with_keys(sample(name))]


@pytest.mark.parametrize(
    "name",
    [
        "tls12-suites",
        "older-suites",
        "tls13-suites",
        "gnutls-tls12",
        "gnutls-tls13",
        "gnutls-older-suites",
        "dtls12-suites",
    ],
)
def test_every_kind_of_cipher(name: str) -> None:
    """Both Finished and every closing alert open, however many records of data come between them."""
    encrypted = [one for one in with_keys(sample(name)) if "_NULL_" not in one["cipher_suite"]]
    for hidden in [one["hidden"] for one in encrypted]:
        sent = [(one["from"], one["type"]) for one in hidden["messages"]]
        assert {("client", "finished"), ("server", "finished"), ("server", "alert")} <= set(sent)
        assert {alert["description"] for alert in hidden["alerts"]} == {"close_notify"}
        assert hidden["problems"] == []


def test_suites_without_encryption_need_no_keys() -> None:
    every = facts(sample("older-suites"))
    unencrypted = [one for one in every if "_NULL_" in one["cipher_suite"]]
    assert len(unencrypted) == 2
    for one in unencrypted:
        assert [message["type"] for message in one["messages"]].count("finished") == 2
        assert [(alert["level"], alert["description"]) for alert in one["alerts"]] == [("warning", "close_notify")] * 2
        assert one["closure"] == {"client": "close_notify", "server": "close_notify"}
        assert one["complete"]
        assert one["problems"] == []
    assert [one for one in with_keys(sample("older-suites")) if "_NULL_" in one["cipher_suite"]] == unencrypted


def test_updates_of_keys() -> None:
    (hidden,) = hidden_of("tls13-key-update")
    updates = [one["from"] for one in hidden["messages"] if one["type"] == "key_update"]
    assert updates == ["client", "client", "server"]
    assert [alert["description"] for alert in hidden["alerts"]] == ["close_notify", "close_notify"]
    assert hidden["problems"] == []


@pytest.mark.parametrize("name", ["tls12-later-certificate", "tls13-later-certificate"])
def test_a_client_certificate_that_is_asked_for_later(name: str) -> None:
    (hidden,) = hidden_of(name)
    assert hidden["client_certificate_requested"] is True
    assert "CN=Alice" in hidden["client_certificates"][0]["subject"]
    assert hidden["problems"] == []


def test_a_compressed_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program of Debian's compresses its certificate, so that of a sample is (RFC 8879)."""
    whole, (plain,) = hidden_facts.opened, hidden_of("tls13-full")

    def with_compression(log: LoggedHandshake, keys: CaptureKeys) -> Opened | None:
        found = whole(log, keys)
        assert found is not None
        events = list(found.events)
        (at,) = [n for n, event in enumerate(events) if event.handshake_type == 11]
        old, data = events[at], zlib.compress(events[at].body)
        body = b"\0\1" + old.size.to_bytes(3, "big") + len(data).to_bytes(3, "big") + data
        events[at] = new_event(
            old.sender, old.content_type, 25, len(body), body, old.frame, old.time, old.start, old.end, old.encrypted
        )
        return found._replace(events=tuple(events))

    monkeypatch.setattr(hidden_facts, "opened", with_compression)
    (compressed,) = hidden_of("tls13-full")
    assert compressed["certificates"] == plain["certificates"]
    assert "compressed_certificate" in {message["type"] for message in compressed["messages"]}
    assert compressed["problems"] == []


def test_no_client_certificate() -> None:
    (hidden,) = hidden_of("tls13-client-cert-missing")
    assert (hidden["client_certificate_requested"], hidden["client_certificates"]) == (True, [])
    assert [alert["description"] for alert in hidden["alerts"]] == ["certificate_required"]


def test_some_secrets_open_what_they_can(tmp_path: Path) -> None:
    """Each secret alone opens the records that it protects; without the handshake's, data must not come first."""
    path, alone = sample("tls13-full"), tmp_path / "some.keys"
    every = with_keys(path)[0]["hidden"]["messages"]
    seen = []
    for line in path.with_suffix(".keys").read_text().splitlines():
        label = line.partition(" ")[0]
        alone.write_text(line + "\n")
        (one,) = with_keys(path, alone)
        if label not in BOTH or label == "CLIENT_TRAFFIC_SECRET_0":
            assert one["hidden"] is None
            continue
        assert one["keys"] == {"from": "keylog", "labels": [label]}
        assert one["hidden"]["messages"]
        seen += one["hidden"]["messages"]
    hidden = every[-1]
    assert (hidden["from"], hidden["type"]) == ("client", "alert")
    assert sorted(map(str, seen)) == sorted(map(str, every[:-1]))


@pytest.mark.parametrize("name", ["tls13-full", "tls13-early-data", "tls13-key-update", "tls12-renegotiation", *LOSSY])
def test_without_some_packet_keys_open_the_same_or_less(name: str, tmp_path: Path) -> None:
    path, cut = sample(name), tmp_path / "cut.pcap"
    whole = {(one["stream"], m["from"], m["type"], m["bytes"]) for one in with_keys(path) for m in messages_of(one)}
    for frame in range(1, len(packets(path)) + 1):
        without(path, {frame}, cut)
        opened = with_keys(cut, path.with_suffix(".keys"))
        assert {(one["stream"], m["from"], m["type"], m["bytes"]) for one in opened for m in messages_of(one)} <= whole
        assert [lensed(one) for one in opened] == [lensed(one) for one in facts(cut)]


def messages_of(connection: dict[str, Any]) -> list[dict[str, Any]]:
    return connection["hidden"]["messages"] if connection["hidden"] else []


def test_a_wrong_secret_opens_nothing(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.keys"
    for path in (sample("tls13-full"), sample("tls12-full")):
        lines = [line for line in path.with_suffix(".keys").read_text().splitlines() if line[0] != "#"]
        wrong.write_text("".join(f"{line[:-4]}0000\n" for line in lines))
        assert with_keys(path, wrong) == facts(path)


def same_from_capture(inside: Path, path: Path) -> None:
    for one, other in zip(facts(inside), with_keys(path), strict=True):
        assert one["keys"] == {"from": "capture", "labels": other["keys"]["labels"]}
        assert one["hidden"] == other["hidden"]


BEFORE_ENCRYPTED = {
    "tls12-full": 5,
    "tls13-full": 5,
    "tls13-hello-retry": 8,
    "quic-full": 1,
    "dtls12-full": 4,
    "dtls13-full": 1,
    "eapol-tls-tls13": 5,
}
"""Of each sample, the last frame before its first encrypted record."""


@pytest.mark.parametrize("name", BEFORE_ENCRYPTED)
def test_secrets_inside_a_capture_before_what_they_open(name: str, tmp_path: Path) -> None:
    """A decryption secrets block (draft-ietf-opsawg-pcapng section 4.7) may follow the ClientHello, as in a live one.

    A compressed file cannot be read from its end.
    """
    path, inside = sample(name), tmp_path / "inside.pcapng.gz"
    for after in range(BEFORE_ENCRYPTED[name] + 1):
        inside.write_bytes(gzip.compress(with_secrets(path, inside, after).read_bytes(), 1))
        same_from_capture(inside, path)


@pytest.mark.parametrize("name", BEFORE_ENCRYPTED)
def test_secrets_after_the_last_packet_of_a_file(name: str, tmp_path: Path) -> None:
    path = sample(name)
    inside = with_secrets(path, tmp_path / "inside.pcapng", len(packets(path)))
    same_from_capture(inside, path)
    # Blocks with statistics and with the secrets of another connection follow.
    other = block(10, struct.pack("<II", 0x544C534B, 3) + b"# x")
    inside.write_bytes(inside.read_bytes() + block(5, struct.pack("<III", 0, 0, 0)) + other)
    same_from_capture(inside, path)


def test_secrets_between_records_open_those_that_follow(tmp_path: Path) -> None:
    """After the server's flight, they open what comes later."""
    path = sample("tls13-full")
    (one,) = facts(with_secrets(path, tmp_path / "inside.pcapng", 6))
    assert sent(one, "client") == ["finished", "alert"]
    assert "certificate" not in sent(one, "server")


def test_a_capture_with_secrets_between_its_packets_may_bring_them_late(tmp_path: Path) -> None:
    """The writer of such a capture has secrets when a handshake is over: those of the next one are awaited."""
    path, second = sample("tls13-full"), sample("tls12-full")
    begun = with_secrets(path, tmp_path / "a.pcapng", 5).read_bytes()
    later = with_secrets(second, tmp_path / "b.pcapng", len(packets(second)) - 1).read_bytes()
    both = tmp_path / "both.pcapng.gz"
    both.write_bytes(gzip.compress(begun + later))
    (one, other) = facts(both)
    assert one["hidden"] == with_keys(path)[0]["hidden"]
    messages = [message["type"] for message in with_keys(second)[0]["hidden"]["messages"]]
    assert [message["type"] for message in other["hidden"]["messages"]] == messages != []
    # In a capture that has its secrets in front, none are awaited.
    front = with_secrets(path, tmp_path / "a.pcapng", 0).read_bytes()
    both.write_bytes(gzip.compress(front + later))
    assert [bool(one["hidden"]) for one in facts(both)] == [True, False]


def test_secrets_of_captures_read_as_one_are_those_of_all(tmp_path: Path) -> None:
    """A file with secrets at its end, and one with them in front, are read as the second and the third."""
    path = sample("tls13-full")
    files = [tmp_path / f"{number}.pcapng" for number in range(3)]
    end, none = len(packets(path)), section() + interface()
    files[0].write_bytes(none)
    with_secrets(path, files[1], end)
    files[2].write_bytes(none)
    (one,) = tlsdissect.read(*files, joined=True)
    assert one.hidden is not None
    assert one.keys is not None
    assert one.keys.origin == "capture"


@pytest.mark.parametrize("name", ["tls13-full", "tls12-resumed-ticket", "quic-full", "dtls13-full"])
def test_secrets_at_the_end_of_a_later_file_open_what_an_earlier_one_has(name: str, tmp_path: Path) -> None:
    path = sample(name)
    files = [tmp_path / f"{number}.pcapng" for number in range(3)]
    end = len(packets(path))
    frames = set(range(1, end + 1))
    for number, some in enumerate(({*range(1, end // 2)}, {*range(end // 2, end)}, {end})):
        part = without(path, frames - some, tmp_path / "part.pcap")
        # The same secrets are in the last two files.
        after = () if number == 0 else (len(some),)
        with_secrets(part, files[number], *after, keys=path.with_suffix(".keys"))
    whole = list(tlsdissect.read(with_secrets(path, tmp_path / "whole.pcapng", end)))
    joined = list(tlsdissect.read(*files, joined=True))
    assert [one.hidden and (one.hidden.messages, one.hidden.problems) for one in joined] == [
        one.hidden and (one.hidden.messages, one.hidden.problems) for one in whole
    ]
    assert all(one.hidden for one in whole)


def test_secrets_at_the_end_beyond_the_most_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample("tls13-full")
    inside = with_secrets(path, tmp_path / "inside.pcapng", *[len(packets(path))] * 4)
    whole = path.with_suffix(".keys").stat().st_size + 3 & ~3
    monkeypatch.setattr(pcapng, "MAX_SECRETS", 2 * (8 + whole + pcapng.SECRET_BYTES))
    with open_capture(inside) as capture:
        assert len(capture.secrets) == 2
        packet = Packet()
        while capture.next(packet):
            pass
        assert len(capture.secrets) == 2
        assert [hurt.detail for hurt in capture.damage] == ["more decryption secrets than are kept"]


@pytest.mark.parametrize("size", [0, 4, 11, 13, 1 << 31, 0xFFFFFFFF])
def test_a_length_at_the_end_of_a_file_that_is_none(size: int, tmp_path: Path) -> None:
    path = sample("tls13-full")
    inside = with_secrets(path, tmp_path / "inside.pcapng", 0)
    inside.write_bytes(inside.read_bytes() + struct.pack("<I", size))
    (one,) = facts(inside)
    assert one["hidden"] == with_keys(path)[0]["hidden"]


def test_no_application_data_in_the_clear_in_any_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the request nor the page of a sample is anywhere in a connection with its transcript, nor decrypted."""
    from tlsdissect.handshake import protection

    decrypted: list[bytes] = []

    class Remembering:
        def __init__(self, of: Callable[..., Any], *arguments: Any, **named: Any) -> None:
            self._aead = of(*arguments, **named)

        def decrypt(self, *arguments: bytes) -> bytes:
            content: bytes = self._aead.decrypt(*arguments)
            decrypted.append(content)
            return content

        def encrypt(self, nonce: bytes, plain: bytes, additional: bytes | None) -> bytes:
            """Give the key stream, which would decrypt anything but zeros."""
            assert not any(plain)
            stream: bytes = self._aead.encrypt(nonce, plain, additional)
            return stream

    for name in ("AESGCM", "AESCCM", "ChaCha20Poly1305"):
        monkeypatch.setattr(protection, name, partial(Remembering, getattr(protection, name)))
    for path in KEYED:
        for connection in tlsdissect.read(path, keylog=path.with_suffix(".keys"), keep=True):
            output = msgspec.json.encode(connection) + repr(connection).encode()
            for text in (b"GET /", b"HTTP/1", b"Host:", b"<html", b"MAIL FROM", b"EHLO again"):
                for form in (text, text.hex().encode()):
                    assert form not in output
                assert not any(text in one for one in decrypted)
    assert any(decrypted)


@pytest.fixture(scope="module")
def tshark() -> str:
    return need("tshark")


TYPES = {
    0: "hello_request", 1: "client_hello", 2: "server_hello", 3: "hello_verify_request",
    4: "new_session_ticket", 5: "end_of_early_data", 8: "encrypted_extensions",
    11: "certificate", 12: "server_key_exchange", 13: "certificate_request", 14: "server_hello_done",
    15: "certificate_verify", 16: "client_key_exchange", 20: "finished", 22: "certificate_status", 24: "key_update",
}  # fmt: skip


def decrypted(tshark: str, path: Path, carrier: str, protocol: str, *others: str) -> list[tuple[int, int, str, int]]:
    """The stream, frame, type and length of each message that tshark reads with keys; without a carrier, stream -1."""
    keylog = ["-o", f"tls.keylog_file:{path.with_suffix('.keys')}", *others]
    messages, alert = f"{protocol}.handshake", f"{protocol}.alert_message"
    fields = ["frame.number", f"{messages}.type", f"{messages}.length", f"{alert}.desc"]
    fields += [f"{carrier}.stream"] if carrier else []
    command = [tshark, "-r", str(path), *keylog, "-Y", f"{messages} or {alert}", "-T", "fields"]
    done = subprocess.run(
        [*command, *(part for field in fields for part in ("-e", field))], capture_output=True, text=True, check=True
    )
    found = []
    for line in done.stdout.splitlines():
        frame, types, sizes, alerts, *of = line.split("\t")
        stream = int(of[0]) if of else -1
        for kind, size in zip(filter(None, types.split(",")), filter(None, sizes.split(",")), strict=True):
            found.append((stream, int(frame), TYPES[int(kind)], int(size)))
        found += [(stream, int(frame), "alert", 2) for _ in filter(None, alerts.split(","))]
    return found


def readable(connection: dict[str, Any]) -> list[tuple[int, str, int]]:
    """The frame, type and length of each message that is in the clear or opened, by frame."""
    hidden, named = messages_of(connection), {"change_cipher_spec", "encrypted"}
    visible = [message for message in connection["messages"] if message["type"] not in named]
    # An alert that only keys open is in the list of the visible ones too, as encrypted.
    visible = [m for m in visible if m["type"] != "alert" or (m["frame"], m["from"]) not in alerts_of(hidden)]
    every = sorted((*visible, *hidden), key=lambda m: m["frame"])
    return [(m["frame"], m["type"].replace("hello_retry_request", "server_hello"), m["bytes"]) for m in every]


@pytest.mark.parametrize("path", OVER_TCP, ids=lambda path: path.stem)
def test_messages_are_those_that_tshark_decrypts(path: Path, tshark: str) -> None:
    expected = decrypted(tshark, path, "tcp", "tls")
    seen = [(one["stream"], *message) for one in with_keys(path) for message in readable(one)]
    missing, more = Counter(expected) - Counter(seen), Counter(seen) - Counter(expected)
    assert missing == {}
    if path.stem == "ech-nss":
        # tshark 4.0 does not know ECH: after the ServerHello, the keys are those of the inner hello.
        assert {stream for stream, *_ in more} == {0, 1}
    else:
        # tshark opens nothing after a second Finished of the client.
        assert {kind for _, _, kind, _ in more} <= ({"alert"} if "later-certificate" in path.stem else set())
    assert all(first <= second for first, second in pairwise([frame for _, frame, _, _ in expected]))


@pytest.mark.parametrize("path", OVER_EAP, ids=lambda path: path.stem)
def test_messages_in_eap_are_those_that_tshark_decrypts(path: Path, tshark: str) -> None:
    """Of a message that ends in an earlier fragment of a flight, tshark knows only the frame of the last fragment."""
    connections = with_keys(path)
    theirs = [(frame, kind, size) for _, frame, kind, size in decrypted(tshark, path, "", "tls")]
    ours = [message for one in connections for message in readable(one)]
    if path.stem == "radius-tls-resumed-tls12":
        # It takes the hellos of the second login for encrypted, as those of a renegotiation.
        ours = readable(connections[0])
    if path.stem.startswith("eapol"):
        # The supplicant's keys open what it sent; without ports, it takes the server for the supplicant.
        of_server = Counter(m["type"] for one in connections for m in messages_of(one) if m["from"] == "server")
        more = Counter(kind for _, kind, _ in ours) - Counter(kind for _, kind, _ in theirs)
        assert (more, Counter(kind for _, kind, _ in theirs) - Counter(kind for _, kind, _ in ours)) == (of_server, {})
        return
    assert [message[1:] for message in ours] == [message[1:] for message in theirs] != []
    assert all(mine <= frame for (mine, *_), (frame, *_) in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("path", OVER_QUIC, ids=lambda path: path.stem)
def test_messages_in_handshake_packets_are_those_that_tshark_decrypts(path: Path, tshark: str) -> None:
    every = decrypted(tshark, path, "udp", "tls", "-d", "udp.port==8443,quic")
    # Tickets are in 1-RTT packets, which are not opened.
    seen = {"client_hello", "server_hello", "new_session_ticket"}
    shown = [(one["stream"], m["frame"], m["type"], m["bytes"]) for one in with_keys(path) for m in messages_of(one)]
    # tshark 4.0 opens no Handshake packet at the address to which a client moved.
    elsewhere = {7} if path.stem == "quic-moved" else set()
    assert [kind for _, frame, kind, _ in shown if frame in elsewhere] == ["finished"] * len(elsewhere)
    shown = [one for one in shown if one[1] not in elsewhere]
    if path.stem not in {"quic-version-negotiation", "quic-retry"}:
        # tshark asks for the secrets of the first ClientHello, which the server did not answer.
        assert [one for one in shown if one[2] != "alert"] == [one for one in every if one[2] not in seen]
    assert bool(shown) is (path.stem != "quic-no-common-protocol")


@pytest.mark.parametrize(
    "path", [path for path in OVER_DTLS if path.stem[:6] in {"dtls10", "dtls12"}], ids=lambda path: path.stem
)
def test_messages_of_dtls_are_those_that_tshark_decrypts(path: Path, tshark: str) -> None:
    connections = with_keys(path)
    readable = {(one["stream"], alert["frame"]) for one in connections for alert in one["alerts"] if alert["level"]}
    readable |= {(one["stream"], m["frame"]) for one in connections for m in one["messages"] if m["type"] == "finished"}
    every = decrypted(tshark, path, "udp", "dtls")
    expected = [one for one in every if one[2] in {"finished", "alert"} and one[:2] not in readable]
    shown = [(one["stream"], m["frame"], m["type"], m["bytes"]) for one in connections for m in messages_of(one)]
    missing, more = Counter(expected) - Counter(shown), Counter(shown) - Counter(expected)
    # Version 4.0 of tshark does not open records of DTLS with ChaCha20-Poly1305.
    unread = {one["stream"] for one in connections if "CHACHA20" in (one["cipher_suite"] or "")}
    assert {one[0] for one in more} == unread
    # The relay lost a flight, so that its Finished was sent again: each message is listed once.
    assert [kind for _, _, kind, _ in missing] == (["finished"] if path.stem == "dtls12-loss" else [])
    assert all(one["hidden"]["problems"] == [] for one in connections if one["hidden"])
    assert bool(shown) is (path.stem not in {"dtls12-no-common-suite", "dtls12-unknown-ca"})


def test_what_records_of_dtls13_show() -> None:
    """Version 4.0 of tshark does not read DTLS 1.3."""
    for name, later in (("dtls13-full", []), ("dtls13-key-update", ["key_update"])):
        (one,) = with_keys(sample(name))
        assert sent(one, "server") == [*SHOWN, *later, "alert"]
        assert sent(one, "client") == ["finished", *later, "alert"]
        assert [chain["subject"].split("CN=")[1].split(",")[0] for chain in one["hidden"]["certificates"]] == [
            "localhost",
            "smplca",
        ]
        assert [alert["description"] for alert in one["hidden"]["alerts"]] == ["close_notify", "close_notify"]
        assert one["hidden"]["problems"] == []
        assert sorted(one["keys"]["labels"]) == sorted(BOTH)


def test_a_refusal_in_dtls13_is_encrypted() -> None:
    (one,) = with_keys(sample("dtls13-unknown-ca"))
    assert (sent(one, "server"), sent(one, "client")) == (SHOWN, ["alert"])
    assert [(a["from"], a["level"], a["description"]) for a in one["hidden"]["alerts"]] == [
        ("client", "fatal", "unknown_ca")
    ]
    assert one["hidden"]["problems"] == []


def test_what_handshake_packets_of_quic_show() -> None:
    (full,) = with_keys(sample("quic-full"))
    hidden = full["hidden"]
    assert sorted(full["keys"]["labels"]) == HANDSHAKE_LABELS
    assert (sent(full, "server"), sent(full, "client")) == (SHOWN, ["finished"])
    assert hidden["alpn"] == "hq-interop"
    assert [chain["subject"].split("CN=")[1].split(",")[0] for chain in hidden["certificates"]] == [
        "localhost",
        "smplca",
    ]
    extensions = {one["type"]: one for one in hidden["encrypted_extensions"]}
    parameters = {one["id"]: one["value"] for one in extensions["quic_transport_parameters"]["parameters"]}
    assert parameters["original_destination_connection_id"] == full["quic"]["original_destination_connection_id"]
    assert hidden["problems"] == []
    assert [one["hidden"]["early_data"] for one in with_keys(sample("quic-early-data"))] == [None, "accepted"]
    (quinn,), (closed,) = with_keys(sample("quic-quinn")), with_keys(sample("quic-quinn-unknown-ca"))
    assert (sent(quinn, "server"), sent(quinn, "client")) == (SHOWN, ["finished"])
    assert (sent(closed, "server"), sent(closed, "client"), closed["hidden"]["alerts"]) == (SHOWN, [], None)
    (refused,) = hidden_of("quic-unknown-ca")
    assert [(one["from"], one["description"]) for one in refused["alerts"]] == [("client", "bad_certificate")]


def test_other_bytes_in_a_later_handshake_packet_are_reported(tmp_path: Path) -> None:
    path = sample("quic-full")
    secrets = dict(line.split()[::2] for line in path.with_suffix(".keys").read_text().splitlines())
    keys = packet_keys(bytes.fromhex(secrets["SERVER_HANDSHAKE_TRAFFIC_SECRET"]), "quic", 32, "sha384")
    written: list[tuple[float, bytes]] = []
    with path.open("rb") as file:
        for time, data in dpkt.pcap.Reader(file):
            written.append((time, data))
            frame = dpkt.ethernet.Ethernet(data)
            sent = [one for one in long_packets(frame.data.data.data) if one.kind == PacketType.HANDSHAKE]
            if sent and frame.data.data.sport == 8443:
                to, by = sent[0].destination_id, sent[0].source_id
                for number in (200, 201):
                    # The first message of the server, EncryptedExtensions, begins with its type.
                    frame.data.data.data = sealed(
                        keys, header(2, 1, to, by), number, crypto(0, b"\x09\0\0\0") + bytes(20)
                    )
                    frame.data.data.ulen, frame.data.len = 8 + len(frame.data.data.data), 28 + len(frame.data.data.data)
                    written.append((time, bytes(frame)))
    again = tmp_path / "again.pcap"
    with again.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for time, data in written:
            writer.writepkt(data, time)
    [whole], [found] = with_keys(path), with_keys(again, path.with_suffix(".keys"))
    [problem] = [one for one in found["hidden"]["problems"] if one["code"] == "conflicting_data"]
    assert problem["from"] == "server"
    assert "different bytes at the same offset" in problem["detail"]
    assert [(one["bytes"], one["used"]) for one in problem["copies"]] == [("0800007a", True), ("09000000", False)]
    assert found["hidden"]["certificates"] == whole["hidden"]["certificates"] != []
    assert not [one for one in whole["hidden"]["problems"] if one["code"] == "conflicting_data"]


def alerts_of(messages: list[dict[str, Any]]) -> set[tuple[int, str]]:
    return {(one["frame"], one["from"]) for one in messages if one["type"] == "alert"}


@pytest.mark.parametrize("name", ["tls13-resumed", "tls13-early-data", "tomcat-firefox-resumed"])
def test_a_ticket_that_keys_open_ties_its_resumption_to_it(name: str) -> None:
    first, resumed = with_keys(sample(name))
    assert first["hidden"]["resumes"] is None
    assert resumed["hidden"]["resumes"] == {"source": str(sample(name)), "stream": 0}
    assert resumed["resumes"] is None
    offered = next(one for one in resumed["client_hello"]["extensions"] if one["type"] == "pre_shared_key")
    tickets = [one["identity"] for one in first["hidden"]["session_tickets"]]
    assert offered["identities"][0]["identity"] in tickets


TALKS = sorted((ROOT / "samples" / "talk").glob("*-tls13.pcap"))
ONLY_IN = {"sni_in_clear", "client_certificate_in_clear"}
"""Findings of what one of the two versions shows to anyone."""


@pytest.mark.parametrize("path", TALKS, ids=lambda path: path.stem)
def test_findings_with_keys_are_those_of_the_same_server_over_tls12(path: Path) -> None:
    old = path.with_name(path.name.replace("-tls13", "-tls12"))
    assert codes(path, path.with_suffix(".keys")) == codes(old) != []


def codes(path: Path, *keylogs: Path) -> list[list[str]]:
    judge, keylog = Judge(min_severity="info"), KeyLog(keylogs) if keylogs else None
    reading = Reading([str(path)], Options(keylog=keylog), judge=judge)
    return [sorted(one.code for one in c.findings or () if one.code not in ONLY_IN) for c in reading]


def test_what_the_keys_do_not_reach_is_not_said_to_be_absent(tmp_path: Path) -> None:
    """Tickets and alerts after the handshake, where only the secrets of the handshake are known, or over QUIC."""
    path, some = sample("tls13-full"), tmp_path / "handshake.key_logs"
    lines = path.with_suffix(".keys").read_text().splitlines()
    some.write_text("".join(f"{line}\n" for line in lines if "HANDSHAKE" in line))
    (one,) = with_keys(path, some)
    for hidden in (one["hidden"], *hidden_of("quic-full"), *hidden_of("quic-early-data")):
        assert (hidden["session_tickets"], hidden["alerts"]) == (None, None)
    (older,) = hidden_of("tls12-resumed-id")[:1]
    assert older["session_tickets"] is None
    updates = tmp_path / "without.keys"
    updates.write_text("".join(f"{line}\n" for line in lines if "CLIENT_TRAFFIC" not in line))
    (one,) = with_keys(path, updates)
    assert [ticket["lifetime_s"] for ticket in one["hidden"]["session_tickets"]] == [7200, 7200]


FINISHED_OF_QUIC = "the Finished is not in the capture before the first 1-RTT packet"
FRAGMENTS = "a handshake message has bytes missing"
HOLES = [
    # The server's flight in CRYPTO frames: from the middle, and the end of it.
    ("quic-full", {4}, {("server", "bytes of the handshake are missing")}),
    ("quic-full", {5}, {("server", "bytes of the handshake are missing")}),
    ("quic-full", {7}, {("client", FINISHED_OF_QUIC)}),
    ("dtls13-full", {3}, {("server", FRAGMENTS)}),
    ("dtls13-full", {4}, {("server", FRAGMENTS), ("server", "the Finished is not in the capture")}),
    ("dtls13-full", {5}, {("client", "the Finished is not in the capture")}),
    ("dtls13-key-update", {5}, {("client", "the handshake message with number 1 is not in the capture")}),
]


@pytest.mark.parametrize(("name", "frames", "expected"), HOLES)
def test_a_hole_in_a_decrypted_flight_of_datagrams_is_a_problem(
    tmp_path: Path, name: str, frames: set[int], expected: set[tuple[str, str]]
) -> None:
    path = sample(name)
    (whole,), holed = with_keys(path), without(path, frames, tmp_path / "holed.pcap")
    (found,) = with_keys(holed, path.with_suffix(".keys"))
    assert whole["hidden"]["problems"] == []
    hidden = found["hidden"]
    assert {(one["from"], one["detail"]) for one in hidden["problems"] if one["code"] == "gap"} == expected
    # The missing bytes may be those of the CertificateRequest.
    assert (hidden["client_certificate_requested"] is None) == ("server" in {side for side, _ in expected})
    assert lensed(found) == lensed(facts(holed)[0])


@pytest.mark.parametrize("behind", [8, 9, 12, 14])
def test_handshake_packets_behind_the_first_1_rtt_packet_are_opened(tmp_path: Path, behind: int) -> None:
    """Packets may change places on the way: frame 7 has the client's Finished, frame 8 its next 1-RTT packet."""
    path = sample("quic-full")
    every = packets(path)
    order = [number for number in range(1, len(every) + 1) if number != 7]
    order.insert(order.index(behind) + 1, 7)
    late = tmp_path / "late.pcap"
    # The times stay in order.
    moved = [
        head[:8] + every[number - 1][0][8:] + every[number - 1][1]
        for (head, _), number in zip(every, order, strict=True)
    ]
    late.write_bytes(path.read_bytes()[:24] + b"".join(moved))
    (found,) = with_keys(late, path.with_suffix(".keys"))
    assert [(one["type"], one["frame"]) for one in found["hidden"]["messages"] if one["from"] == "client"] == [
        ("finished", behind)
    ]
    assert found["hidden"]["problems"] == []
    for options in ({}, {"keep": True}):
        (seen,) = with_keys(late, path.with_suffix(".keys"), **options)
        assert lensed(seen) == lensed(facts(late, **options)[0])


class Contents(RecordReader):
    """Reads each record as if its body were the decrypted content."""

    def open(self, record: SealedRecord) -> tuple[int, bytes]:
        return 22, record.body

    def follow(self, record: SealedRecord, event: HandshakeEvent) -> None:
        pass


def test_a_message_does_not_continue_behind_a_record_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    logs: list[LoggedHandshake] = []
    monkeypatch.setattr(hidden_facts, "opened", lambda log, _: logs.append(log))
    hidden_of("tls13-full")
    parts = [b"\x0b\0\0\x14" + b"first!", b"second!!", b"third!"]
    finished = b"\x14\0\0\x04done"
    for present, expected in ([0, 1, 2], [11, 20]), ([0, 2], [20]), ([1, 2], [20]):
        reader = Contents(logs[0])
        found = []
        for number in [*present, 3]:
            body = [*parts, finished][number]
            record = new_sealed(1, 0, number, 23, 0x0303, body, number + 1, 0, 100 * number)
            found += [event.handshake_type for event in reader.read(record) or ()]
        assert found == expected
