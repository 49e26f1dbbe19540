"""Checks of OCSP responses: certificate, signer and validity period (RFC 6960 section 3.2)."""

from __future__ import annotations

import warnings
from hashlib import sha1
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from msgspec import Struct

from tlsdissect.caches import cached
from tlsdissect.tls.wire import WireError
from tlsdissect.trust.chain import Link, signed
from tlsdissect.trust.details import details
from tlsdissect.trust.times import format_time, to_second
from tlsdissect.x509 import der
from tlsdissect.x509.certificates import Outline
from tlsdissect.x509.libraries import refuse_costly

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_RESPONDERS = 8
"""Certificates in an OCSP response that are tried as its signer; honest responders send at most one.

If none of them signed it and there are more, the response counts as unproven, with this as the reason.
"""

OCSP_CACHE_BYTES = 1 << 20
"""Bytes of cached parsed responses."""
_LOADED = 4
"""Bytes of memory per byte of a response, with the parsed object, at most."""
_OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
_UNKNOWN_ISSUER = "the issuer's certificate is unknown, so the signature cannot be checked"


class OcspAnswer(Struct, frozen=True):
    """The answer of a response about one certificate; `status` is None if it has none."""

    status: str | None = None
    since: str | None = None
    """When it was revoked."""
    problems: tuple[str, ...] = ()
    """Why it is not valid evidence."""
    stale: str | None = None
    """Why it was not current when it was sent."""

    @property
    def revokes(self) -> bool:
        """Whether it says "revoked" and its signature is valid, or cannot be checked because the issuer is missing."""
        return self.status == "revoked" and set(self.problems) <= {_UNKNOWN_ISSUER}


def answer(response: bytes, about: Link, issuer: Link | None, at: str | None) -> OcspAnswer:
    """Check the answer of a response about a certificate at a time (in the form of `to_second`).

    `issuer` is None if it is not known. With `at` None, the response's dates are not checked.
    """
    loaded = _load(response)
    if loaded is None:
        return OcspAnswer(problems=("it cannot be parsed",))
    if loaded.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        return OcspAnswer(problems=(f"the response status is {loaded.response_status.name.lower()}",))
    try:
        return _answer(loaded, about, issuer, at)
    except (ValueError, UnsupportedAlgorithm) as error:
        return OcspAnswer(problems=(der.printable(str(error).encode()[:160]),))


def _answer(loaded: ocsp.OCSPResponse, about: Link, issuer: Link | None, at: str | None) -> OcspAnswer:
    single = _about(loaded, about, issuer)
    if single is None:
        return OcspAnswer(problems=("it is about another certificate",))
    since = single.revocation_time_utc
    return OcspAnswer(
        status=single.certificate_status.name.lower(),
        since=None if since is None else f"{format_time(since)}Z",
        problems=tuple(_problems(loaded, issuer)),
        stale=None if at is None else _stale(single, at),
    )


def _about(loaded: ocsp.OCSPResponse, about: Link, issuer: Link | None) -> ocsp.OCSPSingleResponse | None:
    """Find the answer whose CertID matches: serial number, issuer's name and, if known, the issuer's key.

    Name and key are hashed once per algorithm: a response may have thousands of answers.
    """
    inside = about.details
    if about.facts.serial is None or inside is None or inside.issuer is None:
        return None
    serial, name = int(about.facts.serial, 16), inside.issuer
    key = None if issuer is None or issuer.encoding is None else _key_bits(issuer.encoding)
    hashed: dict[str, tuple[bytes, bytes | None]] = {}
    for single in loaded.responses:
        if single.serial_number != serial:
            continue
        algorithm = single.hash_algorithm
        if algorithm.name not in hashed:
            hashed[algorithm.name] = (_digest(algorithm, name), None if key is None else _digest(algorithm, key))
        of_name, of_key = hashed[algorithm.name]
        if single.issuer_name_hash == of_name and of_key in {None, single.issuer_key_hash}:
            return single
    return None


def _problems(loaded: ocsp.OCSPResponse, issuer: Link | None) -> Iterator[str]:
    """Report why a response was not signed by an authorised responder (RFC 6960 section 4.2.2.2)."""
    if issuer is None or issuer.encoding is None:
        yield _UNKNOWN_ISSUER
        return
    sent = [one.public_bytes(Encoding.DER) for one in loaded.certificates]
    responders = [issuer.encoding, *[one for one in sent[:MAX_RESPONDERS] if _may_sign(one, issuer.encoding)]]
    signers = [one for one in responders if _is_responder(loaded, one)]
    if any(_signed(loaded, one) for one in signers):
        return
    if len(sent) > MAX_RESPONDERS:
        yield f"only the first {MAX_RESPONDERS} of its {len(sent):,} certificates were tried as its signer"
    elif not signers:
        yield "the responder is neither the issuer nor authorised by it"
    elif reason := next((reason for one in signers if (reason := details(one).cost_reason) is not None), None):
        yield f"signatures with {reason} are not checked"
    else:
        yield "the responder's key did not sign it"


def _may_sign(responder: bytes, issuer: bytes) -> bool:
    purposes = details(responder).purposes or ()
    return _OCSP_SIGNING in purposes and signed(responder, issuer) is True


def _is_responder(loaded: ocsp.OCSPResponse, certificate: bytes) -> bool:
    if loaded.responder_key_hash is not None:
        key = _key_bits(certificate)
        return key is not None and sha1(key, usedforsecurity=False).digest() == loaded.responder_key_hash
    named = loaded.responder_name
    return named is not None and named.public_bytes() == details(certificate).subject


def _signed(loaded: ocsp.OCSPResponse, certificate: bytes) -> bool:
    signature, data, algorithm = loaded.signature, loaded.tbs_response_bytes, loaded.signature_hash_algorithm
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        refuse_costly(key)
        if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(signature, data, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(signature, data, ec.ECDSA(algorithm))
        elif isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
            key.verify(signature, data)
        else:
            return False
    except (InvalidSignature, ValueError, UnsupportedAlgorithm, WireError):
        return False
    return True


def _stale(single: ocsp.OCSPSingleResponse, at: str) -> str | None:
    begin, end = format_time(single.this_update_utc), single.next_update_utc
    if to_second(at) < begin:
        return f"it was issued later, at {begin}Z"
    if end is not None and to_second(at) > format_time(end):
        return f"it expired at {format_time(end)}Z"
    return None


@cached(OCSP_CACHE_BYTES, lambda response, _: _LOADED * len(response))
def _load(response: bytes) -> ocsp.OCSPResponse | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ocsp.load_der_ocsp_response(response)
    except ValueError:
        return None


def _key_bits(encoding: bytes) -> bytes | None:
    """Return the key's BIT STRING without the count of unused bits, as a CertID hashes it."""
    try:
        return Outline.read(encoding).key.items(least=2)[1].body[1:]
    except WireError:
        return None


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()
