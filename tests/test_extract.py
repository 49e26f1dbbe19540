"""What is extracted of a capture reads to the same facts, in tshark too, and has nothing of other connections."""

from __future__ import annotations

import struct
import subprocess
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from damaging import damage
from extracting import captures, compared, differences, streams, tshark
from hypothesis import given
from hypothesis import strategies as st
from mangle import ETHERNET, WAYS, block, ethernet, ip4, pcap, segments
from random_captures import captures as random_captures
from recorded import ROOT, facts, need, packets, snapped

import tlsdissect
from tlsdissect.capture.copying import Copy
from tlsdissect.capture.packet import UNTIMED

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = [path for path in captures() if path.is_relative_to(ROOT / "samples")]
OTHERS = [path for path in captures() if path not in SAMPLES]
TWO = ROOT / "samples" / "tls13-resumed.pcap"
KEYS = TWO.with_suffix(".keys")


def extracted(place: Path, *given: Path, **options: Any) -> Path:
    """Return an extract of captures."""
    with place.open("wb") as file:
        file.writelines(tlsdissect.extract(*given, **options))
    return place


def packets_read(path: Path) -> int:
    """Count the packets that the library of tshark reads, which takes capinfos a fiftieth of tshark's start."""
    done = subprocess.run([need("capinfos"), "-TrMc", path], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return int(done.stdout.rpartition("\t")[2])


def blocks(data: bytes, order: str = "<") -> list[tuple[int, bytes]]:
    """Return the type and the body of each block of a pcapng file."""
    found, at = [], 0
    while at < len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        assert data[at + size - 4 : at + size] == data[at + 4 : at + 8]
        found.append((kind, data[at + 8 : at + size - 4]))
        at += size
    return found


@pytest.mark.parametrize("capture", SAMPLES[::4] + OTHERS[::25], ids=lambda path: path.name)
def test_an_extract_reads_to_the_same_facts(capture: Path, tmp_path: Path) -> None:
    need("tshark")
    for one in compared(capture, tmp_path, only=2):
        assert one.before == one.after, differences(one)
        assert packets_read(one.extract) == len(one.frames)


@pytest.mark.parametrize("way", WAYS)
def test_it_does_so_however_the_packets_are_stored(way: str, tmp_path: Path) -> None:
    need("tshark")
    capture = tmp_path / f"capture{WAYS[way].suffix}"
    capture.write_bytes(WAYS[way](segments(TWO)))
    seen = 0
    for one in compared(capture, tmp_path):
        seen += 1
        assert one.before == one.after, differences(one)
        assert packets_read(one.extract) == len(one.frames)
        # tshark counts a packet where its last fragment is.
        there = streams(capture)["tcp", one.stream]
        assert there < set(one.frames) if "fragments" in way else there == set(one.frames)
    assert seen == 2


@given(data=random_captures())
def test_it_does_so_for_any_course_of_conversations(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "capture.pcap").write_bytes(data)
    for one in compared(folder / "capture.pcap", folder):
        assert one.before == one.after, differences(one)


@given(data=st.one_of(random_captures(), st.just(TWO.read_bytes())), seed=st.integers(0, 1 << 32))
def test_no_damage_ends_in_an_error(data: bytes, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, damaged = tmp_path_factory.mktemp("damaged"), bytearray(data)
    if seed % 2:
        (folder / "whole.pcap").write_bytes(data)
        damaged = bytearray(extracted(folder / "whole.pcapng", folder / "whole.pcap").read_bytes() or data)
    damage(Random(seed), damaged)  # noqa: S311 (a test is repeated with the same damage)
    (folder / "damaged").write_bytes(damaged)
    try:
        extract = extracted(folder / "extract.pcapng", folder / "damaged")
    except tlsdissect.CaptureError:
        return
    if extract.stat().st_size:
        assert not [
            one for one in facts(extract) for problem in one["problems"] if problem["code"] == "damaged_capture"
        ]


def test_packets_keep_their_bytes_times_and_lengths(tmp_path: Path) -> None:
    cut = snapped(TWO, 250, tmp_path / "cut.pcap")
    extract = extracted(tmp_path / "one.pcapng", cut, stream=1)
    found = [body for kind, body in blocks(extract.read_bytes()) if kind == 6]
    there = [packets(cut)[frame - 1] for frame in sorted(streams(cut)["tcp", 1])]
    assert len(found) == len(there) > 0
    for body, (head, frame) in zip(found, there, strict=True):
        seconds, micros, captured, carried = struct.unpack("<4I", head)
        _, high, low, size, whole = struct.unpack_from("<5I", body)
        assert (high << 32 | low, size, whole) == (seconds * 10**6 + micros, captured, carried)
        assert body[20 : 20 + size] == frame


@pytest.mark.parametrize("order", "<>")
def test_blocks_keep_interfaces_and_options(order: str, tmp_path: Path) -> None:
    """Packets of two interfaces with comments, in both byte orders; a name block and statistics are not copied."""

    def options(*given: tuple[int, bytes]) -> bytes:
        return b"".join(
            struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in given
        ) + bytes(4)

    first = struct.pack(order + "HHI", ETHERNET, 0, 0) + options((2, b"unused"))
    second = struct.pack(order + "HHI", ETHERNET, 0, 9000) + options(
        (2, b"eth1"), (3, b"uplink"), (9, b"\x09"), (11, b"\0tcp port 443")
    )
    data = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options((2, b"hardware")))
    data += block(order, 1, first) + block(order, 1, second)
    data += block(order, 4, options((0, b""))) + block(order, 5, struct.pack(order + "III", 1, 0, 0))
    of = {frame: stream for stream in (0, 1) for frame in streams(TWO)["tcp", stream]}
    kept = []
    for number, (head, frame) in enumerate(packets(TWO), 1):
        seconds, micros, *_ = struct.unpack("<4I", head)
        high, low = divmod((seconds * 10**6 + micros) * 1000 + 7, 1 << 32)
        body = struct.pack(order + "5I", 1, high, low, len(frame), len(frame)) + frame + bytes(-len(frame) % 4)
        body += options((1, f"packet {number}".encode()), (2, struct.pack(order + "I", 1)))
        data += block(order, 6, body)
        if of[number] == 1:
            kept.append((6, body))
    capture = tmp_path / "capture.pcapng"
    capture.write_bytes(data)
    header, *found = blocks(extracted(tmp_path / "one.pcapng", capture, stream=1).read_bytes(), order)
    assert all(text in header[1] for text in (b"hardware", b"tlsdissect extract"))
    assert found[:2] == [(1, first), (1, second)]
    assert found[2:-1] == kept
    assert found[-1][0] == 5


def test_only_fitting_secrets_are_copied(tmp_path: Path) -> None:
    lines = KEYS.read_text().splitlines()
    randoms = [one.client_hello.random for one in tlsdissect.read(TWO) if one.client_hello]
    other = "CLIENT_RANDOM " + "ab" * 32 + " " + "cd" * 48
    keylog = tmp_path / "keys"
    keylog.write_text("\n".join([*lines, other, ""]))
    both = extracted(tmp_path / "both.pcapng", TWO, keylog=keylog)
    assert _secrets(both) == {line for line in lines if line[:1] != "#"}
    # From the capture's own blocks, those of one connection.
    one = extracted(tmp_path / "one.pcapng", both, stream=1)
    assert _secrets(one) == {line for line in lines if str(randoms[1]) in line} != set()
    assert [one.hidden is not None for one in tlsdissect.read(one)] == [True]


def test_a_logged_premaster_secret_fits_what_it_opens(tmp_path: Path) -> None:
    capture, keylog = ROOT / "samples" / "tls12-static-rsa.pcap", tmp_path / "keys"
    line = next(one for one in capture.with_suffix(".keys").read_text().splitlines() if one.startswith("RSA "))
    keylog.write_text(f"RSA 0011223344556677 {'ab' * 48}\n{line}\n")
    assert _secrets(extracted(tmp_path / "one.pcapng", capture, keylog=keylog)) == {line}


def _secrets(extract: Path) -> set[str]:
    found = [body for kind, body in blocks(extract.read_bytes()) if kind == 10]
    return {line for body in found for line in body[8:].decode().split("\n") if line.strip("\0")}


def test_silence_is_as_long_as_in_the_capture(tmp_path: Path) -> None:
    """A ClientHello without answer: only the packets of others show that the capture went on."""
    sent = segments(TWO)[:5]
    hello = [(one.time, ethernet(0x0800, ip4(one))) for one in sent]
    other = sent[0].__class__(**{**vars(sent[0]), "ports": b"\x11\x11\x22\x22", "time": sent[0].time + 5 * 10**6})
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(pcap([*hello, (other.time, ethernet(0x0800, ip4(other)))], ETHERNET))
    extract = extracted(tmp_path / "one.pcapng", capture, stream=0)
    assert [one["outcome"] for one in facts(capture)] == [one["outcome"] for one in facts(extract)] == ["no_answer"]
    assert len(streams(extract)["tcp", 0]) == 5
    # Statistics of other programs do not count: packets may have been removed.
    other_program = extract.read_bytes().replace(b"tlsdissect extract", b"other program ....")
    (tmp_path / "other.pcapng").write_bytes(other_program)
    assert [one["outcome"] for one in facts(tmp_path / "other.pcapng")] == ["incomplete"]


def test_a_capture_whose_times_go_back_reads_the_same(tmp_path: Path) -> None:
    """Recordings that were joined: by the second, the clock has passed the end of the flow only because of others."""
    one = [(time.time, ethernet(0x0800, ip4(time))) for time in segments(TWO)]
    other = (one[-1][0] + 10**9, one[0][1].replace(segments(TWO)[0].ports, b"\x11\x11\x22\x22"))
    capture = tmp_path / "capture.pcap"
    earlier = [(time - 10**9, frame) for time, frame in one]
    capture.write_bytes(pcap([*one, other, *earlier], ETHERNET))
    for found in compared(capture, tmp_path):
        assert found.before == found.after, differences(found)
        assert 2 * found.after[0]["packets"] == len(found.frames)


def test_what_tcp_drops_and_what_quotes_the_flow_belongs_to_it(tmp_path: Path) -> None:
    recorded = segments(TWO)
    first, last = recorded[0], recorded[4]
    frames = [(one.time, ethernet(0x0800, ip4(one))) for one in recorded]
    wild = first.__class__(**{**vars(last), "sequence": (last.sequence + (1 << 31)) % (1 << 32), "flags": 4})
    packet = ip4(first)
    error = b"\x03\x04" + bytes(6) + packet[:60]
    icmp = packet[:9] + b"\x01" + packet[10:20] + error
    icmp = icmp[:2] + struct.pack(">H", len(icmp)) + icmp[4:]
    late = first.__class__(**{**vars(last), "time": recorded[-1].time + 10**10})
    extra = [(last.time, ethernet(0x0800, ip4(wild))), (last.time, ethernet(0x0800, icmp))]
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(pcap([*frames[:6], *extra, *frames[6:], (late.time, ethernet(0x0800, ip4(late)))], ETHERNET))
    (one, *_) = compared(capture, tmp_path)
    assert {7, 8, len(frames) + 3} < set(one.frames) == streams(capture)["tcp", 0]
    assert one.before == one.after


def test_ports_that_are_used_again_are_told_apart(tmp_path: Path) -> None:
    recorded = segments(TWO)
    capture = tmp_path / "capture.pcap"
    first = [one for one in recorded if one.ports in (recorded[0].ports, recorded[0].ports[2:] + recorded[0].ports[:2])]
    again = [
        one.__class__(**{**vars(one), "time": one.time + 10**6, "sequence": (one.sequence + 99) % (1 << 32),
                         "acknowledged": (one.acknowledged + 99) % (1 << 32) if one.flags & 16 else 0})
        for one in first
    ]  # fmt: skip
    capture.write_bytes(pcap([(one.time, ethernet(0x0800, ip4(one))) for one in first + again], ETHERNET))
    frames = [one.frames for one in compared(capture, tmp_path)]
    assert frames == [list(range(1, len(first) + 1)), list(range(len(first) + 1, 2 * len(first) + 1))]


def test_connections_of_several_captures_are_in_sections(tmp_path: Path) -> None:
    given = [TWO, min((ROOT / "samples" / "quic").glob("*.pcap"))]
    extract = extracted(tmp_path / "all.pcapng", *given)
    assert [kind for kind, _ in blocks(extract.read_bytes())].count(0x0A0D0D0A) == 2
    before = [one for path in given for one in facts(path)]
    after = facts(extract)
    assert [one["client_hello"]["random"] for one in after] == [one["client_hello"]["random"] for one in before]
    assert tshark(extract, "-T", "fields", "-e", "frame.number").returncode == 0


def test_all_connections_of_a_capture_keep_their_links(tmp_path: Path) -> None:
    sample = ROOT / "samples" / "tls12-resumed-ticket.pcap"
    after = facts(extracted(tmp_path / "all.pcapng", sample))
    assert [one["resumes"] and one["resumes"]["stream"] for one in after] == [None, 0]


def test_nothing_selected_is_nothing() -> None:
    assert b"".join(tlsdissect.extract(TWO, sni="nobody.example")) == b""


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="standard input cannot be read twice"):
        list(tlsdissect.extract("-"))
    with pytest.raises(tlsdissect.CaptureError):
        list(tlsdissect.extract(KEYS))


def test_a_copy_is_bounded_by_its_blocks(tmp_path: Path) -> None:
    """Interfaces are passed on one by one: many of them are never in memory together."""
    interface = block("<", 1, struct.pack("<HHI", 1, 0, 0))
    header = block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    (tmp_path / "many.pcapng").write_bytes(header + interface * 1000)
    copy = Copy(str(tmp_path / "many.pcapng"), lambda _: True, fits=lambda _: True, secrets=iter(()), until=UNTIMED)
    assert [len(piece) for piece in copy][1:] == [len(interface)] * 1000


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("sample", ["tls13-resumed.pcap", "eap/radius-tls-resumed-tls12.pcap"])
def test_a_filter_finds_what_an_extract_has(sample: str, number: int, tmp_path: Path) -> None:
    need("tshark")
    from tlsdissect.corpus.extraction import Extraction
    from tlsdissect.handshake.options import Options

    capture = ROOT / "samples" / sample
    one = list(tlsdissect.read(capture))[number]
    extraction = Extraction([str(capture)], Options())
    extraction.add(one)
    ((path, text),) = extraction.filters()
    assert path == str(capture)
    found = tshark(capture, "-Y", text, "-T", "fields", "-e", "frame.number").stdout.split()
    kind = "udp" if one.transport == "quic" else one.transport
    extract = extracted(tmp_path / "one.pcapng", capture, stream=f"{kind}:{one.stream}")
    assert len(found) == len([kind for kind, _ in blocks(extract.read_bytes()) if kind == 6]) > 0
