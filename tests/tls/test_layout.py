"""From one declaration come the value, the byte range of each field, and the bytes that no field accounts for."""

from typing import Annotated

import pytest

from tlsdissect.tls.codepoints import CipherSuite, CompressionMethod, Registry
from tlsdissect.tls.layout import (
    IF_BYTES_LEFT,
    Count,
    Known,
    Length,
    Opaque8,
    Opaque16,
    Select,
    Size,
    Uint,
    Uint8,
    Uint16,
    Uint24,
    UntilError,
    Varint,
    When,
    WireStruct,
    reader,
)
from tlsdissect.tls.survey import Field, survey
from tlsdissect.tls.wire import Reader, WireError, decode_partially


class Pair(WireStruct, frozen=True):
    tag: Uint16
    body: Opaque16


class Numbers(WireStruct, frozen=True):
    suite: CipherSuite
    short: Uint24
    masked: Annotated[int, Uint(2, bits=15)]
    variable: Annotated[int, Varint()]


class Lists(WireStruct, frozen=True):
    suites: Annotated[tuple[CipherSuite, ...], Length(2)]
    methods: Annotated[tuple[CompressionMethod, ...], Length(1)]
    names: Annotated[tuple[Opaque8, ...], Length(2)]
    two: Annotated[tuple[Opaque8, ...], Count(2)]
    pairs: tuple[Pair, ...]


class Sizes(WireStruct, frozen=True):
    size: Uint8
    fixed: Annotated[bytes, Size(2)]
    named: Annotated[tuple[Uint24, ...], Size("size")]
    computed: Annotated[bytes, Size(lambda r, size: len(r) - size)]
    rest: bytes


class Choices(WireStruct, frozen=True):
    kind: Annotated[int, Uint(1), Known("kind", (0, 1, 2))]
    one: Annotated[bytes | None, Length(1), When("kind", (1,))]
    chosen: Annotated[Pair | bytes | None, Select(lambda kind: (None, bytes, Pair)[kind])]


class Blocks(WireStruct, frozen=True):
    kind: Uint8
    block: Annotated[Pair | bytes, Length(1), Select("kind", {1: Pair})]
    number: Annotated[int, Varint(), Size(2)]
    after: Annotated[Uint8 | None, IF_BYTES_LEFT]


class Partial(WireStruct, frozen=True):
    pairs: Annotated[tuple[Pair, ...], Length(2), UntilError()]


class Versioned(WireStruct, frozen=True):
    scheme: Annotated[Uint16 | None, When(lambda version: version >= 0x0303)]
    signature: Opaque8


SOUND: list[tuple[type[WireStruct], str, WireStruct]] = [
    (Numbers, "1301 000102 8003 4005", Numbers(0x1301, 0x0102, 3, 5)),
    (
        Lists,
        "0004 1301 1302 01 00 0003 026832 01 61 00 0007 0001 62",
        Lists((0x1301, 0x1302), (0,), (b"h2",), (b"a", b""), (Pair(7, b"b"),)),
    ),
    (Sizes, "03 aabb 000001 cccc dddddd", Sizes(3, b"\xaa\xbb", (1,), b"\xcc\xcc", b"\xdd" * 3)),
    (Choices, "00", Choices(0, None, None)),
    (Choices, "01 0161 6263", Choices(1, b"a", b"bc")),
    (Choices, "02 0007 0001 62", Choices(2, None, Pair(7, b"b"))),
    (Blocks, "00 02 6161 4005", Blocks(0, b"aa", 5, None)),
    (Blocks, "01 05 0007 0001 62 4005 09", Blocks(1, Pair(7, b"b"), 5, 9)),
    (Partial, "0005 0007 0001 62", Partial((Pair(7, b"b"),))),
]


def outline(fields: tuple[Field, ...]) -> dict[str, object]:
    return {field.name: outline(field.parts) if field.parts else (field.start, field.end) for field in fields}


@pytest.mark.parametrize(("struct", "data", "value"), SOUND)
def test_a_struct_is_read_as_it_is_declared(struct: type[WireStruct], data: str, value: WireStruct) -> None:
    body = bytes.fromhex(data)
    assert Reader(body).whole(struct.read) == value
    assert Reader(body).whole(reader(struct)) == value
    found = survey(struct, b"--" + body + b"-", 2, 2 + len(body))
    assert (found.value, found.errors) == (value, ())
    assert (found.fields[0].start, found.fields[-1].end) == (2, 2 + len(body))


def test_each_field_has_its_byte_range_with_its_length() -> None:
    found = survey(Lists, bytes.fromhex("0004 1301 1302 01 00 0003 026832 01 61 00 0007 0001 62"))
    assert outline(found.fields) == {
        "suites": {"[0]": (2, 4), "[1]": (4, 6)},
        "methods": {"[0]": (7, 8)},
        "names": {"[0]": (10, 13)},
        "two": {"[0]": (13, 15), "[1]": (15, 16)},
        "pairs": {"[0]": {"tag": (16, 18), "body": (18, 21)}},
    }
    assert [(field.start, field.end) for field in found.fields] == [(0, 6), (6, 8), (8, 13), (13, 16), (16, 21)]
    assert found.fields[0].parts[0].registry is Registry.CIPHER_SUITES


def test_a_struct_may_depend_on_what_its_message_does_not_say() -> None:
    for version, data in ((0x0303, "0403 0161"), (0x0302, "0161")):
        body = bytes.fromhex(data)
        read = Versioned.read(Reader(body), version=version)
        assert read == Versioned(0x0403 if version == 0x0303 else None, b"a")
        assert survey(Versioned, body, version=version).value == read


@pytest.mark.parametrize(
    ("struct", "data", "fields", "errors"),
    [
        # A length that claims too much: what is there is read.
        (
            Blocks,
            "01 09 0007 0001 62",
            {"kind": (0, 1), "block": {"tag": (2, 4), "body": (4, 7)}},
            ["9 bytes wanted, 5 left at byte 2"],
        ),
        (Blocks, "01 09", {"kind": (0, 1), "block": (1, 2)}, ["9 bytes wanted, 0 left at byte 2"]),
        (Blocks, "01", {"kind": (0, 1), "block": (1, 1)}, ["1 bytes wanted, 0 left at byte 1"]),
        (Partial, "00", {"pairs": (0, 1)}, ["2 bytes wanted, 1 left at byte 0"]),
        # Bytes left over within a block: the fields after it are found.
        (
            Blocks,
            "01 06 0007 0001 62 ff 0500 09",
            {
                "kind": (0, 1),
                "block": {"tag": (2, 4), "body": (4, 7), "unread": (7, 8)},
                "number": (8, 9),
                "unread": (9, 10),
                "after": (10, 11),
            },
            ["1 bytes left over at byte 7", "1 bytes left over at byte 9"],
        ),
        # A list of odd length, and one that is too long.
        (
            Lists,
            "0003 130113 00 0000 00 00",
            {
                "suites": {"unread": (2, 5)},
                "methods": (5, 6),
                "names": (6, 8),
                "two": {"[0]": (8, 9), "[1]": (9, 10)},
                "pairs": (10, 10),
            },
            ["a list of 2-byte numbers is 3 bytes long at byte 2"],
        ),
        (Lists, "0009 1301", {"suites": {"unread": (2, 4)}}, ["9 bytes wanted, 2 left at byte 2"]),
        # An item that is cut.
        (
            Partial,
            "0008 0007 0001 62 0008 01",
            {"pairs": {"[0]": {"tag": (2, 4), "body": (4, 7)}, "[1]": {"tag": (7, 9), "body": (9, 10)}}},
            ["2 bytes wanted, 1 left at byte 9"],
        ),
    ],
)
def test_a_survey_goes_on_after_an_error(
    struct: type[WireStruct], data: str, fields: dict[str, object], errors: list[str]
) -> None:
    body = bytes.fromhex(data)
    found = survey(struct, body)
    assert outline(found.fields) == fields
    assert [str(error) for error in found.errors] == errors
    with pytest.raises(WireError):
        Reader(body).whole(struct.read)


def test_an_unknown_kind_leaves_all_unread() -> None:
    found = survey(Choices, b"\x09abc")
    assert (found.value, outline(found.fields)) == (None, {"unread": (0, 4)})
    assert [str(error) for error in found.errors] == ["unknown kind 9 at byte 0"]
    with pytest.raises(WireError, match="unknown kind 9 at byte 0"):
        Choices.read(Reader(b"\x09abc"))


def test_the_items_before_a_malformed_one_count() -> None:
    value, error = decode_partially(Partial.read, bytes.fromhex("0008 0007 0001 62 0008 01"))
    assert value == Partial((Pair(7, b"b"),))
    assert str(error) == "2 bytes wanted, 1 left at byte 9"


def test_a_struct_that_is_read_is_no_base_of_another() -> None:
    # `reader` replaces the method `read` of a struct, which a subclass would inherit.
    assert {struct.__base__ for struct in _all(WireStruct)} == {WireStruct}


def _all(struct: type[WireStruct]) -> list[type[WireStruct]]:
    return [found for one in struct.__subclasses__() for found in (one, *_all(one))]
