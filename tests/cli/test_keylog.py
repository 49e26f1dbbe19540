"""--keylog on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli.commands import run
from recorded import ROOT

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
    assert warning == f"tlsdissect: {damaged}: line 7 is no label with two hexadecimal numbers, nor are 4 further"


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
