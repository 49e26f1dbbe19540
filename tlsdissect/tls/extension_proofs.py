"""Extension bodies for Certificate Transparency, DNSSEC chains and ticket pinning."""

from typing import Annotated, Final, TypeAlias

from tlsdissect.tls.codepoints import DnsType, SignatureScheme, TransType
from tlsdissect.tls.layout import Length, Opaque8, Opaque16, Select, Size, Uint8, Uint16, Uint32, Uint64, WireStruct
from tlsdissect.tls.wire import Reader


class SignedCertificateTimestamp(WireStruct, frozen=True, gc=False):
    """An item of a SignedCertificateTimestampList (RFC 6962 section 3.2)."""

    sct_version: Uint8
    log_id: Annotated[bytes, Size(32)]
    timestamp: Uint64
    """Milliseconds since 1970-01-01T00:00:00Z."""
    extensions: Opaque16
    signature_algorithm: SignatureScheme
    signature: Opaque16


class SignedCertificateTimestampList(WireStruct, frozen=True):
    """RFC 6962 section 3.3."""

    sct_list: Annotated[tuple[Opaque16, ...], Length(2)]


class TimestampedEntryV2(WireStruct, frozen=True, gc=False):
    """An x509_sct_v2 or precert_sct_v2 (RFC 9162 section 4.8)."""

    log_id: Opaque8
    timestamp: Uint64
    """Milliseconds since 1970-01-01T00:00:00Z."""
    sct_extensions: Opaque16
    signature: Opaque16


class SignedTreeHeadV2(WireStruct, frozen=True, gc=False):
    """A signed_tree_head_v2 (RFC 9162 section 4.10)."""

    log_id: Opaque8
    timestamp: Uint64
    """Milliseconds since 1970-01-01T00:00:00Z."""
    tree_size: Uint64
    root_hash: Opaque8
    sth_extensions: Opaque16
    signature: Opaque16


class ConsistencyProofV2(WireStruct, frozen=True):
    """A consistency_proof_v2 (RFC 9162 section 4.11)."""

    log_id: Opaque8
    tree_size_1: Uint64
    tree_size_2: Uint64
    consistency_path: Annotated[tuple[Opaque8, ...], Length(2)]


class InclusionProofV2(WireStruct, frozen=True):
    """An inclusion_proof_v2 (RFC 9162 section 4.12)."""

    log_id: Opaque8
    tree_size: Uint64
    leaf_index: Uint64
    inclusion_path: Annotated[tuple[Opaque8, ...], Length(2)]


Proof: TypeAlias = TimestampedEntryV2 | SignedTreeHeadV2 | ConsistencyProofV2 | InclusionProofV2
_PROOFS: Final[dict[int, type[Proof]]] = {
    0x0102: TimestampedEntryV2,
    0x0103: TimestampedEntryV2,
    0x0104: SignedTreeHeadV2,
    0x0105: ConsistencyProofV2,
    0x0106: InclusionProofV2,
}


class TransItem(WireStruct, frozen=True):
    """An item of a TransItemList (RFC 9162 section 4.5).

    The data of log entries and of unknown types stays bytes.
    """

    versioned_type: TransType
    data: Annotated[Proof | bytes, Select("versioned_type", _PROOFS)]


class TransItemList(WireStruct, frozen=True):
    """RFC 9162 section 6.5."""

    trans_item_list: Annotated[tuple[Opaque16, ...], Length(2)]


class DnssecPort(WireStruct, frozen=True, gc=False):
    """The port that the client connected to (RFC 9102 section 2.2)."""

    port_number: Uint16


_MAX_NAME: Final = 255
"""Maximum bytes of a domain name: RFC 1035 section 2.3.4."""


def _name_size(r: Reader) -> int:
    """Return the size of length-prefixed labels up to the empty one (RFC 1035 section 3.1)."""
    ahead, size = r.peek(_MAX_NAME), 1
    while size <= len(ahead) and ahead[size - 1]:
        size += 1 + ahead[size - 1]
    return size


DomainName = Annotated[bytes, Size(_name_size)]


class Tlsa(WireStruct, frozen=True, gc=False):
    """A TLSA record: the certificate that a server must present (RFC 6698 section 2.1)."""

    certificate_usage: Uint8
    selector: Uint8
    matching_type: Uint8
    certificate_association_data: bytes


class Dnskey(WireStruct, frozen=True, gc=False):
    """A zone's key (RFC 4034 section 2.1)."""

    flags: Uint16
    protocol: Uint8
    algorithm: Uint8
    public_key: bytes


class Rrsig(WireStruct, frozen=True, gc=False):
    """A signature of records (RFC 4034 section 3.1)."""

    type_covered: DnsType
    algorithm: Uint8
    labels: Uint8
    original_ttl: Uint32
    signature_expiration: Uint32
    signature_inception: Uint32
    key_tag: Uint16
    signer_name: DomainName
    signature: bytes


class Ds(WireStruct, frozen=True, gc=False):
    """The digest of a child zone's key (RFC 4034 section 5.1)."""

    key_tag: Uint16
    algorithm: Uint8
    digest_type: Uint8
    digest: bytes


class DnsAlias(WireStruct, frozen=True, gc=False):
    """The target of a CNAME or DNAME (RFC 1035 section 3.3.1; RFC 6672 section 2.1)."""

    target: DomainName


DnsData: TypeAlias = Tlsa | Dnskey | Rrsig | Ds | DnsAlias
_DATA: Final = {5: DnsAlias, 39: DnsAlias, 43: Ds, 46: Rrsig, 48: Dnskey, 52: Tlsa}


class DnsRecord(WireStruct, frozen=True):
    """A resource record (RFC 1035 section 3.2.1); the data of types that chains do not need stays bytes."""

    name: DomainName
    type: DnsType
    record_class: Uint16
    ttl: Uint32
    rdata: Annotated[DnsData | bytes, Length(2), Select("type", _DATA)]


class DnssecChain(WireStruct, frozen=True):
    """RFC 9102 section 2.3."""

    ext_support_lifetime: Uint16
    """Hours for which the server promises to support the extension."""
    authentication_chain: Annotated[tuple[DnsRecord, ...], Length(2)]


class PinningTicket(WireStruct, frozen=True):
    """The client's ticket, if it has one (RFC 8672 section 3)."""

    ticket: Annotated[tuple[Opaque16, ...], Length(2)]


class PinningProof(WireStruct, frozen=True):
    """The server's proof that it knows the ticket, and a new ticket (RFC 8672 section 3)."""

    proof: Annotated[tuple[Opaque8, ...], Length(1)]
    ticket: Annotated[tuple[Opaque16, ...], Length(2)]
    lifetime: Uint32
