"""Packets of a batch, one by one: until captures are read that way from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.capture.packet import Packet
    from tlsdissect.capture.packets import Packets


def one_by_one(packets: Packets, packet: Packet) -> Iterator[Packet]:
    """Fill `packet` with each row in turn."""
    data = bytes(packets.data)
    names = [name for name in packets.__struct_fields__ if name != "data"]
    for row in zip(*(getattr(packets, name).tolist() for name in names), strict=True):
        fields = dict(zip(names, row, strict=True))
        size = 4 if fields["family"] == 4 else 16
        ends = [
            (fields[f"{end}_high"] << 64 | fields[f"{end}_low"]).to_bytes(16, "big")[-size:]
            for end in ("source", "destination")
        ]
        packet.data = data
        packet.endpoints = (
            b"".join(ends) + fields["source_port"].to_bytes(2, "big") + fields["destination_port"].to_bytes(2, "big")
        )
        for name in ("frame", "time", "digits", "protocol", "sequence", "acknowledgement", "flags", "payload",
                     "length", "captured", "place"):  # fmt: skip
            setattr(packet, name, fields[name])
        packet.quoted = bool(fields["quoted"])
        yield packet
    packet.data = b""
