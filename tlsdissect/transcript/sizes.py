"""Lengths by which protected records of TLS 1.3 can be told apart.

With H the suite's hash length and T its tag, a Finished is a record of H+4+1+T bytes (RFC 8446 sections 4.4.4 and 5.2),
an alert one of 2+1+T, an EndOfEarlyData one of 4+1+T.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from tlsdissect.tls.codepoints import Registry

_HASHES = {"SHA256": 32, "SHA384": 48, "SHA512": 64, "SM3": 32}


class Sizes(NamedTuple):
    """Lengths of protected records."""

    finished: int
    alert: int
    end_of_early_data: int


@lru_cache(maxsize=64)
def sizes(cipher_suite: int) -> Sizes:
    """Lengths of the records that can be told apart, for a suite of TLS 1.3."""
    words = Registry.CIPHER_SUITES.names[cipher_suite].split("_")
    tag = 8 if "8" in words else 16
    return Sizes(_HASHES.get(words[-1], 32) + 4 + 1 + tag, 2 + 1 + tag, 4 + 1 + tag)
