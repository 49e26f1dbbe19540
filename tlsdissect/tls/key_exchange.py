"""Key exchange messages of TLS 1.2 and older, whose structure depends on the cipher suite."""

from functools import lru_cache
from typing import Annotated, Final

from msgspec import Struct

from tlsdissect.tls.codepoints import (
    BasisTypeNumber,
    CurveType,
    CurveTypeNumber,
    Group,
    SignatureScheme,
    has_signature_schemes,
)
from tlsdissect.tls.layout import (
    IF_BYTES_LEFT,
    Count,
    Known,
    Length,
    Opaque8,
    Opaque16,
    Select,
    Uint16,
    When,
    WireStruct,
)
from tlsdissect.tls.wire import Reader, WireError


class RsaParams(WireStruct, frozen=True, gc=False):
    """An ephemeral RSA key, for export suites (RFC 2246 section 7.4.3)."""

    rsa_modulus: Opaque16
    rsa_exponent: Opaque16


class DhParams(WireStruct, frozen=True, gc=False):
    """A finite-field group and the server's public value (RFC 5246 section 7.4.3)."""

    dh_p: Opaque16
    dh_g: Opaque16
    dh_ys: Opaque16


class ExplicitPrimeCurve(WireStruct, frozen=True, gc=False):
    """Explicit parameters of a curve over a prime field (RFC 4492 section 5.4)."""

    prime_p: Opaque8
    a: Opaque8
    b: Opaque8
    base: Opaque8
    order: Opaque8
    cofactor: Opaque8


class ExplicitChar2Curve(WireStruct, frozen=True, gc=False):
    """Explicit parameters of a curve over a binary field (RFC 4492 section 5.4); a trinomial has one k, else three."""

    m: Uint16
    basis: BasisTypeNumber
    k: Annotated[tuple[Opaque8, ...], Count(lambda basis: 1 if basis == 1 else 3)]
    a: Opaque8
    b: Opaque8
    base: Opaque8
    order: Opaque8
    cofactor: Opaque8


class EcParameters(WireStruct, frozen=True):
    """A named curve (RFC 8422 section 5.4), or explicit parameters (only in RFC 4492)."""

    curve_type: Annotated[CurveTypeNumber, Known("curve type", tuple(CurveType))]
    named_curve: Annotated[Group | None, When("curve_type", (CurveType.NAMED_CURVE,))]
    explicit_prime: Annotated[ExplicitPrimeCurve | None, When("curve_type", (CurveType.EXPLICIT_PRIME,))]
    explicit_char2: Annotated[ExplicitChar2Curve | None, When("curve_type", (CurveType.EXPLICIT_CHAR2,))]


class EcdhParams(WireStruct, frozen=True):
    """A curve and the server's public point (RFC 8422 section 5.4)."""

    curve_params: EcParameters
    public: Opaque8


class SrpParams(WireStruct, frozen=True, gc=False):
    """A group, a salt and the server's public value (RFC 5054 section 2.5.3)."""

    srp_n: Opaque16
    srp_g: Opaque16
    srp_s: Opaque8
    srp_b: Opaque16


class EccPwdParams(WireStruct, frozen=True):
    """A salt, a curve, the server's element and scalar (RFC 8492 section 4.5)."""

    salt: Opaque8
    curve_params: EcParameters
    element: Opaque8
    scalar: Opaque8


class EncryptedPreMasterSecret(WireStruct, frozen=True, gc=False):
    """Encrypted to the server's RSA key (RFC 5246 section 7.4.7.1)."""

    encrypted_pre_master_secret: Opaque16


class DhClientPublic(WireStruct, frozen=True, gc=False):
    """The client's public value; absent if it is in the client's certificate (RFC 5246 section 7.4.7.2)."""

    dh_yc: Annotated[bytes | None, Length(2), IF_BYTES_LEFT]


class EcdhClientPublic(WireStruct, frozen=True, gc=False):
    """The client's public point; absent if it is in the client's certificate (RFC 8422 section 5.7)."""

    ecdh_yc: Annotated[bytes | None, Length(1), IF_BYTES_LEFT]


class SrpClientPublic(WireStruct, frozen=True, gc=False):
    """The client's public value (RFC 5054 section 2.5.4)."""

    srp_a: Opaque16


class EccPwdClient(WireStruct, frozen=True, gc=False):
    """The client's element and scalar (RFC 8492 section 4.5)."""

    element: Opaque8
    scalar: Opaque8


class KerberosWrapper(WireStruct, frozen=True, gc=False):
    """RFC 2712 section 3."""

    ticket: Opaque16
    authenticator: Opaque16
    encrypted_pre_master_secret: Opaque16


class Unstructured(WireStruct, frozen=True, gc=False):
    """Bytes without TLS structure: the RSA ciphertext of SSL 3.0 (RFC 6101 section 5.6.7.1)."""

    exchange: bytes


class GostKeyTransport(WireStruct, frozen=True, gc=False):
    """The premaster secret wrapped for the server's key, in DER (RFC 9189 section 8.2.1)."""

    gost_key_transport: bytes


class KeyExchange(Struct, frozen=True):
    """A key exchange method: the structure of each side's message."""

    name: str
    server: type[WireStruct] | None
    client: type[WireStruct] | None
    signed: bool = False
    psk: bool = False
    """True if both messages begin with a PSK identity or hint (RFC 4279, RFC 5489)."""


_KINDS: Final = {
    kind.name: kind
    for kind in (
        # Only export suites send a server key with RSA: RFC 2246 section 7.4.3.
        KeyExchange("RSA", RsaParams, EncryptedPreMasterSecret, signed=True),
        KeyExchange("DH_DSS", None, DhClientPublic),
        KeyExchange("DH_RSA", None, DhClientPublic),
        KeyExchange("DH_anon", DhParams, DhClientPublic),
        KeyExchange("DHE_DSS", DhParams, DhClientPublic, signed=True),
        KeyExchange("DHE_RSA", DhParams, DhClientPublic, signed=True),
        KeyExchange("ECDH_ECDSA", None, EcdhClientPublic),
        KeyExchange("ECDH_RSA", None, EcdhClientPublic),
        KeyExchange("ECDH_anon", EcdhParams, EcdhClientPublic),
        KeyExchange("ECDHE_ECDSA", EcdhParams, EcdhClientPublic, signed=True),
        KeyExchange("ECDHE_RSA", EcdhParams, EcdhClientPublic, signed=True),
        KeyExchange("PSK", None, None, psk=True),
        KeyExchange("RSA_PSK", None, EncryptedPreMasterSecret, psk=True),
        KeyExchange("DHE_PSK", DhParams, DhClientPublic, psk=True),
        KeyExchange("ECDHE_PSK", EcdhParams, EcdhClientPublic, psk=True),
        KeyExchange("SRP_SHA", SrpParams, SrpClientPublic),
        KeyExchange("SRP_SHA_RSA", SrpParams, SrpClientPublic, signed=True),
        KeyExchange("SRP_SHA_DSS", SrpParams, SrpClientPublic, signed=True),
        KeyExchange("ECCPWD", EccPwdParams, EccPwdClient),
        KeyExchange("KRB5", None, KerberosWrapper),
        KeyExchange("GOSTR341112_256", None, GostKeyTransport),
    )
}
# Two suites of RFC 6655 have the words in reverse order.
_KINDS["PSK_DHE"] = _KINDS["DHE_PSK"]


@lru_cache(maxsize=512)
def key_exchange(cipher_suite_name: str) -> KeyExchange | None:
    """Return the key exchange method in a suite's registered name; None for TLS 1.3 suites and unknown ones."""
    kind, with_, _ = cipher_suite_name.removeprefix("TLS_").partition("_WITH_")
    return _KINDS.get(kind.partition("_EXPORT")[0]) if with_ else None


def _has_psk_identity_hint(exchange: KeyExchange, r: Reader) -> bool:
    if exchange.server is None and not exchange.psk:
        raise WireError(f"{exchange.name} has no ServerKeyExchange", r.offset)
    return exchange.psk


class ServerKeyExchange(WireStruct, frozen=True):
    """RFC 5246 section 7.4.3; RFC 4279 section 2 adds the hint. The scheme exists since TLS 1.2."""

    psk_identity_hint: Annotated[bytes | None, Length(2), When(_has_psk_identity_hint)]
    params: Annotated[Struct | None, Select(lambda exchange: exchange.server)]
    signature_scheme: Annotated[
        SignatureScheme | None,
        When(lambda exchange, version: exchange.signed and has_signature_schemes(version)),
    ]
    signature: Annotated[bytes | None, Length(2), When(lambda exchange: exchange.signed)]


def _client_keys(exchange: KeyExchange, version: int) -> type[WireStruct] | None:
    # SSL 3.0 has no length in front of the ciphertext: RFC 5246 section 7.4.7.1.
    bare = version <= 0x0300 and exchange.client is EncryptedPreMasterSecret
    return Unstructured if bare else exchange.client


class ClientKeyExchange(WireStruct, frozen=True):
    """RFC 5246 section 7.4.7; RFC 4279 section 2 adds the identity."""

    psk_identity: Annotated[bytes | None, Length(2), When(lambda exchange: exchange.psk)]
    exchange_keys: Annotated[Struct | None, Select(_client_keys)]
