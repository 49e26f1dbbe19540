from __future__ import annotations

import io

import pytest
from rows import Pieces, Read, Rows, rows_of

from tlsdissect.capture import open_capture


@pytest.fixture
def read() -> Read:
    """Read a capture given as bytes, which come in pieces of a size."""

    def read(data: bytes, *, piece: int | None = None) -> Rows:
        with open_capture(io.BytesIO(data) if piece is None else Pieces(data, piece)) as capture:
            return rows_of(capture)

    return read
