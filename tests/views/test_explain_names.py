"""A client that refuses a certificate which is for another name than the one that it asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, Said, Talk, said, write
from recorded import kept

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.views.explain.model import Sentence

ALERTS = {"handshake_failure": 40, "bad_certificate": 42, "certificate_unknown": 46, "access_denied": 49}
OTHER_REASONS = {"certificate_revoked": 44, "certificate_expired": 45, "unknown_ca": 48}
ASKED = b"localhost"


def sentences(path: Path, name: bytes, alert: int | None) -> dict[str, Sentence]:
    """What is said of a client that asks for a name and sends an alert, or none, when it sees the certificate."""
    (_, hello), flight, *_ = said("tls12-full")
    assert hello.count(ASKED) == 1
    assert len(name) == len(ASKED)
    answer: Said = [] if alert is None else [(CLIENT, b"\x15\x03\x03\x00\x02\x02" + bytes([alert]))]
    (one,) = kept(write(path, Talk([(CLIENT, hello.replace(ASKED, name)), flight, *answer], 0, 5, 50_000)))
    assert one.failed_by == "client"
    assert one.certificates
    return {sentence.code: sentence for sentence in tlsdissect.explain(one).sentences}


@pytest.mark.parametrize("alert", [*ALERTS, None])
def test_a_mismatch_of_names_is_the_likely_reason(tmp_path: Path, alert: str | None) -> None:
    number = None if alert is None else ALERTS[alert]
    mismatch = sentences(tmp_path / "a.pcap", b"otherhost", number)["name_mismatch"]
    assert "The certificate is for localhost" in mismatch.text
    assert "the client had asked for otherhost: this mismatch is likely" in mismatch.text
    assert mismatch.guess
    assert "name_mismatch" not in sentences(tmp_path / "b.pcap", ASKED, number)


@pytest.mark.parametrize("alert", OTHER_REASONS)
def test_an_alert_that_names_another_reason_is_believed(tmp_path: Path, alert: str) -> None:
    assert "name_mismatch" not in sentences(tmp_path / "a.pcap", b"otherhost", OTHER_REASONS[alert])
