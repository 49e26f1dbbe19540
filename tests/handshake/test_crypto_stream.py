"""CRYPTO frames in any order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.handshake.crypto_stream import FRAME_BYTES, MAX_CRYPTO_BYTES, MAX_CRYPTO_HELD, CryptoStream

SENT = bytes(range(256)) * 2


@st.composite
def sendings(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Pieces of a stream that cover it, and repeated ones, in any order."""
    cuts = sorted({0, len(SENT), *draw(st.lists(st.integers(1, len(SENT) - 1), max_size=12))})
    repeated = st.tuples(st.integers(0, len(SENT)), st.integers(0, len(SENT))).map(lambda two: (min(two), max(two)))
    return draw(st.permutations([*pairwise(cuts), *draw(st.lists(repeated, max_size=6))]))


@given(sendings())
def test_any_order_gives_the_stream(pieces: list[tuple[int, int]]) -> None:
    stream = CryptoStream()
    got = [stream.add(start, SENT[start:end]) for start, end in pieces]
    assert None not in got
    assert b"".join(part or b"" for part in got) == SENT
    assert (stream.position, stream.held_bytes(), stream.has_gap()) == (len(SENT), len(SENT), False)
    assert stream.conflict is None


def test_a_gap_stays() -> None:
    stream = CryptoStream()
    assert stream.add(3, b"defg") == b""
    assert stream.has_gap()
    assert stream.add(0, b"ab") == b"ab"
    assert stream.has_gap()
    assert stream.add(2, b"cd") == b"cdefg"
    assert not stream.has_gap()


@given(st.permutations([(0, b"ab"), (2, b"cd"), (1, b"bX")]))
def test_other_bytes_at_the_same_offset_are_noticed(frames: list[tuple[int, bytes]]) -> None:
    stream = CryptoStream()
    got = b"".join(stream.add(offset, data) or b"" for offset, data in frames)
    assert (len(got), stream.conflict is not None) == (4, True)


def test_frames_too_far_ahead_and_too_many_are_refused() -> None:
    stream = CryptoStream()
    assert stream.add(MAX_CRYPTO_BYTES, b"x") is None
    assert stream.add((1 << 62) - 1, b"x") is None
    kept = 0
    while stream.add(2 * kept + 1, b"x") is not None:
        kept += 1
    assert kept == MAX_CRYPTO_HELD // (1 + FRAME_BYTES)
    assert stream.held_bytes() <= MAX_CRYPTO_HELD
