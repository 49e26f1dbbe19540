"""The summary of captures: what it counts, what it names, and how it looks."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from commands import RESUMED, TLS12, TLS13, on_terminal, run
from conversing import CLIENT, Talk, write
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.model.connection import Alert, Connection, Endpoint, Problem, Timing
from tlsdissect.trust.rules import RULES
from tlsdissect.views import summary
from tlsdissect.views.summary import Peer, SummaryBuilder, lines

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = ("samples/tls12-unknown-ca.pcap", "samples/tls13-unknown-ca.pcap")


def summarized(*connections: Connection, **flows: int) -> summary.CaptureSummary:
    builder = SummaryBuilder()
    for one in connections:
        builder.add(one)
    return builder.summary(len(connections), Counter(flows), [])


def made(**changes: Any) -> Connection:
    (one,) = tlsdissect.read(ROOT / TLS12)
    return replace(one, **changes)


def failing(client: str, server: str, by: str = "client") -> Connection:
    alert = Alert(by, "fatal", "unknown_ca", 9)  # type: ignore[arg-type]
    ends = {"client": Endpoint(client, 50_000), "server": Endpoint(server, 443), "sni": None}
    return made(outcome="alert", failed_by=by, alerts=(alert,), **ends)


def test_failures_are_grouped_by_reason_with_the_worst_clients_and_servers() -> None:
    clients = ["192.0.2.1"] * 3 + ["192.0.2.2"] * 2 + ["192.0.2.3", "192.0.2.4"]
    found = summarized(
        *(failing(client, "198.51.100.1") for client in clients), failing("192.0.2.9", "198.51.100.2", "server"), made()
    )
    first, second = found.failures
    assert (first.what, first.connections) == ("alert unknown_ca by client", 7)
    assert first.clients == (Peer("192.0.2.1", 3), Peer("192.0.2.2", 2), Peer("192.0.2.3", 1))
    assert first.servers == (Peer("198.51.100.1:443", 7),)
    assert (second.what, second.connections) == ("alert unknown_ca by server", 1)
    assert found.failing_clients[:2] == (Peer("192.0.2.1", 3), Peer("192.0.2.2", 2))
    text = " ".join(str(found).split())
    assert "8 of 9, by client: 192.0.2.1 (3), 192.0.2.2 (2), 192.0.2.3 (1)," in text
    assert "7 alert unknown_ca by client: from 192.0.2.1 (3), 192.0.2.2 (2), others (2) to 198.51.100.1" in text


def test_a_failure_is_followed_by_what_to_do_about_it_as_in_a_report(tmp_path: Path) -> None:
    said = "Allow a version that both sides accept"
    capture = "samples/tls13-no-common-version.pcap"
    shown = run("summary", capture).stdout.decode()
    assert f"to localhost:8443\n              To do: {said}.\n" in shown
    (told,) = json.loads(run("summary", "--format", "json", capture).stdout)["failures"]
    assert told["advice"] == said
    run("report", "-q", capture, "-o", str(tmp_path / "report.html"))
    assert f"{said}." in (tmp_path / "report.html").read_text()


def test_nothing_is_advised_about_failures_that_call_for_different_things() -> None:
    names = ("tls13-unknown-ca", "talk/httpd-certbot-no-chain-tls12")
    unknown, not_sent = (
        next(one for one in tlsdissect.read(ROOT / f"samples/{name}.pcap") if one.outcome == "alert") for name in names
    )
    assert [group.advice is None for group in summarized(unknown, unknown).failures] == [False]
    assert [group.advice is None for group in summarized(not_sent).failures] == [False]
    (group,) = summarized(unknown, not_sent).failures
    assert (group.connections, group.advice) == (2, None)
    assert "To do" not in str(summarized(unknown, not_sent))


def test_old_and_weak() -> None:
    hello = made().client_hello
    assert hello is not None
    old = made(version="TLS 1.0", client_hello=replace(hello, version="TLS 1.0", supported_versions=None))
    weak = made(cipher_suite="TLS_RSA_WITH_RC4_128_SHA")
    counts = {group.what: group.connections for group in summarized(old, weak, made()).weak}
    assert counts == {"TLS 1.0 negotiated": 1, "TLS 1.0 offered at most": 1, "rc4_cipher": 1, "static_rsa": 1}
    assert summarized(made()).weak == ()
    text = str(summarized(old, weak, made()))
    assert "1 offering at most TLS 1.0: from" in text
    assert "1 with TLS 1.0: from" in text
    assert "1 with RC4: from" in text
    assert "1 with RSA key transport: from" in text


def test_the_time_of_one_handshake_has_no_percentiles() -> None:
    text = " ".join(str(summarized(made(timing=Timing(handshake_ms=2.5)))).split())
    assert "Handshakes 2.50 ms (stream 0, localhost:8443)" in text
    assert "percentile" not in text
    two = [made(timing=Timing(handshake_ms=2.5)), made(timing=Timing(handshake_ms=3.5))]
    assert "90th percentile 3.50 ms" in str(summarized(*two))


@pytest.mark.parametrize("width", range(40, 90))
def test_a_number_is_not_separated_from_its_unit(width: int) -> None:
    found = summarized(*[made(timing=Timing(handshake_ms=took)) for took in (92.0, 458.0, 3.0, 4.0)])
    assert not [line for line in lines(found, width=width) if line.split()[0] == "ms"]


def test_codes_are_put_in_words() -> None:
    cut = made(outcome="incomplete", version=None, problems=(Problem("capture_end", ""), Problem("gap", "")))
    text = " ".join(str(summarized(cut, made(outcome="one_sided"))).split())
    assert "Not all seen 1 without the end of the handshake, 1 with packets of one direction only" in text
    assert "Versions 1 TLS 1.2, 1 of no visible version" in text
    assert "Problems 1 cut off by the end of the capture, 1 with missing bytes" in text


def test_every_weakness_of_a_connection_has_words() -> None:
    """All codes of such findings stand in the module that finds them."""
    graves = {rule.code for rule in RULES if rule.severity in ("medium", "high")}
    source = (ROOT / "tlsdissect" / "trust" / "protocol.py").read_text()
    named = {code for code in re.findall(r'"(\w+)"', source) if code in graves}
    assert named - {"old_tls_version", "ssl_version"} <= set(summary.WEAK_IN_WORDS)
    assert set(summary.WEAK_IN_WORDS) <= graves


@pytest.mark.parametrize(
    ("start", "days", "text"),
    [
        ("2044-12-20T00:00:00Z", 12, "localhost expires on 2045-01-01, 12 days after it was last seen: localhost:8443"),
        (
            "2045-01-03T00:00:01Z",
            -3,
            "localhost expired on 2045-01-01, more than 2 days before it was last seen: localhost",
        ),
        ("2045-01-01T00:00:01Z", -1, "localhost expired on 2045-01-01, up to a day before it was last seen: localhost"),
        (
            "2044-12-31T12:00:00Z",
            0,
            "localhost expires on 2045-01-01, less than a day after it was last seen: localhost",
        ),
    ],
)
def test_certificates_that_end_soon(start: str, days: int, text: str) -> None:
    found = summarized(made(start=start), made(start=start))
    (ending,) = found.ending
    assert ending.days_left == days
    assert text in " ".join(str(found).split())
    assert summarized(made(), made(start=None)).ending == ()


@pytest.mark.parametrize(
    ("starts", "text"),
    [
        (["2026-11-29T01:40:48Z", "2026-11-29T01:40:59Z"], "1 server, from 2026-11-29 01:40:48 to 01:40:59 UTC Failed"),
        (["2026-11-29T01:40:48Z"], "1 server, at 2026-11-29 01:40:48 UTC Failed"),
        (
            ["1970-01-01T00:00:42Z", "2026-11-29T01:40:48Z"],
            "1 server, until 2026-11-29 01:40:48 UTC, the first without a date Failed",
        ),
        (["1970-01-01T00:00:42Z"], "1 server, without a date Failed"),
        ([None], "1 server Failed"),
    ],
)
def test_a_clock_that_was_never_set_has_no_date(starts: list[str | None], text: str) -> None:
    assert text in " ".join(str(summarized(*[made(start=one, end=one) for one in starts])).split())


def test_labels_are_not_repeated_and_resumption_has_words() -> None:
    some = [made(resumption=kind) for kind in ("none", "psk", "psk", "session_id", None)]
    collected = SummaryBuilder()
    for one in some:
        collected.add(one)
    found = collected.summary(len(some), Counter(), ["not read: 2 cut IPv4 headers"])
    assert found.notes == ("not read: 2 cut IPv4 headers",)
    shown = " ".join(str(found).split())
    assert "Not all read 2 cut IPv4 headers" in shown
    assert "Resumption 3 of 5: 2 by PSK, 1 by session ID" in shown


def test_times_are_those_of_all_and_the_slowest_are_named() -> None:
    some = [made(stream=number, timing=Timing(handshake_ms=float(number))) for number in range(1, 101)]
    times = summarized(*some, made(timing=Timing())).times
    assert times is not None
    assert (times.median, times.p90) == (50, 90)
    assert [(slow.stream, slow.handshake_ms) for slow in times.slowest] == [("100", 100), ("99", 99), ("98", 98)]
    assert summarized(made(timing=Timing())).times is None
    assert "(stream 100, localhost:8443)" in str(summarized(*some))
    two = summarized(made(source="a/b.pcap", stream=3), made(source="c.pcap"))
    assert two.captures == 2
    assert "(stream b.pcap:3, localhost:8443)" in " ".join(str(two).split())


def test_each_request_for_another_hello_has_its_name() -> None:
    """DTLS 1.0 and 1.2 have HelloVerifyRequest (RFC 6347), TLS 1.3 HelloRetryRequest."""
    done = run("-q", str(ROOT / "samples/dtls"), str(ROOT / "samples/tls13-hello-retry.pcap"))
    shown = " ".join(done.stdout.decode().split())
    assert re.search(r"; [0-9]+ HelloVerifyRequests; 1 HelloRetryRequest slowest", shown)


def test_a_summary_of_much_fits_a_screen_and_says_where_the_rest_is() -> None:
    names = [f"a-long-name-of-a-server-in-the-middle-of-nowhere-{number}.example" for number in range(20)]
    failed = [
        made(outcome=outcome, failed_by=by, sni=name, client=Endpoint(f"2001:db8::{number}:1", 1))
        for number, name in enumerate(names)
        for outcome, by in [("reset", "client"), ("reset", "server"), ("closed", "client"), ("closed", "server")]
    ]
    ending = [made(start=f"2044-12-{number + 10}T00:00:00Z", sni=name) for number, name in enumerate(names)]
    some = replace(summarized(*failed, *ending), notes=tuple(f"{number}: {name}" for number, name in enumerate(names)))
    shown = str(some).splitlines()
    assert len(shown) <= 40
    assert shown[-1].strip() == "All of it: tlsdissect summary --format json"
    assert sum("more" in line for line in shown) >= 2
    assert len(list(lines(some, width=200))) < len(shown)
    assert "All of it" not in str(summarized(*failed[:2]))


def test_what_is_counted_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "MAX_PEERS", 5)
    found = summarized(*(failing(f"192.0.2.{number}", "198.51.100.1") for number in range(9)))
    assert found.counts_cut
    assert found.failures[0].connections == 9
    assert "at least 1 client, at least 1 server" in str(found)


def test_the_order_of_connections_changes_nothing() -> None:
    some = [failing("192.0.2.2", "198.51.100.1"), failing("192.0.2.1", "198.51.100.2"), made(), made(version="TLS 1.0")]
    assert summarized(*some) == summarized(*reversed(some))


def test_a_capture_full_of_other_conversations(tmp_path: Path) -> None:
    path = write(tmp_path / "http.pcap", Talk([(CLIENT, b"GET / HTTP/1.1\r\n\r\n")], 0, 1, 50_000))
    shown = run("summary", path).stdout.decode()
    assert shown.splitlines() == ["Connections   no TLS connections", "Not TLS       1 TCP flow: 1 plain HTTP"]
    assert run("read", path).stderr == b"no TLS connections; 1 TCP flow: 1 plain HTTP\n"


def test_what_was_not_read_is_not_said_to_have_no_tls(tmp_path: Path) -> None:
    text, header = tmp_path / "text.txt", tmp_path / "header.pcap"
    text.write_text("no capture")
    header.write_bytes((ROOT / "samples/tls12-full.pcap").read_bytes()[:24])
    assert run("read", text).stderr.decode().splitlines()[1:] == ["nothing was read; 1 input refused"]
    assert run("read", header).stderr == b"no packets\n"
    assert run("summary", header).stdout == b"Connections   no packets\n"
    assert str(tlsdissect.summary(header)) == "Connections   no packets"
    assert run("read", text, header).stderr.decode().splitlines()[1:] == ["no packets; 1 input refused"]


def test_a_file_without_a_command_is_summarized() -> None:
    assert run(TLS12).stdout == run("summary", TLS12).stdout != b""
    assert run(*UNKNOWN, "--failed").stdout == run("summary", "--failed", *UNKNOWN).stdout
    assert b"No such command or file 'sumary': did you mean 'summary'?" in run("sumary").stderr
    assert (
        run("--failed", "--tls", "1.2", *UNKNOWN).stdout == run("summary", "--failed", "--tls", "1.2", *UNKNOWN).stdout
    )
    assert run("-", given=(ROOT / TLS12).read_bytes()).stdout == run(TLS12).stdout
    assert b"No such option '--fialed'" in (wrong := run("--fialed", TLS12)).stderr
    assert b"--failed" in wrong.stderr
    done = run()
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == run("--help").stdout


def test_json_is_what_python_returns() -> None:
    done = run("summary", "-q", "--format", "json", *UNKNOWN)
    found = tlsdissect.summary(*(ROOT / path for path in UNKNOWN))
    told, kept = json.loads(done.stdout), found.to_dict()
    assert told["failures"] == json.loads(json.dumps(kept["failures"])) != []
    assert told.keys() == kept.keys()
    assert tlsdissect.summary(ROOT / TLS12, failed=True).connections_read == 1
    with pytest.raises(ValueError, match="summary cannot be combined with cluster"):
        tlsdissect.summary(ROOT / TLS12, cluster=object())  # type: ignore[arg-type]


def test_inputs_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    done = run("summary", TLS12, tmp_path / "missing")
    assert done.returncode == 2
    assert "missing: No such file or directory" in done.stdout.decode().replace("\n" + " " * 16, "")
    assert b"missing: No such file or directory" in done.stderr
    assert run("summary", tmp_path / "missing").stdout == b""
    assert "missing" in tlsdissect.summary(tmp_path / "missing").notes[-1]


def test_nothing_selected() -> None:
    assert run("summary", "--tls", "1.0", TLS12, RESUMED).stdout == b"Connections   none of 3 selected\n"
    assert b"Connections   1 of 2, 1 established; 1 client" in run("summary", "--tls", "1.2", TLS12, TLS13).stdout


def test_flows_that_are_not_tls_are_those_of_all_that_was_read() -> None:
    capture = "samples/network/network-failures.pcap"
    assert b"Not TLS       2 TCP flows: 1 plain HTTP" in run("summary", capture).stdout
    assert b"Not TLS       2 TCP flows, selected or not: 1" in run("summary", "--client", "192.0.2.13", capture).stdout
    assert tlsdissect.summary(ROOT / capture, failed=True).selected


def test_many_kinds_take_one_screen() -> None:
    some = [failing(f"192.0.2.{n}", f"198.51.100.{n}", by) for n in range(40) for by in ("client", "server")]
    some += [made(version=f"0x7e{n:02x}", outcome=f"kind {n}") for n in range(40)]
    flows = {f"kind {n}": n for n in range(1, 41)}
    shown = str(summarized(*some, **flows))
    assert len(shown.splitlines()) < 50
    assert "820 TCP flows: 40 kind 40, 39 kind 39" in " ".join(shown.split())
    assert "528 of 32 other kinds" in shown.replace("\n" + " " * 14, " ")
    assert repr(summarized(*some)) == "<CaptureSummary: 120 connections, 80 failed>"


def test_a_pipe_is_as_wide_as_columns_says() -> None:
    long, short = (run("summary", "samples", COLUMNS=width).stdout.decode().splitlines() for width in ("160", "60"))
    assert max(map(len, short)) <= 60 < max(map(len, long)) <= 160


@pytest.mark.parametrize("width", [40, 80])
def test_lines_fit_the_terminal(width: int) -> None:
    status, shown = on_terminal(width, "summary", "--color", "never", "samples", TERM="dumb")
    assert status == 0
    # Where reading takes long, progress is shown, too.
    assert 20 < max(len(line) for line in shown.splitlines() if "\x1b" not in line) <= width
    hostile = failing("192.0.2.1", "198.51.100.1")
    hostile = replace(hostile, sni="\x1b[2J" + "a" * 300)
    assert all(line.isprintable() and len(line) <= width for line in lines(summarized(hostile), width=width))


def test_only_what_is_bad_is_coloured() -> None:
    _, shown = on_terminal(80, *UNKNOWN)
    assert "\x1b[31m2 alert unknown_ca by client" in shown
    _, shown = on_terminal(80, TLS12)
    assert "\x1b[31m" not in shown


def test_a_wrong_password_inside_the_tunnel_is_no_failed_handshake_and_is_named() -> None:
    found = tlsdissect.summary(ROOT / "samples/eap/eapol-peap-wrong-password-tls12.pcap")
    assert (found.outcomes, found.failures) == ({"established": 1}, ())
    assert [(group.what, group.connections) for group in found.eap_refused] == [("PEAP", 1)]
    text = " ".join(str(found).split())
    assert "EAP-Failure after the handshake 1 PEAP: from 02:00:00:00:00:01 to 02:00:00:00:00:02" in text
