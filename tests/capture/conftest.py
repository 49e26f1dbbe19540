from __future__ import annotations

import io

import pytest
from batches import Read, Rows, rows_of

from tlsdissect.capture import open_capture


@pytest.fixture
def read() -> Read:
    """Read a capture given as bytes."""

    def read(data: bytes, **options: int) -> Rows:
        with open_capture(io.BytesIO(data), **options) as capture:
            return rows_of(capture)

    return read
