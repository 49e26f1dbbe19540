from __future__ import annotations

import json
from typing import TYPE_CHECKING

from commands import TLS12, TLS13, on_terminal, run

if TYPE_CHECKING:
    from pathlib import Path

PATHS = "samples/paths-client.pcap.gz"


def test_text_on_a_terminal() -> None:
    status, shown = on_terminal(80, "compare", TLS12, TLS13, NO_COLOR="1")
    assert status == 0
    assert "too few connections to compare" in shown
    assert "2 connections: 1 TLS 1.2, 1 TLS 1.3" in shown
    assert "\x1b[" not in shown


def test_conclusions() -> None:
    brief = run("compare", "-q", PATHS).stdout.decode().splitlines()
    assert brief[0].startswith("round trips: full handshakes take 1.00 round trips fewer with TLS 1.3 (mean 1.00")
    done = run("compare", "-q", "--all", PATHS)
    assert len(brief) < len(done.stdout.decode().splitlines()) / 2
    assert "full, round trips: TLS 1.3 takes 1.00 fewer" in done.stdout.decode()
    assert "resumed, round trips: no significant difference" in done.stdout.decode()


def test_json_by_server() -> None:
    done = run("compare", "-q", "--format", "json", "--by", "server", PATHS)
    whole, *servers = [json.loads(line) for line in done.stdout.splitlines()]
    assert whole["key"] is None
    assert len(servers) == 12
    assert sum(side["connections"] for one in servers for side in one["sides"]) == 200


def test_a_selection_is_compared(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    run("compare", "-q", "--tls", "1.3", "-o", str(file), PATHS)
    assert {line.split(",")[1] for line in file.read_text().splitlines()[1:]} == {"TLS 1.3"}


def test_many_connections_are_too_few_between_others() -> None:
    """The clients that speak one version reach other servers than those that speak the other."""
    apart = "version == 'TLS 1.2' && server.ip == '10.77.0.160' || version == 'TLS 1.3' && server.ip == '10.77.0.200'"
    shown = run("compare", "--where", apart, PATHS).stdout.decode()
    assert "10 of each version between the same clients and servers are needed" in " ".join(shown.split())


def test_nothing_to_compare() -> None:
    done = run("compare", "--stream", "99", TLS12)
    assert done.stdout == b"nothing to compare\n"
    assert done.stderr.endswith(b"none of 1 connection selected\n")
