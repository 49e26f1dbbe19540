from __future__ import annotations

from hashlib import md5, sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.handshake.facts.fingerprints import (
    GREASE,
    highest_version,
    ja3,
    ja3_string,
    ja3n_string,
    ja3s_string,
    ja4,
    ja4_r,
)

# The worked example of JA4's technical details.
SUITES = [
    0x1301,
    0x1302,
    0x1303,
    0xC02B,
    0xC02F,
    0xC02C,
    0xC030,
    0xCCA9,
    0xCCA8,
    0xC013,
    0xC014,
    0x9C,
    0x9D,
    0x2F,
    0x35,
]
EXTENSIONS = [0x1B, 0, 0x33, 0x10, 0x4469, 0x17, 0x2D, 0x0D, 5, 0x23, 0x12, 0x2B, 0xFF01, 0x0B, 0x0A, 0x15]
ALGORITHMS = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
RAW = (
    "t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9"
    "_0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01"
    "_0403,0804,0401,0503,0805,0501,0806,0601"
)
numbers = st.lists(st.integers(0, 0xFFFF), max_size=120)


def test_grease_is_the_sixteen_values_of_rfc_8701() -> None:
    assert len(GREASE) == 16
    assert {0x0A0A, 0x1A1A, 0xFAFA} < GREASE
    assert 0x0A1A not in GREASE


def test_ja3_of_the_published_example() -> None:
    text = ja3_string(
        769,
        [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
        [0, 10, 11],
        [23, 24, 25],
        [0],
    )
    assert text == "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0"
    assert ja3(text) == "ada70206e40642a3e4461f35503241d5"


def test_ja3_of_a_hello_without_extensions() -> None:
    text = ja3_string(769, [4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99], [], [], [])
    assert text == "769,4-5-10-9-100-98-3-6-19-18-99,,,"
    assert ja3(text) == "de350869b8c85de67a350c8d186f11e6"


def test_ja3s() -> None:
    assert ja3s_string(771, 4865, [51, 0x2A2A, 43]) == "771,4865,51-43"
    assert ja3(ja3s_string(771, 4865, [51, 43])) == "eb1d94daa7e0344597e756a1fb6e7054"
    assert ja3s_string(771, 47, []) == "771,47,"


def test_ja3n_is_the_same_however_the_extensions_are_shuffled() -> None:
    assert ja3n_string(771, [1], [35, 0x1A1A, 0, 10], [23], [0]) == "771,1,0-10-35,23,0"


def test_point_formats_are_one_byte_and_never_grease() -> None:
    assert ja3_string(771, [1], [11], [0x0A0A, 23], [0, 1, 10]) == "771,1,11,23,0-1-10"


def test_ja4_of_the_published_example() -> None:
    name = ja4("t", 0x0304, SUITES, EXTENSIONS, alpn=b"h2", signature_algorithms=ALGORITHMS)
    assert name == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert ja4_r("t", 0x0304, SUITES, EXTENSIONS, alpn=b"h2", signature_algorithms=ALGORITHMS) == RAW


def test_ja4_without_signature_algorithms_has_no_trailing_underscore() -> None:
    assert ja4("t", 0x0304, SUITES, EXTENSIONS, alpn=None, signature_algorithms=[]).endswith("_6d807ffa2a79")


def test_ja4_leaves_grease_out_wherever_it_stands() -> None:
    plain = ja4("t", 0x0304, SUITES, EXTENSIONS, alpn=b"h2", signature_algorithms=ALGORITHMS)
    greased = ja4(
        "t",
        0x0304,
        [0x0A0A, *SUITES],
        [0x1A1A, *EXTENSIONS, 0xFAFA],
        alpn=b"h2",
        signature_algorithms=[0x2A2A, *ALGORITHMS],
    )
    assert greased == plain


def test_ja4_of_nothing() -> None:
    assert ja4("t", 0x0301, [], [], alpn=None, signature_algorithms=[]) == "t10i000000_000000000000_000000000000"
    assert ja4_r("t", 0x0301, [], [], alpn=None, signature_algorithms=[]) == "t10i000000__"


def test_ja4_of_a_name_and_protocols_only() -> None:
    assert ja4("q", 0x0304, [0x1301], [0, 16], alpn=b"h3", signature_algorithms=[]) == (
        f"q13d0102h3_{sha256(b'1301').hexdigest()[:12]}_000000000000"
    )


def test_ja4_counts_to_ninety_nine() -> None:
    many = list(range(0x1000, 0x1000 + 150))
    assert ja4("t", 0x0303, many, many, alpn=None, signature_algorithms=[]).startswith("t12i999900_")


def test_sni_may_be_told_apart_from_the_list() -> None:
    assert ja4("t", 0x0303, [1], [5], alpn=None, signature_algorithms=[], sni=True)[3] == "d"
    assert ja4("t", 0x0303, [1], [0], alpn=None, signature_algorithms=[], sni=False)[3] == "i"


@pytest.mark.parametrize(
    ("alpn", "mark"),
    [
        (None, "00"),
        (b"", "00"),
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"x", "xx"),
        (b"\xab", "ab"),
        (b"\x20", "20"),
        (b"\xab\xcd", "ad"),
        (b"\x20\x61", "21"),
        (b"\x30\xab", "3b"),
        (b"\x61\x20", "60"),
        (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"),
    ],
)
def test_the_mark_of_the_first_protocol(alpn: bytes | None, mark: str) -> None:
    assert ja4("t", 0x0303, [1], [0], alpn=alpn, signature_algorithms=[])[8:10] == mark


@pytest.mark.parametrize(
    ("version", "mark"),
    [
        (0x0304, "13"),
        (0x0300, "s3"),
        (0x0002, "s2"),
        (0xFEFF, "d1"),
        (0xFEFD, "d2"),
        (0xFEFC, "d3"),
        (0x7F1C, "00"),
        (0x0100, "00"),
    ],
)
def test_the_mark_of_the_version(version: int, mark: str) -> None:
    assert ja4("d", version, [1], [], alpn=None, signature_algorithms=[])[1:3] == mark


def test_the_highest_version() -> None:
    assert highest_version(0x0303, None) == 0x0303
    assert highest_version(0x0303, []) == 0x0303
    assert highest_version(0x0303, [0xFAFA]) == 0x0303
    assert highest_version(0x0303, [0xFAFA, 0x0302, 0x0304, 0x0303]) == 0x0304
    assert highest_version(0xFEFD, [0xFEFD, 0xFEFC]) == 0xFEFC


@given(numbers, numbers, numbers, st.lists(st.integers(0, 255)), st.binary())
def test_any_numbers_have_fingerprints(
    suites: list[int], extensions: list[int], groups: list[int], formats: list[int], alpn: bytes
) -> None:
    text = ja3_string(771, suites, extensions, groups, formats)
    assert text.count(",") == 4
    assert ja3(text) == md5(text.encode(), usedforsecurity=False).hexdigest()
    name = ja4("t", 0x0303, suites, extensions, alpn=alpn, signature_algorithms=groups)
    assert len(name) == 36
    assert name.isprintable()
    assert name.isascii()
    head, cipher_list, rest = ja4_r("t", 0x0303, suites, extensions, alpn=alpn, signature_algorithms=groups).split(
        "_", 2
    )
    assert name.startswith(head)
    for part, stated in zip((cipher_list, rest), name.split("_")[1:], strict=True):
        if not part.startswith("_"):
            assert stated == (sha256(part.encode()).hexdigest()[:12] if part else "000000000000")


@given(numbers, numbers)
def test_order_does_not_change_a_ja4(suites: list[int], extensions: list[int]) -> None:
    first = ja4("t", 0x0303, suites, extensions, alpn=None, signature_algorithms=[1])
    assert first == ja4("t", 0x0303, suites[::-1], extensions[::-1], alpn=None, signature_algorithms=[1])


@given(st.lists(st.integers(0, 0xFFFF) | st.sampled_from(sorted(GREASE)), min_size=250, max_size=400))
def test_long_lists_are_sorted_as_short_ones(suites: list[int]) -> None:
    text = ja4_r("t", 0x303, suites, [], alpn=None, signature_algorithms=[])

    assert text.split("_")[1] == ",".join([f"{number:04x}" for number in sorted(suites) if number not in GREASE])


@pytest.mark.parametrize("many", [1, 300])
def test_a_number_may_be_repeated_in_a_long_list(many: int) -> None:
    suites = [0x1301] * many + list(range(0x20, 0x20 + 300)) + [0x1301] * many

    text = ja4_r("t", 0x303, suites, [], alpn=None, signature_algorithms=[])

    assert text.split("_")[1].count("1301") == 2 * many
