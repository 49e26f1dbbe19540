"""What senders do so that a monitor reads something else than the receiver: the facts are those of the receiver."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mangle import ETHERNET, IPV6, Segment, ethernet, ip6, pcap, pieces, segments
from recorded import ROOT, facts
from tlswriting import extension, message, record, sized

if TYPE_CHECKING:
    from pathlib import Path

SENT = segments(ROOT / "samples/tls12-full.pcap")
HELLO = next(number for number, one in enumerate(SENT) if one.payload)
PLAIN = facts(ROOT / "samples/tls12-full.pcap")[0]
ACK, URG = 0x10, 0x20


def read(path: Path, sent: list[Segment]) -> dict[str, Any]:
    path.write_bytes(pcap([(one.time, ethernet(IPV6, ip6(one))) for one in sent], ETHERNET))
    [connection] = facts(path)
    return connection


def same(connection: dict[str, Any]) -> bool:
    keys = ("sni", "outcome", "version", "ja3", "ja4", "closure", "round_trips", "cipher_suite", "problems")
    return [connection[key] for key in keys] == [PLAIN[key] for key in keys]


def test_a_hello_of_60_kb_in_3000_segments_from_the_last_to_the_first(tmp_path: Path) -> None:
    names = extension(0, sized(b"\0" + sized(b"long.example")))
    body = b"\x03\x03" + bytes(32) + b"\0" + sized(b"\x13\x01") + b"\x01\0"
    hello = message(1, body + sized(names + extension(21, bytes(59_900))))
    whole = b"".join(record(22, hello[at : at + 16_384]) for at in range(0, len(hello), 16_384))
    sent = pieces(replace(SENT[HELLO], payload=whole), 20)[::-1]
    assert len(sent) == 3000
    connection = read(tmp_path / "a.pcap", [*SENT[:HELLO], *sent])
    assert (connection["sni"], connection["client_hello"]["segments"]) == ("long.example", len(sent))
    assert [problem["code"] for problem in connection["problems"]] == ["capture_end"]


def test_data_in_a_syn_is_the_beginning_of_the_stream(tmp_path: Path) -> None:
    """RFC 9293 section 3.4: the SYN counts as one; what the server does not take, the client sends again."""
    hello, syn = SENT[HELLO], SENT[0]
    sent = [replace(syn, payload=hello.payload[:50]), *SENT[1:]]
    assert same(read(tmp_path / "again.pcap", sent))
    rest = replace(hello, sequence=hello.sequence + 50, payload=hello.payload[50:])
    assert same(read(tmp_path / "taken.pcap", [*sent[:HELLO], rest, *sent[HELLO + 1 :]]))


def test_urgent_data_stay_in_the_stream(tmp_path: Path) -> None:
    """RFC 6093 section 4: they are delivered in line."""
    sent = [replace(one, flags=one.flags | URG) if one.payload else one for one in SENT]
    assert same(read(tmp_path / "a.pcap", sent))


def test_segments_with_old_timestamps_are_read(tmp_path: Path) -> None:
    """Those of PAWS (RFC 7323 section 5), if nothing else has their bytes: whether they were dropped is not visible."""
    hello = SENT[HELLO]
    old = replace(hello, options=hello.options[:-8] + bytes(4) + hello.options[-4:])
    assert same(read(tmp_path / "a.pcap", [*SENT[:HELLO], old, *SENT[HELLO + 1 :]]))
