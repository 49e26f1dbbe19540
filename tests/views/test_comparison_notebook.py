"""`tlsdissect.compare` in Python and notebooks."""

from __future__ import annotations

from made import made
from matplotlib.figure import Figure
from recorded import ROOT

import tlsdissect
from tlsdissect.views.comparison.notebook import Comparison
from tlsdissect.views.frames import Tables

PATHS = ROOT / "samples/paths-client.pcap.gz"


def test_tables_and_text() -> None:
    c = tlsdissect.compare(PATHS, by="server")
    assert c.numbers.loc["connections"].to_dict() == {"TLS 1.2": 80, "TLS 1.3": 120}
    assert c.differences.set_index(["kind", "measure"]).loc[("full", "round_trips"), "differs"]
    assert len(c.groups) == 1 + c.tables.connections[["server_ip", "server_port"]].drop_duplicates().shape[0]
    assert list(c.summary.columns) == ["TLS 1.2", "TLS 1.3"]
    assert "full, round trips: TLS 1.3 takes" in str(c)
    assert "full, round trips: TLS 1.3 takes" in c._repr_html_()
    assert c.plot("round-trips", Figure().add_subplot()).patches


def test_too_few_say_nothing() -> None:
    c = tlsdissect.compare(ROOT / "samples/tls12-full.pcap", ROOT / "samples/tls13-full.pcap")
    assert len(c.differences) == 0
    assert "too few to say anything" in c._repr_html_()


def test_names_do_no_harm() -> None:
    hostile = ["<script>alert(1)</script>", "\x1b[31m\u202e"]
    c = Comparison(Tables(lambda: [made(stream=n, sni=name, group=name) for n, name in enumerate(hostile)]), "sni")
    for written in (c._repr_html_(), str(c)):
        assert "\x1b" not in written
        assert "\u202e" not in written
    assert "<script" not in c._repr_html_()
