# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""Key exchange messages of TLS 1.2 and older, whose structure depends on the cipher suite."""

from functools import lru_cache
from typing import Final, Protocol, Self

from msgspec import Struct

from tlsdissect.tls.codepoints import (
    BasisTypeNumber,
    CurveType,
    CurveTypeNumber,
    Group,
    SignatureScheme,
    has_signature_schemes,
)
from tlsdissect.tls.wire import Reader, WireError


class RsaParams(Struct, frozen=True, gc=False):
    """An ephemeral RSA key, for export suites (RFC 2246 section 7.4.3)."""

    rsa_modulus: bytes
    rsa_exponent: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(rsa_modulus=r.sized(2), rsa_exponent=r.sized(2))


class DhParams(Struct, frozen=True, gc=False):
    """A finite-field group and the server's public value (RFC 5246 section 7.4.3)."""

    dh_p: bytes
    dh_g: bytes
    dh_ys: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(dh_p=r.sized(2), dh_g=r.sized(2), dh_ys=r.sized(2))


class ExplicitPrimeCurve(Struct, frozen=True, gc=False):
    """Explicit parameters of a curve over a prime field (RFC 4492 section 5.4)."""

    prime_p: bytes
    a: bytes
    b: bytes
    base: bytes
    order: bytes
    cofactor: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            prime_p=r.sized(1),
            a=r.sized(1),
            b=r.sized(1),
            base=r.sized(1),
            order=r.sized(1),
            cofactor=r.sized(1),
        )


class ExplicitChar2Curve(Struct, frozen=True, gc=False):
    """Explicit parameters of a curve over a binary field (RFC 4492 section 5.4); a trinomial has one k, else three."""

    m: int
    basis: BasisTypeNumber
    k: tuple[bytes, ...]
    a: bytes
    b: bytes
    base: bytes
    order: bytes
    cofactor: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            m=r.u16(),
            basis=(basis := r.u8()),
            k=tuple(r.sized(1) for _ in range(1 if basis == 1 else 3)),
            a=r.sized(1),
            b=r.sized(1),
            base=r.sized(1),
            order=r.sized(1),
            cofactor=r.sized(1),
        )


class EcParameters(Struct, frozen=True):
    """A named curve (RFC 8422 section 5.4), or explicit parameters (only in RFC 4492)."""

    curve_type: CurveTypeNumber
    named_curve: Group | None
    explicit_prime: ExplicitPrimeCurve | None
    explicit_char2: ExplicitChar2Curve | None

    @classmethod
    def read(cls, r: Reader) -> Self:
        start = r.offset
        curve_type = r.u8()
        if curve_type not in (CurveType.NAMED_CURVE, CurveType.EXPLICIT_PRIME, CurveType.EXPLICIT_CHAR2):
            raise WireError(f"unknown curve type {curve_type}", start)
        return cls(
            curve_type=curve_type,
            named_curve=r.u16() if curve_type == CurveType.NAMED_CURVE else None,
            explicit_prime=ExplicitPrimeCurve.read(r) if curve_type == CurveType.EXPLICIT_PRIME else None,
            explicit_char2=ExplicitChar2Curve.read(r) if curve_type == CurveType.EXPLICIT_CHAR2 else None,
        )


class EcdhParams(Struct, frozen=True):
    """A curve and the server's public point (RFC 8422 section 5.4)."""

    curve_params: EcParameters
    public: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(curve_params=EcParameters.read(r), public=r.sized(1))


class SrpParams(Struct, frozen=True, gc=False):
    """A group, a salt and the server's public value (RFC 5054 section 2.5.3)."""

    srp_n: bytes
    srp_g: bytes
    srp_s: bytes
    srp_b: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(srp_n=r.sized(2), srp_g=r.sized(2), srp_s=r.sized(1), srp_b=r.sized(2))


class EccPwdParams(Struct, frozen=True):
    """A salt, a curve, the server's element and scalar (RFC 8492 section 4.5)."""

    salt: bytes
    curve_params: EcParameters
    element: bytes
    scalar: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(salt=r.sized(1), curve_params=EcParameters.read(r), element=r.sized(1), scalar=r.sized(1))


class EncryptedPreMasterSecret(Struct, frozen=True, gc=False):
    """Encrypted to the server's RSA key (RFC 5246 section 7.4.7.1)."""

    encrypted_pre_master_secret: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(encrypted_pre_master_secret=r.sized(2))


class DhClientPublic(Struct, frozen=True, gc=False):
    """The client's public value; absent if it is in the client's certificate (RFC 5246 section 7.4.7.2)."""

    dh_yc: bytes | None

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(dh_yc=r.sized(2) if r else None)


class EcdhClientPublic(Struct, frozen=True, gc=False):
    """The client's public point; absent if it is in the client's certificate (RFC 8422 section 5.7)."""

    ecdh_yc: bytes | None

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(ecdh_yc=r.sized(1) if r else None)


class SrpClientPublic(Struct, frozen=True, gc=False):
    """The client's public value (RFC 5054 section 2.5.4)."""

    srp_a: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(srp_a=r.sized(2))


class EccPwdClient(Struct, frozen=True, gc=False):
    """The client's element and scalar (RFC 8492 section 4.5)."""

    element: bytes
    scalar: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(element=r.sized(1), scalar=r.sized(1))


class KerberosWrapper(Struct, frozen=True, gc=False):
    """RFC 2712 section 3."""

    ticket: bytes
    authenticator: bytes
    encrypted_pre_master_secret: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(ticket=r.sized(2), authenticator=r.sized(2), encrypted_pre_master_secret=r.sized(2))


class Unstructured(Struct, frozen=True, gc=False):
    """Bytes without TLS structure: the RSA ciphertext of SSL 3.0 (RFC 6101 section 5.6.7.1)."""

    exchange: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(exchange=r.rest())


class GostKeyTransport(Struct, frozen=True, gc=False):
    """The premaster secret wrapped for the server's key, in DER (RFC 9189 section 8.2.1)."""

    gost_key_transport: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(gost_key_transport=r.rest())


class _Params(Protocol):
    @classmethod
    def read(cls, r: Reader) -> Struct: ...


class KeyExchange(Struct, frozen=True):
    """A key exchange method: the structure of each side's message."""

    name: str
    server: type[_Params] | None
    client: type[_Params] | None
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


class ServerKeyExchange(Struct, frozen=True):
    """RFC 5246 section 7.4.3; RFC 4279 section 2 adds the hint. The scheme exists since TLS 1.2."""

    psk_identity_hint: bytes | None
    params: Struct | None
    signature_scheme: SignatureScheme | None
    signature: bytes | None

    @classmethod
    def read(cls, r: Reader, exchange: KeyExchange, version: int) -> Self:
        if exchange.server is None and not exchange.psk:
            raise WireError(f"{exchange.name} has no ServerKeyExchange", r.offset)
        return cls(
            psk_identity_hint=r.sized(2) if exchange.psk else None,
            params=exchange.server.read(r) if exchange.server else None,
            signature_scheme=r.u16() if exchange.signed and has_signature_schemes(version) else None,
            signature=r.sized(2) if exchange.signed else None,
        )


class ClientKeyExchange(Struct, frozen=True):
    """RFC 5246 section 7.4.7; RFC 4279 section 2 adds the identity."""

    psk_identity: bytes | None
    exchange_keys: Struct | None

    @classmethod
    def read(cls, r: Reader, exchange: KeyExchange, version: int) -> Self:
        # SSL 3.0 has no length in front of the ciphertext: RFC 5246 section 7.4.7.1.
        bare = version <= 0x0300 and exchange.client is EncryptedPreMasterSecret
        client = Unstructured if bare else exchange.client
        return cls(
            psk_identity=r.sized(2) if exchange.psk else None,
            exchange_keys=client.read(r) if client else None,
        )
