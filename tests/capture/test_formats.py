"""Both file formats, in every variant, compressed or not, whole or damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from functools import partial
from typing import TYPE_CHECKING

import building as b
import pytest
import zstandard
from rows import Pieces, rows_of

from tlsdissect.capture import CaptureError, Damage, compressed, open_capture
from tlsdissect.capture import pcapng as pcapng_file
from tlsdissect.capture.interfaces import EARLIEST, LATEST
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.capture.source import FileObject

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from rows import Read

PACKETS = [b.ether(b.ip4(b.tcp(bytes([65 + number]) * number, seq=number))) for number in range(12)]
PLAIN = b.pcap(PACKETS)
TICKS = [b.TIME // 1000 * 1000 + number * 1_000_000 for number in range(len(PACKETS))]


def pcapng(order: str = "<", options: bytes = b"", scale: int = 1000) -> bytes:
    blocks = (b.enhanced(packet, time // scale, order=order) for packet, time in zip(PACKETS, TICKS, strict=True))
    return b.section(order) + b.interface(options=options, order=order) + b"".join(blocks)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34, 0xA1B23CD4])
def test_variants_of_pcap(order: str, magic: int, read: Read) -> None:
    digits = 9 if magic in {0xA1B23C4D, 0xA1B23CD4} else 6
    rows = read(b.pcap(PACKETS, order=order, magic=magic))
    unit = 10 ** (9 - digits)
    assert rows == [{**row, "digits": digits, "time": row["time"] // unit * unit} for row in read(PLAIN)]


def test_link_type_has_other_things_in_its_upper_bits(read: Read) -> None:
    assert read(b.pcap(PACKETS, link=0x2400_0001)) == read(PLAIN)


@pytest.mark.parametrize("order", "<>")
def test_pcapng(order: str, read: Read) -> None:
    assert read(pcapng(order)) == read(b.pcap(PACKETS, magic=0xA1B2C3D4))


@pytest.mark.parametrize("piece", [1, 5, 7, 4096])
@pytest.mark.parametrize("data", [PLAIN, pcapng()], ids=["pcap", "pcapng"])
def test_any_pieces_give_the_same_packets(piece: int, data: bytes, read: Read) -> None:
    assert read(data, piece=piece) == read(data)


def zst(size: int) -> bytes:
    """A frame of blocks that hold so many bytes each."""
    frame = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    parts = (PLAIN[at : at + size] for at in range(0, len(PLAIN), size))
    blocks = (frame.compress(part) + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for part in parts)
    return b"".join(blocks) + frame.flush()


SKIPPABLE = b"\x50\x2a\x4d\x18\x05\0\0\0other"
PACKED = {
    "gz": gzip.compress(PLAIN),
    "gz, members": gzip.compress(PLAIN[:100]) + gzip.compress(PLAIN[100:]) + bytes(512),
    "xz": lzma.compress(PLAIN),
    "xz, streams": lzma.compress(PLAIN[:100]) + bytes(8) + lzma.compress(PLAIN[100:], preset=9) + bytes(4),
    "bz2": bz2.compress(PLAIN),
    "bz2, streams": bz2.compress(PLAIN[:100]) + bz2.compress(PLAIN[100:], 1),
    "zst": zstandard.compress(PLAIN),
    "zst, blocks": zst(100),
    "zst, frames": zstandard.compress(PLAIN[:100]) + SKIPPABLE + zstandard.compress(PLAIN[100:]) + SKIPPABLE,
    "zst, as pzstd writes it": SKIPPABLE
    + zstandard.compress(PLAIN[:100])
    + SKIPPABLE
    + zstandard.compress(PLAIN[100:]),
}


def unpacked(kind: str, data: bytes) -> bytes:
    """What the libraries make in one go of compressed bytes, whole or cut."""
    if kind.startswith("zst"):
        return zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(data)
    plain = b""
    if kind.startswith(("xz", "bz2")):
        while data := data.lstrip(b"\0"):
            stream = lzma.LZMADecompressor() if kind.startswith("xz") else bz2.BZ2Decompressor()
            plain += stream.decompress(data)
            data = stream.unused_data
        return plain
    while data := data.lstrip(b"\0"):
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        plain += member.decompress(data)
        data = member.unused_data
    return plain


@pytest.mark.parametrize("kind", PACKED)
def test_compressed(kind: str, read: Read, tmp_path: Path) -> None:
    path = tmp_path / "no-telling-name"
    path.write_bytes(PACKED[kind])
    with open_capture(path) as capture:
        assert rows_of(capture) == read(PLAIN)
        assert not capture.damage
        assert capture.position == capture.size == len(PACKED[kind])


@pytest.mark.parametrize("kind", PACKED)
def test_compressed_and_cut_anywhere(kind: str, read: Read) -> None:
    whole = read(PLAIN)
    for size in range(len(PACKED[kind])):
        plain = unpacked(kind, PACKED[kind][:size])
        try:
            with open_capture(io.BytesIO(PACKED[kind][:size])) as capture:
                rows = rows_of(capture)
        except CaptureError:
            assert len(plain) < 24
            continue
        assert rows == read(plain)
        assert capture.damage or rows == whole


@pytest.mark.parametrize("size", [70, 1000, 60_000])
def test_cut_zstandard_says_so(size: int, read: Read) -> None:
    """Cut behind a whole block, what that holds is read; and what comes before the cut is said to end there."""
    packets = [b.ether(b.ip4(b.tcp(bytes(size), seq=number))) for number in range(3)]
    frame = zstandard.ZstdCompressor().compressobj()
    packed = frame.compress(b.pcap(packets)) + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    with open_capture(io.BytesIO(packed)) as capture:
        assert rows_of(capture) == read(b.pcap(packets))
        assert [damage.detail for damage in capture.damage] == ["the Zstandard data are cut short"]


def test_zstandard_that_grows_beyond_measure_is_read_in_bounded_memory() -> None:
    """Blocks of four bytes that each stand for 128 KiB of zeros (RFC 8878 section 3.1.1.2.2)."""
    blocks = 3000
    run = (128 << 10 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    bomb = b"\x28\xb5\x2f\xfd\0\x58" + run * blocks + b"\x01\0\0"
    tracemalloc.start()
    source = compressed.Zstandard(FileObject(io.BytesIO(bomb)), b"")
    total = 0
    while part := source.read(1 << 20):
        total += len(part)
    assert total == blocks << 17
    assert source.problem is None
    assert tracemalloc.get_traced_memory()[1] < 128 << 20
    tracemalloc.stop()


def test_members_of_gzip_without_a_byte_are_read_in_bounded_memory() -> None:
    source = compressed.Gzip(FileObject(io.BytesIO(gzip.compress(b"") * 300_000 + gzip.compress(b"x"))), b"")
    tracemalloc.start()
    assert source.read(1 << 20) == b"x"
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_cut_gzip_says_so() -> None:
    data = os.urandom(100_000)
    packed = gzip.compress(b.pcap([b.ether(b.ip4(b.tcp(data[:50_000])))] * 2))
    with open_capture(io.BytesIO(packed[:70_000])) as capture:
        rows_of(capture)
        assert [damage.detail for damage in capture.damage] == ["the gzip data are cut short"]


@pytest.mark.parametrize("module", [bz2, lzma])
def test_cut_xz_and_bzip2_say_so(module: ModuleType) -> None:
    name = "xz" if module is lzma else "bzip2"
    packed = module.compress(b.pcap([b.ether(b.ip4(b.tcp(os.urandom(50_000)))) for _ in range(30)]))
    with open_capture(io.BytesIO(packed[:-40])) as capture:
        rows_of(capture)
        assert [damage.detail for damage in capture.damage] == [f"the {name} data are cut short"]
    with open_capture(io.BytesIO(packed + b"no stream" * 4)) as capture:
        rows_of(capture)
        (damage,) = capture.damage
        assert damage.detail.startswith(f"the {name} data are damaged (")
        assert (damage.frame, damage.offset) == (31, 24 + 30 * (16 + 54 + 50_000))


@pytest.mark.parametrize("kind", [compressed.Xz, compressed.Bzip2])
def test_xz_and_bzip2_that_grow_beyond_measure_are_read_in_bounded_memory(kind: type) -> None:
    size = 64 << 20
    packed = (lzma.compress if kind is compressed.Xz else bz2.compress)(bytes(size))
    assert len(packed) < size // 5000
    tracemalloc.start()
    source = kind(FileObject(io.BytesIO(packed)), b"")
    total = 0
    while part := source.read(1 << 20):
        total += len(part)
        assert len(part) <= compressed.MAX_PIECE
    assert (total, source.problem) == (size, None)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_xz_that_needs_too_much_memory_is_refused() -> None:
    """The dictionary of a stream may have 1.5 GiB, whatever its data."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 256 << 20}]
    packed = lzma.compress(PLAIN, filters=filters)
    with pytest.raises(CaptureError, match=r"the xz data are damaged .*[Mm]emory"):
        open_capture(io.BytesIO(packed))


@pytest.mark.parametrize("at", [-8, -40, 60])
def test_damaged_gzip_is_read_up_to_the_damage_whatever_the_pieces(at: int) -> None:
    packed = bytearray(gzip.compress(PLAIN))
    packed[at] ^= 0x55
    read = []
    for piece in (1, 7, len(packed)):
        source = compressed.Gzip(FileObject(Pieces(bytes(packed), piece)), b"")
        data = b"".join(iter(partial(source.read, 1 << 16), b""))
        read.append((data, source.problem))
    assert read[0] == read[1] == read[2]
    assert read[0][1] is not None
    assert at != -8 or read[0][0] == PLAIN


@pytest.mark.parametrize(("size", "message"), [(300, "is not a capture"), (30, "the gzip data are damaged")])
def test_damaged_gzip_of_something_else_says_the_same_whatever_the_pieces(size: int, message: str) -> None:
    packed = bytearray(gzip.compress((bytes(range(1, 251)) * 2)[:size]))
    packed[-8] ^= 0x55
    for piece in (1, 7, len(packed)):
        with pytest.raises(CaptureError, match=message):
            open_capture(Pieces(bytes(packed), piece))


@pytest.mark.parametrize("module", [bz2, lzma])
def test_many_short_streams_are_read(module: ModuleType) -> None:
    packed = module.compress(PLAIN) + module.compress(b"") * 5000
    with open_capture(io.BytesIO(packed)) as capture:
        assert len(rows_of(capture)) == len(PACKETS)
        assert not capture.damage
        assert capture.position == len(packed)


def test_zlib_that_runs_out_of_memory_is_not_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    source = compressed.Gzip(FileObject(io.BytesIO(gzip.compress(PLAIN))), b"")
    monkeypatch.setattr(source, "_member", _WithoutMemory())
    with pytest.raises(MemoryError):
        source.read(1)


class _WithoutMemory:
    """A decompressor of zlib whose allocations fail."""

    eof = False

    def copy(self) -> _WithoutMemory:
        return self

    def decompress(self, *_: object) -> bytes:
        raise zlib.error("Error -4 while decompressing data")


WITHOUT_MEMORY = """
import resource, sys
from pathlib import Path
from tlsdissect.cli import main

usual, wide = sys.argv[1:]
assert main(["read", usual]) == 0
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (32 << 20),) * 2)
sys.exit(main(["read", wide]))
"""


def test_zstandard_that_runs_out_of_memory_is_not_damage(tmp_path: Path) -> None:
    """A frame with a window of 128 MiB (RFC 8878 section 3.1.1.1.2), when only 32 MiB are left."""
    usual, wide = tmp_path / "usual.zst", tmp_path / "wide.zst"
    usual.write_bytes(zstandard.compress(PLAIN))
    wide.write_bytes(b"\x28\xb5\x2f\xfd\0\x88" + (len(PLAIN) << 3 | 1).to_bytes(3, "little") + PLAIN)
    with open_capture(wide) as capture:
        assert len(rows_of(capture)) == len(PACKETS)
    command = [sys.executable, "-c", WITHOUT_MEMORY, str(usual), str(wide)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-2:] == ["tlsdissect: out of memory after 0 frames", "aborted"]
    assert done.returncode == 71


def test_pipe_and_file(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(PLAIN)
    with open_capture(str(path)) as capture:
        assert rows_of(capture) == read(PLAIN)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=_dribble, args=(fifo,))
    writer.start()
    with open_capture(fifo) as capture:
        assert capture.size is None
        assert rows_of(capture) == read(PLAIN)
    writer.join()


def _dribble(path: Path) -> None:
    with open(path, "wb", buffering=0) as pipe:  # noqa: PTH123  # Path.open has no unbuffered writer of FIFOs
        pipe.writelines(PLAIN[start : start + 11] for start in range(0, len(PLAIN), 11))


def test_standard_input() -> None:
    code = (
        "from tlsdissect.capture import Packet, open_capture\n"
        "capture, packet = open_capture('-'), Packet()\n"
        "print(sum(1 for _ in iter(lambda: capture.next(packet), False)))"
    )
    result = subprocess.run([sys.executable, "-c", code], input=PLAIN, capture_output=True, check=True)
    assert int(result.stdout) == len(PACKETS)


@pytest.mark.parametrize("data", [PLAIN, pcapng(), pcapng(">")], ids=["pcap", "pcapng", "pcapng, big-endian"])
def test_cut_anywhere(data: bytes, read: Read) -> None:
    whole = read(data)
    for size in range(len(data)):
        try:
            with open_capture(io.BytesIO(data[:size])) as capture:
                rows = rows_of(capture)
        except CaptureError:
            assert size < 40
            continue
        assert rows == whole[: len(rows)]


def test_cut_file_tells_the_place() -> None:
    size = len(PLAIN) - 3
    with open_capture(io.BytesIO(PLAIN[:size])) as capture:
        assert len(rows_of(capture)) == len(PACKETS) - 1
        assert capture.damage == [
            Damage(
                "the file ends in the middle of a packet, 78 bytes of which are there",
                len(PACKETS),
                len(PLAIN) - 16 - len(PACKETS[-1]),
            )
        ]


def test_a_header_alone_is_a_capture(read: Read) -> None:
    assert read(b.pcap([])) == []
    assert read(b.section()) == []
    assert read(b.section() + b.interface()) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"no capture at all, but text", "is not a capture"),
        (PLAIN[:20], "is cut short"),
        (b.pcap(PACKETS, link=147), "link type 147 is not supported"),
        (b.pcap(PACKETS, link=220), "link type 220 is not supported"),
        (b.pcap([], link=220), "link type 220 is not supported"),
        (b.pcap(PACKETS, link=9999), "link type 9999 is not supported"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b.section()[:20], "first section header"),
    ],
)
def test_no_capture(data: bytes, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        open_capture(io.BytesIO(data))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="No such file"):
        open_capture(tmp_path / "none")
    with pytest.raises(CaptureError, match="directory"):
        open_capture(tmp_path)


def test_senseless_length_in_the_middle(read: Read) -> None:
    """What follows a damaged record header is found again, by several headers in a row."""
    start = 24 + sum(16 + len(packet) for packet in PACKETS[:4])
    data = bytearray(PLAIN)
    data[start + 8 : start + 12] = b"\xff\xff\xff\xff"
    with open_capture(io.BytesIO(bytes(data))) as capture:
        rows = rows_of(capture)
    assert [row["sequence"] for row in rows] == [0, 1, 2, 3, *range(5, 12)]
    assert [(damage.frame, damage.offset) for damage in capture.damage] == [(5, start)]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("size", [54, 255, 256, 65_535, 65_536, 262_144])
def test_frames_of_any_size_are_found_behind_damage(size: int, order: str) -> None:
    packets = [b.ether(b.ip4(b.tcp(seq=number), total=0)).ljust(size, b"\xff") for number in range(4)]
    data = b.pcap(packets, order=order)
    for damage in (b"\xff" * 100, b"\xff" * 16 + bytes(100_000)):
        with open_capture(io.BytesIO(data[:24] + damage + data[24:])) as capture:
            assert [row["sequence"] for row in rows_of(capture)] == [0, 1, 2, 3]
            assert [(hurt.frame, hurt.offset) for hurt in capture.damage] == [(1, 24)]


def test_senseless_end() -> None:
    with open_capture(io.BytesIO(PLAIN + b"\xff" * 5000)) as capture:
        assert len(rows_of(capture)) == len(PACKETS)
        assert len(capture.damage) == 1


def test_senseless_block(read: Read) -> None:
    head = b.section() + b.interface()
    data = head + b.enhanced(PACKETS[0], 1) + bytes(16) + b.enhanced(PACKETS[1], 2)
    with open_capture(io.BytesIO(data)) as capture:
        assert [row["sequence"] for row in rows_of(capture)] == [0, 1]
        assert len(capture.damage) == 1


@pytest.mark.parametrize(
    ("resolution", "scale", "digits"), [(6, 1000, 6), (9, 1, 9), (3, 10**6, 3), (8, 10, 8), (0, 10**9, 0)]
)
def test_clocks(resolution: int, scale: int, digits: int, read: Read) -> None:
    rows = read(pcapng(options=b.option(9, bytes([resolution])), scale=scale))
    assert [row["time"] for row in rows] == [time // scale * scale for time in TICKS]
    assert {row["digits"] for row in rows} == {digits}


@pytest.mark.parametrize(("exponent", "digits"), [(0, 0), (4, 1), (10, 3), (20, 6), (30, 9), (33, 9)])
def test_binary_clocks(exponent: int, digits: int, read: Read) -> None:
    ticks = (b.TIME << exponent) // 10**9
    options = b.option(9, bytes([0x80 | exponent]))
    (row,) = read(b.section() + b.interface(options=options) + b.enhanced(PACKETS[0], ticks))
    assert row["time"] == ticks * 10**9 >> exponent
    assert row["digits"] == digits


@pytest.mark.parametrize("resolution", range(256))
def test_absurd_clocks(resolution: int, read: Read) -> None:
    options = b.option(9, bytes([resolution])) + b.option(14, struct.pack("<q", -(2**63)))
    data = b.section() + b.interface(options=options) + b.enhanced(PACKETS[0], 2**64 - 1)
    assert len(read(data)) == 1


@pytest.mark.parametrize("time", [LATEST, LATEST + 1, 2**63 - 1, 2**64 - 1])
def test_a_time_beyond_the_latest_is_none(time: int, read: Read) -> None:
    (row,) = read(b.section() + b.interface(options=b.option(9, b"\x09")) + b.enhanced(PACKETS[0], time))
    assert row["time"] == (time if time <= LATEST else UNTIMED)


@pytest.mark.parametrize("back", [0, 1, 2**62])
def test_a_time_before_the_earliest_is_none(back: int, read: Read) -> None:
    seconds, rest = divmod(EARLIEST, 10**9)
    options = b.option(9, b"\x09") + b.option(14, struct.pack("<q", seconds - back))
    (row,) = read(b.section() + b.interface(options=options) + b.enhanced(PACKETS[0], rest))
    assert row["time"] == (UNTIMED if back else EARLIEST)


def test_clock_offset(read: Read) -> None:
    options = b.option(14, struct.pack("<q", -1_600_000_000))
    (row,) = read(b.section() + b.interface(options=options) + b.enhanced(PACKETS[0], 1_600_000_000_000_001))
    assert row["time"] == 1000


def test_sections_interfaces_and_kinds_of_packets(read: Read) -> None:
    """Two sections of different byte order, two link types, all three packet blocks and others between."""
    loop = b"\x02\0\0\0" + PACKETS[1][14:]
    old = struct.pack("<HHIIII", 1, 0, 0, 5, len(loop), len(loop)) + loop
    data = (
        b.section()
        + b.interface()
        + b.block(0x0BAD, bytes(100))
        + b.interface(0)
        + b.enhanced(loop, 1, number=1)
        + b.block(2, old)
        + b.block(4, bytes(3_000_000))
        + b.block(3, struct.pack("<I", len(PACKETS[2])) + PACKETS[2])
        + b.section(">")
        + b.interface(113, order=">")
        + b.enhanced(bytes(14) + b"\x08\0" + PACKETS[3][14:], 2, order=">")
    )
    rows = read(data)
    assert [(row["frame"], row["sequence"], row["time"]) for row in rows] == [
        (1, 1, 1000),
        (2, 1, 5000),
        (3, 2, UNTIMED),
        (4, 3, 2000),
    ]


def test_snap_length_of_simple_packets(read: Read) -> None:
    data = b.section() + b.interface(snap=60) + b.block(3, struct.pack("<I", 1000) + PACKETS[8][:60])
    (row,) = read(data)
    assert (row["length"], row["captured"]) == (8, 6)


def test_secrets() -> None:
    secret = b"CLIENT_RANDOM 00 11\n"
    body = struct.pack("<II", 0x544C534B, len(secret)) + secret
    with open_capture(io.BytesIO(b.section() + b.block(10, body))) as capture:
        assert rows_of(capture) == []
        assert capture.secrets == [(secret, False)]


def test_secrets_of_other_protocols_are_not_kept() -> None:
    body = struct.pack("<II", 0x57474B4C, 3) + b"key" + b"\0"
    with open_capture(io.BytesIO(b.section() + b.block(10, body))) as capture:
        assert rows_of(capture) == []
        assert capture.secrets == []


@pytest.mark.parametrize("link", [147, 220])
def test_unread_link_type_on_one_interface(link: int) -> None:
    data = b.section() + b.interface() + b.interface(link)
    data += b.enhanced(PACKETS[0], 1) + b.enhanced(PACKETS[0], 2, number=1) + b.enhanced(PACKETS[0], 3, number=9)
    with open_capture(io.BytesIO(data)) as capture:
        assert [row["frame"] for row in rows_of(capture)] == [1]
        assert capture.skipped == {f"link type {link} packets": 1, "packets of an interface that is not described": 1}


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ((147,), "^link type 147 is not supported$"),
        ((220,), "^link type 220 is not supported$"),
        ((220, 147), "^link types 147, 220 are not supported$"),
    ],
)
def test_captures_without_a_supported_link_type(links: tuple[int, ...], message: str) -> None:
    data = b.section() + b"".join(map(b.interface, links)) + b.enhanced(PACKETS[0], 1)
    with open_capture(io.BytesIO(data)) as capture, pytest.raises(CaptureError, match=message):
        rows_of(capture)


def test_many_windows(read: Read) -> None:
    """Records that the window's end cuts are read with the next."""
    packets = [
        b.ether(b.ip4(b.tcp(bytes([number % 251]) * (number * 37 % 1460), seq=number))) for number in range(8000)
    ]
    for data in (b.pcap(packets), b.section() + b.interface() + b"".join(b.enhanced(p, 1) for p in packets)):
        rows = read(data)
        assert [row["sequence"] for row in rows] == list(range(8000))
        assert [row["payload"] for row in rows] == [packet[54:] for packet in packets]


def test_secrets_beyond_the_most_are_damage_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block counts more than the bytes of its secrets, which may have none."""
    monkeypatch.setattr(pcapng_file, "MAX_SECRETS", 10 * (8 + pcapng_file.SECRET_BYTES))
    head = b.section() + b.interface() + b.enhanced(PACKETS[0], 1)
    with open_capture(io.BytesIO(head + b.block(10, struct.pack("<II", 0x544C534B, 0)) * 30)) as capture:
        assert len(rows_of(capture)) == 1
        assert len(capture.secrets) == 10
        assert [(hurt.frame, hurt.offset) for hurt in capture.damage] == [(2, len(head) + 10 * 20)]


def test_interfaces_beyond_the_most_are_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcapng_file, "MAX_INTERFACES", 3)
    part = b.section() + b.interface() * 5 + b"".join(b.enhanced(PACKETS[0], 1, number=number) for number in range(5))
    with open_capture(io.BytesIO(part + part)) as capture:
        assert [row["frame"] for row in rows_of(capture)] == [1, 2, 3, 6, 7, 8]
        assert capture.skipped == {"packets of an interface that is not described": 4}
        (hurt,) = capture.damage
        assert (hurt.frame, hurt.offset) == (1, len(b.section()) + 3 * len(b.interface()))
        assert hurt.detail == "a section with more than 3 interfaces: packets of the others are not read"


def test_many_interfaces_take_bounded_memory() -> None:
    data = io.BytesIO(b.section() + b.interface() * 400_000 + b.enhanced(PACKETS[0], 1))
    tracemalloc.start()
    try:
        with open_capture(data) as capture:
            assert len(rows_of(capture)) == 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20


@pytest.mark.parametrize("orders", ["<", "<>"])
def test_many_sections_of_either_order(orders: str, read: Read) -> None:
    def part(number: int) -> bytes:
        order, packet = orders[number % len(orders)], PACKETS[number % len(PACKETS)]
        options, raw = b.option(9, b"\x09", order), packet[14:]
        old = struct.pack(order + "HHIIII", 1, 0, 0, number, len(raw), len(raw)) + raw
        return b"".join(
            [
                b.section(order),
                b.interface(snap=54 + number % 3, options=options, order=order),
                b.interface(101, order=order),
                b.enhanced(packet, number, order=order),
                b.block(2, old, order),
                b.block(3, struct.pack(order + "I", len(packet)) + packet[: 54 + number % 3], order),
            ]
        )

    data = b"".join(part(number) for number in range(100))
    rows = read(data)
    assert [row["time"] for row in rows[:6]] == [0, 0, UNTIMED, 1, 1000, UNTIMED]
    assert [row["captured"] for row in rows[-3:]] == [3, 3, 0]
    assert rows == read(data, piece=1000)


def test_an_interface_described_behind_a_packet_is_not_its_own(read: Read) -> None:
    data = b.section() + b.interface() + b.enhanced(PACKETS[0], 1, number=1) + b.interface()
    data += b.enhanced(PACKETS[1], 1, number=1)
    assert [row["frame"] for row in read(data)] == [2]
