"""Short messages: NewSessionTicket, Finished, KeyUpdate, SupplementalData, Heartbeat and the empty ones."""

from typing import Annotated

from tlsdissect.tls.client_hello import Extensions
from tlsdissect.tls.codepoints import HeartbeatMessageType, KeyUpdateRequest, SupplementalDataFormat
from tlsdissect.tls.layout import Length, Opaque8, Opaque16, Size, Uint, Uint8, Uint32, WireStruct


class HelloRequest(WireStruct, frozen=True, gc=False):
    """RFC 5246 section 7.4.1.1: no fields."""


class ServerHelloDone(WireStruct, frozen=True, gc=False):
    """RFC 5246 section 7.4.5: no fields."""


class EndOfEarlyData(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 4.5: no fields."""


class NewSessionTicket(WireStruct, frozen=True, gc=False):
    """RFC 5077 section 3.3."""

    ticket_lifetime_hint: Uint32
    ticket: Opaque16


class NewSessionTicket13(WireStruct, frozen=True):
    """RFC 8446 section 4.6.1."""

    ticket_lifetime: Uint32
    ticket_age_add: Uint32
    ticket_nonce: Opaque8
    ticket: Opaque16
    extensions: Extensions


class NewSessionTicketDraft(WireStruct, frozen=True):
    """Until draft 20 of TLS 1.3, a ticket had no nonce (draft-ietf-tls-tls13-20 section 4.6.1)."""

    ticket_lifetime: Uint32
    ticket_age_add: Uint32
    ticket: Opaque16
    extensions: Extensions


class Finished(WireStruct, frozen=True, gc=False):
    """RFC 5246 section 7.4.9."""

    verify_data: bytes


class Finished13(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 4.4.4."""

    verify_data: bytes


class FinishedSsl3(WireStruct, frozen=True, gc=False):
    """RFC 6101 section 5.6.9."""

    md5_hash: Annotated[bytes, Size(16)]
    sha_hash: Annotated[bytes, Size(20)]


class KeyUpdate(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 4.6.3."""

    request_update: KeyUpdateRequest


class NextProtocol(WireStruct, frozen=True, gc=False):
    """draft-agl-tls-nextprotoneg-04 section 3."""

    selected_protocol: Opaque8
    padding: Opaque8


class SupplementalDataEntry(WireStruct, frozen=True, gc=False):
    """RFC 4680 section 2."""

    supp_data_type: SupplementalDataFormat
    data: Opaque16


class SupplementalData(WireStruct, frozen=True):
    """RFC 4680 section 2."""

    supp_data: Annotated[tuple[SupplementalDataEntry, ...], Length(3)]


class ChangeCipherSpec(WireStruct, frozen=True, gc=False):
    """RFC 5246 section 7.1."""

    type: Uint8


class Heartbeat(WireStruct, frozen=True, gc=False):
    """A HeartbeatMessage (RFC 6520 section 4); the padding is everything after the payload."""

    type: HeartbeatMessageType
    payload: Opaque16
    padding: bytes


class RecordNumber(WireStruct, frozen=True, gc=False):
    """Of a record that was received (RFC 9147 section 4)."""

    epoch: Annotated[int, Uint(8)]
    sequence_number: Annotated[int, Uint(8)]


class Ack(WireStruct, frozen=True):
    """An acknowledgement of DTLS 1.3 (RFC 9147 section 7)."""

    record_numbers: Annotated[tuple[RecordNumber, ...], Length(2)]
