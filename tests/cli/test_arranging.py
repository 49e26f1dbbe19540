"""The columns and the order of what `read` prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from commands import RESUMED, TLS12, TLS13, run
from conversing import Talk, said, write

from tlsdissect.cli import arranging
from tlsdissect.corpus.expression import HEADINGS
from tlsdissect.corpus.json_keys import column, order
from tlsdissect.corpus.query import OutputRow
from tlsdissect.views import table
from tlsdissect.views.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PATHS = "samples/paths-client.pcap.gz"


def rows(*keys: float | None, size: int = 1) -> list[OutputRow]:
    return [OutputRow("a", None, (), None, bytes([at]) * size, (key,)) for at, key in enumerate(keys)]


def texts(found: Iterable[OutputRow]) -> list[int]:
    return [row.text[0] for row in found]


def test_rows_are_sorted_and_those_without_a_value_come_last() -> None:
    some = rows(3.0, None, 1.0, 3.0, 2.0)
    assert texts(arranging.in_order(some, [False], top=None)) == [2, 4, 0, 3, 1]
    assert texts(arranging.in_order(some, [True], top=None)) == [0, 3, 4, 2, 1]
    for top in (1, 2, 3, 9):
        for descending in (False, True):
            every = texts(arranging.in_order(some, [descending], top=None))
            assert texts(arranging.in_order(some, [descending], top=top)) == every[:top]


def test_sorting_keeps_no_more_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arranging, "SORTED_BYTES", 5000)
    some = rows(*[float(number % 7) for number in range(100)], size=500)
    with pytest.raises(arranging.click.UsageError, match="--top needs less memory"):
        list(arranging.in_order(some, [False], top=None))
    assert texts(arranging.in_order(some, [False], top=3)) == [0, 7, 14]


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_sort_and_top_of_a_capture(jobs: str) -> None:
    command = ("read", "--format", "json", "--sort", "timing.handshake_ms:desc", "--top", "5", "--jobs", jobs, PATHS)
    done = run(*command)
    every = [json.loads(line) for line in run("read", "--format", "json", PATHS).stdout.splitlines()]
    slowest = sorted([one["timing"]["handshake_ms"] or 0 for one in every], reverse=True)[:5]
    assert [json.loads(line)["timing"]["handshake_ms"] for line in done.stdout.splitlines()] == slowest
    assert done.stderr.startswith(b"200 connections, first 5 printed: ")


def test_top_without_an_order_reads_on_and_counts() -> None:
    done = run("read", "--format", "csv", "--top", "1", TLS12, RESUMED)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == b"3 connections, first 1 printed: 2 TLS 1.3, 1 TLS 1.2\n"


@pytest.mark.parametrize("options", [(), ("--sort", "start"), ("--format", "json")])
def test_what_top_leaves_out_still_counts(options: tuple[str, ...]) -> None:
    weak = "samples/tls12-static-rsa.pcap"
    command = ("read", "--top", "1", "--fail-on", "medium", "--server", "::1", *options, TLS12, weak)
    done = run(*command)
    assert done.returncode == 3
    assert b"2 of 2 connections, first 1 printed: all TLS 1.2; medium: " in done.stderr


def test_several_orders_and_columns_are_joined() -> None:
    command = ("read", "-q", "--format", "csv", "--columns", "version,outcome", "--columns", "stream", PATHS)
    found = [line.decode().split(",") for line in run(*command).stdout.splitlines()[1:]]
    found.sort(key=lambda row: int(row[2]), reverse=True)
    found.sort(key=lambda row: row[0], reverse=True)
    done = run(*command, "--sort", "version:desc", "--sort", "stream:desc").stdout.decode().splitlines()
    assert done == ["version,outcome,stream", *(",".join(row) for row in found)]


def late_first(path: Path) -> Path:
    """Two connections: the first to begin is the last to end."""
    hello = said("tls13-full")[:2]
    return write(path, Talk(hello, 0, 300, 50_000), Talk(hello, 1, 2, 50_001))


def test_a_table_is_in_the_order_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = late_first(tmp_path / "late.pcap")

    def streams(*options: str) -> list[str]:
        return [line.split()[0].decode() for line in run("read", *options, path).stdout.splitlines()[1:]]

    assert streams() == ["0", "1"]
    assert streams("--sort", "stream:desc") == ["1", "0"]
    assert streams("--top", "1") == ["0"]
    printed = run("read", "--format", "csv", "--columns", "stream", path).stdout.split()
    assert printed == [b"stream", b"1", b"0"], "which is the order of the output"
    monkeypatch.setattr(arranging, "MAX_ORDERED", 1)
    assert streams() == ["1", "0"], "beyond the limit too"


def test_captures_stay_in_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    paths = [late_first(tmp_path / name) for name in ("b.pcap", "a.pcap")]
    lines = run("read", *paths, COLUMNS="200").stdout.decode().splitlines()[1:]
    assert [line.split()[-1].rpartition("/")[2] for line in lines] == ["b.pcap", "b.pcap", "a.pcap", "a.pcap"]


def test_top_prints_the_first_rows_of_the_table(tmp_path: Path) -> None:
    later, earlier = tmp_path / "later.pcap", tmp_path / "earlier.pcap"
    hello = said("tls13-full")[:2]
    write(later, Talk(hello, 60, 61, 50_000), Talk(hello, 70, 71, 50_001))
    write(earlier, Talk(hello, 0, 1, 50_002))
    every = run("read", "-q", "--columns", "client.port", later, earlier).stdout.splitlines()
    assert every == [b"client.port", b"50000", b"50001", b"50002"]
    for top in (1, 2, 3):
        few = run("read", "-q", "--columns", "client.port", "--top", str(top), later, earlier).stdout.splitlines()
        assert few == every[: 1 + top]


def test_a_pipe_is_as_wide_as_columns_says() -> None:
    wide, narrow = (run("read", TLS12, COLUMNS=columns).stdout.splitlines() for columns in ("300", "40"))
    assert max(map(len, narrow)) <= 40 < max(map(len, wide))
    assert max(map(len, run("read", "samples", COLUMNS="x").stdout.decode().splitlines())) <= 120


def test_columns_are_keys_of_the_output() -> None:
    keys = "sni,timing.tcp_ms,certificates.0.dns_names,certificates.key_bits,client,certificates.7.subject"
    done = run("read", "-q", "--format", "csv", "--columns", keys, TLS12)
    head, row = done.stdout.decode().splitlines()
    assert head == keys
    assert row == 'localhost,0.036,"[""localhost""]","[2048,2048]",[::1]:39898,'
    table = run("read", "-q", "--columns", keys, TLS12).stdout.decode().splitlines()
    assert table[1].split() == ["localhost", "0.036", "localhost", "2048,", "2048", "[::1]:39898", "-"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--columns", "sni,versoin"), "there is no key 'versoin': did you mean 'version'?"),
        (("--columns", "handshake_ms"), "did you mean 'timing.handshake_ms'?"),
        (("--columns", "client_ip"), "did you mean 'client.ip'?"),
        (("--sort", "timing_handshake_ms"), "did you mean 'timing.handshake_ms'?"),
        (("--sort", "ms:desc"), "did you mean 'timing.handshake_ms'?"),
        (("--where", "RT > 2"), "did you mean 'round_trips'?"),
        (("--columns", "certificates.subjct"), "did you mean 'subject'?"),
        (("--columns", "sni.length"), "'sni.length': text has no keys"),
        (("--columns", "sni", "--format", "json"), "--columns requires a table or --format csv"),
        (("--sort", "certificates"), "cannot sort by 'certificates'"),
        (("--sort", "sni:down"), "the order is asc or desc, not 'down'"),
    ],
)
def test_wrong_keys_are_refused(options: tuple[str, ...], complaint: str) -> None:
    done = run("read", *options, TLS13)
    assert (done.returncode, done.stdout) == (2, b"")
    assert complaint in done.stderr.decode()


def test_every_heading_leads_to_a_key() -> None:
    """People type what they read above a column."""
    named = {one.title: HEADINGS.get(one.title, one.title) for one in table.COLUMNS}
    assert [column(key).name for key in named.values()] == list(named.values())


def test_columns_have_the_types_of_their_values() -> None:
    kinds = {"sni": str, "packets": int, "timing.tcp_ms": float, "open": bool, "client": str, "alerts.from": list}
    assert {key: column(key).kind for key in kinds} == kinds
    assert order("timing.handshake_ms").kind is float


def test_a_table_without_rows_has_no_heading() -> None:
    empty = Table(80)
    assert list(arranging.laid_out([], empty, several=False)) == []
