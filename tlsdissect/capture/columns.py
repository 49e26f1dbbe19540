"""Header fields of the rows that were found, gathered into the columns of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from tlsdissect.capture.packets import TCP, UDP, Packets
from tlsdissect.capture.records import fields, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tlsdissect.capture.records import Records
    from tlsdissect.capture.rows import Peeling, Rows


class Found(msgspec.Struct, frozen=True, gc=False):
    """The columns of rows of one kind, by name, without what belongs to their records."""

    record: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]


def found(view: Peeling, *, base: int = 0, quoted: bool = False) -> list[Found]:
    """Gather the fields of all TCP and UDP headers noted; `base` is where the view's bytes begin in the batch's."""
    results = []
    detours = _detours(view)
    # UDP first: a tunnel over it stands outside whatever TCP is in the same frame.
    for read, groups in ((_udp, view.udp), (_tcp, view.tcp)):
        for rows in groups:
            columns = {**_addresses(view, rows), **read(view, rows)}
            _follow(detours, view, rows, columns)
            columns["payload"] += base
            columns["quoted"] = np.full(len(rows), quoted)
            results.append(Found(rows.record, columns))
    return [part for part in results if len(part.record)]


def _addresses(view: Peeling, rows: Rows) -> dict[str, NDArray[Any]]:
    ip = rows.ip
    family = view.u8[ip] >> 4
    old = family == 4
    if old.all():
        none = np.zeros(len(rows), np.uint64)
        low = view.u32[ip + 12].astype(np.uint64), view.u32[ip + 16].astype(np.uint64)
        return {"family": family, **_ends(none, low[0], none, low[1])}
    ip6 = ip[~old]
    u64 = numbers(view.data, ">u8")
    ends = [np.zeros(len(rows), np.uint64) for _ in range(4)]
    for number, column in enumerate(ends):
        column[~old] = u64[ip6 + 8 + 8 * number]
    ends[1][old], ends[3][old] = view.u32[ip[old] + 12], view.u32[ip[old] + 16]
    return {"family": family, **_ends(*ends)}


def _detours(view: Peeling) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where IP headers begin whose packets go on from their destination, in order, and where the last address stands.

    They are sorted once for all rows: there may be as many of them as there are headers.
    """
    none = np.zeros(0, np.int64)
    ip = np.concatenate([none, *(ip for ip, _ in view.detours)])
    place = np.concatenate([none, *(place for _, place in view.detours)])
    order = np.argsort(ip, kind="stable")
    return ip[order], place[order]


def _follow(
    detours: tuple[NDArray[np.int64], NDArray[np.int64]], view: Peeling, rows: Rows, columns: dict[str, NDArray[Any]]
) -> None:
    """Let what its source routes be sent to whom it reaches at last: with whom TCP talks (RFC 8200 section 8.1)."""
    ip, place = detours
    if not len(ip):
        return
    # Of several routes of one header, the one behind the others counts.
    which = np.searchsorted(ip, rows.ip, "right") - 1
    at = np.flatnonzero((which >= 0) & (ip[which] == rows.ip))
    place = place[which[at]]
    old = columns["family"][at] == 4
    columns["destination_low"][at[old]] = view.u32[place[old]]
    six, u64 = place[~old], numbers(view.data, ">u8")
    columns["destination_high"][at[~old]], columns["destination_low"][at[~old]] = u64[six], u64[six + 8]


def _ends(*columns: NDArray[np.uint64]) -> dict[str, NDArray[np.uint64]]:
    names = ("source_high", "source_low", "destination_high", "destination_low")
    return dict(zip(names, columns, strict=True))


_TCP = np.dtype(
    [
        ("source_port", ">u2"),
        ("destination_port", ">u2"),
        ("sequence", ">u4"),
        ("acknowledgement", ">u4"),
        ("offset", "u1"),
        ("flags", "u1"),
        ("window", ">u2"),
    ]
)
"""The part of a TCP header that is always there (RFC 9293 section 3.1), without checksum and urgent pointer."""


def _tcp(view: Peeling, rows: Rows) -> dict[str, NDArray[Any]]:
    tcp = fields(view.data, rows.at, _TCP)
    header = (tcp["offset"] >> 4).astype(np.int64) * 4
    payload = rows.at + header
    # A header that is no header, or longer than its packet, leaves no payload (RFC 9293 section 3.1).
    sane = (header >= 20) & (payload <= rows.limit)
    if not sane.all():
        payload = np.where(sane, payload, rows.limit)
    return {
        "protocol": np.full(len(rows), TCP, np.uint8),
        "source_port": tcp["source_port"].astype(np.uint16),
        "destination_port": tcp["destination_port"].astype(np.uint16),
        "sequence": tcp["sequence"].astype(np.uint32),
        "acknowledgement": tcp["acknowledgement"].astype(np.uint32),
        "flags": tcp["flags"].copy(),
        "payload": np.minimum(payload, rows.end),
        "length": rows.limit - payload,
        "captured": np.maximum(rows.end - payload, 0),
    }


def _udp(view: Peeling, rows: Rows) -> dict[str, NDArray[Any]]:
    at = rows.at
    size = view.word(at + 4)
    # 0 is a jumbogram (RFC 2675 section 4).
    limit = np.where(size < 8, rows.limit, np.minimum(at + size, rows.limit))
    none = np.zeros(len(rows), np.uint32)
    return {
        "protocol": np.full(len(rows), UDP, np.uint8),
        "source_port": view.u16[at].astype(np.uint16),
        "destination_port": view.u16[at + 2].astype(np.uint16),
        "sequence": none,
        "acknowledgement": none,
        "flags": np.zeros(len(rows), np.uint8),
        "payload": at + 8,
        "length": limit - at - 8,
        "captured": np.minimum(limit, rows.end) - at - 8,
    }


def packets(records: Records, parts: list[Found], data: memoryview) -> Packets:
    """Join the parts into a batch in the order of frames, for one frame in the order of the parts."""
    if len(parts) == 1 and (np.diff(parts[0].record) >= 0).all():
        return _packets(records, parts[0], data)
    record = np.concatenate([part.record for part in parts]) if parts else np.zeros(0, np.int64)
    order = np.argsort(record, kind="stable")
    columns = {}
    for name, kind in _KINDS.items():
        column = np.concatenate([np.zeros(0, kind), *(part.columns[name] for part in parts)])
        columns[name] = column[order]
    return _packets(records, Found(record[order], columns), data)


_KINDS: dict[str, type[np.generic]] = {
    "protocol": np.uint8,
    "family": np.uint8,
    "source_high": np.uint64,
    "source_low": np.uint64,
    "destination_high": np.uint64,
    "destination_low": np.uint64,
    "source_port": np.uint16,
    "destination_port": np.uint16,
    "sequence": np.uint32,
    "acknowledgement": np.uint32,
    "flags": np.uint8,
    "payload": np.int64,
    "length": np.int64,
    "captured": np.int64,
    "quoted": np.bool_,
}


def _packets(records: Records, part: Found, data: memoryview) -> Packets:
    record = part.record
    payload = part.columns["payload"]
    # What was joined from fragments stands behind the records' own bytes.
    place = np.where(payload < len(records.data), payload - records.start[record], -1)
    return Packets(
        data=data,
        frame=records.frame + record,
        time=records.time[record],
        digits=records.digits[record],
        place=place,
        **part.columns,
    )
