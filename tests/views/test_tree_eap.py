"""The tree of TLS inside EAP: EAPOL frames and RADIUS packets, EAP packets, records and messages, to the last byte."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from recorded import ROOT, kept
from test_tree import leaves

from tlsdissect.views.tree import text, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tlsdissect.model.transcript import KeptConnection
    from tlsdissect.views.tree.model import Node, Tree

FOLDER = ROOT / "samples" / "eap"
SAMPLES = sorted(FOLDER.glob("*.pcap"))


def parts(whole: Tree, name: str) -> list[Node]:
    """The nodes of this name, in order."""

    def below(node: Node) -> Iterator[Node]:
        if node.name == name:
            yield node
        for child in node.children:
            yield from below(child)

    return [found for record in whole.records for found in below(record.node)]


def check(connection: KeptConnection) -> None:
    """Each byte of each frame is in one leaf, in order, and each message in the clear is in the tree."""
    whole = tree(connection)
    found = sorted(
        (span.frame, (span.offset or 0) + at)
        for record in whole.records
        for leaf in leaves(record.node)
        for span in leaf.bytes
        for at in range(span.length)
    )
    eap_packets = connection.transcript.eap_packets
    assert found == sorted((one.frame, (one.place or 0) + at) for one in eap_packets for at in range(len(one.payload)))
    for kind in {one.type for one in connection.messages}:
        shown = [part for record in whole.only(kind).records for part in record.node.children]
        assert {part.name for part in shown} == {kind}
    named = (leaf for record in whole.records for leaf in leaves(record.node))
    assert {leaf.name for leaf in named if not leaf.reference} <= {"continued", "extension_data", "body"}
    assert msgspec.json.decode(msgspec.json.encode(whole))["records"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples(path: Path) -> None:
    for connection in kept(path):
        check(connection)


@pytest.mark.parametrize("size", [44, 61, 70, 90, 120, 170, 200, 290])
@pytest.mark.parametrize("name", ["radius-tls-tls12", "eapol-tls-tls12"])
def test_packets_of_which_the_capture_lacks_the_end(tmp_path: Path, name: str, size: int) -> None:
    data = (FOLDER / f"{name}.pcap").read_bytes()
    packets, at = [], 24
    while at < len(data):
        captured = int.from_bytes(data[at + 8 : at + 12], "little")
        body = data[at + 16 : at + 16 + captured]
        kept_size = min(captured, size)
        packets.append(data[at : at + 8] + kept_size.to_bytes(4, "little") + data[at + 12 : at + 16] + body[:size])
        at += 16 + captured
    path = tmp_path / "cut.pcap"
    path.write_bytes(data[:24] + b"".join(packets))
    for connection in kept(path):
        check(connection)
        assert any(record.node.problem for record in tree(connection).records)


def test_what_eap_itself_says() -> None:
    [connection] = kept(FOLDER / "radius-peap-tls12.pcap")
    said = [(record.frame, part.meaning) for record in tree(connection).records for part in parts_of(record.node)]
    assert said[:4] == [
        (1, "Response Identity"),
        (2, "Request EAP-TTLS Start"),
        (3, "Response Legacy Nak"),
        (4, "Request PEAP Start"),
    ]
    assert said[-1] == (20, "Success")


def parts_of(node: Node) -> list[Node]:
    return [child for child in node.children if child.name == "EAP"]


def test_header_fields_of_eapol_and_eap() -> None:
    [connection] = kept(FOLDER / "eapol-peap-wrong-password-tls12.pcap")
    whole = tree(connection)
    first = whole.records[0].node
    assert [(one.name, one.text, one.place(0)) for one in first.children[:3]] == [
        ("protocol_version", "2", f"{whole.records[0].frame}:14"),
        ("packet_type", "EAP-Packet (0x00)", f"{whole.records[0].frame}:15"),
        ("packet_body_length", "5", f"{whole.records[0].frame}:16-17"),
    ]
    assert [one.text for one in parts(whole, "identity")] == ["anonymous@sample.example"]
    fragment = next(
        one for one in parts(whole, "EAP") if any(part.name == "tls_message_length" for part in one.children)
    )
    names = [one.name for one in fragment.children]
    assert names[:6] == ["code", "identifier", "length", "type", "flags", "tls_message_length"]
    assert parts(whole, "EAP")[-1].text == "Failure"


def test_a_radius_packet_splits_an_eap_packet_into_attributes() -> None:
    [connection] = kept(FOLDER / "radius-tls-tls12.pcap")
    record = next(
        one for one in tree(connection).records if sum(p.name == "EAP-Message" for p in one.node.children) > 1
    )
    split = [part for part in record.node.children if part.name == "EAP-Message"]
    places = [part.bytes[0].offset or 0 for part in split]
    assert all(later - earlier == 255 for earlier, later in pairwise(places))
    [eap] = parts_of(record.node)
    assert [span.offset for span in eap.bytes] == [place + 2 for place in places]
    assert [one.name for one in record.node.children[:4]] == ["code", "identifier", "length", "authenticator"]


def test_a_record_in_several_packets_stands_where_it_begins() -> None:
    [connection] = kept(FOLDER / "radius-tls-tls12.pcap")
    whole = tree(connection)
    certificate = next(one for one in parts(whole, "record") if len({span.frame for span in one.bytes}) > 1)
    begun, *others = [span.frame for span in certificate.bytes]
    meanings = {one.meaning for one in parts(whole, "continued")}
    assert f"a record that began in frame {begun}" in meanings
    assert others


def test_a_dump_marks_the_bytes_of_the_headers() -> None:
    [connection] = kept(FOLDER / "eapol-tls-tls12.pcap")
    lines = text(dumped=True).row(connection).decode().splitlines()
    at = next(number for number, line in enumerate(lines) if "protocol_version" in line)
    assert "[02]" in lines[at + 1]


def test_radius_attributes_name_the_rfc_that_defines_them() -> None:
    [connection] = kept(FOLDER / "radius-tls-tls12.pcap")
    whole = tree(connection)
    expected = {
        "User-Name": "RFC 2865 section 5",
        "Connect-Info": "RFC 2869 section 5.11",
        "EAP-Message": "RFC 3579 section 3.1",
        "Message-Authenticator": "RFC 3579 section 3.2",
    }
    for name, reference in expected.items():
        assert {one.reference for node in parts(whole, name) for one in (node, *node.children)} == {reference}
