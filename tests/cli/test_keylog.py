"""--keylog on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cli.commands import run
from recorded import ROOT, packets, with_secrets

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "samples" / "tls13-full.pcap"
KEYS = SAMPLE.with_suffix(".keys")
FOREIGN = ROOT / "samples" / "tls12-full.keys"


def test_several_key_logs_and_processes() -> None:
    alone = run("read", "--format", "json", "--keylog", KEYS, SAMPLE)
    (line,) = alone.stdout.splitlines()
    assert json.loads(line)["keys"]["from"] == "keylog"
    assert b"opened nothing" not in alone.stderr
    for jobs in ("1", "2"):
        several = run("read", "--format", "json", "--keylog", FOREIGN, "--keylog", KEYS, "--jobs", jobs, SAMPLE)
        assert several.stdout == alone.stdout
        assert b"secrets of 1 connection opened nothing" in several.stderr


def test_certificates_that_only_keys_show_are_marked() -> None:
    done = run("certs", "--keylog", KEYS, SAMPLE)
    assert done.stdout.decode().count("1 connection · with keys") == 2
    lines = run("certs", "--format", "json", "--keylog", KEYS, SAMPLE).stdout.splitlines()
    assert [json.loads(line)["with_keys"] for line in lines] == [True, True]
    assert run("certs", SAMPLE).stdout == b""
    seen = run("certs", "--format", "json", "samples/tls12-full.pcap").stdout.splitlines()
    assert [json.loads(line)["with_keys"] for line in seen] == [False, False]


def test_damage_is_one_warning(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.keys"
    damaged.write_bytes(KEYS.read_bytes() + b"what is this\n" * 5)
    done = run("read", "--format", "json", "--keylog", damaged, SAMPLE)
    assert json.loads(done.stdout)["keys"]["from"] == "keylog"
    (warning,) = [line for line in done.stderr.decode().splitlines() if "damaged.keys" in line]
    why = "is not a label followed by two hexadecimal strings"
    assert warning == f"tlsdissect: {damaged}: line 7 {why}, and 4 further lines are damaged"


def test_both_secrets_that_openssl_logs_of_a_connection_are_its_own() -> None:
    capture = ROOT / "samples" / "tls12-static-rsa.pcap"
    keys = capture.with_suffix(".keys")
    assert {line.partition(" ")[0] for line in keys.read_text().splitlines()[1:]} == {"RSA", "CLIENT_RANDOM"}
    done = run("read", "--format", "json", "--keylog", keys, capture)
    assert json.loads(done.stdout)["keys"]["labels"] == ["CLIENT_RANDOM"]
    assert b"opened nothing" not in done.stderr


def test_two_secrets_that_open_nothing_in_a_connection_count_as_those_of_one() -> None:
    """OpenSSL writes CLIENT_RANDOM and RSA for a suite without encryption, which needs neither."""
    capture = ROOT / "samples" / "dtls" / "dtls12-no-encryption.pcap"
    keys = capture.with_suffix(".keys")
    assert {line.partition(" ")[0] for line in keys.read_text().splitlines()[1:]} == {"RSA", "CLIENT_RANDOM"}
    done = run("read", "--format", "json", "--keylog", keys, capture)
    assert json.loads(done.stdout)["keys"] is None
    assert b"secrets of 1 connection opened nothing" in done.stderr


def test_counts_mark_findings_that_only_keys_show() -> None:
    seen = SAMPLE.with_name("tls12-full.pcap")
    done = run("read", "--findings", "--keylog", KEYS, SAMPLE, seen)
    # The certificate is the same in both.
    assert b"low: 1 long_lifetime*, 1 long_lifetime; info: " in done.stderr
    assert b"low: 1 long_lifetime;" in run("read", "--findings", SAMPLE, seen).stderr
    counts = [run("certs", "--keylog", KEYS, path, *more).stderr for path, more in ((SAMPLE, ()), (SAMPLE, (seen,)))]
    assert [b"low: 1 long_lifetime*;" in one for one in counts] == [True, False]


def test_secrets_inside_captures_that_open_nothing_are_counted(tmp_path: Path) -> None:
    """As those of a key log are, wherever they are and however many processes read."""
    front = with_secrets(SAMPLE, tmp_path / "a.pcapng", 0, keys=FOREIGN)
    end = with_secrets(SAMPLE, tmp_path / "b.pcapng", len(packets(SAMPLE)), keys=FOREIGN)
    fitting = with_secrets(SAMPLE, tmp_path / "c.pcapng", 0)
    for jobs in ("1", "2"):
        for capture in (front, end):
            assert b"secrets of 1 connection opened nothing" in run("read", "--jobs", jobs, capture).stderr
        assert b"opened nothing" not in run("read", "--jobs", jobs, fitting).stderr
    # Those of the capture are used, and the key log's are not; then they are the same.
    assert b"secrets of 1 connection opened nothing" in run("read", "--keylog", FOREIGN, fitting).stderr
    assert b"opened nothing" not in run("read", "--keylog", KEYS, fitting).stderr
    assert b"secrets of 1 connection opened nothing" in run("summary", front, fitting).stdout


def test_secrets_beyond_the_most_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlsdissect.pipeline.MAX_KNOWN_KEYS", 1)
    front = with_secrets(SAMPLE, tmp_path / "a.pcapng", 0, keys=FOREIGN)
    second = with_secrets(SAMPLE, tmp_path / "b.pcapng", 0, keys=ROOT / "samples" / "tls12-static-rsa.keys")
    assert b"secrets of 1 connection opened nothing" in run("read", front, second).stderr


@pytest.mark.parametrize("name", ["tls13-full", "tls12-full", "quic/quic-full", "dtls/dtls13-full"])
def test_a_wrong_secret_does_not_hide_a_right_one(name: str, tmp_path: Path) -> None:
    """Neither in an earlier nor in a later line, nor for some labels in the one and for others in the other."""
    capture = ROOT / "samples" / f"{name}.pcap"
    right = [line for line in capture.with_suffix(".keys").read_text().splitlines() if line[:1] not in {"#", ""}]
    wrong = [line[:-4] + ("0000" if line[-4:] != "0000" else "1111") for line in right]
    mixed = [one for pair in zip(right, wrong, strict=True) for one in pair]
    (expected,) = run("read", "--format", "json", "--keylog", capture.with_suffix(".keys"), capture).stdout.splitlines()
    for lines in (wrong + right, right + wrong, right[::2] + mixed[::-1], wrong[1::2] + mixed):
        log = tmp_path / "both.keys"
        log.write_text("\n".join(lines))
        done = run("read", "--format", "json", "--keylog", log, capture)
        assert done.stdout.splitlines() == [expected]
        assert b"repeats the label and random of an earlier line with another secret" in done.stderr
    # Nor does that of a key log hide one inside the capture.
    log.write_text("\n".join(wrong))
    inside = with_secrets(capture, tmp_path / "inside.pcapng", 0)
    (line,) = run("read", "--format", "json", "--keylog", log, inside).stdout.splitlines()
    assert json.loads(line)["hidden"] == json.loads(expected)["hidden"]
    assert json.loads(line)["keys"]["from"] == "capture"
