"""What is made of an extension whose structure is known is what decoding it gives."""

from __future__ import annotations

import pytest

from tlsdissect.handshake.facts import refill
from tlsdissect.handshake.facts.extensions import ExtensionDecoder
from tlsdissect.handshake.facts.hello_extensions import Extensions, decode_extensions
from tlsdissect.handshake.facts.refill import CONSTANT, Refill, Refills, Step
from tlsdissect.tls.client_hello import Extension
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.extensions import FROM_CLIENT


def sized(data: bytes, size: int = 2) -> bytes:
    return len(data).to_bytes(size, "big") + data


def name(host: bytes) -> bytes:
    return sized(b"\0" + sized(host))


def shares(group: int, fill: int) -> bytes:
    return sized(group.to_bytes(2, "big") + sized(bytes([fill])) + b"\x00\x1d" + sized(bytes([fill]) * 32))


def offered(fill: int, age: int) -> bytes:
    return sized(sized(bytes([fill]) * 9) + age.to_bytes(4, "big")) + sized(sized(bytes([fill]) * 32, 1))


def outer(fill: int) -> bytes:
    return b"\0\0\1\0\1" + bytes([fill]) + sized(bytes([fill]) * 32) + sized(bytes([fill]) * 144)


def parameters(client_id: bytes, limit: int, *, old: bool = False) -> bytes:
    """initial_max_data, initial_source_connection_id, disable_active_migration, and one without a known structure."""
    listed = [(4, limit.to_bytes(4, "big")), (15, client_id), (12, b""), (0x1B, client_id)]
    if old:
        return sized(b"".join(number.to_bytes(2, "big") + sized(value) for number, value in listed))
    return b"".join(bytes([number, len(value)]) + value for number, value in listed)


def decode(decoder: ExtensionDecoder, number: int, *bodies: bytes) -> Extensions:
    for body in bodies:
        found = decode_extensions(decoder, (Extension(number, body),))
    return found


CASES = {
    "a name": (Type.SERVER_NAME, name(b"a.example"), name(b"b.example")),
    "a name that is escaped": (Type.SERVER_NAME, name(b"a.example"), name(b"b\\ \xff\n.ex\x00")),
    "a name of another type": (Type.SERVER_NAME, name(b"a.example"), b"\0\x0c\x07\0\x09b.example"),
    "an empty name": (Type.SERVER_NAME, name(b"a.example"), sized(b"\0\0\0" + bytes(9))),
    "shares": (Type.KEY_SHARE, shares(0x0A0A, 1), shares(0x0A0A, 2)),
    "shares with other GREASE": (Type.KEY_SHARE, shares(0x0A0A, 1), shares(0xFAFA, 2)),
    "shares of another group": (Type.KEY_SHARE, shares(0x0017, 1), shares(0x0018, 2)),
    "a share whose length is wrong": (Type.KEY_SHARE, shares(0x0A0A, 1), shares(0x0A0A, 1)[:-1] + b"\0\0"),
    "a ticket": (Type.SESSION_TICKET, bytes(9), bytes(range(9))),
    "no ticket": (Type.SESSION_TICKET, b"", b""),
    "identities": (Type.PRE_SHARED_KEY, offered(1, 7), offered(2, 0)),
    "an encrypted hello": (Type.ENCRYPTED_CLIENT_HELLO, outer(1), outer(2)),
    "transport parameters": (
        Type.QUIC_TRANSPORT_PARAMETERS,
        parameters(b"12345678", 1 << 31),
        parameters(b"abcdefgh", 1 << 31),
    ),
    "transport parameters with another number": (
        Type.QUIC_TRANSPORT_PARAMETERS,
        parameters(b"12345678", 1 << 31 | 5),
        parameters(b"12345678", 3 << 30 | 6),
    ),
    "transport parameters with other lengths": (
        Type.QUIC_TRANSPORT_PARAMETERS,
        b"\x0f\2ab\x1b\1c",
        b"\x0f\1a\x1b\2bc",
    ),
    "transport parameters of a draft": (
        Type.QUIC_TRANSPORT_PARAMETERS,
        parameters(b"12345678", 1 << 31, old=True),
        parameters(b"abcdefgh", 1 << 31, old=True),
    ),
    "an encrypted inner hello": (Type.ENCRYPTED_CLIENT_HELLO, b"\1", b"\1"),
    "an encrypted hello of an unknown type": (Type.ENCRYPTED_CLIENT_HELLO, b"\1", b"\2"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_known_structure_gives_what_decoding_gives(case: str) -> None:
    number, known, body = CASES[case]
    made, anew = (decode(ExtensionDecoder(FROM_CLIENT), number, *bodies) for bodies in ((known, body), (body,)))
    assert (made.facts, made.problems, made.codes) == (anew.facts, anew.problems, anew.codes)
    fields = ("server_name_list", "client_shares", "data", "identities", "enc", "parameters")
    assert [made.shown(number, field) for field in fields] == [anew.shown(number, field) for field in fields]


@pytest.mark.parametrize(
    "case", ["a name", "shares", "a ticket", "no ticket", "identities", "an encrypted hello", "transport parameters"]
)
def test_it_is_not_decoded(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number, known, body = CASES[case]
    decoder = ExtensionDecoder(FROM_CLIENT)
    decode(decoder, number, known)
    monkeypatch.setattr(decoder, "decode_anew", None)
    assert decode(decoder, number, body).facts


def test_a_repeated_extension_is_decoded_each_time() -> None:
    decoder, twice = ExtensionDecoder(FROM_CLIENT), [name(b"a.example"), name(b"b.example")]
    decode(decoder, Type.SERVER_NAME, *twice)
    found = decode_extensions(decoder, tuple([Extension(Type.SERVER_NAME, one) for one in twice]))
    assert [fact.server_name_list[0]["host_name"] for fact in found.facts] == ["a.example", "b.example"]  # type: ignore[attr-defined]
    assert found.shown(Type.SERVER_NAME, "server_name_list")[0]["host_name"] == "a.example"
    assert [detail for _, detail in found.problems] == ["extension server_name: repeated"]


def constant(data: bytes) -> Refill:
    return Refill(data, [], [Step(CONSTANT, data)])


def test_few_structures_of_one_length_are_kept() -> None:
    kept, bodies = Refills(), [bytes([n]) for n in range(refill.MAX_STRUCTURES + 1)]
    for body in bodies:
        if kept.wants(0, body):
            kept.add(0, body, constant(body))
    assert [kept.find(0, body) is not None for body in bodies] == [True] * refill.MAX_STRUCTURES + [False]
    assert kept.find(1, bodies[0]) is None


def test_all_are_forgotten_when_there_are_more() -> None:
    kept = Refills()
    for number in range(refill.MAX_REFILLS + 1):
        kept.add(number, b"", constant(b""))
    assert [kept.find(number, b"") is not None for number in (0, refill.MAX_REFILLS)] == [False, True]


def test_long_ones_are_not_kept() -> None:
    kept = Refills()
    assert [kept.wants(0, bytes(size)) for size in (refill.MAX_REFILLED, refill.MAX_REFILLED + 1)] == [True, False]
