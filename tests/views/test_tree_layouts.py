"""What the report stores of a tree: layouts that messages share, and the texts in which they differ."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
from recorded import HEADER, ROOT, SAMPLES, kept

import tlsdissect
from tlsdissect.tls import layout
from tlsdissect.views.tree import fields, laid_records, layouts
from tlsdissect.views.tree.fields import VARYING
from tlsdissect.views.tree.layouts import MAX_SHAPES, Layouts, parted, row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.tree.model import Node

CAPTURES = sorted((ROOT / "samples").rglob("*.pcap"))


def rows(node: Node) -> list[Any]:
    """The rows that a page draws of a part of a record; no sizes of what is in no frame."""
    layout, texts, inner = parted(node)

    def fill(cells: list[Any]) -> list[Any]:
        name, size, text, *others = [*cells, *[None] * (7 - len(cells))]
        text = texts[text] if isinstance(text, int) else text
        return [name, size if node.bytes else 0, text, *others[:3], [fill(child) for child in others[3] or ()]]

    filled = [fill(cells) for cells in msgspec.json.decode(layout)]
    filled[0][6] += [one for part in inner for one in rows(part)]
    return filled


def without_end(cells: list[Any]) -> list[Any]:
    name, *others = cells
    while others and others[-1] in (None, "", [], 0):
        others.pop()
    return [name, *[[without_end(one) for one in cell] if isinstance(cell, list) else cell for cell in others]]


def check(connection: Connection, found: Layouts) -> None:
    """Compare what a page draws of a connection with its tree."""
    tree, laid = tlsdissect.tree(connection).records, laid_records(connection, found)
    assert len(tree) == len(laid)
    for wanted, record in zip(tree, laid, strict=True):
        shown = [without_end(one) for part in record.node.children for one in rows(part)]
        assert shown == [without_end(row(child)) for child in wanted.node.children]
        assert [one for part in record.node.children for one in places(part)] == [
            one for child in wanted.node.children for one in places(child)
        ]


def places(node: Node) -> list[tuple[int, int | None]]:
    """The place of each byte."""
    return [
        (span.frame, None if span.offset is None else span.offset + at)
        for span in node.bytes
        for at in range(span.length)
    ]


def damaged(path: Path, random: Random, folder: Path) -> Iterator[Path]:
    """A sample with a bit turned over in some of its packets, several times."""
    data = path.read_bytes()
    for number in range(6):
        whole, at = bytearray(data[:24]), 24
        while at < len(data):
            size = HEADER.unpack_from(data, at)[2]
            packet = bytearray(data[at + HEADER.size : at + HEADER.size + size])
            if random.random() < 0.3 and size > 80:
                packet[random.randint(60, size - 1)] ^= 1 << random.randint(0, 7)
            whole += data[at : at + HEADER.size] + packet
            at += HEADER.size + size
        made = folder / f"{number}.pcap"
        made.write_bytes(whole)
        yield made


def test_a_page_draws_the_tree_of_each_connection(tmp_path: Path) -> None:
    """Also of damaged ones, whose bytes are nearly those of others."""
    found, random = Layouts(), Random(1)  # noqa: S311 (a test is repeated with the same damage)
    for sample in SAMPLES:
        for path in (sample, *damaged(sample, random, tmp_path)):
            for connection in kept(path):
                check(connection, found)


def test_a_page_draws_what_keys_opened() -> None:
    """In TCP, QUIC, DTLS and EAP."""
    found = Layouts()
    for path in CAPTURES:
        keys = path.with_suffix(".keys")
        for connection in tlsdissect.read(path, keep=True, keylog=keys if keys.exists() else ()):
            check(connection, found)


def test_messages_that_differ_in_random_bytes_have_one_layout(tmp_path: Path) -> None:
    sample = ROOT / "samples/tls12-full.pcap"
    (connection,) = kept(sample)
    random = next(one.fragment for one in connection.transcript.records)[6:38]
    other = tmp_path / "other.pcap"
    other.write_bytes(sample.read_bytes().replace(random, bytes(32)))
    found = Layouts()
    first, second = (laid_records(kept(path)[0], found)[0].node.children[1] for path in (sample, other))
    assert first.layout is second.layout
    assert [pair for pair in zip(first.texts, second.texts, strict=True) if pair[0] != pair[1]] == [
        (random.hex(), "00" * 32)
    ]


def test_a_certificate_in_another_message_is_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    (connection,) = kept(ROOT / "samples/tls12-full.pcap")
    found = Layouts()
    before = [parted(one) for record in laid_records(connection, found) for one in record.node.children]
    found._shapes.clear()
    decoded: list[str] = []
    monkeypatch.setattr(fields, "asn1", lambda *given: decoded.append(given[4]) or ())
    after = [parted(one) for record in laid_records(connection, found) for one in record.node.children]
    assert (after, decoded) == (before, [])
    laid_records(connection, Layouts())
    assert decoded[0] == "Certificate"


def test_no_field_that_varies_decides_about_another() -> None:
    for owner, name in VARYING:
        assert name in layout.layout(owner)
        source = layout._Source()
        source.struct(owner)
        # Of this one, only its absence decides.
        assert name not in source._used or name == "legacy_session_id_echo"


def test_layouts_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "LAYOUT_BYTES", 4000)
    found = Layouts()
    for sample in SAMPLES:
        for connection in kept(sample):
            check(connection, found)
            assert found._used <= 4000
            assert all(len(shapes) <= MAX_SHAPES for shapes in found._shapes.values())
