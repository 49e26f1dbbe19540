"""Weak RSA keys: the ROCA fingerprint, and primes that two keys share.

Shared primes are found by batch GCD: each modulus is compared with the product of all others at once, by a product tree
and a remainder tree (Bernstein, 2005). That is quasi-linear only if multiplication and division are, and those of
Python's `int` are not: it multiplies by Karatsuba's method and divides in quadratic time. `decimal` is part of Python
and has both, since libmpdec multiplies by number-theoretic transforms and divides by Newton's iteration. So the numbers
in the trees are decimal. GMP would be faster by a constant factor, at the price of a dependency.

Every level of a tree is as large as all moduli together. To save memory, the moduli are cut into batches: a tree over
the batches gives each batch the product of the others modulo its own, then each batch has its own tree.
"""

from __future__ import annotations

from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from functools import lru_cache
from math import gcd, prod
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Progress = Callable[[float], object]

MAX_MODULUS_BITS = 16_384
"""Bits of the largest RSA modulus that is compared; longer ones get a finding `not_checked`."""
MAX_COMPARED_BITS = 1 << 29
"""Bits of all compared moduli together: 131,072 keys of 4096 bits; later ones get a finding `not_checked`."""
BATCH_BITS = 1 << 23
"""Bits of the moduli of a batch; its tree takes about 50 MB."""
_LEAF_BITS = 1 << 13
"""Bits of a leaf of a tree. For smaller numbers, `int` division is faster than conversion to decimal."""

_GENERATOR = 65537
_LARGEST_PRIME = 167
"""ROCA's primes are powers of 65537 modulo each prime up to this one: Nemec et al., CCS 2017, section 2."""

T = TypeVar("T")

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class ComparisonStoppedError(Exception):
    """What a progress function raises to end a comparison before its result is known."""


def has_roca_shape(modulus: int) -> bool:
    """Return whether a modulus is a power of 65537 modulo every small prime; by chance, one in 2^27 is."""
    return all(modulus % prime in powers for prime, powers in _powers())


def shared_primes(moduli: Sequence[int], progress: Progress | None = None) -> list[int]:
    """Return the GCD of each modulus with the product of the others: 1, or a shared prime.

    The moduli must be distinct. `progress` is called with the share of work done, from 0 to 1.
    """
    if not moduli:
        return []
    leaves = _cut(moduli, _LEAF_BITS, int.bit_length)
    batches = _cut([Decimal(prod(leaf)) for leaf in leaves], BATCH_BITS, _bits)
    work = _Work(batches, progress)
    outside = _others([_tree(batch, work)[-1][0] for batch in batches], Decimal(1), work)
    rests = [rest for batch, others in zip(batches, outside, strict=True) for rest in _others(batch, others, work)]
    return [common for leaf, rest in zip(leaves, rests, strict=True) for common in _in_leaf(leaf, int(rest))]


def _cut(numbers: Sequence[T], bits: int, size: Callable[[T], int]) -> list[list[T]]:
    """Cut numbers into runs of at most `bits` bits together; a larger number is a run by itself."""
    runs: list[list[T]] = []
    room = 0
    for number in numbers:
        room -= size(number)
        if not runs or room < 0:
            runs.append([])
            room = bits - size(number)
        runs[-1].append(number)
    return runs


def _bits(number: Decimal) -> int:
    # A decimal digit is 3.32 bits.
    return number.adjusted() * 10 // 3


class _Work:
    """Counts digits multiplied or divided, and reports the share of the total."""

    def __init__(self, batches: Sequence[Sequence[Decimal]], progress: Progress | None) -> None:
        self._progress = progress
        self._done = 0
        sizes = [(len(batch), sum(number.adjusted() for number in batch)) for batch in batches]
        # The products of each batch are computed twice.
        once = sum(digits * (count - 1).bit_length() for count, digits in sizes)
        every = once + (len(batches) - 1).bit_length() * sum(digits for _, digits in sizes)
        self._all = max(1, once * _PRODUCT + every * (_PRODUCT + _SUM + _DIVISION))

    def add(self, number: Decimal, weight: int) -> None:
        """Count one computed number."""
        self._done += number.adjusted() * weight
        if self._progress is not None:
            self._progress(min(1.0, self._done / self._all))


_PRODUCT, _SUM, _DIVISION = 1, 2, 9
"""Relative cost of the operations per digit of the result."""


def _tree(numbers: list[Decimal], work: _Work) -> list[list[Decimal]]:
    """Multiply numbers pairwise until one is left; a number without a partner moves up a level."""
    levels = [numbers]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = []
        for left, right in zip(below[::2], below[1::2], strict=False):
            above.append(_EXACT.multiply(left, right))
            work.add(above[-1], _PRODUCT)
        levels.append([*above, *below[len(above) * 2 :]])
    return levels


def _others(numbers: list[Decimal], outside: Decimal, work: _Work) -> list[Decimal]:
    """Return, for each number, the product of all others and of `outside`, modulo the number.

    Let S be the sum over all numbers of the product of the others. Every summand but one is a multiple of a given
    number, so S modulo that number is the wanted remainder. S is built up the product tree and reduced down it.
    Bernstein divides the product of all numbers by the square of each instead, which needs numbers of twice the size.
    """
    levels = _tree(numbers, work)
    sums = [Decimal(1)] * len(numbers)
    for level in levels[:-1]:
        added = []
        for at in range(0, len(level) - 1, 2):
            added.append(_EXACT.fma(sums[at], level[at + 1], _EXACT.multiply(sums[at + 1], level[at])))
            work.add(added[-1], _SUM)
        sums = [*added, *sums[len(added) * 2 :]]
    rests = [_EXACT.remainder(_EXACT.multiply(sums[0], outside), levels.pop()[0])]
    while levels:
        level, above = levels.pop(), rests
        rests = []
        for at, number in enumerate(level):
            rests.append(_EXACT.remainder(above[at // 2], number))
            work.add(number, _DIVISION)
    return rests


def _in_leaf(moduli: list[int], others: int) -> Iterator[int]:
    """Compare the moduli of a leaf with each other, and with the product of all moduli outside it."""
    product = prod(moduli)
    for modulus in moduli:
        yield gcd(others % modulus * (product // modulus % modulus), modulus)


@lru_cache(maxsize=1)
def _powers() -> tuple[tuple[int, frozenset[int]], ...]:
    """List small primes with the powers of 65537 modulo each, without those where every residue is a power."""
    primes = [n for n in range(2, _LARGEST_PRIME + 1) if all(n % divisor for divisor in range(2, n))]
    groups = [(prime, frozenset(pow(_GENERATOR, power, prime) for power in range(prime - 1))) for prime in primes]
    return tuple([(prime, group) for prime, group in groups if len(group) < prime - 1])
