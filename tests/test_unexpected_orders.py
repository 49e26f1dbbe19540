"""Messages in orders that no RFC allows: a fact comes from the first message of its type, whatever precedes it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from conversing import CLIENT, SERVER, Said, Talk, said, write
from hypothesis import given
from hypothesis import strategies as st
from recorded import facts
from tlswriting import record

from tlsdissect import explain, read, tree

if TYPE_CHECKING:
    from pathlib import Path

CHANGE_CIPHER_SPEC, HANDSHAKE = 20, 22
HEADER = 5
SAMPLES = ("tls12-full", "tls12-client-cert", "tls12-resumed-ticket", "tls13-hello-retry")
SEEN_BY_ANYONE = ("version", "cipher_suite", "sni", "group", "ja3", "ja4", "ja3s", "signature_scheme")

NOT_COMPARED = frozenset(("source", "messages", "timing"))


@cache
def records(sample: str) -> tuple[tuple[int, bytes], ...]:
    """The records of a conversation up to its application data, and each message in the clear in one of its own."""
    found: Said = []
    changed = set()
    for side, sent in said(sample):
        data = sent
        while data:
            end = HEADER + int.from_bytes(data[3:HEADER], "big")
            whole, data = data[:end], data[end:]
            if whole[0] == HANDSHAKE and side not in changed:
                found += [(side, record(HANDSHAKE, one)) for one in messages(whole[HEADER:])]
            elif whole[0] in (CHANGE_CIPHER_SPEC, HANDSHAKE):
                found.append((side, whole))
            if whole[0] == CHANGE_CIPHER_SPEC:
                changed.add(side)
    return tuple(found)


def messages(fragment: bytes) -> list[bytes]:
    found = []
    while fragment:
        end = 4 + int.from_bytes(fragment[1:4], "big")
        found.append(fragment[:end])
        fragment = fragment[end:]
    return found


def told(path: Path, words: Said) -> dict[str, Any]:
    """The facts of a conversation that does not say when and in which order what was sent."""
    (found,) = facts(write(path, Talk(words, start=0, closed=1, port=40_000)))
    return {name: value for name, value in found.items() if name not in NOT_COMPARED}


@pytest.mark.parametrize("sample", ["tls12-full", "tls12-client-cert", "tls12-dhe"])
def test_facts_do_not_depend_on_the_order_within_a_flight(tmp_path: Path, sample: str) -> None:
    hello, server_hello, *rest = records(sample)
    flight = [one for one in rest if one[0] == SERVER and one[1][0] == HANDSHAKE]
    first = [one for one in flight if one in rest[: rest.index(next(one for one in rest if one[0] == CLIENT))]]
    others = [one for one in rest if one not in first]
    expected = told(tmp_path / "a.pcap", [hello, server_hello, *first, *others])
    assert (len(first) > 2, expected["outcome"], expected["certificates"]) != (False, "established", None)
    for turn in range(1, len(first)):
        turned = [*first[turn:], *first[:turn]]
        found = told(tmp_path / "b.pcap", [hello, server_hello, *turned, *others])
        assert found == expected


@pytest.mark.parametrize("sample", SAMPLES)
@given(data=st.data())
def test_any_order_and_repetition_leaves_fewer_facts(
    tmp_path_factory: pytest.TempPathFactory, sample: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("orders")
    expected = told(folder / "a.pcap", [*records(sample)])
    order = data.draw(st.permutations(records(sample)))
    repeated = data.draw(st.lists(st.sampled_from(order), max_size=3))
    path = write(folder / "b.pcap", Talk([*order, *repeated], start=0, closed=1, port=40_000))
    for connection in read(path, keep=True):
        found = connection.to_dict()
        assert {name: found[name] for name in SEEN_BY_ANYONE if found[name] not in (None, expected[name])} == {}
        assert explain(connection).sentences
        assert str(tree(connection))


def test_of_two_messages_of_a_type_the_first_counts(tmp_path: Path) -> None:
    hello, (_, server_hello), *rest = records("tls12-full")
    expected = told(tmp_path / "a.pcap", [*records("tls12-full")])
    random = HEADER + 4 + 2
    suite = random + 32 + 1 + server_hello[random + 32]
    other = server_hello[:suite] + b"\x00\x2f" + server_hello[suite + 2 :]
    found = told(tmp_path / "b.pcap", [hello, (SERVER, server_hello), (SERVER, other), *rest])
    assert (found["outcome"], found["cipher_suite"]) == ("established", expected["cipher_suite"])
    turned = told(tmp_path / "c.pcap", [hello, (SERVER, other), (SERVER, server_hello), *rest])
    assert turned["cipher_suite"] == "TLS_RSA_WITH_AES_128_CBC_SHA"
