"""Captures read by the workers of a Dask cluster: real processes, on loopback."""

from __future__ import annotations

import gzip
import shutil
from typing import TYPE_CHECKING

import pytest
from dask import distributed
from msgspec import json
from recorded import ROOT

import tlsdissect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dask.distributed import Client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as connected,
    ):
        yield connected


def test_workers_tell_the_same_in_the_same_order_with_the_same_links(client: Client, tmp_path: Path) -> None:
    for name in ("tls12-full", "tls12-resumed-ticket", "tls13-resumed", "tls13-early-data"):
        shutil.copy(ROOT / "samples" / f"{name}.pcap", tmp_path)
    (tmp_path / "notes.txt").write_text("no capture")
    told = list(tlsdissect.read(tmp_path, cluster=client))
    alone = list(tlsdissect.read(tmp_path))
    assert [json.encode(one) for one in told] == [json.encode(one) for one in alone]
    assert any(one.resumes for one in told)
    hello = told[0].client_hello
    assert hello is not None
    assert hello.extensions[0].type == "server_name"


def test_workers_make_the_same_findings(client: Client, tmp_path: Path) -> None:
    """With authorities and a CRL that workers do not have, and lookups over plain HTTP that each capture has."""
    for name in ("httpd-8890-revoked-tls12", "httpd-8891-tls12", "httpd-crl-download", "httpd-8889-tls13"):
        shutil.copy(ROOT / "samples" / "talk" / f"{name}.pcap", tmp_path)
    given: tlsdissect.ReadOptions = {"system_ca": True, "crl": tmp_path / "list.crl"}
    shutil.copy(ROOT / "samples" / "talk" / "httpd-8890-revoked-tls12.crl", tmp_path / "list.crl")
    captures = sorted(tmp_path.glob("*.pcap"))
    told = list(tlsdissect.read(*captures, cluster=client, **given))
    alone = list(tlsdissect.read(*captures, **given))
    assert [one.findings for one in told] == [one.findings for one in alone]
    codes = {found.code for one in told for found in one.findings or ()}
    assert {"ocsp_lookup", "crl_download", "revoked", "untrusted"} <= codes
    chosen = list(tlsdissect.read(*captures, cluster=client, finding="ocsp_lookup", min_severity="info", **given))
    assert 0 < len(chosen) < len(alone)


def test_what_needs_all_captures_together_says_so(client: Client, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{}")
    for refused in (
        lambda: tlsdissect.certs("a.pcap", cluster=client),
        lambda: tlsdissect.report("a.pcap", cluster=client),
        lambda: tlsdissect.summary("a.pcap", cluster=client),
        lambda: list(tlsdissect.read("a.pcap", joined=True, cluster=client)),
        lambda: list(tlsdissect.read(tmp_path, cluster=client)),
    ):
        with pytest.raises(ValueError, match="cluster"):
            refused()


def test_a_url_stands_for_all_that_it_matches(client: Client, tmp_path: Path) -> None:
    for day in (1, 2):
        (tmp_path / f"day-{day}.pcap.gz").write_bytes(
            gzip.compress((ROOT / "samples" / "tls13-full.pcap").read_bytes())
        )
    told = list(tlsdissect.read(f"file://{tmp_path}/day-*.pcap.gz", cluster=client))
    assert [one.source for one in told] == [f"file://{tmp_path}/day-{day}.pcap.gz" for day in (1, 2)]


def test_what_cannot_be_read_is_told_at_the_end(client: Client, tmp_path: Path) -> None:
    captures = [tmp_path / "missing.pcap", "memory://missing.pcap", ROOT / "samples" / "tls12-full.pcap"]
    told = tlsdissect.read(*captures, cluster=client)
    assert next(told).version == "TLS 1.2"
    with pytest.raises(tlsdissect.CaptureError, match=r"missing\.pcap: No such file.*memory://.*cannot be opened"):
        next(told)


def test_tables_and_comparisons_come_from_a_cluster_too(client: Client) -> None:
    captures = [ROOT / "samples" / "tls12-full.pcap", ROOT / "samples" / "tls13-full.pcap"]
    assert len(tlsdissect.tables(*captures, cluster=client).connections) == 2
