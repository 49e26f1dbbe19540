"""What verdicts rest on beside facts: certificates and OCSP responses as they travelled, in bounded memory."""

from __future__ import annotations

KEPT_BYTES = 64 << 20
"""Bytes of certificates and OCSP responses that are kept; of more, those that were seen first are let go."""


class Evidence:
    """Encodings by their SHA-256, each once, however often it was shown."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._limit = kept_bytes
        self._used = 0
        self._encodings: dict[str, bytes] = {}

    def keep(self, sha256: str, encoding: bytes) -> None:
        """Keep an encoding; what is shown again is as good as new."""
        known = self._encodings.pop(sha256, None)
        self._encodings[sha256] = encoding if known is None else known
        if known is not None:
            return
        self._used += len(encoding)
        while self._used > self._limit:
            oldest = next(iter(self._encodings))
            self._used -= len(self._encodings.pop(oldest))

    def encoding(self, sha256: str) -> bytes | None:
        """Give what has this SHA-256; None where it was not kept."""
        return self._encodings.get(sha256)
