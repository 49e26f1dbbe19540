from __future__ import annotations

import json
from typing import TYPE_CHECKING

from commands import TLS12, on_terminal, run
from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path

BEFORE, AFTER = (f"samples/network/network-upgrade-{when}.pcap" for when in ("before", "after"))


def test_what_broke_comes_first() -> None:
    done = run("diff", BEFORE, AFTER)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    labels = [line.split()[0] for line in text.splitlines() if line[:1].strip()]
    assert labels == ["Before", "After", "Paired", "Broke", "Works", "Changed", "JA4", "Times", "Not", "Stayed"]
    assert text.index("alert unknown_ca by client") < text.index("new certificate: www.example, P-256")


def test_nothing_changed() -> None:
    done = run("diff", TLS12, TLS12, "--exit-status")
    assert done.returncode == 0
    assert "Changed       nothing\n" in done.stdout.decode()
    assert "Stayed        1 of 1 pair: 1 working\n" in done.stdout.decode()
    nothing = run("diff", "samples/tls12-full.pcap", "samples/paths-client.pcap.gz").stdout.decode()
    assert "0 pairs" in nothing
    assert "Stayed" not in nothing


def test_exit_status_tells_what_broke() -> None:
    assert run("diff", BEFORE, AFTER).returncode == 0
    assert run("diff", "--exit-status", BEFORE, AFTER).returncode == 3
    assert run("diff", "--exit-status", "--client", "192.0.2.14", BEFORE, AFTER).returncode == 0
    assert run("diff", "--exit-status", AFTER, AFTER).returncode == 0
    assert run("diff", "--exit-status", "--client", "192.0.2.99", BEFORE, AFTER).returncode == 1
    assert run("diff", "--exit-status", "--sni", "new.example", BEFORE, AFTER).returncode == 1


def test_selections_apply_to_both_sides() -> None:
    done = run("diff", "--format", "json", "--where", 'client.ip == "192.0.2.12"', BEFORE, AFTER)
    found = json.loads(done.stdout)
    assert [found[side]["connections"] for side in ("before", "after")] == [3, 3]
    assert [found[side]["connections_read"] for side in ("before", "after")] == [21, 21]
    assert [one["client"] for one in found["broke"]] == ["192.0.2.12"]


def test_json_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "diff.json"
    assert run("diff", "-q", BEFORE, AFTER, "-o", file).returncode == 0
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["by"] == "name"
    assert run("diff", BEFORE, AFTER, "-o", ROOT / BEFORE).returncode == 2


def test_secrets_that_opened_something_on_the_other_side_are_not_unused(tmp_path: Path) -> None:
    captures = [f"samples/{name}.pcap" for name in ("tls13-full", "tls13-client-cert")]
    keys = tmp_path / "both.keys"
    keys.write_text("".join((ROOT / one).with_suffix(".keys").read_text() for one in captures))
    for form in ("table", "json"):
        done = run("diff", "--format", form, "--keylog", keys, *captures)
        assert b"opened nothing" not in done.stdout + done.stderr


def test_folders_and_pipes(tmp_path: Path) -> None:
    (tmp_path / "one.pcap").write_bytes((ROOT / BEFORE).read_bytes())
    done = run("diff", "--format", "json", "-q", tmp_path, "-", given=(ROOT / AFTER).read_bytes())
    assert len(json.loads(done.stdout)["broke"]) == 3
    done = run("diff", "-", "-")
    assert (done.returncode, b"only one of BEFORE and AFTER" in done.stderr) == (2, True)


def test_a_side_that_cannot_be_read(tmp_path: Path) -> None:
    for sides in ((tmp_path / "none.pcap", AFTER), (BEFORE, tmp_path / "none.pcap")):
        done = run("diff", *sides)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.startswith(b"tlsdissect: ")
        assert done.stderr.count(b"\n") == 1


def test_keys_show_certificates_of_tls13() -> None:
    """The laptop has TLS 1.3 after the upgrade: without keys, the server's new certificate is not visible to it."""
    laptop = ("diff", "--format", "json", "--client", "192.0.2.10", "--sni", "www.example", BEFORE, AFTER)
    (plain,) = json.loads(run(*laptop).stdout)["servers"]
    (opened,) = json.loads(run(*laptop, "--keylog", (ROOT / AFTER).with_suffix(".keys")).stdout)["servers"]
    assert plain["certificates"] is None
    assert opened["certificates"]["new"][0]["subject"] == "CN=www.example"


def test_on_a_terminal() -> None:
    status, shown = on_terminal(60, "diff", BEFORE, AFTER)
    assert status == 0
    assert "\x1b[31m" in shown
