"""OCSP responses with many certificates: the number of checks is bounded, and the limit is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authority import AT, NOW, Party, authority, issue
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tlsdissect.trust import ocsp as module
from tlsdissect.trust.ocsp import MAX_RESPONDERS, answer

if TYPE_CHECKING:
    import pytest

ROOT = authority("root")
MIDDLE = authority("middle", ROOT)
LEAF = issue("leaf", MIDDLE)


def response(carried: list[Party], signer: Party) -> bytes:
    builder = ocsp.OCSPResponseBuilder().add_response(
        LEAF.loaded,
        MIDDLE.loaded,
        hashes.SHA1(),  # noqa: S303 (CertIDs are so)
        ocsp.OCSPCertStatus.GOOD,
        NOW,
        None,
        None,
        None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, signer.loaded)
    if carried:
        builder = builder.certificates([one.loaded for one in carried])
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_only_a_few_certificates_are_tried_as_the_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []

    def counted(responder: bytes, issuer: bytes) -> bool | None:
        tried.append(responder)
        return signed(responder, issuer)

    signed = module.signed
    monkeypatch.setattr(module, "signed", counted)
    purposes = [x509.ExtendedKeyUsageOID.OCSP_SIGNING]
    responder = issue("responder", MIDDLE, purposes=purposes)
    others = [issue(f"responder {index}", MIDDLE, purposes=purposes) for index in range(20)]
    assert (
        answer(response([*others[: MAX_RESPONDERS - 1], responder], responder), LEAF.link, MIDDLE.link, AT).problems
        == ()
    )
    (problem,) = answer(response([*others, responder], responder), LEAF.link, MIDDLE.link, AT).problems
    assert problem == f"only the first {MAX_RESPONDERS} of its 21 certificates were tried as its signer"
    assert len(tried) == 2 * MAX_RESPONDERS
