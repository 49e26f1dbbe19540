"""What selects connections: each option of the command line, and each keyword of the Python functions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from commands import RESUMED, TLS12, TLS13, run
from conversing import CLIENT, Talk, said, write
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.corpus.reading import Criteria, ReadOptions
from tlsdissect.corpus.selection import Selection, TimeBound
from tlsdissect.model.connection import FAILURES, OUTCOMES, Connection, Endpoint

if TYPE_CHECKING:
    from pathlib import Path

EVERY = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "samples").glob("tls1*.pcap"))]
TLS13_PATH = ROOT / TLS13
START = 1_700_000_000
"""The second in which the captures of `conversing` begin: 2023-11-14T22:13:20Z."""


@pytest.fixture(scope="module")
def minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four connections of three clients, a minute apart; the capture begins half a minute before the first."""
    path = tmp_path_factory.mktemp("minutes") / "minutes.pcap"
    hello = said("tls13-full")[:2]
    talks = [Talk([(CLIENT, b"GET / HTTP/1.1\r\n\r\n")], 0, 1, 49_999)]
    talks += [Talk(hello, 30 + 60 * n, 31 + 60 * n, 50_000 + n, client=f"192.0.2.{1 + n % 3}") for n in range(4)]
    return write(path, *talks)


def chosen(*options: str, of: list[str] | None = None) -> list[dict[str, Any]]:
    done = run("read", "-q", "--format", "json", *options, *(EVERY if of is None else of))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ports(path: Path, *options: str) -> list[int]:
    return [one["client"]["port"] - 50_000 for one in chosen(*options, of=[str(path)])]


def recorded() -> Connection:
    (one,) = tlsdissect.read(ROOT / TLS12)
    return one


def matches(one: Connection, **given: Any) -> bool:
    return Selection.of(**given).matches(one, START * 10**9)


def test_outcomes() -> None:
    every = chosen()
    failed = [one for one in every if one["outcome"] in FAILURES]
    assert chosen("--failed") == failed
    assert 0 < len(failed) < len(every)
    assert chosen("--outcome", "alert", "--outcome", "established") == every
    assert chosen("--failed", "--outcome", "established") == []
    assert {one["outcome"] for one in every} < set(OUTCOMES)


def test_outcomes_are_those_that_are_documented() -> None:
    text = (ROOT / "docs" / "connection.md").read_text()
    assert [name for name in OUTCOMES if f"`{name}`" not in text] == []
    assert set(OUTCOMES) > FAILURES


@pytest.mark.parametrize(
    ("wanted", "versions"),
    [
        ("1.3", {"TLS 1.3", "TLS 1.3 (draft 23)", "DTLS 1.3"}),
        ("1.2", {"TLS 1.2", "DTLS 1.2"}),
        ("1.1", {"TLS 1.1"}),
        ("1.0", {"TLS 1.0", "DTLS 1.0"}),
        ("ssl3", {"SSL 3.0"}),
        ("older", {"SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1", "DTLS 1.0"}),
    ],
)
def test_versions(wanted: str, versions: set[str]) -> None:
    every = {"SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3", "TLS 1.3 (draft 23)"}
    every |= {"DTLS 1.0", "DTLS 1.2", "DTLS 1.3", "0x7e01"}
    one = recorded()
    assert {name for name in every if matches(replace(one, version=name), tls=wanted)} == versions
    assert not matches(replace(one, version=None), tls=wanted)


def test_what_the_client_offered_at_most() -> None:
    one = recorded()
    hello = one.client_hello
    assert hello is not None

    def offering(*versions: str, legacy: str = "TLS 1.2") -> Connection:
        return replace(one, client_hello=replace(hello, version=legacy, supported_versions=versions or None))

    assert matches(offering("GREASE", "TLS 1.2", "TLS 1.3", "TLS 1.1"), offers="1.3")
    assert not matches(offering("TLS 1.2", "TLS 1.3"), offers="1.2")
    assert matches(offering(legacy="TLS 1.0"), offers="1.0")
    assert matches(offering(legacy="TLS 1.0"), offers="older")
    assert matches(offering(legacy="DTLS 1.2"), offers=["1.1", "1.2"])
    cut = replace(offering(legacy="TLS 1.0"), ja4=None)
    assert not matches(cut, offers="1.0"), "supported_versions may stand in the bytes that are missing"


def test_addresses_and_networks() -> None:
    one = replace(recorded(), client=Endpoint("192.0.2.7", 50_000), server=Endpoint("2001:db8::1", 443))
    assert matches(one, client="192.0.2.7")
    assert matches(one, client=["198.51.100.0/24", "192.0.2.0/24"])
    assert not matches(one, client="2001:db8::/32")
    assert matches(one, server="2001:db8::/32")
    assert matches(one, ip="2001:db8:0::1")
    assert matches(one, ip=ip_network("192.0.2.4/30"), server="2001:db8::1")
    assert not matches(one, ip="192.0.2.8")
    assert not matches(replace(one, client=Endpoint(None, 0)), client="::/0")  # type: ignore[arg-type]  # as EAP has


def test_times_and_durations(minutes: Path) -> None:
    assert ports(minutes) == [0, 1, 2, 3]
    assert ports(minutes, "--since", "2023-11-14T22:14:50Z") == [1, 2, 3]
    assert ports(minutes, "--since", "2023-11-14T22:14:50.000001Z") == [2, 3]
    assert ports(minutes, "--until", "2023-11-15T00:14:50+02:00") == [0]
    assert ports(minutes, "--since", "90s", "--until", "3m30s") == [1, 2], "of the first packet, which is not TLS"
    assert ports(minutes, "--until", "90s") == [0]
    assert ports(minutes, "--since", "2023-11-14", "--until", "2023-11-15") == [0, 1, 2, 3]
    assert ports(minutes, "--since", "1h") == []
    assert ports(minutes, "--until", "999999999d") == [0, 1, 2, 3]
    assert ports(minutes, "--since", "999999999d") == []
    assert matches(recorded(), since=timedelta.min)
    assert not matches(recorded(), until=timedelta.min)


def test_times_of_any_number_of_digits_compare() -> None:
    one = recorded()
    for start in ("2023-11-14T22:14:50Z", "2023-11-14T22:14:50.0Z", "2023-11-14T22:14:50.000000000Z"):
        assert matches(replace(one, start=start), since="2023-11-14T22:14:50Z")
        assert not matches(replace(one, start=start), since="2023-11-14T22:14:50.000001Z")
        assert not matches(replace(one, start=start), until="2023-11-14T22:14:50.000Z")
    for start in ("2023-11-14T22:14:50.1Z", "2023-11-14T22:14:50.100Z"):
        assert matches(replace(one, start=start), since="2023-11-14T22:14:50.10Z", until="2023-11-14T22:14:50.100001Z")
    assert not matches(replace(one, start=None), until="2100-01-01")


def test_a_capture_without_times_has_no_first_packet_to_count_from() -> None:
    chosen = Selection.of(since="0s")
    assert chosen.matches(recorded(), START * 10**9)
    assert not chosen.matches(recorded(), UNTIMED)


@pytest.mark.parametrize(
    ("given", "nanoseconds"), [("5m", 300 * 10**9), ("1h30m", 5400 * 10**9), ("2.5s", 2_500_000_000), ("10ms", 10**7)]
)
def test_durations(given: str, nanoseconds: int) -> None:
    assert TimeBound.parse(given) == TimeBound(nanoseconds, relative=True)
    assert TimeBound.parse(timedelta(microseconds=nanoseconds // 1000)) == TimeBound(nanoseconds, relative=True)


def test_no_server_name() -> None:
    one = recorded()
    assert matches(one, sni="LOCAL*")
    assert not matches(one, sni="")
    assert matches(replace(one, sni=None), sni="")
    assert matches(replace(one, sni=None), sni=["", "x"])
    assert not matches(replace(one, sni=None), sni="*")
    assert not matches(replace(one, sni=None, client_hello=None), sni=""), "it was not seen"
    assert not matches(replace(one, sni=None, ja4=None), sni=""), "it may stand in the bytes that are missing"


def test_findings_select_and_are_reported() -> None:
    static = chosen("--finding", "static_rsa")
    assert [one["source"] for one in static] == ["samples/tls12-static-rsa.pcap"]
    assert "static_rsa" in [found["code"] for found in static[0]["findings"]]
    assert [one["source"] for one in chosen("--min-severity", "medium")] == ["samples/tls12-static-rsa.pcap"]
    assert chosen("--finding", "root_in_chain", "--min-severity", "high") == []
    assert len(chosen("--findings")) == len(chosen())


@pytest.mark.parametrize("command", ["show", "ladder", "explain", "compare", "certs"])
def test_every_command_selects_by_findings(command: str) -> None:
    assert b" selected" not in run(command, "--finding", "root_in_chain", TLS12).stderr
    other = run(command, "--finding", "static_rsa", TLS12).stderr
    assert (b"0 of 2 certificates" if command == "certs" else b"none of 1 connection selected") in other


def test_certificates_are_selected_by_their_own_findings() -> None:
    (line,) = run("certs", "--format", "json", "--finding", "root_in_chain", TLS12).stdout.splitlines()
    assert "CN=smplca" in json.loads(line)["subject"]


def test_certificates_that_end_soon() -> None:
    capture = "samples/network/network-failures.pcap"
    done = run("certs", "-q", "--format", "json", "--ends-within", "30", capture)
    assert [json.loads(line)["dns_names"] for line in done.stdout.splitlines()] == [["localhost"]]
    assert b"1 of 4 certificates" in run("certs", "--ends-within", "30", capture).stderr
    assert b"0 of 4 certificates" in run("certs", "--ends-within", "13", capture).stderr


def test_criteria_of_different_kinds_must_all_match(minutes: Path) -> None:
    assert ports(minutes, "--client", "192.0.2.1") == [0, 3]
    assert ports(minutes, "--client", "192.0.2.1", "--client", "192.0.2.2") == [0, 1, 3]
    assert ports(minutes, "--client", "192.0.2.1", "--since", "1m") == [3]
    assert ports(minutes, "--client", "192.0.2.1", "--tls", "1.2") == []


def test_nothing_selected_is_said_with_how_many_there_were() -> None:
    done = run("read", "--tls", "1.0", TLS12, RESUMED)
    assert (done.returncode, done.stderr) == (0, b"none of 3 connections selected\n")


def test_a_script_can_ask_whether_anything_is_selected() -> None:
    for command in ("read", "show", "summary"):
        statuses = [run(command, "-q", "--exit-status", "--tls", tls, TLS12).returncode for tls in ("1.2", "1.3")]
        assert statuses == [0, 1]
        assert run(command, "-q", "--tls", "1.3", TLS12).returncode == 0
    assert run("read", "-q", "--exit-status", "--tls", "1.3", TLS12, "missing").returncode == 2


@pytest.mark.parametrize(
    ("command", "some", "none"),
    [
        ("read", "--stream 0", "--stream 99"),
        ("explain", "--where round_trips==2", "--where round_trips==9"),
        ("cbom", "--server ::1", "--server 192.0.2.1"),
        ("read --format sarif", "--sni localhost", "--sni nobody.example"),
        ("certs --format junit", "--finding long_lifetime", "--finding expired"),
        ("certs", "--ends-within 99999", "--ends-within 3"),
        ("show", "--message client_hello", "--message hello_request"),
        ("show --format json", "--message client_hello", "--message hello_request"),
    ],
)
def test_each_way_to_select_sets_the_status(command: str, some: str, none: str) -> None:
    done = [run(*command.split(), "-q", "--exit-status", *chosen.split(), TLS12) for chosen in (some, none)]
    assert [one.returncode for one in done] == [0, 1]


@pytest.mark.parametrize(
    "options",
    [
        ("--failed",),
        ("--since", "1ms"),
        ("--since", "2026-11-23T17:12:00Z", "--client", "::/0"),
        ("--offers", "1.3", "--sni", "*", "--outcome", "established"),
    ],
)
def test_several_processes_select_the_same(options: tuple[str, ...], minutes: Path) -> None:
    command = ["read", "--format", "json", *options, "samples", str(minutes)]
    one, several = (run(*command, "--jobs", jobs) for jobs in ("1", "3"))
    assert one.stdout == several.stdout != b""
    assert one.stderr == several.stderr


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--client", "192.0.2"], "'192.0.2' is neither an address nor a network such as 192.0.2.0/24"),
        (["--since", "yesterday"], "'yesterday' is not a time such as 2026-01-31"),
        (["--until", "5 m"], "nor a duration such as 5m"),
        (["--finding", "expird"], "'expird' is not the code of a finding: did you mean 'expired'?"),
        (["--outcome", "lost"], "'lost' is not one of"),
    ],
)
def test_a_wrong_criterion_is_refused(options: list[str], complaint: str) -> None:
    done = run("read", *options, TLS12)
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert complaint in line


def test_python_takes_the_same_under_the_same_names(minutes: Path) -> None:
    def read(**given: Any) -> list[int]:
        return [one.client.port - 50_000 for one in tlsdissect.read(minutes, **given)]

    assert read(client="192.0.2.1") == [0, 3]
    assert read(client=["192.0.2.1", "192.0.2.3"], since=timedelta(minutes=1)) == [2, 3]
    assert read(until=datetime(2023, 11, 14, 22, 14, 50, tzinfo=UTC)) == [0]
    assert read(stream=2) == [1]
    assert read(stream=["minutes.pcap:tcp:2", "4"]) == [1, 3]
    assert read(failed=False, outcome=OUTCOMES, port=443, tls=("1.3", "1.2")) == [0, 1, 2, 3]
    assert len(tlsdissect.tables(minutes, client="192.0.2.1").connections) == 2


def test_python_has_a_keyword_for_each_criterion() -> None:
    assert set(Criteria.__annotations__) == set(Selection.__struct_fields__)


def test_python_reports_findings_where_something_asks_for_them(minutes: Path) -> None:
    path = ROOT / "samples/tls12-static-rsa.pcap"
    (plain,), (judged,) = tlsdissect.read(path), tlsdissect.read(path, findings=True)
    assert plain.findings is None
    assert "static_rsa" in [one.code for one in judged.findings or ()]
    (high,) = tlsdissect.read(path, min_severity="medium")
    assert [one.code for one in high.findings or ()] == ["static_rsa"]
    assert list(tlsdissect.read(path, TLS13_PATH, finding="static_rsa")) == [judged]
    assert "static_rsa" in list(tlsdissect.tables(path, findings=True).findings["code"])
    assert tlsdissect.tables(path).findings.empty


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"tls": "1.4"}, "tls: '1.4' is not one of 1.3, 1.2"),
        ({"port": 65_536}, "port: 65536 is not a port"),
        ({"since": 5}, "since: 5 is not a time"),
        ({"ip": ["192.0.2.1", "x"]}, "ip: 'x' is neither"),
        ({"ca_file": "missing.pem"}, "missing.pem"),
        ({"at": "soon"}, "'soon' is not a time"),
    ],
)
def test_python_refuses_a_wrong_criterion_at_once(given: ReadOptions, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        tlsdissect.read(TLS13_PATH, **given)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sorted'"):
        tlsdissect.tables(TLS13_PATH, sorted=True)  # type: ignore[call-arg]
