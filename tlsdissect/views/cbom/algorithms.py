"""What the names of suites, groups and signatures say, in the words of CycloneDX.

Security categories are given only where NIST states them: for the parameter sets of ML-KEM (FIPS 203 section 8), ML-DSA
(FIPS 204 section 4) and SLH-DSA (FIPS 205 section 11), and for AES, which defines the categories (NIST, Call for
Proposals for Post-Quantum Cryptography, section 4.A.5). Hybrid groups have none; their parts have.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.key_exchange import key_exchange
from tlsdissect.views.comparison.builder import is_aead, is_post_quantum
from tlsdissect.x509.algorithms import KEY_TYPES, SIGNATURES

if TYPE_CHECKING:
    from tlsdissect.model.connection import Certificate

Readiness = Literal["yes", "hybrid", "no"]


class Algorithm(NamedTuple):
    """An algorithm as a component."""

    ref: str
    name: str
    properties: dict[str, Any]
    """`algorithmProperties` of CycloneDX."""
    post_quantum: Readiness | None = None
    """Whether it withstands a quantum computer; None where its name does not say."""
    code: str | None = None
    """Its code point at IANA."""
    oid: str | None = None
    parts: tuple[Algorithm, ...] = ()


_CATEGORIES = {
    "AES": {"128": 1, "192": 3, "256": 5},
    "ML-KEM": {"512": 1, "768": 3, "1024": 5},
    "ML-DSA": {"44": 2, "65": 3, "87": 5},
    "SLH-DSA": {"128": 1, "192": 3, "256": 5},
}
_HASHES = {"MD5": ("MD5", "MD5"), "SHA": ("SHA-1", "SHA-1"), "SM3": ("SM3", "SM3")} | {
    f"SHA{size}": (f"SHA-{size}", "SHA-2") for size in (256, 384, 512)
}
"""Names and families of the hashes with which suites end."""
_CIPHER_FAMILIES = {"3DES": "3DES", "DES": "DES", "DES40": "DES", "CHACHA20": "ChaCha20"} | {
    name: name for name in ("AES", "ARIA", "CAMELLIA", "IDEA", "RC2", "RC4", "SEED", "SM4")
}
_NO_CIPHERS = frozenset(("NULL", "SHA256", "SHA384"))
"""What suites without encryption have in place of a cipher (RFC 9150)."""
_STREAM_CIPHERS = frozenset(("RC4", "28147"))
_MODES = ("CBC", "CCM", "GCM", "CTR")
_SIGNATURE_FAMILIES = (
    (re.compile("^ml-?dsa"), "ML-DSA"),
    (re.compile("^slh-?dsa"), "SLH-DSA"),
    (re.compile("pss"), "RSASSA-PSS"),
    (re.compile("rsa"), "RSASSA-PKCS1"),
    (re.compile("^ecdsa"), "ECDSA"),
    (re.compile("^dsa"), "DSA"),
    (re.compile("^ed(25519|448)"), "EdDSA"),
    (re.compile("^gost"), "GOST"),
    (re.compile("^sm2"), "SM2"),
)
"""Families of signatures, by how the lower-case name of a scheme or a signature algorithm looks."""
_POST_QUANTUM_SIGNATURES = frozenset(("ML-DSA", "SLH-DSA"))
_HYBRID = re.compile(r"(x25519|secp256r1|secp384r1)(mlkem\d+|kyber\w+)", re.IGNORECASE)
_PARAMETERS = re.compile(r"^(ML-KEM|ML-DSA|SLH-DSA|AES)-(?:SHA2-|SHAKE-)?(\d+)([sf]?)")
_POST_QUANTUM_KEYS = {"ML-DSA-": "signature", "SLH-DSA-": "signature", "ML-KEM-": "kem"}
"""Primitives of keys whose type begins like this."""
_OIDS = {name: oid for oid, name in SIGNATURES.items()}
_KEY_OIDS = {name: oid for oid, name in KEY_TYPES.items()}


@lru_cache(maxsize=512)
def cipher_suite(name: str) -> Algorithm:
    """Describe a cipher suite by its registered name."""
    code = Registry.CIPHER_SUITES.number(name)
    digits = 4
    if name.startswith("SSL_CK_"):
        code, digits = Registry.SSL2_CIPHER_KINDS.number(name), 6
        cipher = name.removeprefix("SSL_CK_").replace("_WITH_", "_")
    else:
        cipher = name.partition("_WITH_")[2] or name.removeprefix("TLS_")
    *words, last = cipher.split("_")
    parts = [_hash(last)] if last in _HASHES else []
    words = words if parts else [*words, last]
    if words[0] not in _NO_CIPHERS and not name.startswith("0x"):
        parts.insert(0, _cipher(words, aead=is_aead(name)))
    exchange = key_exchange(name)
    if exchange is not None and exchange.name in ("RSA", "RSA_PSK"):
        parts.append(_KEY_TRANSPORT)
    return Algorithm(f"cipher-suite/{name}", name, {"primitive": "other"}, code=_code(code, digits), parts=tuple(parts))


@lru_cache(maxsize=512)
def group(name: str) -> Algorithm:
    """Describe a group of the key exchange; `DH 2048` is a prime of 2048 bits that no registry names."""
    code = _code(Registry.GROUPS.number(name))
    ref = f"group/{_slug(name)}"
    hybrid = _HYBRID.fullmatch(name)
    if hybrid:
        parts = (_curve_agreement(hybrid[1].lower()), _kem(hybrid[2]))
        properties = {"primitive": "combiner", "cryptoFunctions": ["keygen", "encapsulate", "decapsulate"]}
        return Algorithm(ref, name, properties, "hybrid", code, parts=parts)
    if is_post_quantum(name):
        return _kem(name)._replace(ref=ref, name=name, code=code)
    prime = re.fullmatch(r"(?:ffdhe|DH )(\d+)", name)
    if prime:
        properties = {
            "primitive": "key-agree", "algorithmFamily": "FFDH", "parameterSetIdentifier": prime[1],
        }  # fmt: skip
        return Algorithm(ref, name, properties, "no", code)
    known = not name.startswith("0x")
    return Algorithm(ref, name, _agreement(name) if known else {"primitive": "unknown"}, "no" if known else None, code)


@lru_cache(maxsize=512)
def signature_scheme(name: str) -> Algorithm:
    """Describe a signature scheme by its registered name."""
    code = _code(Registry.SIGNATURE_SCHEMES.number(name))
    return Algorithm(f"signature-scheme/{name}", name, *_signature(name), code=code)


def signature_of(certificate: Certificate) -> Algorithm | None:
    """Describe the signature algorithm of a certificate; None if it could not be read."""
    name = certificate.signature_algorithm
    if name is None:
        return None
    return Algorithm(f"signature/{_slug(name)}", name, *_signature(name), oid=_OIDS.get(name, name))


def key_of(certificate: Certificate) -> Algorithm | None:
    """Describe the algorithm of a certificate's public key; None if it could not be read."""
    kind, bits, curve = certificate.key_type, certificate.key_bits, certificate.curve
    if kind is None:
        return None
    name = f"{kind} {curve or bits or ''}".rstrip()
    family = next((one for one in _POST_QUANTUM_KEYS if kind.startswith(one)), None)
    # Keys of RSA and of elliptic curves sign or agree on keys, and the key does not say which.
    properties: dict[str, Any] = {"primitive": _POST_QUANTUM_KEYS.get(family or "", "unknown"), **_sized(name)}
    if bits is not None and curve is None and family is None:
        properties["parameterSetIdentifier"] = str(bits)
    ready: Readiness | None = "yes" if family else "no" if kind in _KEY_OIDS else None
    return Algorithm(f"key-algorithm/{_slug(name)}", name, properties | _curve(curve), ready, oid=_KEY_OIDS.get(kind))


def _hash(name: str) -> Algorithm:
    shown, family = _HASHES[name]
    properties: dict[str, Any] = {"primitive": "hash", "algorithmFamily": family}
    return Algorithm(f"algorithm/{shown}", shown, properties)


def _cipher(words: list[str], *, aead: bool) -> Algorithm:
    name = "-".join(words)
    primitive = "ae" if aead else "stream-cipher" if words[0] in _STREAM_CIPHERS else "block-cipher"
    properties: dict[str, Any] = {"primitive": primitive, "cryptoFunctions": ["encrypt", "decrypt"]}
    if words[0] in _CIPHER_FAMILIES:
        properties["algorithmFamily"] = _CIPHER_FAMILIES[words[0]]
    size = next((word for word in words[1:] if word.isdecimal() and len(word) > 1), None)
    if size is not None:
        properties["parameterSetIdentifier"] = size
    mode = next((word.lower() for word in words if word in _MODES), None)
    if mode is not None:
        properties["mode"] = mode
    return Algorithm(f"algorithm/{name}", name, properties | _sized(name))


_KEY_TRANSPORT = Algorithm(
    "algorithm/RSA-key-transport",
    "RSA key transport",
    {"primitive": "pke", "algorithmFamily": "RSAES-PKCS1", "padding": "pkcs1v15"},
    "no",
)


def _curve_agreement(name: str) -> Algorithm:
    return Algorithm(f"algorithm/{name}", name, _agreement(name), "no")


def _agreement(name: str) -> dict[str, Any]:
    return {"primitive": "key-agree", "algorithmFamily": "ECDH", **_curve(name)}


def _kem(name: str) -> Algorithm:
    size = name.upper().removeprefix("MLKEM")
    shown = f"ML-KEM-{size}" if size.isdecimal() else name
    properties = {
        "primitive": "kem", "cryptoFunctions": ["keygen", "encapsulate", "decapsulate"], **_sized(shown),
    }  # fmt: skip
    return Algorithm(f"algorithm/{shown}", shown, properties, "yes")


def _signature(name: str) -> tuple[dict[str, Any], Readiness | None]:
    family = next((family for pattern, family in _SIGNATURE_FAMILIES if pattern.search(name.lower())), None)
    properties: dict[str, Any] = {"primitive": "signature", "cryptoFunctions": ["sign", "verify"]}
    if family is None:
        return properties, None
    properties["algorithmFamily"] = family
    number = re.fullmatch(r"mldsa(\d+)", name)
    return properties | _sized(f"ML-DSA-{number[1]}" if number else name), (
        "yes" if family in _POST_QUANTUM_SIGNATURES else "no"
    )


def _sized(name: str) -> dict[str, Any]:
    """Return the family, the parameter set and NIST's category of an algorithm that has one."""
    found = _PARAMETERS.match(name)
    if found is None:
        return {}
    family, size, variant = found.groups()
    sized: dict[str, Any] = {"algorithmFamily": family, "parameterSetIdentifier": size + variant}
    category = _CATEGORIES[family].get(size)
    return sized if category is None else {**sized, "nistQuantumSecurityLevel": category}


def _curve(name: str | None) -> dict[str, str]:
    """Return the curve as CycloneDX names it, if it does."""
    if name is None:
        return {}
    if name in ("x25519", "x448"):
        return {"ellipticCurve": f"other/Curve{name[1:]}"}
    if re.fullmatch(r"sec[pt]\d+[kr]\d", name):
        return {"ellipticCurve": f"secg/{name}"}
    found = re.match(r"brainpoolP\d+[rt]1", name)
    return {"ellipticCurve": f"brainpool/{found[0]}"} if found else {}


def _code(number: int | None, digits: int = 4) -> str | None:
    return None if number is None else f"0x{number:0{digits}x}"


def _slug(name: str) -> str:
    return name.replace(" ", "-")
