"""The tree of QUIC connections: packets, frames and messages, to the last byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quicwriting import Sent, crypto, initial, pcap
from recorded import ROOT, SHARED
from test_quic import HELLO, course
from test_tree import leaves

import tlsdissect
from tlsdissect import tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tlsdissect.views.tree.model import Node, Tree

SAMPLES = sorted((ROOT / "samples" / "quic").glob("*.pcap"))
OTHERS = sorted((SHARED / "captures").glob("*/*quic*.pcap*"))
ORIGINAL, CLIENT = bytes(8), bytes([2]) * 8


def trees(path: Path) -> Iterator[tuple[tlsdissect.Connection, Tree]]:
    for connection in tlsdissect.read(path, keep=True):
        if connection.transport == "quic":
            yield connection, tree(connection)


def places(nodes: Iterator[Node]) -> list[tuple[int, int]]:
    return sorted(
        (span.frame, (span.offset or 0) + at) for node in nodes for span in node.bytes for at in range(span.length)
    )


def check(connection: tlsdissect.Connection, whole: Tree) -> None:
    """Each byte of each datagram is in one leaf, and each message in the clear is in the tree."""
    found = places(leaf for record in whole.records for leaf in leaves(record.node))
    packets = connection.transcript.packets
    assert found == sorted((one.frame, one.place + at) for one in packets for at in range(len(one.payload)))
    shown = [part.name for record in whole.records for part in record.node.children if part.name == "CRYPTO"]
    messages = [one.type for one in connection.messages if one.type not in ("encrypted", "alert")]
    assert not messages or shown
    for kind in set(messages):
        assert [part.name for record in whole.only(kind).records for part in record.node.children].count(kind) >= 1
    # Nothing defines what an extension holds that is there to be ignored (RFC 8701).
    named = (leaf for record in whole.records for leaf in leaves(record.node))
    assert {leaf.name for leaf in named if not leaf.reference} <= {"continued", "extension_data"}
    assert msgspec.json.decode(msgspec.json.encode(whole))["records"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples(path: Path) -> None:
    for connection, whole in trees(path):
        check(connection, whole)


@pytest.mark.skipif(not OTHERS, reason="no captures of other projects beside the checkout")
def test_captures_of_other_projects() -> None:
    seen = 0
    for path in OTHERS:
        for connection, whole in trees(path):
            check(connection, whole)
            seen += 1
    assert seen > 50


def test_a_message_of_several_frames_stands_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "written.pcap"
    path.write_bytes(pcap(course()))
    [(_, whole)] = trees(path)
    first, second = (record.node for record in whole.records[:2])
    header = "first_byte version destination_connection_id source_connection_id token_length length packet_number"
    for node in (first, second):
        assert " ".join(part.name for part in node.children) == f"{header} CRYPTO PADDING tag"
    assert [part.name for part in first.children[7].children] == ["type", "offset", "length", "continued"]
    assert [part.name for part in second.children[7].children] == ["type", "offset", "length", "client_hello"]
    assert {span.frame for span in second.children[7].children[3].bytes} == {1, 2}
    assert "continued  a message that began in frame 2" in str(whole)
    assert [record.node.meaning for record in whole.records] == [
        *["Initial"] * 3,
        *["Handshake"] * 2,
        "Initial",
        *["Handshake", "1-RTT"],
        "1-RTT",
    ]


@settings(deadline=None)
@given(data=st.data())
def test_any_frames_are_shown_to_the_last_byte(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    pieces = st.tuples(st.integers(0, len(HELLO)), st.integers(1, 120))
    frames = [
        data.draw(st.sampled_from([b"", b"\1", b"\2\0\0\0\0", b"\0\0", b"\x07"]), "other frame")
        + crypto(at, HELLO[at : at + size])
        for at, size in data.draw(st.lists(pieces, max_size=6), "pieces")
    ]
    sent = [Sent(initial(crypto(0, HELLO[:90]), ORIGINAL, CLIENT))]
    sent += [Sent(initial(one, ORIGINAL, CLIENT, number=number)) for number, one in enumerate(frames, 1)]
    path = tmp_path_factory.getbasetemp() / "frames.pcap"
    path.write_bytes(pcap(sent))
    for connection, whole in trees(path):
        check(connection, whole)
