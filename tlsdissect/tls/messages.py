# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""Short messages: NewSessionTicket, Finished, KeyUpdate, SupplementalData, Heartbeat and the empty ones."""

from typing import Self

from msgspec import Struct

from tlsdissect.tls.client_hello import Extension, extension_list
from tlsdissect.tls.codepoints import HeartbeatMessageType, KeyUpdateRequest, SupplementalDataFormat
from tlsdissect.tls.wire import Reader


class Empty(Struct, frozen=True, gc=False):
    """HelloRequest, ServerHelloDone (RFC 5246 section 7.4), EndOfEarlyData (RFC 8446 section 4.5)."""

    @classmethod
    def read(cls, r: Reader) -> Self:  # noqa: ARG003  # `whole` rejects trailing bytes
        return cls()


class NewSessionTicket(Struct, frozen=True, gc=False):
    """RFC 5077 section 3.3."""

    ticket_lifetime_hint: int
    ticket: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(ticket_lifetime_hint=r.u32(), ticket=r.sized(2))


class NewSessionTicket13(Struct, frozen=True):
    """RFC 8446 section 4.6.1."""

    ticket_lifetime: int
    ticket_age_add: int
    ticket_nonce: bytes
    ticket: bytes
    extensions: tuple[Extension, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            ticket_lifetime=r.u32(),
            ticket_age_add=r.u32(),
            ticket_nonce=r.sized(1),
            ticket=r.sized(2),
            extensions=extension_list(r),
        )


class Finished(Struct, frozen=True, gc=False):
    """RFC 8446 section 4.4.4; RFC 5246 section 7.4.9."""

    verify_data: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(verify_data=r.rest())


class FinishedSsl3(Struct, frozen=True, gc=False):
    """RFC 6101 section 5.6.9."""

    md5_hash: bytes
    sha_hash: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(md5_hash=r.opaque(16), sha_hash=r.opaque(20))


class KeyUpdate(Struct, frozen=True, gc=False):
    """RFC 8446 section 4.6.3."""

    request_update: KeyUpdateRequest

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(request_update=r.u8())


class NextProtocol(Struct, frozen=True, gc=False):
    """draft-agl-tls-nextprotoneg-04 section 3."""

    selected_protocol: bytes
    padding: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(selected_protocol=r.sized(1), padding=r.sized(1))


class SupplementalDataEntry(Struct, frozen=True, gc=False):
    """RFC 4680 section 2."""

    supp_data_type: SupplementalDataFormat
    data: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(supp_data_type=r.u16(), data=r.sized(2))


class SupplementalData(Struct, frozen=True):
    """RFC 4680 section 2."""

    supp_data: tuple[SupplementalDataEntry, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(supp_data=r.vector(3, SupplementalDataEntry.read))


class ChangeCipherSpec(Struct, frozen=True, gc=False):
    """RFC 5246 section 7.1."""

    type: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(type=r.u8())


class Heartbeat(Struct, frozen=True, gc=False):
    """A HeartbeatMessage (RFC 6520 section 4); the padding is everything after the payload."""

    type: HeartbeatMessageType
    payload: bytes
    padding: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(type=r.u8(), payload=r.sized(2), padding=r.rest())
