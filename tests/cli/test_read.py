"""`tlsdissect read` as a process: forms, places, selections and exit statuses."""

from __future__ import annotations

import json
import os
import shutil
import stat
from importlib import import_module
from typing import TYPE_CHECKING

import msgspec
import pytest
from commands import RESUMED, TLS12, TLS13, run
from recorded import ROOT

import tlsdissect
from tlsdissect import kernel

if TYPE_CHECKING:
    from pathlib import Path


def streams(*arguments: str) -> list[tuple[str, int]]:
    done = run("read", "--format", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return [(one["source"], one["stream"]) for one in map(json.loads, done.stdout.splitlines())]


def test_json_is_the_facts_a_line_each() -> None:
    done = run("read", "--format", "json", TLS12, RESUMED)
    facts = [msgspec.to_builtins(one) for one in tlsdissect.read(ROOT / TLS12, ROOT / RESUMED)]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    for one in facts:
        one["source"] = os.path.relpath(one["source"], ROOT)
    assert json.loads(json.dumps(facts)) == told
    assert done.stdout.endswith(b"}\n")
    assert done.stderr == b"3 connections: 2 TLS 1.3, 1 TLS 1.2\n"
    assert done.returncode == 0


def test_quiet_leaves_the_summary_out_and_nothing_else(tmp_path: Path) -> None:
    assert run("read", "-q", "--format", "json", TLS12).stderr == b""
    missing = tmp_path / "missing"
    assert run("read", "-q", missing).stderr.decode() == f"tlsdissect: {missing}: No such file or directory\n"


def test_table_is_the_default_and_all_of_it_is_the_result() -> None:
    done = run("read", TLS12)
    head, row = done.stdout.decode().splitlines()
    assert head.split()[:4] == ["stream", "start", "client", "server"]
    assert "ECDHE-RSA AES256-GCM" in row
    assert "\x1b" not in done.stdout.decode()


def test_no_tls_is_no_output(tmp_path: Path) -> None:
    header = (ROOT / TLS12).read_bytes()[:24]
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(header)
    done = run("read", "--format", "json", empty)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"no packets\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--stream", "1"], [(RESUMED, 1)]),
        (["--stream", f"{RESUMED}:0"], [(RESUMED, 0)]),
        (["--stream", "tls12-full.pcap:0", "--stream", "1"], [(TLS12, 0), (RESUMED, 1)]),
        (["--tls", "1.2"], [(TLS12, 0)]),
        (["--tls", "1.2", "--tls", "1.3"], [(TLS12, 0), (RESUMED, 0), (RESUMED, 1)]),
        (["--tls", "older"], []),
        (["--sni", "LOCAL*", "--tls", "1.3", "--stream", "0"], [(RESUMED, 0)]),
        (["--sni", "*.example.com"], []),
        (["-p", "8443", "--tls", "1.2"], [(TLS12, 0)]),
        (["--port", "1"], []),
    ],
)
def test_selections(options: list[str], expected: list[tuple[str, int]]) -> None:
    assert streams(*options, TLS12, RESUMED) == expected


def test_a_selection_is_told_from_all() -> None:
    assert run("read", "--stream", "1", RESUMED).stderr == b"1 of 2 connections: TLS 1.3\n"


def test_standard_input() -> None:
    done = run("read", "-", "--format", "json", given=(ROOT / TLS12).read_bytes())
    assert json.loads(done.stdout)["source"] == "-"
    assert done.returncode == 0


def test_folders_are_walked(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    shutil.copy(ROOT / TLS12, tmp_path / "b.pcap")
    shutil.copy(ROOT / TLS13, tmp_path / "deep" / "a.pcap")
    (tmp_path / "notes.txt").write_text("no capture")
    assert streams(str(tmp_path)) == [(f"{tmp_path}/b.pcap", 0), (f"{tmp_path}/deep/a.pcap", 0)]


def test_refused_inputs_are_named_and_the_others_read(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("this is no capture at all")
    done = run("read", tmp_path / "empty", TLS12, tmp_path / "text", tmp_path / "missing", "--format", "json")
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1
    *complaints, summary = done.stderr.decode().splitlines()
    assert [line.split(": ")[1] for line in complaints] == [f"{tmp_path}/{n}" for n in ("empty", "text", "missing")]
    assert summary == "1 connection: TLS 1.2; 3 inputs refused"


def test_damage_is_a_warning(tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((ROOT / TLS12).read_bytes()[:-20])
    done = run("read", cut, "--format", "json")
    assert done.returncode == 0
    warning, summary = done.stderr.decode().splitlines()
    assert warning.startswith(f"tlsdissect: {cut}: frame 17, byte ")
    assert "damage in 1 place" in summary


def test_a_hostile_file_name_reaches_no_terminal(tmp_path: Path) -> None:
    name = "\x1b[2J\u202eevil\udcff"
    done = run("read", tmp_path / name)
    assert b"\\x1b[2J\\u202eevil\\xff: No such file" in done.stderr


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_a_file_name_that_is_no_text(form: str, tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.pcap"
    shutil.copy(ROOT / TLS12, path)
    done = run("read", path, TLS13, "--format", form)
    assert done.returncode == 0, done.stderr
    assert b"caf\\" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["write"], "No such command or file 'write'"),
        (["read"], "Missing argument 'CAPTURE...' (see tlsdissect read --help)"),
        (
            ["read", "--stream", "x", TLS12],
            "Invalid value for '--stream': 'x' is not a stream number such as 4, tcp:4, udp:4, eap:4 or SOURCE:4",
        ),
        (["read", "--tls", "1.4", TLS12], "Invalid value for '--tls'"),
        (
            ["read", "-o", "x.pcap", TLS12],
            "-o x.pcap: unknown suffix (known: .json, .ndjson, .csv, .txt, .sarif, .xml)",
        ),
        (["read", "--keylog", "keys", TLS12], "--keylog keys: No such file or directory"),
        (["read", "--keys", "keys", TLS12], "No such option"),
    ],
)
def test_wrong_command_lines_are_told_in_one_line(arguments: list[str], complaint: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"tlsdissect: {complaint}")


def test_help_has_examples_and_exit_statuses() -> None:
    for arguments in ([], ["read"]):
        done = run(*arguments, "--help")
        assert done.returncode == 0
        assert b"Examples:\n" in done.stdout
    assert b"Exit status:\n" in done.stdout
    version = run("--version").stdout.decode()
    assert version == f"tlsdissect {tlsdissect.__version__} ({kernel.describe()})\n"


@pytest.mark.parametrize(
    ("name", "start"), [("a.json", b'{"source":'), ("a.ndjson", b'{"source":'), ("a.CSV", b"source,"), ("a.txt", b" ")]
)
def test_a_file_gets_the_form_of_its_suffix(name: str, start: bytes, tmp_path: Path) -> None:
    done = run("read", TLS12, "-o", tmp_path / name)
    assert (done.returncode, done.stdout) == (0, b"")
    form = {"a.CSV": "csv", "a.txt": "table"}.get(name, "json")
    assert (tmp_path / name).read_bytes() == run("read", TLS12, "--format", form).stdout
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_form_beats_the_suffix_and_a_dash_is_standard_output(tmp_path: Path) -> None:
    run("read", TLS12, "--format", "json", "-o", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_bytes().startswith(b"{")
    assert run("read", TLS12, "-o", "-").stdout == run("read", TLS12).stdout


def test_a_replaced_file_keeps_its_permissions_and_its_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    assert run("read", TLS12, "-o", link).returncode == 0
    assert link.is_symlink()
    assert target.read_bytes().startswith(b"{")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert run("read", TLS12, "-o", tmp_path / "new.json").returncode == 0
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new.json").stat().st_mode) == 0o666 & ~mask


def test_a_capture_is_not_overwritten(tmp_path: Path) -> None:
    capture = tmp_path / "a.pcap"
    shutil.copy(ROOT / TLS12, capture)
    done = run("read", capture, "--format", "json", "-o", capture)
    assert done.returncode == 2
    assert capture.read_bytes() == (ROOT / TLS12).read_bytes()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    done = run("read", TLS12, "-o", tmp_path / "missing" / "a.json")
    assert done.returncode == 74
    assert b"a.json: No such file or directory" in done.stderr
    assert run("read", TLS12, "-o", "/dev/null", "--format", "json").returncode == 0


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_several_processes_print_the_same(form: str) -> None:
    command = ["read", "--format", form, "samples", TLS12]
    one, several = run(*command, "--jobs", "1"), run(*command, "--jobs", "3")
    assert one.stdout == several.stdout
    assert one.stderr == several.stderr
    assert (one.returncode, several.returncode) == (0, 0)


def test_several_processes_refuse_and_select_alike(tmp_path: Path) -> None:
    command = ["read", "--format", "json", "--stream", "1", TLS12, RESUMED, tmp_path / "missing"]
    one, several = run(*command, "--jobs", "1"), run(*command, "--jobs", "2")
    assert (one.stdout, one.stderr, one.returncode) == (several.stdout, several.stderr, several.returncode)
    assert one.returncode == 2


def test_raw_fingerprints_are_printed_where_asked_for() -> None:
    (line,) = run("read", "--format", "json", "--raw-fingerprints", TLS12).stdout.splitlines()
    told = json.loads(line)
    assert told["ja3_string"].startswith("771,")
    assert told["ja4_r"].startswith(told["ja4"].split("_")[0] + "_")
    assert "ja3_string" not in json.loads(run("read", "--format", "json", TLS12).stdout)


def test_limits_are_told_where_they_are_reached() -> None:
    done = run("read", "--format", "json", "--message-bytes", "100", TLS12)
    assert done.returncode == 0
    assert "limit" in [problem["code"] for problem in json.loads(done.stdout)["problems"]]


def test_decisions_do_not_depend_on_how_many_processes_read() -> None:
    asked = ("read", "-q", "--emit", "decided", "--format", "json", "samples")
    one, three = (run(*asked, "--jobs", jobs) for jobs in ("1", "3"))
    assert one.stdout.count(b'"open":true') > 100
    assert one.stdout == three.stdout


def test_help_lists_options_in_groups_and_limits_only_on_demand() -> None:
    short, full = (run("read", option).stdout.decode() for option in ("--help", "--help-all"))
    groups = ["Selection of connections:", "Output:", "Findings:", "Other:"]
    assert [line for line in short.splitlines() if line in (*groups, "Limits:")] == groups
    assert "--total-bytes" not in short
    assert "\nLimits:\n" in full
    assert "--total-bytes" in full


@pytest.mark.parametrize("command", ["read", "live", "show", "ladder", "explain", "compare", "diff", "certs", "export"])
def test_help_all_lists_every_option(command: str) -> None:
    shown = run(command, "--help-all").stdout.decode()
    options = [
        one for one in import_module(f"tlsdissect.cli.{command}").command.params if one.param_type_name == "option"
    ]
    assert [one.opts for one in options if not one.hidden and one.opts[-1] not in shown] == []


@pytest.mark.parametrize(
    ("stream", "found"),
    [("0", 1), ("tcp:0", 1), ("udp:0", 0), ("tls12-full.pcap:tcp:0", 1), ("tls12-full.pcap:eap:0", 0)],
)
def test_a_stream_number_may_say_of_which_transport(stream: str, found: int) -> None:
    done = run("read", "--format", "json", "--stream", stream, TLS12)
    assert len(done.stdout.splitlines()) == found
    assert (f"--stream {stream}: no TLS connection has this number" in done.stderr.decode()) == (not found)
