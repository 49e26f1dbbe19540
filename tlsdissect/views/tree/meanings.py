"""Meanings of field values that are not in a registry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tlsdissect.handshake.facts.extensions import text
from tlsdissect.tls.alert import Alert
from tlsdissect.tls.client_hello import ClientHello, DtlsClientHello, Ssl2ClientHello
from tlsdissect.tls.codepoints import Registry, cipher_spec_name
from tlsdissect.tls.extension_ech import EchConfigContents, PreferredAddress, VersionInformation
from tlsdissect.tls.extension_keys import FlagExtensions, KeyShareEntry, PwdName, Srp
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
from tlsdissect.tls.key_exchange import (
    ClientKeyExchange,
    DhClientPublic,
    DhParams,
    EcdhClientPublic,
    EcdhParams,
    RsaParams,
    ServerKeyExchange,
)
from tlsdissect.tls.messages import NewSessionTicket, NewSessionTicket13, NextProtocol
from tlsdissect.tls.remarks import alert_meaning, remark
from tlsdissect.tls.server_hello import RETRY_RANDOM, ServerHello, Ssl2ServerHello

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 1 << 47
"""Milliseconds from which on a number is not converted to a date."""
_DOWNGRADES = {
    b"DOWNGRD\x01": "ends with the mark of a server of TLS 1.3 that chose TLS 1.2",
    b"DOWNGRD\x00": "ends with the mark of a server that chose TLS 1.1 or older",
}
"""RFC 8446 section 4.1.3."""
_POINTS = {2: "compressed", 3: "compressed", 4: "uncompressed"}


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


def _random(value: bytes) -> str:
    """Return a random, and its possible meaning: a time (RFC 5246 7.4.1.2) or a downgrade mark (RFC 8446 4.1.3)."""
    if value == RETRY_RANDOM:
        return f"{value.hex()}: the mark of a HelloRetryRequest"
    hint = _DOWNGRADES.get(value[-8:], f"{_second(int.from_bytes(value[:4], 'big'))}, if it begins with the time")
    return f"{value.hex()}: {hint}"


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


def _second(value: int) -> str:
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
    (ServerKeyExchange, "psk_identity_hint"): text,
    (ClientKeyExchange, "psk_identity"): text,
    (Alert, "description"): _alert,
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
    (Rrsig, "signature_expiration"): _second,
    (Rrsig, "signature_inception"): _second,
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
