"""What is missing from a ClientHello that was captured in part is not taken for absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, SERVER, Said, Talk, said, write
from recorded import facts, kept, without

from tlsdissect.views.comparison.builder import ComparisonBuilder
from tlsdissect.views.explain import explain

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

SAMPLES = ("tls12-full", "tls12-resumed-ticket", "tls12-resumed-id", "tls13-full", "tls13-resumed", "tls13-early-data")
BEGINNING = 45
REFUSALS = {code: b"\x15\x03\x03\x00\x02\x02" + bytes([code]) for code in (40, 70, 71, 86, 112, 120)}
"""Alerts of a server that refuses what the client offered."""
ABOUT_THE_END = {"alert", "ended_early", "incomplete", "no_answer"}
"""Sentences about what followed the hello."""
EMPTY_RENEGOTIATION_INFO, FALLBACK = b"\x00\xff", b"\x56\x00"


def hello(sample: str) -> bytes:
    """The ClientHello of the last conversation: where there are two, that which resumes."""
    try:
        data = said(sample, 1)[0][1]
    except IndexError:
        data = said(sample)[0][1]
    return data[: 5 + int.from_bytes(data[3:5], "big")]


def one(path: Path, talk: Said) -> Connection:
    (connection,) = kept(write(path, Talk(talk, 0, 5, 50_000)))
    return connection


def offered(connection: Connection) -> set[tuple[str, str]]:
    return {
        (sentence.code, sentence.text.removeprefix("The client offered "))
        for sentence in explain(connection).sentences
        if sentence.topic in ("offer", "end") and sentence.code not in ABOUT_THE_END | {"cut_client_hello"}
    }


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("refusal", [None, *REFUSALS])
def test_no_sentence_rests_on_what_is_missing(tmp_path: Path, sample: str, refusal: int | None) -> None:
    offer = hello(sample)
    answer: Said = [] if refusal is None else [(SERVER, REFUSALS[refusal])]
    whole = one(tmp_path / "whole.pcap", [(CLIENT, offer), *answer])
    assert whole.has_whole_client_hello
    texts = offered(whole)
    for cut in range(BEGINNING, len(offer), 7):
        part = one(tmp_path / "cut.pcap", [(CLIENT, offer[:cut]), *answer])
        assert not part.has_whole_client_hello
        assert "cut_client_hello" in {sentence.code for sentence in explain(part).sentences}
        for code, text in offered(part):
            bare = text.rstrip(".").removesuffix(": the server supports more")
            assert any(code == known and bare in all_of_it for known, all_of_it in texts), (cut, text)


@pytest.mark.parametrize(("first", "second"), [("whole", "cut"), ("cut", "whole"), ("cut", "cut")])
def test_a_hello_with_missing_bytes_is_no_smaller_offer(tmp_path: Path, first: str, second: str) -> None:
    offer = hello("tls13-full")
    hellos = {"whole": offer, "cut": offer[:130]}
    less = {"whole": hello("tls12-full"), "cut": offer[:120]}
    talks = [
        Talk([(CLIENT, hellos[first]), (SERVER, REFUSALS[40])], 0, 1, 50_000),
        Talk([(CLIENT, less[second]), (SERVER, REFUSALS[40])], 2, 3, 50_001),
    ]
    assert [connection["retry_of"] for connection in facts(write(tmp_path / "two.pcap", *talks))] == [None, None]


def test_a_hello_with_missing_bytes_may_say_itself_that_it_is_a_retry(tmp_path: Path) -> None:
    offer = hello("tls12-full")
    at = offer.index(EMPTY_RENEGOTIATION_INFO)
    again = offer[:at] + FALLBACK + offer[at + 2 : at + 12]
    talks = [
        Talk([(CLIENT, hello("tls13-full")), (SERVER, REFUSALS[40])], 0, 1, 50_000),
        Talk([(CLIENT, again), (SERVER, REFUSALS[86])], 2, 3, 50_001),
    ]
    path = write(tmp_path / "two.pcap", *talks)
    assert [one["retry_of"] and one["retry_of"]["stream"] for one in facts(path)] == [None, 0]


def test_by_what_a_session_was_resumed_is_not_known_without_the_whole_hello(tmp_path: Path) -> None:
    talk = said("tls12-resumed-ticket", 1)
    offer, cut = talk[0][1], 5 + 4 + 2 + 32 + 1 + 32 + 8
    path = write(tmp_path / "whole.pcap", Talk([(CLIENT, offer[:cut]), (CLIENT, offer[cut:]), *talk[1:]], 0, 5, 50_000))
    assert [connection["resumption"] for connection in facts(path)] == ["ticket"]
    cut_path = without(path, {5}, tmp_path / "cut.pcap")
    assert [connection["resumption"] for connection in facts(cut_path)] == [None]


@pytest.mark.parametrize("sample", ["tls12-full", "tls13-full"])
def test_a_comparison_counts_no_sizes_of_hellos_that_are_not_whole(tmp_path: Path, sample: str) -> None:
    offer = hello(sample)
    talk: Said = [(CLIENT, offer[:100]), (CLIENT, offer[100:]), *said(sample)[1:]]
    (part,) = kept(without(write(tmp_path / "whole.pcap", Talk(talk, 0, 5, 50_000)), {5}, tmp_path / "cut.pcap"))
    comparison = ComparisonBuilder(None)
    comparison.add(part)
    for group in comparison.groups():
        for side in group.sides:
            assert side.post_quantum.hello_bytes_without is None
            assert side.post_quantum.hello_segments_without is None
