"""Several captures read as one: a capture that was cut into files gives the facts of the whole."""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING, Any

import pytest
from capture import building as b
from cli.commands import run
from msgspec import json
from recorded import HEADER, ROOT, SHARED

import tlsdissect
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = ROOT / "samples" / "paths-client.pcap.gz"
TLS12 = ROOT / "samples" / "tls12-full.pcap"


def packets(data: bytes) -> list[bytes]:
    """The records of a pcap, each with its header."""
    found, at = [], 24
    while at < len(data):
        end = at + 16 + HEADER.unpack_from(data, at)[2]
        found.append(data[at:end])
        at = end
    return found


def cut(path: Path, folder: Path, files: int) -> list[Path]:
    """Cut a capture into files of about as many packets each, named as `tcpdump -W` does without leading zeros."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    records = packets(data)
    folder.mkdir(exist_ok=True)
    written = []
    for number in range(files):
        part = records[number * len(records) // files : (number + 1) * len(records) // files]
        written.append(folder / f"cap.pcap{number}")
        written[-1].write_bytes(data[:24] + b"".join(part))
    return written


def without_names(facts: Any) -> Any:
    """Facts without the names of captures."""
    if isinstance(facts, dict):
        return {key: without_names(value) for key, value in facts.items() if key not in ("source", "captures")}
    return [without_names(one) for one in facts] if isinstance(facts, list) else facts


def read(*paths: Path, **options: Any) -> list[Any]:
    return [json.decode(json.encode(one)) for one in tlsdissect.read(*paths, **options)]


@pytest.mark.parametrize("files", [2, 12, 101])
def test_a_capture_in_files_gives_the_facts_of_the_whole(files: int, tmp_path: Path) -> None:
    cut(WHOLE, tmp_path, files)
    whole, joined = read(WHOLE), read(tmp_path, joined=True)
    assert without_names(joined) == without_names(whole)
    assert without_names(read(tmp_path)) != without_names(whole)


def test_the_rotated_files_of_the_cases() -> None:
    if not SHARED.exists():
        pytest.skip("the shared captures are not here")
    assert len(read(SHARED / "cases" / "rotated", joined=True)) == 83


def test_the_source_is_the_file_of_the_first_frame(tmp_path: Path) -> None:
    first, second = cut(TLS12, tmp_path, 2)
    (found,) = read(first, second, joined=True)
    assert (found["source"], found["first_frame"]) == (str(first), 1)
    assert found["messages"][-1]["frame"] > len(packets(first.read_bytes()))


def test_captures_say_where_each_frame_is(tmp_path: Path) -> None:
    """A ClientHello in the first file, its answer in the second; what the files have is what their readings name."""
    first, second = cut(TLS12, tmp_path, 2)
    before = len(packets(first.read_bytes()))
    (found,) = read(first, second, joined=True)
    assert found["captures"] == [
        {"source": str(first), "frames_before": 0}, {"source": str(second), "frames_before": before},
    ]  # fmt: skip
    hello, last = found["messages"][0]["frame"], found["messages"][-1]["frame"]
    assert hello <= before < last
    assert packets(second.read_bytes())[last - before - 1] == packets(TLS12.read_bytes())[last - 1]
    # Of many files, only those with frames that are named.
    (of_few,) = [
        one["captures"] for one in read(*cut(WHOLE, tmp_path / "many", 101), joined=True) if one["stream"] == 7
    ]
    assert 1 <= len(of_few) < 10
    assert read(TLS12)[0]["captures"] is None


def test_text_says_where_frames_are(tmp_path: Path) -> None:
    first, second = cut(TLS12, tmp_path, 2)
    before = len(packets(first.read_bytes()))
    for command in ("show", "explain"):
        # A long name of a folder is wrapped.
        text = " ".join(run(command, "-q", "--joined", first, second).stdout.decode().split())
        assert f"frame 1 is the first of {first} frame {before + 1} is the first of {second} " in text
        assert "is the first of" not in run(command, "-q", first).stdout.decode()


def test_processes_print_what_one_prints(tmp_path: Path) -> None:
    cut(WHOLE, tmp_path, 7)
    one, three = (run("read", "--format", "json", "--joined", "--jobs", jobs, tmp_path) for jobs in ("1", "3"))
    assert one.stdout == three.stdout != b""
    assert one.stderr == three.stderr


def test_the_order_is_that_of_first_packets_whatever_the_arguments(tmp_path: Path) -> None:
    files = cut(WHOLE, tmp_path, 5)
    assert read(*reversed(files), joined=True) == read(*files, joined=True)


def test_a_folder_is_read_in_the_order_of_first_packets(tmp_path: Path) -> None:
    files = cut(WHOLE, tmp_path, 12)
    sources = [one["source"] for one in read(tmp_path)]
    assert list(dict.fromkeys(sources)) == list(map(str, files))
    # By time, not by name.
    files[0].rename(tmp_path / "zuletzt")
    assert read(tmp_path)[0]["source"] == str(tmp_path / "zuletzt")


def test_captures_of_one_time_are_in_the_natural_order_of_names(tmp_path: Path) -> None:
    for name in ("cap.pcap10", "cap.pcap2", "cap.pcap1"):
        (tmp_path / name).symlink_to(TLS12)
    assert [one["source"] for one in read(tmp_path)] == [str(tmp_path / f"cap.pcap{n}") for n in (1, 2, 10)]


def test_formats_and_link_types_may_differ(tmp_path: Path) -> None:
    """Raw IP after Ethernet, pcapng after pcap, a compressed file; interfaces are numbered anew in each file."""
    data = TLS12.read_bytes()
    records = packets(data)
    third = len(records) // 3
    (tmp_path / "1").write_bytes(data[:24] + b"".join(records[:third]))
    raw = [HEADER.pack(*HEADER.unpack_from(one)[:2], *[len(one) - 30] * 2) + one[30:] for one in records]
    (tmp_path / "2").write_bytes(gzip.compress(data[:20] + struct.pack("<I", 101) + b"".join(raw[third : 2 * third])))
    (tmp_path / "3").write_bytes(pcapng(records[2 * third :]))
    (found,) = read(tmp_path, joined=True)
    assert without_names(found) == without_names(read(TLS12)[0])


def pcapng(records: list[bytes], link: int = 1) -> bytes:
    """Packets of the second interface of a section."""
    blocks = [b.section(), b.interface(227), b.interface(link)]
    for one in records:
        seconds, micros, *_ = HEADER.unpack_from(one)
        blocks.append(b.enhanced(one[16:], seconds * 10**6 + micros, number=1))
    return b"".join(blocks)


def test_fragments_may_be_in_two_files(tmp_path: Path) -> None:
    """What waits for the rest of its packet is counted once, after the last file."""
    segment = b.tcp(b"x" * 40)
    parts = [b.ip4(segment[:24], fragment=0x2000), b.ip4(segment[24:], fragment=3), b.ip4(segment[24:], fragment=6)]
    for number, part in enumerate(parts):
        (tmp_path / str(number)).write_bytes(b.pcap([b.ether(part)]))
    reading = Reading([tmp_path], Options(joined=True))
    assert list(reading) == []
    assert reading.summary.not_tls.total() == 1
    assert reading.summary.skipped == {"IP fragments without the rest of their packet": 1}


def test_a_file_that_is_cut_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    files = cut(WHOLE, tmp_path, 12)
    files[3].write_bytes(files[3].read_bytes()[:-5])
    done = run("read", "--format", "json", "--joined", tmp_path)
    assert done.returncode == 0
    frame = len(packets(files[3].read_bytes()))
    assert f"{files[3]}: frame {frame}, byte ".encode() in done.stderr
    assert done.stderr.count(b": frame ") == 1
    found = [json.decode(line) for line in done.stdout.splitlines()]
    assert len(found) == len(read(WHOLE))
    details = {one["detail"] for c in found for one in c["problems"] if one["code"] == "damaged_capture"}
    assert all(one.startswith(f"{files[3]}: the file ends in the middle") for one in details)
    assert details


def test_what_is_no_capture_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    files = cut(WHOLE, tmp_path, 12)
    data = files[5].read_bytes()
    (tmp_path / "other-link").write_bytes(data[:20] + struct.pack("<I", 227) + data[24:])
    (tmp_path / "short").write_bytes(data[:20])
    (tmp_path / "readme.txt").write_text("of last week")
    (tmp_path / "other-link.pcapng").write_bytes(pcapng(packets(data), 227))
    done = run("read", "--format", "json", "-q", "--joined", tmp_path)
    assert done.returncode == 2
    refused = {tmp_path / name: b"link type 227 is not supported" for name in ("other-link", "other-link.pcapng")}
    refused[tmp_path / "short"] = b"is cut short in the file header"
    for name, why in refused.items():
        assert f"{name}: ".encode() + why in done.stderr
    assert b"readme" not in done.stderr
    found = [json.decode(line) for line in done.stdout.splitlines()]
    assert [(c["client"], c["timing"]) for c in found] == [(c["client"], c["timing"]) for c in read(WHOLE)]


def test_overlapping_captures_are_named(tmp_path: Path) -> None:
    files = cut(WHOLE, tmp_path, 3)
    copy = tmp_path / "copy"
    copy.write_bytes(files[1].read_bytes())
    done = run("read", "-q", "--joined", *files, copy)
    (warning,) = done.stderr.splitlines()
    assert f"{copy}: begins before the end of {files[1]}: ".encode() in warning


def test_a_capture_that_begins_in_the_middle_of_a_connection(tmp_path: Path) -> None:
    """The oldest file of a ring buffer: what was overwritten is missing, and nothing else."""
    files = cut(WHOLE, tmp_path, 12)
    files[0].unlink()
    whole = {one["client"]["port"]: without_names(one) for one in read(WHOLE)}
    rest = {one["client"]["port"]: without_names(one) for one in read(tmp_path, joined=True)}
    assert 150 < len(rest) < len(whole)
    kept = [port for port, one in rest.items() if whole[port]["timing"] == one["timing"]]
    assert len(kept) > len(rest) - 3


def test_secrets_of_all_files_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file has the same key log, as Wireshark writes it into each; together they are too many."""
    most = 1000
    monkeypatch.setattr("tlsdissect.capture.pcapng.MAX_SECRETS", most)
    secrets = b.block(10, struct.pack("<II", 0x544C534B, 400) + bytes(400))
    for number in range(3):
        (tmp_path / str(number)).write_bytes(b.section() + b.interface() + secrets)
    reading = Reading([tmp_path], Options(joined=True))
    assert list(reading) == []
    assert [(name, one.detail) for name, one in reading.summary.damage] == [
        (str(tmp_path / "2"), "more decryption secrets than are kept")
    ]


def test_a_folder_without_captures(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing")
    done = run("read", "--joined", tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"has no capture in it" in done.stderr


def test_a_cluster_does_not_join() -> None:
    with pytest.raises(ValueError, match="cannot be joined"):
        tlsdissect.read(TLS12, joined=True, cluster=object())  # type: ignore[arg-type]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_joined_is_suggested_where_connections_are_open_at_a_border(jobs: str, tmp_path: Path) -> None:
    cut(WHOLE, tmp_path, 12)
    separate, joined = (run("read", "-q", "--jobs", jobs, *more, tmp_path) for more in ((), ("--joined",)))
    assert b" open where one capture ends and the next begins: try --joined" in separate.stderr
    assert joined.stderr == b""


def test_joined_is_not_suggested_for_other_captures(tmp_path: Path) -> None:
    """Whole connections; a file that begins hours later; and files that are not read in the order of time."""
    assert run("read", "-q", *sorted(ROOT.glob("samples/tls12-*.pcap"))).stderr == b""
    first, second = cut(TLS12, tmp_path, 2)
    assert b"--joined" in run("read", "-q", first, second).stderr
    assert run("read", "-q", second, first).stderr == b""
    data = second.read_bytes()
    late = [struct.pack("<I", HEADER.unpack_from(one)[0] + 7200) + one[4:] for one in packets(data)]
    second.write_bytes(data[:24] + b"".join(late))
    assert run("read", "-q", first, second).stderr == b""


def test_a_handshake_that_the_end_of_the_capture_cuts_has_a_problem(tmp_path: Path) -> None:
    data = TLS12.read_bytes()
    records = packets(data)
    for many in range(4, len(records) + 1):
        path = tmp_path / "cut.pcap"
        path.write_bytes(data[:24] + b"".join(records[:many]))
        for one in read(path):
            codes = [problem["code"] for problem in one["problems"]]
            assert ("capture_end" in codes) == (one["outcome"] == "incomplete")
            assert one["outcome"] in ("incomplete", "one_sided", "established")


@pytest.mark.parametrize("files", [2, 12, 101])
def test_an_extract_of_files_reads_as_one_of_the_whole(files: int, tmp_path: Path) -> None:
    """A connection over file borders: a section for each file that has packets of it, and keys only once."""
    cut(WHOLE, tmp_path / "files", files)
    for number in (0, 77, 199):
        extracts = []
        for name, given, joined in (("whole", WHOLE, False), ("joined", tmp_path / "files", True)):
            extracts.append(tmp_path / f"{name}-{number}.pcapng")
            extracts[-1].write_bytes(b"".join(tlsdissect.extract(given, stream=number, joined=joined)))
        of_whole, of_files = (read(one) for one in extracts)
        assert without_names(of_files) == without_names(of_whole)
        assert len(of_files) == 1


def test_an_extract_of_files_has_no_section_of_others(tmp_path: Path) -> None:
    files = cut(WHOLE, tmp_path / "files", 12)
    (tmp_path / "files" / "notes.snoop").write_bytes(b"snoop\0\0\0\0\0\0\2\0\0\0\4")
    done = run("extract", "--joined", "--stream", "77", tmp_path / "files", "-o", tmp_path / "one.pcapng")
    assert (done.returncode, b"snoop" in done.stderr) == (2, True)
    (one,) = [one for one in read(*files, joined=True) if one["stream"] == 77]
    sections = (tmp_path / "one.pcapng").read_bytes().count(b"\x0a\x0d\x0d\x0a")
    assert 1 <= sections <= len(one["captures"]) + 1 < 12
    refused = run("extract", "--joined", "--filter", *files)
    assert (refused.returncode, b"a display filter is for one file" in refused.stderr) == (2, True)
