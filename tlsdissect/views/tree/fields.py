"""The fields of a message as nodes with their meanings, including nested extensions, timestamps and certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.handshake.facts.text import text
from tlsdissect.tls import (
    certificate,
    client_hello,
    extension_names,
    extension_proofs,
    extensions,
    key_exchange,
    messages,
    server_hello,
)
from tlsdissect.tls.alert import Alert, Alert12
from tlsdissect.tls.client_hello import ClientHello, DtlsClientHello, Ssl2ClientHello
from tlsdissect.tls.codepoints import Registry, cipher_spec_name
from tlsdissect.tls.eap import LENGTH, MORE, OUTER_TLVS, START, VERSION, Identity, Notification, TeapFlags, TlsFlags
from tlsdissect.tls.extension_ech import EchClientHello, EchConfigContents, PreferredAddress, VersionInformation
from tlsdissect.tls.extension_keys import (
    ConnectionId,
    Cookie,
    FlagExtensions,
    KeyShareEntry,
    OfferedPsks,
    Opaque,
    PskIdentity,
    PwdName,
    Srp,
)
from tlsdissect.tls.extension_names import NextProtocols, ProtocolNameList, ServerName
from tlsdissect.tls.extension_proofs import (
    DnsAlias,
    DnsRecord,
    DnssecChain,
    Rrsig,
    SignedCertificateTimestamp,
    SignedTreeHeadV2,
    TimestampedEntryV2,
)
from tlsdissect.tls.headers import CidRecordHeader, DtlsRecordHeader, FragmentHeader, RecordHeader
from tlsdissect.tls.key_exchange import (
    ClientKeyExchange,
    DhClientPublic,
    DhParams,
    EcdhClientPublic,
    EcdhParams,
    EncryptedPreMasterSecret,
    RsaParams,
    ServerKeyExchange,
)
from tlsdissect.tls.messages import (
    Finished,
    Finished13,
    NewSessionTicket,
    NewSessionTicket13,
    NewSessionTicketDraft,
    NextProtocol,
)
from tlsdissect.tls.remarks import alert_meaning, extension_reference, reference, remark
from tlsdissect.tls.server_hello import RETRY_RANDOM, ServerHello, Ssl2ServerHello
from tlsdissect.tls.survey import survey
from tlsdissect.views.tree.asn1 import asn1
from tlsdissect.views.tree.model import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tlsdissect.model.transcript import Span
    from tlsdissect.tls.extensions import Table
    from tlsdissect.tls.layout import WireStruct
    from tlsdissect.tls.survey import Field
    from tlsdissect.tls.wire import WireError
    from tlsdissect.views.tree.asn1 import DrawnValues
    from tlsdissect.views.tree.model import MappedBytes

    Inside = Callable[["Fields", int, int, str | None], tuple[Node, ...]]
    from collections.abc import Callable

_TABLES: dict[type[Struct], Table] = {
    client_hello.ClientHello: extensions.FROM_CLIENT,
    client_hello.DtlsClientHello: extensions.FROM_CLIENT,
    server_hello.ServerHello: extensions.FROM_SERVER,
    server_hello.HelloRetryRequest: extensions.FROM_RETRY,
    server_hello.EncryptedExtensions: extensions.FROM_SERVER,
    certificate.CertificateRequest13: extensions.FROM_CERTIFICATE_REQUEST,
    certificate.CertificateEntry: extensions.FROM_CERTIFICATE_ENTRY,
    messages.NewSessionTicket13: extensions.FROM_TICKET,
}
"""The decoders of the extensions of a message."""
_ONLY_TLS13 = frozenset((109, 116))
"""The alerts missing_extension and certificate_required."""
_IN_TLS12 = {"RFC 8446 section 6.1": "RFC 5246 section 7.2.1", "RFC 8446 section 6.2": "RFC 5246 section 7.2.2"}
"""Where the alerts that TLS 1.3 has, too, are defined for older versions."""
_MISPLACED = "does not belong in this message: RFC 8446 section 4.2"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 1 << 47
"""Milliseconds from which on a number is not converted to a date."""
_DOWNGRADES = {
    b"DOWNGRD\x01": "ends with the mark of a server of TLS 1.3 that chose TLS 1.2",
    b"DOWNGRD\x00": "ends with the mark of a server that chose TLS 1.1 or older",
}
"""RFC 8446 section 4.1.3."""
_TLS13 = 0x0304
_POINTS = {2: "compressed", 3: "compressed", 4: "uncompressed"}


class Varying(Struct, frozen=True):
    """Bytes of a message on which nothing depends but the text of their own node."""

    node: int
    """Where the node begins."""
    start: int
    end: int
    owner: type[Struct] | None
    """The struct of the field; None for bytes that are shown as they are."""
    name: str
    is_number: bool
    has_meaning: bool
    der_in: str | None = None
    """The reference of what has it, if it is a DER value, or else an empty text."""

    def describer(self) -> Callable[[bytes], tuple[int | str, str | None]]:
        """Return the function that returns the value that a message has here, and its meaning."""
        start, end = self.start, self.end
        told = None if self.owner is None else _MEANINGS.get((self.owner, self.name))
        if self.is_number:
            return lambda data: _with_meaning(int.from_bytes(data[start:end], "big"), told)
        if told is None:
            return lambda data: (data[start:end].hex(), None)
        return lambda data: (data[start:end].hex(), told(data[start:end]))


def _with_meaning(value: int, told: Callable[..., str | None] | None) -> tuple[int, str | None]:
    return value, None if told is None else told(value)


class Fields:
    """Builds the nodes of one message; `drawn` as for `asn1`."""

    def __init__(self, mapped: MappedBytes, drawn: DrawnValues | None = None) -> None:
        self._mapped = mapped
        self._drawn = drawn
        self._data = mapped.data
        self.varying: list[Varying] = []
        """The bytes of the nodes built so far that differ between messages of the same layout."""

    def spans(self, start: int, end: int) -> tuple[Span, ...]:
        """Return where a range of the data lies in the frames."""
        return self._mapped.spans(start, end)

    def note(self, owner: type[Struct] | None, name: str, place: tuple[int, int, int], shown: Node) -> None:
        """Note that bytes vary; `place` is where their node begins, and where they begin and end."""
        if place[1] < place[2]:
            number = isinstance(shown.value, int)
            self.varying.append(Varying(*place, owner, name, number, shown.meaning is not None))

    def message(self, struct: type[WireStruct], start: int, end: int, **given: object) -> tuple[Node, ...]:
        """Build the nodes of a struct between two offsets of the data; `given` is what it depends on."""
        return self.inside(struct, start, end, None, **given)

    def leaf(self, name: str, start: int, end: int, value: int | None = None, meaning: str | None = None) -> Node:
        """Build a node for bytes that are not a field of a struct, with their hexadecimal digits or a value."""
        if value is not None:
            return Node(name, value, meaning, bytes=self._mapped.spans(start, end))
        node = Node(name, self._data[start:end].hex(), meaning, bytes=self._mapped.spans(start, end))
        if meaning is None:
            self.note(None, name, (start, start, end), node)
        return node

    def der(self, name: str, start: int, end: int, cited: str | None) -> tuple[Node, ...]:
        """Return the node of a DER value in a list, which is empty if there are no bytes."""
        if start >= end:
            return ()
        return asn1(self._mapped, self._data, start, end, name, cited, self._timestamps, self._drawn)

    def _timestamps(self, start: int, end: int) -> tuple[Node, ...]:
        """Build the nodes of the timestamps in a certificate or an OCSP response."""
        # Certificates are compared as they are: what varies in them is not noted.
        return Fields(self._mapped).inside(extension_proofs.SignedCertificateTimestampList, start, end, None)

    def inside(
        self, struct: type[WireStruct], start: int, end: int, cited: str | None, **given: object
    ) -> tuple[Node, ...]:
        """Build the nodes of a struct inside a field."""
        found = survey(struct, self._data, start, end, **given)
        nodes = _StructNodes(self, self._mapped, self._data, list(found.errors))
        if found.value is None:
            return tuple(nodes.unread(field, "unread", cited) for field in found.fields)
        return nodes.struct(found.value, found.fields, cited, {})


class _StructNodes:
    """Builds nodes from the fields that a survey has found."""

    def __init__(self, fields: Fields, mapped: MappedBytes, data: bytes, errors: list[WireError]) -> None:
        self._fields = fields
        self._mapped = mapped
        self._data = data
        self._errors = errors
        self._varying = VARYING

    def struct(self, value: Struct, fields: Sequence[Field], cited: str | None, table: Table) -> tuple[Node, ...]:
        """Build the nodes of a struct's fields."""
        cited = reference(type(value)) or cited
        table = _table(value, table)
        if isinstance(value, ServerHello) and value.legacy_version == _TLS13:
            # What follows the random decides whether it is a session id.
            self._varying = frozenset()
        return tuple(
            self._field(type(value), field, field.name, cited, table) for field in fields if field.end > field.start
        )

    def unread(self, field: Field, name: str, cited: str | None) -> Node:
        """Build a node for bytes that could not be decoded."""
        problem = self._problem(field.start, field.end) or "malformed"
        return Node(name, self._hex(field), reference=cited, bytes=self._spans(field), problem=problem)

    def _field(self, owner: type[Struct], field: Field, called: str, cited: str | None, table: Table) -> Node:
        """Build the node of a field, or of one item of a list that is the field `called`."""
        value = field.value
        if isinstance(value, client_hello.Extension) and all(part.value is not None for part in field.parts):
            return self._extension(value, field, table)
        if isinstance(value, Struct):
            children = self.struct(value, field.parts, cited, table)
            return self._branch(field, children, reference(type(value)) or cited)
        if isinstance(value, tuple):
            children = tuple(self._field(owner, part, called, cited, table) for part in field.parts)
            return self._branch(field, children, cited)
        if value is None:
            return self.unread(field, field.name, cited)
        return self._leaf(owner, field, called, cited)

    def _branch(self, field: Field, children: tuple[Node, ...], cited: str | None) -> Node:
        """Build a node with children, of which the first is the length that precedes them."""
        inner = field.parts[0].start if field.parts else field.end
        length = self._length(field.start, inner, cited)
        return Node(field.name, reference=cited, bytes=self._spans(field), children=(*length, *children))

    def _leaf(self, owner: type[Struct], field: Field, called: str, cited: str | None) -> Node:
        value, spans = field.value, self._spans(field)
        if isinstance(value, bytes):
            start = field.end - len(value)
            inside = _INSIDE.get((owner, called))
            children = inside(self._fields, start, field.end, cited) if inside and value else ()
            if children:
                length = self._length(field.start, start, cited)
                return Node(field.name, reference=cited, bytes=spans, children=(*length, *children))
            node = Node(field.name, value.hex(), meaning(owner, called, value), reference=cited, bytes=spans)
            if (owner, called) in self._varying:
                self._fields.note(owner, called, (field.start, start, field.end), node)
            return node
        number = int(value)  # type: ignore[call-overload]
        described = meaning(owner, called, number)
        if field.registry is None:
            node = Node(field.name, number, described, reference=cited, bytes=spans)
            if (owner, called) in self._varying:
                self._fields.note(owner, called, (field.start, field.start, field.end), node)
            return node
        name, odd = code_point(field.registry, number)
        if field.registry is Registry.ALERTS:
            _, cited = alert_meaning(number) or ("", cited)
            if owner is Alert12 and number not in _ONLY_TLS13:
                cited = _IN_TLS12.get(cited or "", cited)
        code = f"0x{number:0{2 * (field.end - field.start)}x}"
        # A record's version has no meaning: RFC 8446 section 5.1.
        return Node(field.name, code, described or name, None if owner is RecordHeader else odd, cited, spans)

    def _extension(self, value: client_hello.Extension, field: Field, table: Table) -> Node:
        number = value.extension_type
        cited = extension_reference(number)
        body = field.end - len(value.extension_data)
        kind = self._leaf(type(value), field.parts[0], "extension_type", "RFC 8446 section 4.2")
        length = self._length(field.start + 2, body, "RFC 8446 section 4.2")
        struct = table.get(number)
        inside: tuple[Node, ...] = ()
        if struct is not None:
            inside = self._fields.inside(struct, body, field.end, cited)
        elif value.extension_data:
            inside = (self._fields.leaf("extension_data", body, field.end),)
        misplaced = struct is None and number in extensions.DECODED
        return Node(
            Registry.EXTENSIONS.names[number],
            remark=_MISPLACED if misplaced else remark(Registry.EXTENSIONS, number),
            reference=cited,
            bytes=self._spans(field),
            children=(kind, *length, *inside),
        )

    def _length(self, start: int, end: int, cited: str | None) -> tuple[Node, ...]:
        if start == end:
            return ()
        number = int.from_bytes(self._data[start:end], "big")
        problem = self._problem(start, end)
        return (Node("length", number, reference=cited, bytes=self._mapped.spans(start, end), problem=problem),)

    def _problem(self, start: int, end: int) -> str | None:
        """Remove and return the problem that was found in this range."""
        for error in self._errors:
            if start <= error.offset <= end:
                self._errors.remove(error)
                return str(error.problem)
        return None

    def _hex(self, field: Field) -> str:
        return self._data[field.start : field.end].hex()

    def _spans(self, field: Field) -> tuple[Span, ...]:
        return self._mapped.spans(field.start, field.end)


def _table(value: Struct, table: Table) -> Table:
    if isinstance(value, server_hello.ServerHello) and value.is_hello_retry_request:
        return extensions.FROM_RETRY
    return _TABLES.get(type(value), table)


def _der(name: str) -> Inside:
    return lambda fields, start, end, cited: fields.der(name, start, end, cited)


def _struct(struct: type[WireStruct]) -> Inside:
    return lambda fields, start, end, cited: fields.inside(struct, start, end, cited)


_INSIDE: dict[tuple[type[Struct], str], Inside] = {
    (certificate.Certificate, "certificate_list"): _der("Certificate"),
    (certificate.CertificateEntry, "cert_data"): _der("Certificate"),
    (certificate.RawPublicKey, "subject_public_key_info"): _der("subjectPublicKeyInfo"),
    (certificate.CertificateStatus, "ocsp_response"): _der("OCSPResponse"),
    (certificate.CertificateStatus, "ocsp_response_list"): _der("OCSPResponse"),
    (certificate.CertificateRequest, "certificate_authorities"): _der("Name"),
    (key_exchange.GostKeyTransport, "gost_key_transport"): _der("GostKeyTransport"),
    (server_hello.Ssl2ServerHello, "certificate"): _der("Certificate"),
    (extension_names.CertificateAuthorities, "authorities"): _der("Name"),
    (extension_names.TrustedAuthority, "distinguished_name"): _der("Name"),
    (extension_names.DelegatedCredential, "subject_public_key_info"): _der("subjectPublicKeyInfo"),
    (extension_names.OcspStatusRequest, "responder_id_list"): _der("ResponderID"),
    (extension_names.OcspStatusRequest, "request_extensions"): _der("extensions list"),
    (extension_proofs.SignedCertificateTimestampList, "sct_list"): _struct(extension_proofs.SignedCertificateTimestamp),
    (extension_proofs.TransItemList, "trans_item_list"): _struct(extension_proofs.TransItem),
}
"""Fields of bytes that contain a struct."""


VARYING: frozenset[tuple[type[Struct], str]] = frozenset({
    *((struct, "random") for struct in (ClientHello, DtlsClientHello, ServerHello)),
    *((struct, "legacy_session_id") for struct in (ClientHello, DtlsClientHello)),
    *((struct, "length") for struct in (RecordHeader, DtlsRecordHeader, CidRecordHeader)),
    *((struct, "epoch") for struct in (DtlsRecordHeader, CidRecordHeader)),
    *((struct, "sequence_number") for struct in (DtlsRecordHeader, CidRecordHeader)),
    *((struct, "ticket_age_add") for struct in (NewSessionTicket13, NewSessionTicketDraft)),
    *((struct, "ticket") for struct in (NewSessionTicket, NewSessionTicket13, NewSessionTicketDraft)),
    *((struct, "signature") for struct in (ServerKeyExchange, certificate.CertificateVerify)),
    (FragmentHeader, "message_seq"),
    (DtlsClientHello, "legacy_cookie"),
    (server_hello.HelloVerifyRequest, "cookie"),
    (ServerHello, "legacy_session_id_echo"),
    (Opaque, "data"),
    (Cookie, "cookie"),
    (ConnectionId, "cid"),
    (ServerName, "host_name"),
    (PskIdentity, "identity"),
    (PskIdentity, "obfuscated_ticket_age"),
    (OfferedPsks, "binders"),
    (KeyShareEntry, "key_exchange"),
    (EchClientHello, "enc"),
    (EchClientHello, "payload"),
    (DhParams, "dh_ys"),
    (DhClientPublic, "dh_yc"),
    (EcdhParams, "public"),
    (EcdhClientPublic, "ecdh_yc"),
    (EncryptedPreMasterSecret, "encrypted_pre_master_secret"),
    (NewSessionTicket13, "ticket_nonce"),
    (Finished, "verify_data"),
    (Finished13, "verify_data"),
})  # fmt: skip
"""Fields that differ from connection to connection, and on which the decoding of no other field depends."""


def meaning(owner: type[Struct], name: str, value: object) -> str | None:
    """Return the meaning of a field's value; None if there is none beyond the value."""
    describe = _MEANINGS.get((owner, name))
    return describe(value) if describe is not None else None


def code_point(registry: Registry, number: int) -> tuple[str, str | None]:
    """Return the name of a code point, and a remark such as "obsolete"."""
    name = registry.names[number]
    if registry is Registry.SIGNATURE_SCHEMES and name.startswith("0x"):
        # Before TLS 1.3 a pair of hash and signature; most pairs have no name.
        first, second = divmod(number, 256)
        hashed, signed = Registry.HASH_ALGORITHMS.names[first], Registry.SIGNATURE_ALGORITHMS.names[second]
        if not hashed.startswith("0x") and not signed.startswith("0x"):
            return f"{signed} with {hashed}", "a pair of RFC 5246 section 7.4.1.4.1"
    return name, remark(registry, number)


def _random(value: bytes) -> str | None:
    """Return what marks a random: a HelloRetryRequest, or a downgrade (RFC 8446 section 4.1.3)."""
    mark = "the mark of a HelloRetryRequest" if value == RETRY_RANDOM else _DOWNGRADES.get(value[-8:])
    return None if mark is None else f"{value.hex()}: {mark}"


def _bits(value: bytes) -> str:
    return f"{int.from_bytes(value, 'big').bit_length()} bits"


def _number(value: bytes) -> str | None:
    return str(int.from_bytes(value, "big")) if len(value) <= 8 else None


def _size(value: bytes) -> str:
    return f"{len(value)} byte{'' if len(value) == 1 else 's'}"


def _point(value: bytes) -> str:
    kind = _POINTS.get(value[0]) if value else None
    # A point of X25519 or X448 has 32 or 56 bytes and no leading byte for its form: RFC 8422 section 5.4.1.
    return f"{len(value)} bytes" if kind is None or len(value) in (32, 56) else f"{kind} point, {len(value)} bytes"


def _seconds(value: int) -> str:
    return str(timedelta(seconds=value))


def _moment(value: int) -> str | None:
    if value >= _LONGEST:
        return None
    return (_EPOCH + timedelta(milliseconds=value)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _hours(value: int) -> str:
    return str(timedelta(hours=value))


def second(value: int) -> str:
    """Return the time of a number of seconds since 1970."""
    # The number is a time modulo 2^32 and means the nearest such time, which is before 2106: RFC 4034 section 3.1.5.
    return (_EPOCH + timedelta(seconds=value)).isoformat().replace("+00:00", "Z")


def _domain_name(value: bytes) -> str:
    """Join the labels with a dot after each (RFC 1034 section 3.1)."""
    labels, at = [], 0
    while at < len(value) - 1:
        labels.append(text(value[at + 1 : at + 1 + value[at]]))
        at += 1 + value[at]
    return ".".join(labels) + "."


def _flags(value: bytes) -> str:
    bits = [str(bit) for bit in range(8 * len(value)) if value[bit // 8] >> bit % 8 & 1]
    return f"flags {', '.join(bits)}" if bits else "no flag"


def _utf8(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _eap_flags(value: int) -> str:
    names = [(LENGTH, "length"), (MORE, "more fragments"), (START, "start"), (OUTER_TLVS, "outer TLVs")]
    return ", ".join([*[name for flag, name in names if value & flag], f"version {value & VERSION}"])


def _quic_version(value: int) -> str:
    return {1: "QUIC version 1", 0x6B3343CF: "QUIC version 2"}.get(value, f"0x{value:08x}")


def _address(value: bytes) -> str:
    return str(ip_address(value))


def _alert(value: int) -> str | None:
    description = alert_meaning(value)
    return f"{Registry.ALERTS.names[value]}: {description[0]}" if description else None


_MEANINGS: dict[tuple[type[Struct], str], Callable[..., str | None]] = {
    (ServerName, "host_name"): text,
    (ProtocolNameList, "protocol_name_list"): text,
    (NextProtocols, "protocols"): text,
    (NextProtocol, "selected_protocol"): text,
    (EchConfigContents, "public_name"): text,
    (Srp, "srp_i"): text,
    (Identity, "identity"): text,
    (Notification, "message"): _utf8,
    (TlsFlags, "flags"): _eap_flags,
    (TeapFlags, "flags"): _eap_flags,
    (ServerKeyExchange, "psk_identity_hint"): text,
    (ClientKeyExchange, "psk_identity"): text,
    (Alert, "description"): _alert,
    (Alert12, "description"): _alert,
    (ClientHello, "random"): _random,
    (DtlsClientHello, "random"): _random,
    (ServerHello, "random"): _random,
    (DhParams, "dh_p"): _bits,
    (DhParams, "dh_g"): _number,
    (DhParams, "dh_ys"): _bits,
    (DhClientPublic, "dh_yc"): _bits,
    (RsaParams, "rsa_modulus"): _bits,
    (RsaParams, "rsa_exponent"): _number,
    (EcdhParams, "public"): _point,
    (EcdhClientPublic, "ecdh_yc"): _point,
    (NewSessionTicket, "ticket_lifetime_hint"): _seconds,
    (NewSessionTicket13, "ticket_lifetime"): _seconds,
    (SignedCertificateTimestamp, "timestamp"): _moment,
    (SignedTreeHeadV2, "timestamp"): _moment,
    (TimestampedEntryV2, "timestamp"): _moment,
    (DnsRecord, "name"): _domain_name,
    (DnsRecord, "ttl"): _seconds,
    (DnssecChain, "ext_support_lifetime"): _hours,
    (DnsAlias, "target"): _domain_name,
    (Rrsig, "signer_name"): _domain_name,
    (Rrsig, "signature_expiration"): second,
    (Rrsig, "signature_inception"): second,
    (PreferredAddress, "ipv4_address"): _address,
    (PreferredAddress, "ipv6_address"): _address,
    (VersionInformation, "chosen_version"): _quic_version,
    (VersionInformation, "available_versions"): _quic_version,
    (FlagExtensions, "flags"): _flags,
    (PwdName, "pwd_name"): text,
    (KeyShareEntry, "key_exchange"): _size,
    (Ssl2ClientHello, "cipher_specs"): cipher_spec_name,
    (Ssl2ServerHello, "cipher_specs"): cipher_spec_name,
}
