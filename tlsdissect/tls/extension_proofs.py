# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""Extension bodies for Certificate Transparency, DNSSEC chains and ticket pinning."""

from collections.abc import Callable
from typing import Final, Self, TypeAlias

from msgspec import Struct

from tlsdissect.tls.certificate import opaque16
from tlsdissect.tls.codepoints import DnsType, SignatureScheme, TransType
from tlsdissect.tls.extension_names import opaque8
from tlsdissect.tls.wire import Reader


class SignedCertificateTimestamp(Struct, frozen=True, gc=False):
    """An item of a SignedCertificateTimestampList (RFC 6962 section 3.2)."""

    sct_version: int
    log_id: bytes
    timestamp: int
    """Milliseconds since 1970-01-01T00:00:00Z."""
    extensions: bytes
    signature_algorithm: SignatureScheme
    signature: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            sct_version=r.u8(),
            log_id=r.opaque(32),
            timestamp=r.uint(8),
            extensions=r.sized(2),
            signature_algorithm=r.u16(),
            signature=r.sized(2),
        )


class SignedCertificateTimestampList(Struct, frozen=True):
    """RFC 6962 section 3.3."""

    sct_list: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(sct_list=r.vector(2, opaque16))


class TimestampedEntryV2(Struct, frozen=True, gc=False):
    """An x509_sct_v2 or precert_sct_v2 (RFC 9162 section 4.8)."""

    log_id: bytes
    timestamp: int
    """Milliseconds since 1970-01-01T00:00:00Z."""
    sct_extensions: bytes
    signature: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(log_id=r.sized(1), timestamp=r.uint(8), sct_extensions=r.sized(2), signature=r.sized(2))


class SignedTreeHeadV2(Struct, frozen=True, gc=False):
    """A signed_tree_head_v2 (RFC 9162 section 4.10)."""

    log_id: bytes
    timestamp: int
    """Milliseconds since 1970-01-01T00:00:00Z."""
    tree_size: int
    root_hash: bytes
    sth_extensions: bytes
    signature: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            log_id=r.sized(1),
            timestamp=r.uint(8),
            tree_size=r.uint(8),
            root_hash=r.sized(1),
            sth_extensions=r.sized(2),
            signature=r.sized(2),
        )


class ConsistencyProofV2(Struct, frozen=True):
    """A consistency_proof_v2 (RFC 9162 section 4.11)."""

    log_id: bytes
    tree_size_1: int
    tree_size_2: int
    consistency_path: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            log_id=r.sized(1), tree_size_1=r.uint(8), tree_size_2=r.uint(8), consistency_path=r.vector(2, opaque8)
        )


class InclusionProofV2(Struct, frozen=True):
    """An inclusion_proof_v2 (RFC 9162 section 4.12)."""

    log_id: bytes
    tree_size: int
    leaf_index: int
    inclusion_path: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(log_id=r.sized(1), tree_size=r.uint(8), leaf_index=r.uint(8), inclusion_path=r.vector(2, opaque8))


Proof: TypeAlias = TimestampedEntryV2 | SignedTreeHeadV2 | ConsistencyProofV2 | InclusionProofV2
_PROOFS: Final[dict[int, type[Proof]]] = {
    0x0102: TimestampedEntryV2,
    0x0103: TimestampedEntryV2,
    0x0104: SignedTreeHeadV2,
    0x0105: ConsistencyProofV2,
    0x0106: InclusionProofV2,
}


class TransItem(Struct, frozen=True):
    """An item of a TransItemList (RFC 9162 section 4.5).

    The data of log entries and of unknown types stays bytes.
    """

    versioned_type: TransType
    data: Proof | bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        proof = _PROOFS.get(versioned_type := r.u16())
        return cls(versioned_type=versioned_type, data=proof.read(r) if proof else r.rest())


class TransItemList(Struct, frozen=True):
    """RFC 9162 section 6.5."""

    trans_item_list: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(trans_item_list=r.vector(2, opaque16))


class DnssecPort(Struct, frozen=True, gc=False):
    """The port that the client connected to (RFC 9102 section 2.2)."""

    port_number: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(port_number=r.u16())


_MAX_NAME: Final = 255
"""Maximum bytes of a domain name: RFC 1035 section 2.3.4."""


def _domain_name(r: Reader) -> bytes:
    """Read length-prefixed labels up to the empty one (RFC 1035 section 3.1)."""
    ahead, size = r.peek(_MAX_NAME), 1
    while size <= len(ahead) and ahead[size - 1]:
        size += 1 + ahead[size - 1]
    return r.opaque(size)


class Tlsa(Struct, frozen=True, gc=False):
    """A TLSA record: the certificate that a server must present (RFC 6698 section 2.1)."""

    certificate_usage: int
    selector: int
    matching_type: int
    certificate_association_data: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            certificate_usage=r.u8(),
            selector=r.u8(),
            matching_type=r.u8(),
            certificate_association_data=r.rest(),
        )


class Dnskey(Struct, frozen=True, gc=False):
    """A zone's key (RFC 4034 section 2.1)."""

    flags: int
    protocol: int
    algorithm: int
    public_key: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(flags=r.u16(), protocol=r.u8(), algorithm=r.u8(), public_key=r.rest())


class Rrsig(Struct, frozen=True, gc=False):
    """A signature of records (RFC 4034 section 3.1)."""

    type_covered: DnsType
    algorithm: int
    labels: int
    original_ttl: int
    signature_expiration: int
    signature_inception: int
    key_tag: int
    signer_name: bytes
    signature: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            type_covered=r.u16(),
            algorithm=r.u8(),
            labels=r.u8(),
            original_ttl=r.u32(),
            signature_expiration=r.u32(),
            signature_inception=r.u32(),
            key_tag=r.u16(),
            signer_name=_domain_name(r),
            signature=r.rest(),
        )


class Ds(Struct, frozen=True, gc=False):
    """The digest of a child zone's key (RFC 4034 section 5.1)."""

    key_tag: int
    algorithm: int
    digest_type: int
    digest: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(key_tag=r.u16(), algorithm=r.u8(), digest_type=r.u8(), digest=r.rest())


class DnsAlias(Struct, frozen=True, gc=False):
    """The target of a CNAME or DNAME (RFC 1035 section 3.3.1; RFC 6672 section 2.1)."""

    target: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(target=_domain_name(r))


DnsData: TypeAlias = Tlsa | Dnskey | Rrsig | Ds | DnsAlias
_DATA: Final[dict[int, Callable[[Reader], DnsData]]] = {
    5: DnsAlias.read,
    39: DnsAlias.read,
    43: Ds.read,
    46: Rrsig.read,
    48: Dnskey.read,
    52: Tlsa.read,
}


class DnsRecord(Struct, frozen=True):
    """A resource record (RFC 1035 section 3.2.1); the data of types that chains do not need stays bytes."""

    name: bytes
    type: DnsType
    record_class: int
    ttl: int
    rdata: DnsData | bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            name=_domain_name(r),
            type=(kind := r.u16()),
            record_class=r.u16(),
            ttl=r.u32(),
            rdata=r.block(2).whole(_DATA[kind]) if kind in _DATA else r.sized(2),
        )


class DnssecChain(Struct, frozen=True):
    """RFC 9102 section 2.3."""

    ext_support_lifetime: int
    """Hours for which the server promises to support the extension."""
    authentication_chain: tuple[DnsRecord, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(ext_support_lifetime=r.u16(), authentication_chain=r.vector(2, DnsRecord.read))


class PinningTicket(Struct, frozen=True):
    """The client's ticket, if it has one (RFC 8672 section 3)."""

    ticket: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(ticket=r.vector(2, opaque16))


class PinningProof(Struct, frozen=True):
    """The server's proof that it knows the ticket, and a new ticket (RFC 8672 section 3)."""

    proof: tuple[bytes, ...]
    ticket: tuple[bytes, ...]
    lifetime: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(proof=r.vector(1, opaque8), ticket=r.vector(2, opaque16), lifetime=r.u32())
