"""The verdict in one line: what the bytes say of how a handshake ended, and no more."""

from __future__ import annotations

import pytest
from made import made
from recorded import ROOT, kept

import tlsdissect
from tlsdissect.model.connection import OUTCOMES, Alert, Message
from tlsdissect.views.explain.verdict import verdict
from tlsdissect.views.printable import encoded

HELLO = Message("client", "client_hello", 300, 4, 0.0)
UNPLACED = "during the handshake, without an alert; last seen: the ClientHello of the client"
"""Where a connection without a transcript ended: nothing shows which messages came behind the FIN or RST."""


def line(sample: str, number: int = 0) -> str:
    return tlsdissect.explain(kept(ROOT / f"samples/{sample}.pcap")[number]).verdict.line


@pytest.mark.parametrize(
    ("sample", "number", "text"),
    [
        ("tls13-hello-retry", 0, "✓ established: TLS 1.3, secp384r1, in 2 round trips and 6.27 ms"),
        ("tls12-resumed-ticket", 1, "✓ established: TLS 1.2, resumed, in 1 round trip and 0.404 ms"),
        ("tls12-no-common-suite", 0,
         "✗ the server refused the handshake: handshake_failure after the ClientHello (frame 6)"),
        ("tls12-unknown-ca", 0, "✗ the client refused the handshake: unknown_ca after the ServerHelloDone (frame 8)"),
        ("tls13-client-cert-rejected", 0, "✗ the server refused the handshake: an encrypted alert (frame 9; a guess)"),
        ("eap/radius-peap-wrong-password-tls12", 0,
         "✗ the server refused the supplicant after the handshake: EAP-Failure (frame 16)"),
        ("eap/radius-tls-supplicant-refused-tls12", 0,
         "✗ the server refused the supplicant before the handshake was over: EAP-Failure (frame 10)"),
        ("quic/quic-full", 0, "✓ established: TLS 1.3, secp256r1, in 1 round trip and 52.5 ms (a guess)"),
    ],
)  # fmt: skip
def test_verdicts_of_samples(sample: str, number: int, text: str) -> None:
    assert line(sample, number) == text


def test_keys_show_the_alert() -> None:
    sample = ROOT / "samples/tls13-client-cert-rejected.pcap"
    [connection] = tlsdissect.read(sample, keep=True, keylog=[sample.with_suffix(".keys")])
    found = tlsdissect.explain(connection).verdict
    assert (found.text, found.guess) == ("the server refused the handshake: unknown_ca, as keys show", False)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"outcome": "no_answer"}, "✗ the server never answered the ClientHello (frame 4)"),
        ({"outcome": "reset", "failed_by": "server"},
         f"✗ the server reset the connection {UNPLACED} (frame 4)"),
        ({"outcome": "closed", "failed_by": "client", "messages": ()},
         "✗ the client closed the connection during the handshake, without an alert"),
        ({"outcome": "closed", "failed_by": None},
         f"✗ the connection ended {UNPLACED} (frame 4)"),
        ({"outcome": "one_sided"}, "? not known: the capture has packets of one direction only (frame 4)"),
        ({"outcome": "incomplete", "messages": ()}, "? not known: the capture does not show the end of the handshake"),
        ({"outcome": "alert", "failed_by": "server", "alerts": (Alert("server", "fatal", "\x1b[2J", 6),)},
         r"✗ the server refused the handshake: \x1b[2J after the ClientHello (frame 6)"),
    ],
)  # fmt: skip
def test_other_ends(changes: dict[str, object], text: str) -> None:
    assert verdict(made(**{"messages": (HELLO,), "alerts": (), **changes})).line == text


def test_every_outcome_has_a_verdict() -> None:
    kinds = {"established": "established", "one_sided": "unknown", "incomplete": "unknown"}
    for outcome in OUTCOMES:
        found = verdict(made(messages=(HELLO,), alerts=(), outcome=outcome))
        assert found.result == kinds.get(outcome, "failed"), outcome
        assert len(found.text) > 20


@pytest.mark.parametrize("width", [60, 80, 100])
def test_frames_stay_on_one_line(width: int) -> None:
    [connection] = kept(ROOT / "samples/tls12-unknown-ca.pcap")
    lines = list(tlsdissect.explain(connection).lines(width))
    assert not any(line.count("[") != line.count("]") or line.endswith("(frame") for line in lines)
    assert any(line.endswith("[frames 6, 8]") for line in lines)
    assert max(map(len, lines)) <= width


def test_a_terminal_without_our_marks() -> None:
    assert encoded("✓ ✗ …", "ascii") == b"+ x ~"


def test_text_and_page_begin_with_it_and_then_say_why_it_failed() -> None:
    [connection] = kept(ROOT / "samples/tls12-unknown-ca.pcap")
    explained = tlsdissect.explain(connection)
    title, first, heading, *_ = explained.lines(coloured=True)
    assert title.startswith("\x1b[1mstream 0")
    assert first == f"\x1b[31m{explained.verdict.line}\x1b[0m"
    assert heading == "\x1b[1mHow it ended\x1b[0m"
    page = explained._repr_html_()
    assert page.index(explained.verdict.line) < page.index("How it ended") < page.index("What the client offered")
    [whole] = kept(ROOT / "samples/tls12-full.pcap")
    _, first, heading, *_ = tlsdissect.explain(whole).lines(coloured=True)
    assert first.startswith("\x1b[32m✓ established")
    assert "offered" in heading
