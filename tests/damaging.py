"""Damage bytes at random: single bytes, cuts, repetitions, and numbers that are easily computed with wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

NUMBERS = (0, 1, 2**7 - 1, 2**7, 2**15 - 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def damage(random: Random, data: bytearray, within: int | None = None) -> None:
    """Damage one place, of the first `within` bytes only if that is given."""
    at = random.randint(0, min(len(data), len(data) if within is None else within))
    match random.choice(("flip", "flip", "flip", "cut", "repeat", "number")):
        case "flip":
            data[at : at + 1] = bytes([random.randint(0, 255)])
        case "cut":
            del data[at : at + random.randint(1, 100)]
        case "repeat":
            data[at:at] = data[at : at + random.randint(1, 100)]
        case "number":
            size = random.choice((2, 4, 8))
            number = random.choice(NUMBERS) % 2 ** (8 * size)
            data[at : at + size] = number.to_bytes(size, random.choice(("big", "little")))
