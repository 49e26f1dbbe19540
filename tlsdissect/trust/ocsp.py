"""OCSP responses checked: about which certificate, by whose key, of when (RFC 6960 section 3.2)."""

from __future__ import annotations

import warnings
from hashlib import sha1
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509 import ocsp
from msgspec import Struct

from tlsdissect.caches import cached
from tlsdissect.tls.wire import WireError
from tlsdissect.transcript.x509 import der
from tlsdissect.transcript.x509.certificates import Outline
from tlsdissect.transcript.x509.libraries import refuse_costly
from tlsdissect.trust.chain import Link, signed
from tlsdissect.trust.details import details
from tlsdissect.trust.keys import costly
from tlsdissect.trust.notes import second, written

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_RESPONDERS = 8
"""Certificates in an OCSP response among which the one that signed it is looked for; responders send one, or none.

Where none of these signed it and there are more, the response proves nothing, which is told.
"""

CACHE_BYTES = 1 << 20
"""Bytes of responses that stay loaded for the next connection which shows the same."""
_LOADED = 4
"""Bytes that a byte of a response takes at most, with what was loaded from it."""
_OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
_NOBODY_KNOWN = "the issuer's certificate is not known, so neither is who may sign"


class OcspAnswer(Struct, frozen=True):
    """What a response says of a certificate: `status` is None where it says nothing of it."""

    status: str | None = None
    since: str | None = None
    """When it was revoked."""
    flaws: tuple[str, ...] = ()
    """Why it proves nothing."""
    stale: str | None = None
    """Why it is of another time than the one it was shown at."""

    @property
    def revokes(self) -> bool:
        """Whether it says "revoked", and nothing speaks against who says so."""
        return self.status == "revoked" and set(self.flaws) <= {_NOBODY_KNOWN}


def answer(response: bytes, about: Link, issuer: Link | None, at: str | None) -> OcspAnswer:
    """Check what a response says of a certificate, whose issuer is given where it is known, at a time (of `second`).

    Without a time it is not checked whether the response was of that time.
    """
    loaded = _load(response)
    if loaded is None:
        return OcspAnswer(flaws=("it cannot be read",))
    if loaded.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        return OcspAnswer(flaws=(f"the responder said {loaded.response_status.name.lower()}",))
    try:
        return _answer(loaded, about, issuer, at)
    except (ValueError, UnsupportedAlgorithm) as error:
        return OcspAnswer(flaws=(der.printable(str(error).encode()[:160]),))


def _answer(loaded: ocsp.OCSPResponse, about: Link, issuer: Link | None, at: str | None) -> OcspAnswer:
    single = _about(loaded, about, issuer)
    if single is None:
        return OcspAnswer(flaws=("it is about another certificate",))
    since = single.revocation_time_utc
    return OcspAnswer(
        status=single.certificate_status.name.lower(),
        since=None if since is None else f"{written(since)}Z",
        flaws=tuple(_flaws(loaded, issuer)),
        stale=None if at is None else _stale(single, at),
    )


def _about(loaded: ocsp.OCSPResponse, about: Link, issuer: Link | None) -> ocsp.OCSPSingleResponse | None:
    """Find the answer whose CertID is that of a certificate: serial number, issuer's name and, where known, its key.

    Name and key are hashed once for each algorithm: a response may have thousands of answers.
    """
    if about.facts.serial is None or about.encoding is None:
        return None
    serial, name = int(about.facts.serial, 16), details(about.encoding).issuer
    if name is None:
        return None
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


def _flaws(loaded: ocsp.OCSPResponse, issuer: Link | None) -> Iterator[str]:
    """Say why a response was not signed by whom it had to be (RFC 6960 section 4.2.2.2)."""
    if issuer is None or issuer.encoding is None:
        yield _NOBODY_KNOWN
        return
    sent = _sent(loaded)
    responders = [issuer.encoding, *[one for one in sent[:MAX_RESPONDERS] if _may_sign(one, issuer.encoding)]]
    named = [one for one in responders if _is_responder(loaded, one)]
    if any(_signed(loaded, one) for one in named):
        return
    if len(sent) > MAX_RESPONDERS:
        yield f"of {len(sent):,} certificates in it, only the first {MAX_RESPONDERS} were checked"
    elif not named:
        yield "the responder is neither the issuer nor authorised by it"
    elif why := next((why for one in named if (why := costly(details(one))) is not None), None):
        yield f"signatures are not checked with {why}"
    else:
        yield "the responder's key did not sign it"


def _sent(loaded: ocsp.OCSPResponse) -> list[bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415  (needed for few responses)

    return [one.public_bytes(Encoding.DER) for one in loaded.certificates]


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
    begin, end = written(single.this_update_utc), single.next_update_utc
    if second(at) < begin:
        return f"it is of {begin}Z, which is later"
    if end is not None and second(at) > written(end):
        return f"it was good until {written(end)}Z"
    return None


@cached(CACHE_BYTES, lambda response, _: _LOADED * len(response))
def _load(response: bytes) -> ocsp.OCSPResponse | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ocsp.load_der_ocsp_response(response)
    except ValueError:
        return None


def _key_bits(encoding: bytes) -> bytes | None:
    """Give the key's bits, which a CertID hashes, without what says how many of them are unused."""
    try:
        return Outline.read(encoding).key.items(least=2)[1].body[1:]
    except WireError:
        return None


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()
