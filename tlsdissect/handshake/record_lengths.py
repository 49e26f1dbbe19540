"""Lengths by which protected records of TLS 1.3 can be told apart.

With H the suite's hash length and T its tag, a Finished is a record of H+4+1+T bytes (RFC 8446 sections 4.4.4 and 5.2),
an alert one of 2+1+T, an EndOfEarlyData one of 4+1+T.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from tlsdissect.tls.codepoints import Registry

_HMAC_ONLY = 3
"""Words in the name of a suite without a cipher: TLS_SHA256_SHA256."""
_HASHES = {"SHA256": 32, "SHA384": 48, "SHA512": 64, "SM3": 32}


class RecordLengths(NamedTuple):
    """Lengths of protected records."""

    finished: int
    alert: int
    end_of_early_data: int


@lru_cache(maxsize=64)
def sizes(cipher_suite: int) -> RecordLengths:
    """Lengths of the records that can be told apart, for a suite of TLS 1.3."""
    words = Registry.CIPHER_SUITES.names[cipher_suite].split("_")
    size = _HASHES.get(words[-1], 32)
    # A suite without a cipher protects by HMAC alone, whose tag is as long as its hash: RFC 9150 section 4.
    tag = 8 if "8" in words else size if len(words) == _HMAC_ONLY else 16
    return RecordLengths(size + 4 + 1 + tag, 2 + 1 + tag, 4 + 1 + tag)


def is_guessed(cipher_suite: int) -> bool:
    """Whether no registry names the suite, so that its hash and its tag are a guess."""
    return Registry.CIPHER_SUITES.names[cipher_suite].startswith("0x")
