"""Choices that are read from bytes, so that a fuzzer that changes the bytes changes one choice after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


class Choices:
    """Bytes that are taken from the front; behind their end, every number is 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def bytes(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def number(self, size: int = 1) -> int:
        """An unsigned number of so many bytes."""
        return int.from_bytes(self.bytes(size), "big")

    def below(self, end: int) -> int:
        """A number from 0 up to, but not including, `end`."""
        return self.number((max(1, end - 1).bit_length() + 7) // 8) % end

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def rest(self) -> bytes:
        return self.bytes(max(0, len(self._data) - self._at))


def parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Split into parts that each begin with a byte that says what to do with it, and a length of two bytes."""
    choices = Choices(data)
    while choices:
        kind, size = choices.number(), choices.number(2)
        yield kind, choices.bytes(size)


def joined(*each: tuple[int, bytes]) -> bytes:
    """Join parts, for `parts` to split them again."""
    return b"".join(bytes([kind]) + len(part).to_bytes(2, "big") + part for kind, part in each)
