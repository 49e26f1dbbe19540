"""Connections that wait come back as they were, wherever they waited."""

from __future__ import annotations

import pytest
from recorded import SAMPLES

import tlsdissect
from tlsdissect.transcript.waiting import LARGEST, OVERHEAD, Waiting

CONNECTIONS = [connection for path in SAMPLES for connection in tlsdissect.read(path)]


@pytest.mark.parametrize(
    ("plain_bytes", "packed_bytes"), [(1 << 20, 0), (0, 1 << 20), (0, 0), (3 * (1000 + OVERHEAD), 20_000)]
)
def test_what_is_put_is_what_is_taken(plain_bytes: int, packed_bytes: int) -> None:
    waiting = Waiting(plain_bytes, packed_bytes)
    for turn in range(3):
        for index, connection in enumerate(CONNECTIONS):
            waiting.put(index, connection, 1000)
        for index in sorted(range(len(CONNECTIONS)), key=lambda n: (n * 7 + turn) % 11):
            assert index in waiting
            assert waiting.pop(index) == CONNECTIONS[index]
            assert index not in waiting
    with pytest.raises(KeyError):
        waiting.pop(0)
    waiting.close()


def test_extensions_keep_their_fields() -> None:
    waiting = Waiting(0, 1 << 20)
    for connection in CONNECTIONS:
        waiting.put(1, connection, 1000)
        back = waiting.pop(1)
        assert back.client_hello is not None
        assert connection.client_hello is not None
        for one, other in zip(back.client_hello.extensions, connection.client_hello.extensions, strict=True):
            assert type(one) is type(other)
            assert one == other


def test_what_is_large_waits_packed() -> None:
    waiting = Waiting()
    waiting.put(0, CONNECTIONS[0], LARGEST)
    waiting.put(1, CONNECTIONS[0], 1000)
    assert waiting.pop(0) == CONNECTIONS[0]
    assert waiting.pop(1) is CONNECTIONS[0]
