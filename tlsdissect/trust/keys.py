"""RSA keys that can be factored, by the shape that ROCA leaves or by primes that two keys share; and costly ones."""

from __future__ import annotations

from functools import lru_cache
from math import gcd, prod
from typing import TYPE_CHECKING

from tlsdissect.transcript.x509.libraries import MAX_EXPONENT_BITS, MAX_RSA_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.trust.details import Details

_GENERATOR = 65537
_LARGEST_PRIME = 167
"""The library's primes are powers of 65537 modulo each prime up to here: Nemec et al., CCS 2017, section 2."""


def costly(key: Details) -> str | None:
    """Say why signatures are not checked with an RSA key; None where they are."""
    if key.modulus is not None and key.modulus.bit_length() > MAX_RSA_BITS:
        return f"a modulus of {key.modulus.bit_length():,} bits"
    if key.exponent is not None and key.exponent.bit_length() > MAX_EXPONENT_BITS:
        return f"a public exponent of {key.exponent.bit_length():,} bits"
    return None


def has_roca_shape(modulus: int) -> bool:
    """Tell whether a modulus is a power of 65537 modulo every small prime, as one by chance in 2^27 is."""
    return all(modulus % prime in powers for prime, powers in _powers())


def shared_primes(moduli: Sequence[int]) -> list[int]:
    """Find what each modulus has in common with the product of the others: 1, or a prime that is not its own.

    Batch GCD by a product tree and a remainder tree (Bernstein, 2005); the moduli differ from each other.
    """
    if len(moduli) < 2:
        return [1] * len(moduli)
    tree = [list(moduli)]
    while len(tree[-1]) > 1:
        level = tree[-1]
        tree.append([prod(level[at : at + 2]) for at in range(0, len(level), 2)])
    remainders = tree.pop()
    for level in reversed(tree):
        remainders = [remainders[at // 2] % (number * number) for at, number in enumerate(level)]
    return [gcd(rest // number, number) for rest, number in zip(remainders, moduli, strict=True)]


@lru_cache(maxsize=1)
def _powers() -> tuple[tuple[int, frozenset[int]], ...]:
    """List small primes with the powers of 65537 modulo each, but for those of which these are all there is."""
    primes = [n for n in range(2, _LARGEST_PRIME + 1) if all(n % divisor for divisor in range(2, n))]
    groups = [(prime, frozenset(pow(_GENERATOR, power, prime) for power in range(prime - 1))) for prime in primes]
    return tuple([(prime, group) for prime, group in groups if len(group) < prime - 1])
