"""What a stream's first bytes say: records, a hello of SSL 2.0, or something else."""

from __future__ import annotations

from enum import Enum, auto

from tlsdissect.tls.record import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, HANDSHAKE_TYPES, HEARTBEAT, is_header

_SSL2_SIZE = 11
_SSL2_VERSIONS = frozenset((0x0002, 0x0200, 0x0300, 0x0301, 0x0302, 0x0303))


class FirstBytes(Enum):
    """What a stream begins with."""

    UNDECIDED = auto()
    RECORDS = auto()
    SSL2 = auto()
    OTHER = auto()


def judge(data: bytes) -> FirstBytes:
    """Tell what a stream is by its first bytes; UNDECIDED: more of them are needed."""
    if not data:
        return FirstBytes.UNDECIDED
    if data[0] & 0x80:
        return _judge_ssl2(data)
    if not CHANGE_CIPHER_SPEC <= data[0] <= HEARTBEAT or (len(data) > 1 and data[1] != 3):
        return FirstBytes.OTHER
    if len(data) < 6:
        return FirstBytes.UNDECIDED
    if not is_header(data):
        return FirstBytes.OTHER
    wrong = (data[0] == HANDSHAKE and data[5] not in HANDSHAKE_TYPES) or (data[0] == ALERT and data[3:5] > b"\x01\x00")
    return FirstBytes.OTHER if wrong else FirstBytes.RECORDS


def _judge_ssl2(data: bytes) -> FirstBytes:
    """Tell a hello of SSL 2.0 by its lengths.

    CLIENT-HELLO: RFC 5246 appendix E.2. SERVER-HELLO: draft-hickman-netscape-ssl-00 section 5.5.
    """
    if len(data) > 2 and data[2] not in (1, 4):
        return FirstBytes.OTHER
    if len(data) < _SSL2_SIZE:
        return FirstBytes.UNDECIDED
    size = int.from_bytes(data[:2], "big") & 0x7FFF
    numbers = [int.from_bytes(data[at : at + 2], "big") for at in range(3, _SSL2_SIZE, 2)]
    if data[2] == 1:
        version, specs, session_id, challenge = numbers
        fits = 9 + specs + session_id + challenge == size and specs % 3 == 0 and specs and challenge >= 16
    else:
        version, certificate, specs = numbers[1:]
        fits = 11 + certificate + specs <= size and specs % 3 == 0 and data[3] in (0, 1)
    if version not in _SSL2_VERSIONS or not fits:
        return FirstBytes.OTHER
    return FirstBytes.SSL2 if len(data) >= 2 + size else FirstBytes.UNDECIDED
