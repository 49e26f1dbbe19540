"""Keys that can be factored."""

from __future__ import annotations

from math import prod

from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.trust.keys import has_roca_shape, shared_primes

PRIMES = [n for n in range(2, 1000) if all(n % divisor for divisor in range(2, n))]
SMALL = prod(prime for prime in PRIMES if prime <= 167)


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(1, 2**200), st.integers(1, 2**200))
def test_moduli_of_the_vulnerable_library_are_known(a: int, b: int, k: int, m: int) -> None:
    """Its primes are k * M + 65537^a mod M, where M is the product of small primes."""
    first, second = (times * SMALL + pow(65537, power, SMALL) for times, power in ((k, a), (m, b)))
    assert has_roca_shape(first * second)


def test_other_moduli_are_not() -> None:
    # The first moduli of the RSA challenge, and one prime of the library's shape beside one that is not.
    rsa_100 = 1522605027922533360535618378132637429718068114961380688657908494580122963258952897654000350692006139
    assert not has_roca_shape(rsa_100)
    assert not has_roca_shape((7 * SMALL + pow(65537, 5, SMALL)) * (10**61 + 69))


@given(st.lists(st.tuples(st.sampled_from(PRIMES), st.sampled_from(PRIMES)), min_size=0, max_size=40, unique=True))
def test_shared_primes_are_those_of_each_pair(pairs: list[tuple[int, int]]) -> None:
    moduli = sorted({a * b for a, b in pairs if a < b})
    found = shared_primes(moduli)
    for number, common in zip(moduli, found, strict=True):
        others = [other for other in moduli if other != number]
        expected = prod({p for p in PRIMES if number % p == 0 and any(other % p == 0 for other in others)})
        assert common == expected
