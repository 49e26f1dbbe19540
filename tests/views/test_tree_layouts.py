"""What the report stores of a tree: layouts that messages share, and the texts in which they differ."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import derwriting
import msgspec
import pytest
from derwriting import attribute, integer, oid, tlv
from hypothesis import given
from hypothesis import strategies as st
from recorded import HEADER, ROOT, SAMPLES, kept

import tlsdissect
from tlsdissect.model.transcript import Span
from tlsdissect.tls import layout
from tlsdissect.views.tree import asn1, fields, laid_records, layouts, patterns
from tlsdissect.views.tree.fields import VARYING
from tlsdissect.views.tree.layouts import MAX_SHAPES, DerBytes, DerValue, Layouts, drawn_values, parted, row
from tlsdissect.views.tree.model import RelativeBytes
from tlsdissect.views.tree.patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.tree.patterns import Part, PatternedTree

CAPTURES = sorted((ROOT / "samples").rglob("*.pcap"))


class Page:
    """Draws as the page does."""

    def __init__(self) -> None:
        self.patterns = Patterns()
        self.drawn = drawn_values()
        self.values: dict[str, DerBytes] = {}

    def record(self, tree: PatternedTree, number: int) -> tuple[list[Any], list[tuple[int, int | None]]]:
        """The rows of a record's parts, and the place of each of its bytes."""
        self.values |= self.patterns.values.take()
        parts = tree.pattern.records[number].parts
        spans = [Span(*one) for one in tree.places[number].ranges]
        own = [place for part in parts for place in bytes_of(part.spans or ())]
        assert not own or not spans
        return [row for part in parts for row in self.rows(tree, part)], own or bytes_of(spans)

    def rows(self, tree: PatternedTree, part: Part) -> list[Any]:
        texts = tree.texts[part.texts :] if isinstance(part.texts, int) else part.texts

        def fill(cells: list[Any]) -> list[list[Any]]:
            name, size, text, *others = [*cells, *[None] * (7 - len(cells))]
            text = texts[text] if isinstance(text, int) else text
            if isinstance(text, DerValue):
                assert name == ""
                return [
                    one for row in msgspec.json.decode(self.values[text.digest].rows(self.drawn)) for one in fill(row)
                ]
            inside = [one for child in others[3] or () for one in fill(child)]
            return [[name, 0 if part.spans == () else size, text, *others[:3], inside]]

        filled = [one for cells in msgspec.json.decode(part.layout) for one in fill(cells)]
        filled[0][6] += [one for inner in part.inner for one in self.rows(tree, inner)]
        return filled


def bytes_of(spans: Sequence[Span]) -> list[tuple[int, int | None]]:
    """The place of each byte."""
    return [
        (span.frame, None if span.offset is None else span.offset + at) for span in spans for at in range(span.length)
    ]


def without_end(cells: list[Any]) -> list[Any]:
    name, *others = cells
    while others and others[-1] in (None, "", [], 0):
        others.pop()
    return [name, *[[without_end(one) for one in cell] if isinstance(cell, list) else cell for cell in others]]


def check(connection: Connection, page: Page) -> None:
    """Compare what a page draws of a connection with its tree."""
    tree, drawn = tlsdissect.tree(connection).records, page.patterns.tree(connection)
    assert len(tree) == len(drawn.pattern.records) == len(drawn.places)
    for number, wanted in enumerate(tree):
        record, place = drawn.pattern.records[number], drawn.places[number]
        assert (record.sender, record.meaning) == (wanted.sender, wanted.node.meaning)
        assert place[:2] == (wanted.frame, wanted.ms)
        shown, places = page.record(drawn, number)
        assert list(map(without_end, shown)) == [without_end(row(child)) for child in wanted.node.children]
        assert places == [place for child in wanted.node.children for place in bytes_of(child.bytes)]


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
    found, random = Page(), Random(1)  # noqa: S311 (a test is repeated with the same damage)
    for sample in SAMPLES:
        for path in (sample, *damaged(sample, random, tmp_path)):
            for connection in kept(path):
                check(connection, found)


def test_a_page_draws_what_keys_opened() -> None:
    """In TCP, QUIC, DTLS and EAP."""
    found = Page()
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
    """But once for a page."""
    (connection,) = kept(ROOT / "samples/tls12-full.pcap")
    found = Layouts()
    decoded: list[str] = []
    monkeypatch.setattr(fields, "asn1", lambda *given: decoded.append(given[4]) or ())
    before = [parted(one) for record in laid_records(connection, found) for one in record.node.children]
    values = found.values.take()
    found.clear()
    after = [parted(one) for record in laid_records(connection, found) for one in record.node.children]
    assert (after, decoded, found.values.take()) == (before, [], {})
    for value in values.values():
        value.rows(drawn_values())
    assert decoded == ["Certificate"] * 2


def test_a_connection_of_a_known_pattern_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another random."""
    sample = ROOT / "samples/tls12-full.pcap"
    (first,) = kept(sample)
    other = tmp_path / "other.pcap"
    other.write_bytes(sample.read_bytes().replace(first.transcript.records[0].fragment[6:38], bytes(32)))
    (second,) = kept(other)
    found = Patterns()
    before = found.tree(first)
    monkeypatch.setattr(patterns, "laid_records", None)
    after = found.tree(second)
    assert after.pattern is before.pattern
    assert [pair for pair in zip(before.texts, after.texts, strict=True) if pair[0] != pair[1]] == [
        (first.client_hello.random, "00" * 32)
    ]


def test_no_field_that_varies_decides_about_another() -> None:
    for owner, name in VARYING:
        assert name in layout.layout(owner)
        source = layout._Source()
        source.struct(owner)
        # Of this one, only its absence decides.
        assert name not in source._used or name == "legacy_session_id_echo"


def test_layouts_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "LAYOUT_BYTES", 4000)
    found = Page()
    for sample in SAMPLES:
        for connection in kept(sample):
            check(connection, found)
            assert found.patterns._used <= 4000
            known = [*found.patterns._shapes.values(), *found.patterns._patterns.values()]
            assert all(len(shapes) <= MAX_SHAPES for shapes in known)


def _rows(value: DerBytes) -> Any:
    """Return the rows of a value without sharing any with other values."""
    ground = RelativeBytes(value.data)
    nodes = fields.Fields(ground).der(value.name, 0, len(value.data), value.cited)
    return msgspec.json.decode(msgspec.json.encode([row(node) for node in nodes]))


_LEAVES = st.sampled_from([integer(1), oid("2.5.29.17"), oid("2.5.29.19"), b"\x01\x01\xff", tlv(0x0C, b"a")])
_VALUES = st.recursive(
    _LEAVES,
    lambda inside: st.builds(
        lambda tag, parts: tlv(tag, *parts), st.sampled_from([0x30, 0x31, 0x04, 0xA0, 0xA3]), st.lists(inside)
    ),
    max_leaves=20,
)


@given(
    st.lists(st.builds(DerBytes, st.sampled_from(["extensions", "Certificate", "x"]), st.just("RFC"), _VALUES)),
    st.integers(2, 30),
    st.integers(1, 6),
)
def test_what_der_values_have_in_common_is_drawn_as_if_it_were_alone(
    values: list[DerBytes], most: int, deepest: int
) -> None:
    """Also where one of them has too many values, or is too deep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asn1, "MAX_VALUES", most)
        patch.setattr(asn1, "MAX_DEPTH", deepest)
        drawn = drawn_values()
        for value in values:
            assert msgspec.json.decode(value.rows(drawn)) == _rows(value)


def _certificates(many: int) -> list[DerBytes]:
    """Values that have an issuer in common."""
    issuer = derwriting.name(*[attribute("2.5.4.3", 0x0C, bytes((65 + number,)) * 20) for number in range(9)])
    return [
        DerBytes("Certificate", "RFC", tlv(0x30, tlv(0x30, integer(number), tlv(0x30), issuer)))
        for number in range(many)
    ]


def test_what_certificates_have_in_common_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, read = drawn_values(), []
    content = asn1._content
    monkeypatch.setattr(asn1, "_content", lambda *given: read.append(1) or content(*given))
    first, second = _certificates(2)
    first.rows(drawn)
    before = len(read)
    second.rows(drawn)
    assert before > 27
    assert len(read) - before == 3  # the certificate, what is signed, and its number


def test_drawn_values_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asn1, "DRAWN_BYTES", 20_000)
    drawn = drawn_values()
    large = DerBytes("Certificate", "RFC", tlv(0x30, tlv(0x0C, bytes(2_000))))
    assert msgspec.json.decode(large.rows(drawn)) == _rows(large)
    assert not drawn._known
    for value in _certificates(50):
        assert msgspec.json.decode(value.rows(drawn)) == _rows(value)
        assert drawn._used <= 20_000
        assert 0 < len(drawn._known) <= 20_000 // asn1.DRAWN_ENTRY_BYTES
