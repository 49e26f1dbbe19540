"""Files that are not read: other capture formats and archives, recognized by their first bytes."""

from __future__ import annotations

import struct

_EDITCAP = "`editcap -F pcapng FILE NEW.pcapng` converts it"
_EDITCAP_ETHERNET = "`editcap -T ether -F pcapng FILE NEW.pcapng` converts one of Ethernet"
_CAPTURES = {
    b"snoop\0\0\0": "a snoop capture (RFC 1761)",
    b"RTSS": "a capture of Network Monitor 1",
    b"GMBU": "a capture of Network Monitor 2",
    b"TRSNIFF data    \x1a": "a capture of Sniffer for DOS (ngsniffer)",
    b"XCP\0": "a capture of Sniffer for Windows (NetXray)",
    b"VL\0\0": "a capture of NetXray 1",
    b"TR\0\x64\0": "a capture of HP-UX nettl",
    b"iptrace ": "a capture of AIX iptrace",
    b"\x7fver": "a capture of OmniPeek (EtherPeek 9)",
    b"ObserverPktBuffe": "a capture of Observer",
    b"\x05VNF": "a capture of Visual Networks",
    b"\xaa\xaa\xaa\xaa": "a capture of InfoVista 5View",
    b"\x01\x10\x4c\0\x01\x05": "a capture of LANalyzer",
}
"""By magic number, as Wireshark's wiretap library has them; `editcap` converts all of them."""
_PACKED = {
    b"PK\x03\x04": ("a zip archive", "`unzip -p FILE | tlsdissect read -` reads a capture in it"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "`7z x FILE` unpacks it"),
    b"Rar!\x1a\x07": ("a RAR archive", "`unrar x FILE` unpacks it"),
    b"\x04\x22\x4d\x18": ("compressed with lz4", "`lz4 -dc FILE | tlsdissect read -` reads it"),
    b"\x1f\x9d": ("compressed with compress", "`gzip -dc FILE | tlsdissect read -` reads it"),
    b"\x5d\0\0": ("compressed with lzma", "`xz -dc FILE | tlsdissect read -` reads it"),
}
_K12_TEXT = b"+---------+---------------+----------+"
_ETL_MAGICS, _ETL_PLACE = (b"\2\0\1\xc0", b"\2\0\2\xc0"), 72
"""The marker of the first event, of a 32-bit or a 64-bit Windows, behind the header of the first buffer."""
TAR_MAGIC, TAR_PLACE = b"ustar", 257
"""Of POSIX and GNU tar."""
LONGEST = TAR_PLACE + len(TAR_MAGIC)
"""Bytes by which all but ERF are recognized."""
_ERF = struct.Struct("<II2B")
_ERF_LENGTHS = struct.Struct(">3H")
_ERF_HEADER = 16
_ERF_TYPES = range(1, 49)
_ERF_META = 27
_ERF_OVERHEAD = 64
"""Bytes by which a record may be longer than its packet: its headers, and padding."""
_ERF_IN_A_ROW = 4
_FIRST_ERF = 788_918_400
"""The beginning of 1995, as seconds since 1970: before the first cards that wrote ERF."""
_DAY = 86_400


def foreign_format(data: bytes) -> str | None:
    """Describe a file by its first bytes, with the command that makes it readable; None if it is none of these."""
    for magic, name in _CAPTURES.items():
        if data.startswith(magic):
            return f"is {name}: {_EDITCAP}"
    for magic, (name, remedy) in _PACKED.items():
        if data.startswith(magic):
            return f"is {name}: {remedy}"
    if data[TAR_PLACE:LONGEST] == TAR_MAGIC:
        return "is a tar archive: `tar -xf FILE` unpacks it"
    if _is_erf(data):
        return f"is an ERF capture: {_EDITCAP_ETHERNET}"
    if data.startswith(_K12_TEXT):
        return f"is a text file of a K12 analyzer: {_EDITCAP_ETHERNET}"
    if data.startswith(_ETL_MAGICS, _ETL_PLACE):
        return "is an event trace log of Windows (ETL): `etl2pcapng FILE NEW.pcapng` converts one of packets"
    return None


def _is_erf(data: bytes) -> bool:
    """Return whether several record headers of Endace's extensible record format follow one another.

    The format has no magic number. A header is a time stamp in little-endian byte order (fraction and seconds), a type,
    flags, and in big-endian byte order the record's length, a counter, and the packet's length.
    """
    at, latest = 0, 0
    for _ in range(_ERF_IN_A_ROW):
        if at + _ERF_HEADER > len(data):
            break
        _, seconds, kind, _ = _ERF.unpack_from(data, at)
        size, _, carried = _ERF_LENGTHS.unpack_from(data, at + 10)
        kind &= 0x7F
        if kind not in _ERF_TYPES or size < _ERF_HEADER:
            return False
        if kind != _ERF_META:
            if size > carried + _ERF_OVERHEAD or seconds < _FIRST_ERF or (latest and abs(seconds - latest) > _DAY):
                return False
            latest = seconds
        at += size
    return latest > 0 and (at + _ERF_HEADER <= len(data) or at == len(data))
