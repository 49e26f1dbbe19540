from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import derwriting as der
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.model.connection import OcspStaple
from tlsdissect.x509.staples import staple

LOADED = x509.load_der_x509_certificate(der.certificate(serial=der.integer(0xABC)))
THIS, NEXT, REVOKED = (datetime(2026, 1, day, 3, 4, 5, tzinfo=UTC) for day in (2, 9, 1))
CERT_ID = der.tlv(
    0x30,
    der.tlv(0x30, der.oid("1.3.14.3.2.26")),
    der.tlv(0x04, bytes(20)),
    der.tlv(0x04, bytes(20)),
    der.integer(0xABC),
)
TIME = der.tlv(0x18, b"20260102030405Z")


def made(status: ocsp.OCSPCertStatus, next_update: datetime | None = NEXT) -> bytes:
    response = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=LOADED,
            issuer=LOADED,
            algorithm=hashes.SHA256(),
            cert_status=status,
            this_update=THIS,
            next_update=next_update,
            revocation_time=REVOKED if status is ocsp.OCSPCertStatus.REVOKED else None,
            revocation_reason=x509.ReasonFlags.key_compromise if status is ocsp.OCSPCertStatus.REVOKED else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, LOADED)
        .sign(der.KEY, hashes.SHA256())
    )
    return response.public_bytes(serialization.Encoding.DER)


def written(*answers: bytes, version: bytes = b"", kind: str = "1.3.6.1.5.5.7.48.1.1", produced: bytes = TIME) -> bytes:
    data = der.tlv(0x30, version, der.tlv(0xA2, der.tlv(0x04, bytes(20))), produced, der.tlv(0x30, *answers))
    basic = der.tlv(0x30, data, der.SHA256_WITH_RSA, der.tlv(0x03, bytes(9)))
    content = der.tlv(0xA0, der.tlv(0x30, der.oid(kind), der.tlv(0x04, basic)))
    return der.tlv(0x30, b"\x0a\x01\x00", content)


def answer(status: bytes = b"\x80\x00", *times: bytes, cert_id: bytes = CERT_ID) -> bytes:
    return der.tlv(0x30, cert_id, status, *(times or (TIME,)))


@pytest.mark.parametrize("status", ocsp.OCSPCertStatus)
def test_each_status(status: ocsp.OCSPCertStatus) -> None:
    told, problems = staple(made(status))
    assert problems == ()
    assert told.produced_at is not None
    assert told == OcspStaple(
        response_status="successful",
        cert_status=status.name.lower(),
        serial="0abc",
        this_update="2026-01-02T03:04:05Z",
        next_update="2026-01-09T03:04:05Z",
        produced_at=told.produced_at,
        revocation_time="2026-01-01T03:04:05Z" if status is ocsp.OCSPCertStatus.REVOKED else None,
        sha256=told.sha256,
    )


def test_an_answer_need_not_say_when_the_next_is_due() -> None:
    told, problems = staple(made(ocsp.OCSPCertStatus.GOOD, None))
    assert (told.next_update, problems) == (None, ())
    extended = answer(b"\x80\x00", TIME, der.tlv(0xA1, der.tlv(0x30)))
    assert staple(written(extended))[0].next_update is None


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "malformedRequest"), (2, "internalError"), (3, "tryLater"), (5, "sigRequired"), (6, "unauthorized"), (9, "9")],
)
def test_an_unsuccessful_response(number: int, name: str) -> None:
    response = bytes((0x30, 3, 0x0A, 1, number))
    assert staple(response) == (OcspStaple(response_status=name, sha256=sha256(response).hexdigest()), ())


def test_of_several_answers_the_first_is_told() -> None:
    second = answer(b"\x82\x00", cert_id=der.tlv(0x30, *([der.integer(7)] * 4)))
    told, problems = staple(written(answer(), second))
    assert (told.serial, told.cert_status, problems) == ("0abc", "good", ())


def test_a_stated_version() -> None:
    told, problems = staple(written(answer(), version=b"\xa0\x03\x02\x01\x00"))
    assert (told.serial, told.produced_at, problems) == ("0abc", "2026-01-02T03:04:05Z", ())


@pytest.mark.parametrize(
    ("response", "unread", "kept"),
    [
        (written(answer(), produced=der.tlv(0x18, b"x")), "produced_at", "serial"),
        (written(answer(b"\x83\x00")), "cert_status", "serial"),
        (written(answer(b"\x05\x00")), "cert_status", "this_update"),
        (written(answer(b"\xa1\x00")), "revocation_time", "this_update"),
        (written(answer(b"\x80\x00", b"\x05\x00")), "this_update", "cert_status"),
        (written(answer(b"\x80\x00", TIME, b"\xa0\x00")), "next_update", "cert_status"),
        (written(answer(cert_id=b"\x30\x00")), "serial", "cert_status"),
        (der.tlv(0x30, b"\x02\x01\x00"), "response_status", None),
        (der.tlv(0x30, b"\x0a\x01\x00", b"\x05\x00"), "OCSP response", "response_status"),
        (written(answer(), kind="1.2.3"), "OCSP response", "response_status"),
        (written(), "OCSP answer", "produced_at"),
        (written(b"\x30\x00"), "OCSP answer", "produced_at"),
    ],
)
def test_what_cannot_be_read_costs_no_more(response: bytes, unread: str, kept: str | None) -> None:
    told, problems = staple(response)
    assert [problem.partition(":")[0] for problem in problems] == [unread]
    assert kept is None or getattr(told, kept) is not None
    assert getattr(told, unread, None) is None


def test_a_version_and_nothing_to_go_with_it() -> None:
    data = der.tlv(0x30, b"\xa0\x03\x02\x01\x00", der.tlv(0xA2), TIME)
    content = der.tlv(0xA0, der.tlv(0x30, der.oid("1.3.6.1.5.5.7.48.1.1"), der.tlv(0x04, der.tlv(0x30, data))))
    told, problems = staple(der.tlv(0x30, b"\x0a\x01\x00", content))
    assert told == OcspStaple(response_status="successful", sha256=told.sha256)
    assert problems == ("OCSP response: a response without answers",)


def test_a_huge_response_is_read_but_not_kept() -> None:
    response = written(answer(), *[answer()] * 400)
    assert staple(response) == staple(response)
    assert staple(response)[0] is not staple(response)[0]
    small = written(answer())
    assert staple(small)[0] is staple(bytes(bytearray(small)))[0]


@given(st.binary(max_size=200))
def test_any_bytes_are_told(response: bytes) -> None:
    told, problems = staple(response)
    assert told.serial is None
    assert all(problem.isprintable() for problem in problems)


@given(st.integers(0), st.binary(min_size=1, max_size=6))
def test_damage_anywhere_is_told(place: int, noise: bytes) -> None:
    response = written(answer(b"\xa1\x11" + TIME, TIME, der.tlv(0xA0, TIME)))
    place %= len(response)
    _, problems = staple(response[:place] + noise + response[place + len(noise) :])
    assert all(problem.isprintable() for problem in problems)
