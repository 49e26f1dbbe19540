"""Connections that belong together are linked, in any batches and by any number of processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from conversing import CLIENT, SERVER, Said, Talk, said, write
from recorded import ROOT, facts

import tlsdissect
from tlsdissect import Limits
from tlsdissect.corpus.parallel import ParallelOutputRows
from tlsdissect.corpus.query import OutputRows, Query
from tlsdissect.corpus.selection import Selection
from tlsdissect.flows.table import DEFAULTS
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading
from tlsdissect.views.explain import explain
from tlsdissect.views.ndjson import Ndjson

if TYPE_CHECKING:
    from pathlib import Path

FULL, RESUMED = said("tls12-resumed-ticket", 0), said("tls12-resumed-ticket", 1)
FAILED, LOWER = said("tls13-no-common-version"), said("tls12-full")
TICKET_HEADER = bytes.fromhex("00001c2000b0")
"""Two hours, 176 bytes."""


def linked(path: Path, key: str) -> list[int | None]:
    """The streams that connections are linked to, by stream."""
    return [one[key] and one[key]["stream"] for one in sorted(facts(path), key=lambda one: one["stream"])]


def printed(paths: list[Path], jobs: int, batch: int = 65_536, limits: Limits = DEFAULTS) -> tuple[list[bytes], int]:
    """The lines that so many processes write, and how many sessions they forgot."""
    query = Query(tuple(map(str, paths)), Options(batch=batch, limits=limits), Selection(), Ndjson())
    rows: OutputRows | ParallelOutputRows = (
        OutputRows(query, query.reading()) if jobs == 1 else ParallelOutputRows(query, jobs)
    )
    try:
        return [row.text for row in rows], rows.summary.evicted_sessions
    finally:
        rows.close()


def by_all_ways(paths: list[Path], limits: Limits = DEFAULTS) -> list[dict[str, Any]]:
    """The facts, after seeing that neither batches nor processes matter."""
    once = printed(paths, 1, limits=limits)
    for jobs in (1, 2, 3):
        for batch in (1, 7, 65_536):
            assert printed(paths, jobs, batch, limits) == once
    return [json.loads(line) for line in once[0]]


@pytest.mark.parametrize("sample", ["tls12-resumed-id", "tls12-resumed-ticket"])
def test_a_resumed_connection_names_the_one_that_set_its_session_up(sample: str) -> None:
    path = ROOT / "samples" / f"{sample}.pcap"
    _, second = facts(path)
    assert second["resumes"] == {"source": str(path), "stream": 0}
    assert second["same_ticket_as"] is None


@pytest.mark.parametrize(
    "sample", ["tls13-resumed", "tls13-early-data", "tomcat-firefox-resumed", "tls12-renegotiation"]
)
def test_what_no_observer_can_tell_is_null(sample: str) -> None:
    path = ROOT / "samples" / f"{sample}.pcap"
    for key in ("resumes", "same_ticket_as", "retry_of"):
        assert set(linked(path, key)) == {None}


def test_links_reach_from_one_capture_to_another(tmp_path: Path) -> None:
    first = write(tmp_path / "first.pcap", Talk(FULL, 0, 1, 50_000))
    second = write(tmp_path / "second.pcap", Talk(LOWER, 0, 1, 50_000), Talk(RESUMED, 2, 3, 50_001))
    told = by_all_ways([first, second])
    assert [one["resumes"] for one in told] == [None, None, {"source": str(first), "stream": 0}]
    assert [one["resumes"] for one in by_all_ways([second, first])] == [None, None, None]


def test_a_connection_is_linked_to_one_that_is_told_later(tmp_path: Path) -> None:
    # The first stays open for minutes, and is told when all is over; the clock is moved on by the third.
    path = write(
        tmp_path / "long.pcap",
        Talk(FULL, 0, 400, 50_000),
        Talk(RESUMED, 1, 2, 50_001),
        Talk(LOWER, 300, 301, 50_002),
    )
    told = by_all_ways([path])
    assert [one["stream"] for one in told] == [1, 2, 0]
    assert told[0]["resumes"] == {"source": str(path), "stream": 0}


def test_a_renewed_ticket_leads_to_the_connection_that_sent_it(tmp_path: Path) -> None:
    old = ticket_of(FULL)
    new = bytes(range(176))
    third = [(side, data.replace(old, new)) for side, data in RESUMED]
    path = write(
        tmp_path / "renewed.pcap",
        Talk(FULL, 0, 1, 50_000),
        Talk(renewing(RESUMED, new), 2, 3, 50_001),
        Talk(third, 4, 5, 50_002),
        Talk(RESUMED, 6, 7, 50_003),
    )
    assert [one["resumes"] and one["resumes"]["stream"] for one in by_all_ways([path])] == [None, 0, 1, 0]


def test_a_session_that_comes_after_is_not_resumed(tmp_path: Path) -> None:
    path = write(tmp_path / "late.pcap", Talk(RESUMED, 0, 1, 50_000), Talk(FULL, 2, 3, 50_001))
    assert [one["resumes"] for one in by_all_ways([path])] == [None, None]


def test_a_session_whose_handshake_was_not_finished_is_none(tmp_path: Path) -> None:
    # The last thing that the server says is the ticket, its ChangeCipherSpec and its Finished.
    cut = next(n for n, (side, data) in enumerate(FULL) if side == SERVER and ticket_of(FULL) in data)
    path = write(tmp_path / "cut.pcap", Talk(FULL[:cut], 0, 1, 50_000), Talk(RESUMED, 2, 3, 50_001))
    assert [one["resumes"] for one in by_all_ways([path])] == [None, None]


def test_siblings_that_share_a_ticket_name_the_first(tmp_path: Path) -> None:
    again = said("tls13-resumed", 1)
    talks = [Talk(again, at, at + 200 * (at == 0) + 1, 50_000 + at) for at in (0, 3, 6)]
    path = write(tmp_path / "siblings.pcap", *talks, Talk(LOWER, 120, 121, 50_100))
    told = {one["stream"]: one for one in by_all_ways([path])}
    assert list(told) == [1, 2, 3, 0]
    first = {"source": str(path), "stream": 0}
    assert [told[n]["same_ticket_as"] for n in range(4)] == [None, first, first, None]
    assert {one["resumes"] for one in told.values()} == {None}


def test_a_retry_after_a_failure_names_it_and_says_that_this_is_a_guess(tmp_path: Path) -> None:
    path = write(tmp_path / "retry.pcap", Talk(FAILED, 0, 1, 50_000), Talk(LOWER, 2, 3, 50_001))
    failed, retry = by_all_ways([path])
    assert (failed["outcome"], failed["retry_of"]) == ("alert", None)
    assert retry["retry_of"] == {"source": str(path), "stream": 0}
    assert [(problem["code"], problem["facts"]) for problem in retry["problems"]] == [("inferred", ["retry_of"])]


def test_a_guessed_retry_makes_nothing_else_a_guess(tmp_path: Path) -> None:
    path = write(tmp_path / "retry.pcap", Talk(FAILED, 0, 1, 50_000), Talk(LOWER, 2, 3, 50_001))
    *_, retry = tlsdissect.read(path)
    assert retry.inferred == {"retry_of"}
    guesses = {sentence.code for sentence in explain(retry).sentences if sentence.guess}
    assert guesses == {"retry"}


def test_a_retry_that_says_so_is_no_guess(tmp_path: Path) -> None:
    # The place of TLS_EMPTY_RENEGOTIATION_INFO_SCSV is taken by TLS_FALLBACK_SCSV (RFC 7507 section 2).
    signalled = [(side, data.replace(bytes.fromhex("00ff0100"), bytes.fromhex("56000100"))) for side, data in LOWER]
    assert signalled != LOWER
    path = write(tmp_path / "scsv.pcap", Talk(FAILED, 0, 1, 50_000), Talk(signalled, 2, 3, 50_001))
    _, retry = by_all_ways([path])
    assert retry["client_hello"]["cipher_suites"][-1] == "TLS_FALLBACK_SCSV"
    assert retry["retry_of"] == {"source": str(path), "stream": 0}
    assert retry["problems"] == []


@pytest.mark.parametrize(
    "second",
    [
        Talk(LOWER, 12, 13, 50_001),
        Talk(FAILED, 2, 3, 50_001),
        Talk(LOWER, 2, 3, 50_001, client="192.0.2.9"),
    ],
    ids=["too late", "no less", "another client"],
)
def test_what_is_no_retry(tmp_path: Path, second: Talk) -> None:
    path = write(tmp_path / "none.pcap", Talk(FAILED, 0, 1, 50_000), second)
    assert [one["retry_of"] for one in by_all_ways([path])] == [None, None]


def test_the_same_name_at_another_address_is_the_same_server(tmp_path: Path) -> None:
    other = Talk(LOWER, 2, 3, 50_001, server="192.0.2.77")
    path = write(tmp_path / "name.pcap", Talk(FAILED, 0, 1, 50_000), other)
    assert linked(path, "retry_of") == [None, 0]


def test_a_failure_is_tried_again_once(tmp_path: Path) -> None:
    talks = [Talk(FAILED, 0, 1, 50_000), *(Talk(LOWER, at, at + 1, 50_000 + at) for at in (2, 4))]
    assert [one["retry_of"] is not None for one in by_all_ways([write(tmp_path / "once.pcap", *talks)])] == [
        False,
        True,
        False,
    ]


def test_a_handshake_that_the_client_gave_up_without_a_word_is_no_failure(tmp_path: Path) -> None:
    left = said("tls13-full")[:2]
    path = write(tmp_path / "left.pcap", Talk(left, 0, 1, 50_000), Talk(LOWER, 2, 3, 50_001))
    first, second = by_all_ways([path])
    assert (first["outcome"], first["failed_by"]) == ("closed", "client")
    assert second["retry_of"] is None


def test_sessions_beyond_the_limit_are_forgotten_and_counted(tmp_path: Path) -> None:
    other = [(side, data.replace(ticket_of(FULL), bytes(range(176)))) for side, data in FULL]
    path = write(
        tmp_path / "many.pcap",
        Talk(FULL, 0, 1, 50_000),
        Talk(other, 2, 3, 50_001),
        Talk(RESUMED, 4, 5, 50_002),
    )
    assert [one["resumes"] is not None for one in by_all_ways([path], Limits(max_sessions=2))] == [False, False, True]
    assert [one["resumes"] for one in by_all_ways([path], Limits(max_sessions=1))] == [None] * 3
    reading = Reading([path], Options(limits=Limits(max_sessions=1)))
    assert len(list(reading)) == 3
    assert reading.summary.evicted_sessions == 1


def test_what_is_not_printed_links_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "some.pcap", Talk(FAILED, 0, 1, 50_000), Talk(LOWER, 2, 3, 50_001))
    query = Query((str(path),), Options(), Selection(tls=("1.2",)), Ndjson())
    for rows in (OutputRows(query, query.reading()), ParallelOutputRows(query, 2)):
        (row,) = rows
        rows.close()
        assert json.loads(row.text)["retry_of"] == {"source": str(path), "stream": 0}


def test_a_file_whose_name_is_no_text_is_linked_too(tmp_path: Path) -> None:
    path = tmp_path / b"\xff.pcap".decode("utf-8", "surrogateescape")
    write(path, Talk(FULL, 0, 1, 50_000), Talk(RESUMED, 2, 3, 50_001))
    assert [one["resumes"] and one["resumes"]["stream"] for one in by_all_ways([path])] == [None, 0]


def test_python_tells_the_same_links(tmp_path: Path) -> None:
    path = write(tmp_path / "same.pcap", Talk(FULL, 0, 1, 50_000), Talk(RESUMED, 2, 3, 50_001))
    told = [msgspec.json.encode(one) + b"\n" for one in Reading([path])]
    assert told == printed([path], 2)[0]


def ticket_of(talk: Said) -> bytes:
    """The ticket that the server sends in the clear."""
    sent = b"".join(data for side, data in talk if side == SERVER)
    at = sent.index(TICKET_HEADER) + len(TICKET_HEADER)
    return sent[at : at + 176]


def renewing(talk: Said, ticket: bytes) -> Said:
    """The same resumed handshake, with a NewSessionTicket in front of the server's ChangeCipherSpec (RFC 5077 3.3)."""
    message = b"\x04\x00\x00\xb6" + TICKET_HEADER + ticket
    change = bytes.fromhex("140303000101")
    record = b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message
    return [(side, data if side == CLIENT else data.replace(change, record + change, 1)) for side, data in talk]
