"""Weak RSA keys: the ROCA fingerprint, and primes that two keys share.

Shared primes are found by batch GCD: each modulus is compared with the product of all others at once, by a product tree
and a remainder tree (Bernstein, 2005). That is quasi-linear only if multiplication and division are. Those of Python's
`int` are not: it multiplies by Karatsuba's method and divides in quadratic time. So the trees consist of GMP's numbers.

Every level of a tree is as large as all moduli together. To save memory, the moduli are cut into batches: a tree over
the products of the batches gives the product of the others modulo each, then each batch has its own tree.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gmpy2 import mpz

    Progress = Callable[[float], object]

MAX_MODULUS_BITS = 16_384
"""Bits of the largest RSA modulus that is compared; longer ones get a finding `not_checked`."""
MAX_COMPARED_BITS = 1 << 29
"""Bits of all compared moduli together: 131,072 keys of 4096 bits; later ones get a finding `not_checked`."""
BATCH_BITS = 1 << 23
"""Bits of the moduli of a batch; its tree takes about 20 MB."""
_GENERATOR = 65537
_LARGEST_PRIME = 167
"""ROCA's primes are powers of 65537 modulo each prime up to this one: Nemec et al., CCS 2017, section 2."""


class ComparisonStoppedError(Exception):
    """What a progress function raises to end a comparison before its result is known."""


def has_roca_shape(modulus: int) -> bool:
    """Return whether a modulus is a power of 65537 modulo every small prime; by chance, one in 2^27 is."""
    return all(modulus % prime in powers for prime, powers in _powers())


def shared_primes(moduli: Sequence[int], progress: Progress | None = None) -> list[int]:
    """Return the GCD of each modulus with the product of the others: 1, or a shared prime.

    The moduli must be distinct. `progress` is called with the share of work done, from 0 to 1.
    """
    # Only `certs` compares keys.
    from gmpy2 import gcd, mpz  # noqa: PLC0415  # start-up time

    batches = _cut([mpz(modulus) for modulus in moduli])
    work = _Work(batches, progress)
    outside = _others([_tree(batch, work)[-1][0] for batch in batches], mpz(1), work)
    return [
        int(gcd(others, modulus))
        for batch, beyond in zip(batches, outside, strict=True)
        for modulus, others in zip(batch, _others(batch, beyond, work), strict=True)
    ]


def _cut(moduli: Sequence[mpz]) -> list[list[mpz]]:
    """Split moduli into batches of at most BATCH_BITS in all; a larger modulus is a batch of its own."""
    batches: list[list[mpz]] = []
    room = 0
    for modulus in moduli:
        room -= modulus.bit_length()
        if not batches or room < 0:
            batches.append([])
            room = BATCH_BITS - modulus.bit_length()
        batches[-1].append(modulus)
    return batches


class _Work:
    """Counts bits multiplied or divided, and reports the share of the total."""

    def __init__(self, batches: Sequence[Sequence[mpz]], progress: Progress | None) -> None:
        self._progress = progress
        self._done = 0
        sizes = [(len(batch), sum(number.bit_length() for number in batch)) for batch in batches]
        # The products of each batch are computed twice.
        once = sum(bits * (count - 1).bit_length() for count, bits in sizes)
        every = once + (len(batches) - 1).bit_length() * sum(bits for _, bits in sizes)
        self._all = max(1, once * _PRODUCT + every * (_PRODUCT + _DIVISION))

    def add(self, number: mpz, weight: int) -> None:
        """Count one computed number."""
        self._done += number.bit_length() * weight
        if self._progress is not None:
            self._progress(min(1.0, self._done / self._all))


_PRODUCT, _DIVISION = 1, 6
"""Relative cost of the operations per bit of a number in the tree."""


def _tree(numbers: list[mpz], work: _Work) -> list[list[mpz]]:
    """Multiply numbers pairwise until one is left; a number without a partner moves up a level."""
    levels = [numbers]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = []
        for left, right in zip(below[::2], below[1::2], strict=False):
            above.append(left * right)
            work.add(above[-1], _PRODUCT)
        levels.append([*above, *below[len(above) * 2 :]])
    return levels


def _others(numbers: list[mpz], outside: mpz, work: _Work) -> list[mpz]:
    """Return, for each number, the product of all others and of `outside`, modulo the number.

    The product of all is reduced modulo the square of each number, down the tree; divided by the number, that is the
    product of the others.
    """
    levels = _tree(numbers, work)
    rests = [product * outside for product in levels.pop()]
    while levels:
        level, above = levels.pop(), rests
        rests = []
        for at, number in enumerate(level):
            rests.append(above[at // 2] % (number * number))
            work.add(number, _DIVISION)
    return [rest // number for rest, number in zip(rests, numbers, strict=True)]


@lru_cache(maxsize=1)
def _powers() -> tuple[tuple[int, frozenset[int]], ...]:
    """List each small prime with the powers of 65537 modulo it.

    Primes of which every residue but 0 is a power are left out: they rule nothing out.
    """
    primes = [n for n in range(2, _LARGEST_PRIME + 1) if all(n % divisor for divisor in range(2, n))]
    groups = [(prime, frozenset(pow(_GENERATOR, power, prime) for power in range(prime - 1))) for prime in primes]
    return tuple([(prime, group) for prime, group in groups if len(group) < prime - 1])
