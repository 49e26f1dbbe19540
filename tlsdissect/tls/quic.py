"""The packets and frames of QUIC that anyone can read: long headers, and what Initial packets contain.

Everything in a packet after its header is encrypted: `handshake/quic_keys.py` opens Initial packets. `quic_packets.py`
reads headers and CRYPTO frames where every datagram passes.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, Final

from tlsdissect.tls.codepoints import QuicFrameType, QuicTransportError, QuicVersion
from tlsdissect.tls.layout import Count, Opaque8, Select, Size, Uint8, Varint, When, WireStruct, reader
from tlsdissect.tls.wire import Reader, WireError

LONG_HEADER: Final = 0x80
"""The bit of the first byte that says that the header is long (RFC 8999 section 5.1)."""
FIXED_BIT: Final = 0x40
"""The bit of the first byte that is set unless the receiver agreed to ignore it (RFC 9000 section 17.2, RFC 9287)."""
LONGEST_ID: Final = 20
"""Bytes of the longest connection ID (RFC 9000 section 17.2)."""
NEGOTIATION: Final = 0
"""The version in a Version Negotiation packet (RFC 8999 section 6)."""
VERSION_2: Final = frozenset((0x6B3343CF, 0x709A50C4))
"""Version 2 and its draft, which number the types of packets in another way (RFC 9369 section 3.2)."""
GOOGLE_TLS: Final = frozenset((0x54303530, 0x54303531))
"""Versions T050 and T051 of Google QUIC, whose packets have the headers of RFC 9000, but their own frames."""
RETRY_TAG: Final = 16
"""Bytes of the tag at the end of a Retry packet (RFC 9001 section 5.8)."""
CRYPTO_ERROR: Final = 0x0100
"""The first of the 256 error codes that carry an alert of TLS (RFC 9001 section 4.8)."""


class PacketType(IntEnum):
    """The types of packets with long headers, numbered as in version 1 (RFC 9000 section 17.2)."""

    INITIAL = 0
    ZERO_RTT = 1
    HANDSHAKE = 2
    RETRY = 3
    VERSION_NEGOTIATION = 4


class LongHeader(WireStruct, frozen=True, gc=False):
    """The part of a long header that is the same in all versions (RFC 8999 section 5.1)."""

    first_byte: Uint8
    version: QuicVersion
    destination_connection_id: Opaque8
    source_connection_id: Opaque8


class InitialFields(WireStruct, frozen=True, gc=False):
    """The rest of an Initial packet's header, and the protected packet number and payload (RFC 9000 section 17.2.2)."""

    token_length: Annotated[int, Varint()]
    token: Annotated[bytes, Size("token_length")]
    length: Annotated[int, Varint()]


class ProtectedFields(WireStruct, frozen=True, gc=False):
    """The rest of the header of a 0-RTT or Handshake packet (RFC 9000 sections 17.2.3 and 17.2.4)."""

    length: Annotated[int, Varint()]


class RetryFields(WireStruct, frozen=True, gc=False):
    """The rest of a Retry packet (RFC 9000 section 17.2.5)."""

    retry_token: Annotated[bytes, Size(lambda r: len(r) - RETRY_TAG)]
    retry_integrity_tag: Annotated[bytes, Size(RETRY_TAG)]


class NegotiationFields(WireStruct, frozen=True):
    """The rest of a Version Negotiation packet (RFC 8999 section 6)."""

    supported_versions: tuple[QuicVersion, ...]


def _zeros(r: Reader) -> int:
    """Count the PADDING frames in front of a reader."""
    left = r.peek(len(r))
    return len(left) - len(left.lstrip(b"\0"))


class Padding(WireStruct, frozen=True, gc=False):
    """A run of PADDING frames, each of which is one zero (RFC 9000 section 19.1)."""

    zeros: Annotated[bytes, Size(_zeros)]


class Ping(WireStruct, frozen=True, gc=False):
    """RFC 9000 section 19.2."""

    type: Annotated[QuicFrameType, Varint()]


class AckRange(WireStruct, frozen=True, gc=False):
    """RFC 9000 section 19.3.1."""

    gap: Annotated[int, Varint()]
    ack_range_length: Annotated[int, Varint()]


class EcnCounts(WireStruct, frozen=True, gc=False):
    """RFC 9000 section 19.3.2."""

    ect0_count: Annotated[int, Varint()]
    ect1_count: Annotated[int, Varint()]
    ecn_ce_count: Annotated[int, Varint()]


class Ack(WireStruct, frozen=True):
    """RFC 9000 section 19.3."""

    type: Annotated[QuicFrameType, Varint()]
    largest_acknowledged: Annotated[int, Varint()]
    ack_delay: Annotated[int, Varint()]
    ack_range_count: Annotated[int, Varint()]
    first_ack_range: Annotated[int, Varint()]
    ack_ranges: Annotated[tuple[AckRange, ...], Count("ack_range_count")]
    ecn_counts: Annotated[EcnCounts | None, When("type", (3,))]


class Crypto(WireStruct, frozen=True, gc=False):
    """RFC 9000 section 19.6."""

    type: Annotated[QuicFrameType, Varint()]
    offset: Annotated[int, Varint()]
    length: Annotated[int, Varint()]
    crypto_data: Annotated[bytes, Size("length")]


class ConnectionClose(WireStruct, frozen=True, gc=False):
    """RFC 9000 section 19.19; the code of type 0x1d is the application's."""

    type: Annotated[QuicFrameType, Varint()]
    error_code: Annotated[QuicTransportError, Varint()]
    frame_type: Annotated[QuicFrameType | None, Varint(), When("type", (0x1C,))]
    reason_phrase_length: Annotated[int, Varint()]
    reason_phrase: Annotated[bytes, Size("reason_phrase_length")]

    @property
    def by_application(self) -> bool:
        """Whether the application closed the connection."""
        return self.type == 0x1D

    @property
    def alert(self) -> int | None:
        """The description of the alert of TLS that the code stands for (RFC 9001 section 4.8)."""
        is_alert = self.error_code >> 8 == CRYPTO_ERROR >> 8 and not self.by_application
        return self.error_code & 0xFF if is_alert else None


class GooglePing(WireStruct, frozen=True, gc=False):
    """A PING frame of Google QUIC, which RFC 9000 section 19.2 numbers otherwise."""

    type: Uint8


class GoogleCrypto(WireStruct, frozen=True, gc=False):
    """A CRYPTO frame of Google QUIC, which RFC 9000 section 19.6 numbers otherwise."""

    type: Uint8
    offset: Annotated[int, Varint()]
    length: Annotated[int, Varint()]
    crypto_data: Annotated[bytes, Size("length")]


_NUMBER_SIZES = (1, 2, 4, 6)
"""Bytes of a packet number in an ACK frame of Google QUIC, by the two bits of the frame's type that state them."""


def _largest_size(type: int) -> int:  # noqa: A002  # the field's name
    return _NUMBER_SIZES[type >> 2 & 3]


def _range_size(type: int) -> int:  # noqa: A002
    return _NUMBER_SIZES[type & 3]


def _range_count_size(type: int) -> int:  # noqa: A002
    return type >> 5 & 1


def _ranges_size(type: int, range_count: bytes) -> int:  # noqa: A002
    return sum(range_count) * (1 + _range_size(type))


def _times_size(time_count: int) -> int:
    return 5 + 3 * (time_count - 1) if time_count else 0


class GoogleAck(WireStruct, frozen=True, gc=False):
    """An ACK frame of Google QUIC, with numbers of fixed lengths, unlike that of RFC 9000 section 19.3."""

    type: Uint8
    largest_acknowledged: Annotated[bytes, Size(_largest_size)]
    ack_delay: Annotated[bytes, Size(2)]
    range_count: Annotated[bytes, Size(_range_count_size)]
    """The number of ranges after the first: one byte, present only if a bit of the frame type is set."""
    first_range: Annotated[bytes, Size(_range_size)]
    ranges: Annotated[bytes, Size(_ranges_size)]
    """Each with the gap before it, which is one byte."""
    time_count: Uint8
    times: Annotated[bytes, Size(_times_size)]
    """Times of receipt: of one packet in 5 bytes, of each further one in 3."""


Frame = Padding | Ping | Ack | Crypto | ConnectionClose
_FRAMES: Final[dict[bytes, type[WireStruct]]] = {
    b"\x00": Padding,
    b"\x01": Ping,
    b"\x02": Ack,
    b"\x03": Ack,
    b"\x06": Crypto,
    b"\x1c": ConnectionClose,
    b"\x1d": ConnectionClose,
}
_GOOGLE_FRAMES: Final[dict[bytes, type[WireStruct]]] = {
    b"\x00": Padding,
    b"\x07": GooglePing,
    b"\x08": GoogleCrypto,
    **dict.fromkeys((bytes([kind]) for kind in range(0x40, 0x80)), GoogleAck),
}
FRAME_NAMES: Final[dict[type[WireStruct], str]] = {GooglePing: "PING", GoogleCrypto: "CRYPTO", GoogleAck: "ACK"}
"""The names of frames whose type is not of RFC 9000."""


def _frame(r: Reader) -> type[WireStruct]:
    kind = r.peek(1)
    found = _FRAMES.get(kind)
    if found is None:
        raise WireError(f"frame type 0x{kind.hex()}, which is not allowed here,", r.offset)
    return found


class Frames(WireStruct, frozen=True):
    """The frames that an Initial or Handshake packet may have (RFC 9000 section 12.4); each type is one byte."""

    frames: tuple[Annotated[Frame, Select(_frame)], ...]


def frame_places(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, type[WireStruct] | None]]:
    """Yield where each frame of a packet begins and ends, and its struct; None for what cannot be read.

    The data begin with the packet's long header.
    """
    frames = _GOOGLE_FRAMES if int.from_bytes(data[1:5], "big") in GOOGLE_TLS else _FRAMES
    while at < end:
        r, struct = Reader(data, at, end), frames.get(data[at : at + 1])
        try:
            if struct is not None:
                reader(struct)(r)
        except WireError:
            struct = None
        stop = end if struct is None else r.offset
        yield at, stop, struct
        at = stop


def read_frames(payload: bytes) -> tuple[tuple[Frame, ...], WireError | None]:
    """Read the frames of an Initial or Handshake packet up to a malformed one, and its error."""
    r = Reader(payload)
    return r.items_until_error(_read_frame), r.error


def _read_frame(r: Reader) -> Frame:
    frame: Frame = reader(_frame(r))(r)
    return frame


def google_crypto_frames(payload: bytes) -> list[GoogleCrypto]:
    """Return the CRYPTO frames of a packet of Google QUIC, up to a frame besides these, ACK, PING and PADDING.

    No document of the IETF describes these frames: they follow Chromium's implementation, QuicFramer.
    """
    r, found = Reader(payload), []
    while len(r):
        struct = _GOOGLE_FRAMES.get(r.peek(1))
        if struct is None:
            break
        try:
            frame = reader(struct)(r)
        except WireError:
            break
        if isinstance(frame, GoogleCrypto):
            found.append(frame)
    return found
