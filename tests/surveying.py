"""What must hold of a survey of any bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlsdissect.tls.handshake import Decoder
from tlsdissect.tls.survey import survey
from tlsdissect.tls.wire import WireError, decode_partially

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.tls.layout import WireStruct
    from tlsdissect.tls.survey import Field, Survey


def covers(parts: Sequence[Field], start: int, end: int) -> bool:
    """Whether fields stand one behind the other, from start to end."""
    for part in parts:
        if part.start != start:
            return False
        start = part.end
    return start == end


def check_parts(field: Field, data: bytes) -> None:
    if isinstance(field.value, bytes):
        assert data[: field.end].endswith(field.value)
    if field.parts:
        # A length may stand in front of the parts, and belongs to the whole.
        assert 0 <= field.parts[0].start - field.start <= 3
        assert covers(field.parts, field.parts[0].start, field.end)
        for part in field.parts:
            check_parts(part, data)


def surveyed(message: Decoder | type[WireStruct], data: bytes) -> Survey[Any]:
    """Check that the fields cover all bytes, and that the decoder finds the same."""
    decoder = message if isinstance(message, Decoder) else Decoder(message)
    found = survey(decoder.struct, data, **decoder.given)
    assert covers(found.fields, 0, len(data))
    for field in found.fields:
        check_parts(field, data)
    try:
        value, error = decode_partially(decoder.read, data)
    except WireError:
        assert found.errors
    else:
        assert (error is None) <= (found.value == value)
        assert bool(found.errors) == (error is not None)
    return found
