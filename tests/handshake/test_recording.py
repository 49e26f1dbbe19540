from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mangle import cut, in_ethernet, in_ip4_fragments, in_vxlan, pcap, reordered, segments
from recorded import ROOT, SAMPLES, packets

import tlsdissect
from tlsdissect.flows.limits import Limits
from tlsdissect.model.connection import Connection
from tlsdissect.model.transcript import KeptConnection, Places

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)


def kept(path: Path, batch: int = 65_536) -> list[KeptConnection]:
    found = list(tlsdissect.read(path, keep=True, batch=batch))
    assert all(isinstance(connection, KeptConnection) for connection in found)
    return found


def facts(connections: Iterable[Connection]) -> list[list[object]]:
    return [[getattr(one, name) for name in Connection.__struct_fields__] for one in connections]


def check_places(connection: KeptConnection, frames: list[bytes]) -> int:
    """Hold every byte of every record that was read to be where the transcript says; count them."""
    transcript, checked = connection.transcript, 0
    for record in transcript.records:
        if record.fragment is None or not record.whole:
            continue
        start = record.start + 5
        spans = Places(transcript, record.sender).spans(start, start + len(record.fragment), record.frame)
        assert all(span.offset is not None for span in spans)
        found = [frames[span.frame - 1][span.offset : span.offset + span.length] for span in spans]
        assert b"".join(found) == record.fragment
        checked += len(record.fragment)
    return checked


@each_sample
def test_keeping_changes_no_fact(sample: Path) -> None:
    assert facts(kept(sample)) == facts(tlsdissect.read(sample))


@each_sample
def test_batches_do_not_matter(sample: Path) -> None:
    whole = kept(sample)
    assert whole
    assert whole == kept(sample, batch=1) == kept(sample, batch=7)


@each_sample
def test_bytes_are_where_they_are_said_to_be(sample: Path) -> None:
    frames = [packet for _, packet in packets(sample)]
    assert all(check_places(connection, frames) > 100 for connection in kept(sample))


@pytest.mark.parametrize("wrap", [in_ethernet, in_vxlan])
def test_bytes_of_segments_in_any_order(wrap: object, tmp_path: Path) -> None:
    sent = reordered(cut(segments(SAMPLES[0])))
    path = tmp_path / "cut.pcap"
    frames = [packet for one in sent for packet in wrap(one)]
    path.write_bytes(pcap([(0, frame) for frame in frames], 1))
    [connection, *_] = kept(path)
    assert check_places(connection, frames) > 100


def test_fragments_have_no_place(tmp_path: Path) -> None:
    path = tmp_path / "fragments.pcap"
    frames = [packet for one in segments(SAMPLES[0]) for packet in in_ip4_fragments(one)]
    path.write_bytes(pcap([(0, frame) for frame in frames], 1))
    [connection, *_] = kept(path)
    chain = max(connection.transcript.records, key=lambda record: len(record.fragment or b""))
    places = Places(connection.transcript, chain.sender)
    spans = places.spans(chain.start, chain.start + 5 + chain.length, chain.frame)
    assert {span.offset for span in spans} == {None}
    assert sum(span.length for span in spans) == 5 + chain.length


def test_what_is_kept_is_limited(tmp_path: Path) -> None:
    [connection, *_] = tlsdissect.read(SAMPLES[0], keep=True, limits=Limits(message_bytes=2000))
    assert "limit" in {problem.code for problem in connection.problems}


def test_what_is_sent_of_a_handshake_again_is_kept_after_it() -> None:
    """The server's last flight was lost twice: for the server, the handshake was over when it had sent it."""
    (one,) = [one for one in kept(ROOT / "samples/paths-server.pcap.gz") if one.stream == 164]
    assert [packet.frame for packet in one.transcript.packets if packet.length == 242] == [2899, 2906, 2910]
