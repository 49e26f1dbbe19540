"""Datasets of `tlsdissect scan`, which other commands read in the place of captures: with the same results."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import click
import msgspec
import pyarrow as pa
import pytest
from commands import on_terminal, run
from pyarrow import parquet
from recorded import ROOT

import tlsdissect
from tlsdissect.cli.commands import Commands

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

CAPTURES = (
    "tls12-full", "tls12-resumed-ticket", "tls13-full", "tls13-resumed", "tls13-early-data", "tls12-client-cert",
    "network/network-failures", "network/network-upgrade-before", "network/network-upgrade-after", "quic/quic-retry",
    "dtls/dtls12-full", "eap/radius-tls-tls12", "talk/httpd-8892-revoked-tls12", "talk/httpd-crl-download",
)  # fmt: skip
SAME = (
    "read",
    "read --format json",
    "read --format csv",
    "read --findings --format json",
    "read --findings --min-severity medium",
    "read --system-ca --format sarif",
    "read --failed --until 1s",
    "read --since 2026-11-25T00:00:00Z --format json",
    "read --sort timing.handshake_ms:desc --top 3",
    "read --where resumes!=null --format json",
    "read --jobs 2 --format json",
    "summary",
    "summary --format json --findings",
    "compare --all",
    "compare --by server --format json",
    "certs --quiet",
    "certs --quiet --format json --system-ca",
    "cbom",
)
"""Commands whose result is the same for captures and their dataset. What `certs` says on standard
error differs: over captures it makes no links, and does not count the problems that they bring."""
SQL = (
    "SELECT * FROM connections ORDER BY ALL",
    "SELECT * FROM certificates ORDER BY ALL",
    "SELECT * FROM findings ORDER BY ALL",
    "SELECT type, count(*) FROM messages GROUP BY ALL ORDER BY ALL",
)
NEED_PACKETS = ("show", "ladder", "extract")
READ_NO_CAPTURES = ("live", "schema", "scan")


class Scanned:
    """Captures in a folder, and their dataset."""

    def __init__(self, folder: Path) -> None:
        self.captures, self.dataset = folder / "captures", folder / "dataset"

    def same(self, *arguments: str) -> None:
        """Run a command over the captures and over the dataset, and compare."""
        of_captures, of_dataset = (run(*arguments, place) for place in (self.captures, self.dataset))
        assert self._seen(of_dataset) == self._seen(of_captures)
        assert of_captures.stdout

    def _seen(self, done: subprocess.CompletedProcess[bytes]) -> tuple[int, bytes, bytes]:
        """The exit status and the outputs; the dataset is named as the captures are."""
        named = str(self.dataset).encode(), str(self.captures).encode()
        return done.returncode, done.stdout.replace(*named), done.stderr.replace(*named)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """The dataset of some samples, which no longer exist where they were scanned: nothing can read them again."""
    made = Scanned(tmp_path_factory.mktemp("scanned"))
    made.captures.mkdir()
    for name in CAPTURES:
        shutil.copy(ROOT / "samples" / f"{name}.pcap", made.captures)
    (made.captures / "notes.txt").write_text("no capture")
    done = run("scan", made.captures, "--to", made.dataset, "--jobs", "1")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def copied(scanned: Scanned, tmp_path: Path) -> Path:
    """A dataset to damage."""
    return shutil.copytree(scanned.dataset, tmp_path / "dataset")


@pytest.mark.parametrize("arguments", SAME)
def test_a_dataset_gives_the_result_of_its_captures(scanned: Scanned, arguments: str) -> None:
    scanned.same(*arguments.split())


@pytest.mark.parametrize("sql", SQL)
def test_a_dataset_has_the_same_tables(scanned: Scanned, sql: str) -> None:
    scanned.same("query", sql, "--format", "json")


def test_every_command_reads_a_dataset_or_says_that_it_needs_packets(scanned: Scanned, tmp_path: Path) -> None:
    asked = {
        "query": ["SELECT 1"],
        "plot": ["versions", "-o", tmp_path / "versions.svg"],
        "export": ["--to", tmp_path / "tables"],
        "diff": [scanned.captures],
        "report": ["-o", tmp_path / "report.html"],
        "extract": ["-o", tmp_path / "extract.pcapng"],
    }
    commands = Commands().list_commands(click.Context(click.Command(None)))
    for name in sorted(set(commands) - set(READ_NO_CAPTURES)):
        done = run(name, *asked.get(name, []), scanned.dataset)
        if name in NEED_PACKETS:
            assert (done.returncode, done.stdout) == (2, b"")
            assert b"a dataset has no packets" in done.stderr or b"a dataset, which has no packets" in done.stderr
        else:
            assert done.returncode == 0, (name, done.stderr)


def test_the_exported_tables_are_the_same(scanned: Scanned, tmp_path: Path) -> None:
    folders = [tmp_path / "of-captures", tmp_path / "of-dataset"]
    for folder, place in zip(folders, (scanned.captures, scanned.dataset), strict=True):
        assert run("export", "--format", "parquet", "--to", folder, place).returncode == 0
    names = sorted(path.name for path in folders[0].iterdir())
    assert "certificates.parquet" in names
    for name in names:
        of_captures, of_dataset = (parquet.read_table(folder / name) for folder in folders)
        assert of_dataset.equals(of_captures), name


def test_a_dataset_and_its_captures_do_not_differ(scanned: Scanned) -> None:
    done = run("diff", "--format", "json", scanned.dataset, scanned.captures)
    found = msgspec.json.decode(done.stdout)
    assert done.returncode == 0
    assert not any(found[name] for name in ("broke", "recovered", "fails_differently", "servers"))
    assert found["unchanged"]


def test_an_explanation_says_what_needs_no_packets(scanned: Scanned) -> None:
    done = run("explain", "--sni", "shop.example", scanned.dataset)
    assert done.returncode == 0
    assert b"the server refused the handshake: protocol_version" in done.stdout


def test_a_report_has_no_ladder_without_packets(scanned: Scanned, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = run("report", scanned.dataset, "-o", page)
    assert done.returncode == 0, done.stderr
    assert "which has no packets" in page.read_text()


def test_python_reads_a_dataset(scanned: Scanned) -> None:
    of_captures, of_dataset = (
        [msgspec.json.encode(one) for one in tlsdissect.read(place, findings=True)]
        for place in (scanned.captures, scanned.dataset)
    )
    assert of_dataset == of_captures
    assert any(b'"resumes":{' in one for one in of_dataset)
    assert len(tlsdissect.certs(scanned.dataset)) == len(tlsdissect.certs(scanned.captures)) > 0
    assert tlsdissect.summary(scanned.dataset) == tlsdissect.summary(scanned.captures)
    late = [tlsdissect.read(place, since=timedelta(seconds=1)) for place in (scanned.captures, scanned.dataset)]
    assert [one.stream for one in late[0]] == [one.stream for one in late[1]]


def test_several_datasets_are_read_one_after_the_other(scanned: Scanned, copied: Path) -> None:
    once = list(tlsdissect.read(scanned.dataset))
    assert len(list(tlsdissect.read(scanned.dataset, copied))) == 2 * len(once)


def test_documents_outside_the_selected_times_are_not_opened(copied: Path) -> None:
    for file in copied.glob("documents/*/*.parquet"):
        file.unlink()
    done = run("read", "--until", "2001-01-01", copied)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"none of" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--joined"], "--joined: a dataset has no packets"),
        (["--keylog", "samples/tls13-full.keys"], "--keylog: a dataset has no packets"),
        (["--known", "5"], "--known cannot be used with a dataset: its captures were read earlier"),
        (["--emit", "decided"], "--emit decided cannot be used with a dataset"),
        (["samples/tls12-full.pcap"], "is a dataset, which cannot be read together with captures"),
    ],
)
def test_what_needs_packets_is_refused(scanned: Scanned, arguments: list[str], why: str) -> None:
    done = run("read", *arguments, scanned.dataset)
    assert (done.returncode, done.stdout) == (2, b"")
    assert why.encode() in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_unhashed_fingerprints_are_read_if_they_were_scanned(scanned: Scanned) -> None:
    done = run("read", "--raw-fingerprints", "--format", "json", scanned.dataset)
    assert done.returncode == 2
    assert b"has no unhashed fingerprints" in done.stderr


def damage(copied: Path, kind: str) -> Path:
    """Damage a file of a dataset, and return its path."""
    files = {"documents": "documents/*/*.parquet", "manifest": "manifest/*.json"}
    file = max(copied.glob(files[kind]), key=lambda one: one.stat().st_size)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return file


@pytest.mark.parametrize("kind", ["documents", "manifest"])
def test_a_damaged_file_is_named_and_the_others_are_read(copied: Path, kind: str) -> None:
    file = damage(copied, kind)
    done = run("read", "--format", "json", copied)
    assert done.returncode == 2
    assert str(file).encode() in done.stderr
    assert b"damaged" in done.stderr
    assert done.stdout.count(b"\n") > 20


def test_texts_of_a_dataset_are_escaped_too(copied: Path) -> None:
    for file in copied.glob("documents/*/*.parquet"):
        table = parquet.read_table(file)
        rows = table.to_pylist()
        for row in rows:
            if row["kind"] == "connection":
                connection = {**msgspec.json.decode(row["json"]), "version": "\x1b]0;own\x07"}
                row["json"] = msgspec.json.encode(connection)
        parquet.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
    for command in ("read", "summary", "explain", "compare", "certs"):
        _, shown = on_terminal(80, command, copied)
        assert "\x1b]0;own" not in shown, command
        assert r"\x1b]0;own" in shown or command != "read"


def test_a_missing_file_is_named(copied: Path) -> None:
    file = max(copied.glob("documents/*/*.parquet"), key=lambda one: one.stat().st_size)
    file.unlink()
    done = run("read", copied)
    assert done.returncode == 2
    assert f"{file}: No such file or directory".encode() in done.stderr


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (b"{", "dataset.json: is damaged"),
        (b'{"format":"other","version":1,"options":{}}', "dataset.json: is not in the format"),
        (
            b'{"format":"tlsdissect-dataset","version":9,"options":{}}',
            "written by a newer version of tlsdissect: layout 9",
        ),
    ],
)
def test_a_foreign_folder_is_refused(copied: Path, mark: bytes, why: str) -> None:
    (copied / "dataset.json").write_bytes(mark)
    done = run("read", copied)
    assert (done.returncode, done.stdout) == (2, b"")
    assert why.encode() in done.stderr
    with pytest.raises(tlsdissect.CaptureError, match=why):
        list(tlsdissect.read(copied))
