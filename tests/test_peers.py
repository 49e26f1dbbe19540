"""Handshakes of TLS 1.3 by Go, rustls, Java, GnuTLS and NSS: what is inferred without keys is what keys show."""

from __future__ import annotations

import subprocess
import sys

import pytest
from recorded import ROOT

import tlsdissect

PEERS = ROOT / "samples" / "peers"
INFERENCE = ROOT / "tests" / "benchmarks" / "inference"
ESTABLISHED, RESUMED = ("established", None, "none"), ("established", None, "psk")
REFUSED_SERVER, REFUSED_CLIENT = ("alert", "client", "none"), ("alert", "server", "none")
FULL = [ESTABLISHED, REFUSED_SERVER, ESTABLISHED, REFUSED_CLIENT, REFUSED_CLIENT]
"""A handshake; a server that the client does not trust; a client certificate, one of a stranger, and none."""
STORIES = {
    "peers-gnutls": [ESTABLISHED, RESUMED, *FULL[1:]],
    "peers-go": [ESTABLISHED, RESUMED, *FULL[1:]],
    "peers-java-client": [ESTABLISHED, RESUMED, *FULL[1:]],
    "peers-java-server": FULL,
    "peers-nss": FULL,
    "peers-rustls": [ESTABLISHED, RESUMED, *FULL[1:]],
}


def test_every_sample_has_a_story() -> None:
    assert sorted(STORIES) == sorted(path.stem for path in PEERS.glob("*.pcap"))


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str) -> None:
    told = [(one.outcome, one.failed_by, one.resumption) for one in tlsdissect.read(PEERS / f"{name}.pcap")]
    assert told == STORIES[name]


@pytest.mark.parametrize("name", STORIES)
def test_keys_show_who_refused_whom(name: str) -> None:
    path = PEERS / f"{name}.pcap"
    for connection, story in zip(tlsdissect.read(path, keylog=path.with_suffix(".keys")), STORIES[name], strict=True):
        shown = [*connection.alerts, *(connection.hidden.alerts or () if connection.hidden else ())]
        # A server of GnuTLS sends two alerts.
        errors = {one.sender for one in shown if one.description not in {"close_notify", "user_canceled"}}
        assert errors == ({story[1]} if story[1] else set())


def test_everything_that_is_inferred_is_what_keys_show() -> None:
    done = subprocess.run([sys.executable, INFERENCE, "--only", PEERS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    connections = int(done.stdout.split(maxsplit=1)[0])
    assert connections >= sum(len(story) for story in STORIES.values()) - 5
    assert f"| the handshake is complete | {connections} | 0 | 0 |" in done.stdout
    assert "| the client had no certificate to show | 10 | 0 | 0 |" in done.stdout
