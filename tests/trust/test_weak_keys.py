"""Keys that can be factored."""

from __future__ import annotations

import random
import time
from math import gcd, prod
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.trust import weak_keys
from tlsdissect.trust.weak_keys import has_roca_shape, shared_primes

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


@given(
    st.lists(st.integers(2, 1 << 70), max_size=30, unique=True),
    st.lists(st.integers(0, 29), max_size=20),
    st.integers(2, 1 << 40),
    st.integers(1, 400),
)
def test_what_moduli_share_is_that_of_each_pair_however_they_are_cut(
    moduli: list[int], sharing: list[int], factor: int, batch: int
) -> None:
    """One factor may be that of many moduli, and a modulus may divide the product of the others."""
    moduli = list({number * factor if at in sharing else number: None for at, number in enumerate(moduli)})
    with mock.patch.object(weak_keys, "BATCH_BITS", batch):
        found = shared_primes(moduli)
    product = prod(moduli)
    assert found == [gcd(product // number, number) for number in moduli]


def test_real_sizes_and_progress() -> None:
    drawn = random.Random(1)  # noqa: S311
    moduli = [drawn.getrandbits(2048) | 1 << 2047 | 1 for _ in range(300)]
    told: list[float] = []
    product = prod(moduli)
    assert shared_primes(moduli, told.append) == [gcd(product // number, number) for number in moduli]
    assert told == sorted(told)
    assert 0 < told[0] < 0.1
    assert 0.9 < told[-1] <= 1


def test_four_times_as_many_moduli_take_about_four_times_as_long() -> None:
    drawn = random.Random(2)  # noqa: S311
    took = []
    for count in (500, 2000):
        moduli = [drawn.getrandbits(2048) | 1 << 2047 | 1 for _ in range(count)]
        begun = time.process_time()
        shared_primes(moduli)
        took.append(time.process_time() - begun)
    # Quadratic division takes fourteen times as long.
    assert took[1] < 9 * took[0]
