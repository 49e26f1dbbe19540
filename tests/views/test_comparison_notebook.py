"""`tlsdissect.compare` in Python and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from made import made
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from recorded import ROOT

import tlsdissect
from tlsdissect.views.comparison.notebook import Comparison
from tlsdissect.views.dataframes import Tables

if TYPE_CHECKING:
    from collections.abc import Callable

PATHS = ROOT / "samples/paths-client.pcap.gz"


def test_tables_and_text() -> None:
    c = tlsdissect.compare(PATHS, by="server")
    assert c.numbers.loc["connections"].to_dict() == {"TLS 1.2": 80, "TLS 1.3": 120}
    assert c.differences.set_index(["kind", "measure"]).loc[("full", "round_trips"), "differs"]
    assert len(c.groups) == 1 + c.tables.connections[["server_ip", "server_port"]].drop_duplicates().shape[0]
    assert list(c.summary.columns) == ["TLS 1.2", "TLS 1.3"]
    assert "round trips: full handshakes take 1.00 round trips fewer" in str(c)
    assert "full, round trips: TLS 1.3 takes" in c._repr_html_()
    assert c.plot("round-trips", Figure().add_subplot()).patches


def test_a_figure_is_drawn_where_notebooks_draw() -> None:
    plt.switch_backend("agg")
    axes = tlsdissect.compare(PATHS).plot("round-trips")
    assert axes.figure is plt.gcf()
    plt.close()


def test_what_is_asked_for_wrongly_is_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"^by must be one of server, sni, client, capture, not 'name'$"):
        tlsdissect.compare(PATHS, by="name")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^kind is one of handshake-times, "):
        tlsdissect.compare(PATHS).plot("histogram")
    assert repr(tlsdissect.tables(PATHS)) == (
        "<Tables: connections, certificates, messages, extensions, alerts, findings, comparison>"
    )


@pytest.mark.parametrize(
    ("captures", "options", "error", "said"),
    [
        ([5], {}, TypeError, "a capture is a path, not int"),
        ([[PATHS]], {}, TypeError, "a capture is a path, not list; pass several as arguments"),
        ([b"a.pcap"], {}, TypeError, "a capture is a path, not bytes"),
        ([PATHS], {"limits": 5}, TypeError, "limits must be tlsdissect.Limits, not int"),
        ([PATHS], {"batch": 0}, ValueError, "batch must be a whole number of at least 1, not 0"),
        ([PATHS], {"bogus": 1}, TypeError, "unexpected keyword argument 'bogus'"),
    ],
)
@pytest.mark.parametrize("call", [tlsdissect.read, tlsdissect.tables, tlsdissect.compare])
def test_arguments_of_a_wrong_kind_are_told_at_once(
    call: Callable[..., Any], captures: list[Any], options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        call(*captures, **options)


@pytest.mark.parametrize("call", [tlsdissect.tree, tlsdissect.ladder, tlsdissect.explain])
def test_what_is_no_connection_is_told(call: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="this is not a connection but a str"):
        call("samples/tls12-full.pcap")


def test_too_few_say_nothing() -> None:
    c = tlsdissect.compare(ROOT / "samples/tls12-full.pcap", ROOT / "samples/tls13-full.pcap")
    assert len(c.differences) == 0
    assert "too few connections to compare" in c._repr_html_()


def test_names_do_no_harm() -> None:
    hostile = ["<script>alert(1)</script>", "\x1b[31m\u202e"]
    c = Comparison(Tables(lambda: [made(stream=n, sni=name, group=name) for n, name in enumerate(hostile)]), "sni")
    for written in (c._repr_html_(), str(c)):
        assert "\x1b" not in written
        assert "\u202e" not in written
    assert "<script" not in c._repr_html_()
