"""The Python functions: they return what the commands print."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest
from recorded import ROOT

import tlsdissect
from tlsdissect.views import certificates

sys.path.append(str(ROOT / "tests" / "cli"))
from commands import run

CLIENT_CERT = "samples/tls12-client-cert.pcap"
UNKNOWN_CA = "samples/tls12-unknown-ca.pcap"


def test_a_connection_is_a_dict_of_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (one,) = tlsdissect.read(CLIENT_CERT)
    assert json.loads(run("read", "--format", "json", CLIENT_CERT).stdout) == one.to_dict()
    assert json.loads(run("summary", "-q", "--format", "json", CLIENT_CERT).stdout) == (
        tlsdissect.summary(CLIENT_CERT).to_dict()
    )
    assert repr(one.client_hello) == "<ClientHello in frame 4: 2 cipher suites, 7 extensions>"
    assert repr(tlsdissect.compare(CLIENT_CERT, by="sni")) == "<Comparison by sni>"
    (kept,) = tlsdissect.read(CLIENT_CERT, keep=True)
    found = tlsdissect.explain(kept)
    assert repr(found) == f"<Explanation of stream 0 of {CLIENT_CERT!r}: {len(found.sentences)} sentences>"


def test_an_expression_is_text() -> None:
    with pytest.raises(ValueError, match="where: an expression must be text, not list"):
        tlsdissect.read(CLIENT_CERT, where=["true"])  # type: ignore[arg-type]


def test_a_connection_is_shown_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (one,) = tlsdissect.read(UNKNOWN_CA)
    assert repr(one) == f"<Connection 0 of '{UNKNOWN_CA}': 'localhost', TLS 1.2, alert by client>"
    hostile = msgspec.structs.replace(one, sni="\x1b[2J", failed_by=None)
    assert repr(hostile).endswith("'\\x1b[2J', TLS 1.2, alert>")


@pytest.mark.parametrize("options", [{}, {"finding": "root_in_chain"}, {"min_severity": "low"}, {"tls": "1.3"}])
def test_certificates(options: tlsdissect.corpus.reading.ReadOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    given = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    printed = run("certs", "--format", "json", *given, CLIENT_CERT).stdout.splitlines()
    found = tlsdissect.certs(CLIENT_CERT, **options)
    assert [json.loads(msgspec.json.encode(one)) for one in found] == [json.loads(line) for line in printed]
    assert bool(found) == ("tls" not in options)


def test_certificates_are_a_table_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tlsdissect.certs(ROOT / CLIENT_CERT)
    page = found._repr_html_()
    assert page.count("<tr>") == 1 + len(found) > 2
    assert '<th style="text-align: right; white-space: nowrap">days left</th>' in page
    assert "root_in_chain" in page
    # None of them was judged, and without authorities none is trusted or not.
    assert "verdict" not in page
    monkeypatch.setattr(certificates, "MAX_SHOWN", 1)
    assert found._repr_html_().endswith(f"</table><p>and {len(found) - 1} more</p>")
    assert found._repr_html_().count("<tr>") == 2


def test_certificates_of_inputs_that_cannot_be_read() -> None:
    with pytest.raises(tlsdissect.CaptureError, match="missing"):
        tlsdissect.certs("missing")


def test_certificates_that_end_soon() -> None:
    capture = ROOT / "samples" / "network" / "network-failures.pcap"
    (one,) = tlsdissect.certs(capture, ends_within=30)
    assert repr(one).endswith(": 'CN=shop.example', until 2026-12-13T01:40:48Z>"), repr(one)
    assert tlsdissect.certs(capture, ends_within=13) == []
    with pytest.raises(ValueError, match="ends_within"):
        tlsdissect.certs(capture, ends_within=-1)


def test_the_report_is_the_page_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = tlsdissect.report(CLIENT_CERT, "missing.pcap", detailed=0, sni="local*")
    printed = run("report", CLIENT_CERT, "missing.pcap", "-o", "-", "--detailed", "0", "--sni", "local*").stdout
    assert page == printed
    assert b"missing.pcap: No such file" in page


def test_figures() -> None:
    drawn = tlsdissect.plot("versions", ROOT / CLIENT_CERT, tls="1.2")
    assert drawn.get_suptitle() == "Versions over time"
    with pytest.raises(ValueError, match="kind is one of handshake-times, "):
        tlsdissect.plot("times", ROOT / CLIENT_CERT)


def test_tables_are_listed_in_a_notebook_without_reading() -> None:
    made = tlsdissect.tables("missing.pcap")
    assert "<td>certificates</td>" in made._repr_html_()
