from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.transcript.kept import Packet, Places, Transcript
from tlsdissect.views.tree.asn1 import MAX_DEPTH, asn1
from tlsdissect.views.tree.node import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.views.tree.node import Node


def drawn(data: bytes, name: str = "value") -> tuple[Node, ...]:
    packet = Packet(1, 0, "server", 16, 0, None, len(data), data, 100)
    transcript = Transcript((packet,), (), (None, None), None, None, None)
    ground = Ground(Places(transcript, "server"), 1)
    ground.add(data, 0)
    return asn1(ground, data, 0, len(data), name, "X.690")


def leaves(nodes: tuple[Node, ...]) -> Iterator[Node]:
    for node in nodes:
        if node.children:
            yield from leaves(node.children)
        else:
            yield node


def covers(nodes: tuple[Node, ...], size: int) -> bool:
    places = [
        at for leaf in leaves(nodes) for span in leaf.bytes for at in range(span.offset, span.offset + span.length)
    ]
    return places == list(range(100, 100 + size))


@given(st.binary(min_size=1, max_size=80))
def test_any_bytes_are_drawn_once(data: bytes) -> None:
    nodes = drawn(data)
    assert covers(nodes, len(data))
    msgspec.json.encode(nodes)


def test_text_that_is_no_utf_8() -> None:
    [node] = drawn(b"\x0c\x03a\xffb")
    assert (node.value, node.meaning) == ("a\\xffb", "a\\udcffb")


def test_a_name_is_told_in_full() -> None:
    name = bytes.fromhex("300d310b3009060355040613025858")
    [node] = drawn(name, "issuer")
    assert node.meaning == "C=XX"
    kinds = [(leaf.name, leaf.value, leaf.meaning) for leaf in leaves((node,))]
    assert ("type", "2.5.4.6", "countryName") in kinds
    assert ("value", "XX", "XX") in kinds


def test_values_within_values_are_drawn_to_a_depth() -> None:
    data = b""
    for _ in range(MAX_DEPTH + 5):
        data = bytes([0x30, len(data)]) + data
    nodes = drawn(data)
    assert covers(nodes, len(data))
    assert "no deeper than this is drawn" in {leaf.problem for leaf in leaves(nodes)}


def test_bytes_behind_a_value_are_unread() -> None:
    whole, rest = drawn(b"\x05\x00zz")
    assert (whole.name, rest.name, rest.value) == ("value", "unread", "7a7a")
    assert rest.problem == "bytes behind the DER value"
