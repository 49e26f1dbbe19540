"""Staples for a whole chain: CertificateStatus of version 2 (RFC 6961)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from authority import authority, issue
from conversing import Talk, write
from test_exported import HEAD, SERVER, showing, sized
from test_judge import response

from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

ROOT = authority("root")
MIDDLE = authority("middle", ROOT)
LEAF = issue("leaf", MIDDLE)
OWN, ABOVE = response(LEAF, signer=MIDDLE, issuer=MIDDLE), response(MIDDLE, issuer=ROOT)


@pytest.mark.parametrize(
    ("listed", "serial"), [((OWN, ABOVE), LEAF.link.facts.serial), ((OWN, b""), LEAF.link.facts.serial),
                           ((b"", ABOVE), None), ((), None)],
)  # fmt: skip
def test_the_first_is_the_servers_own(listed: tuple[bytes, ...], serial: str | None, tmp_path: Path) -> None:
    status = b"\x02" + sized(b"".join(sized(one) for one in listed))
    message = b"\x16" + sized(status)
    record = b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message
    spoken = [(side, behind(data, record) if side == SERVER else data) for side, data in showing([LEAF, MIDDLE])]
    (one,) = Reading([write(tmp_path / "list.pcap", Talk(spoken, 0, 1, 50_000))])
    assert "certificate_status" in {told.type for told in one.messages}
    assert (None if one.ocsp_staple is None else one.ocsp_staple.serial) == serial


def behind(data: bytes, record: bytes) -> bytes:
    """A flight, with a record behind the one of its Certificate."""
    out = b""
    while data:
        size = HEAD + int.from_bytes(data[3:HEAD], "big")
        out += data[:size] + (record if data[0] == 0x16 and data[HEAD] == 0x0B else b"")
        data = data[size:]
    return out
