"""Path validation by the rules of the Web PKI, done by `cryptography` (BR section 7.1)."""

from __future__ import annotations

import warnings
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509 import verification

from tlsdissect.trust.details import details
from tlsdissect.trust.path import Verdict
from tlsdissect.x509.der import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tlsdissect.trust.anchors import Anchor

_NO_NAME = Verdict(None, "no host name to check")
_NO_ANCHOR = Verdict(None, "no trust anchor could be loaded")
_UNREADABLE = Verdict(None, "a certificate that cannot be loaded")
_TOO_MANY = "Exceeded maximum signature check limit"
"""The library's message when it gives up without a result."""
_MAX_REASON = 200


class WebPki:
    """The Web PKI verifier with the user's trust anchors."""

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        loaded = [one for anchor in anchors if (one := _load(anchor.encoding)) is not None]
        self._store = verification.Store(loaded) if loaded else None

    def verify(self, chain: Sequence[bytes], name: str | None, at: datetime) -> Verdict:
        """Verify a server's chain for a host name or address at a time."""
        if self._store is None:
            return _NO_ANCHOR
        subject = _subject(name)
        if subject is None:
            return _NO_NAME
        leaf = _load(chain[0])
        if leaf is None:
            return _UNREADABLE
        # The library checks signatures on every path that it tries: leave out certificates with costly keys.
        reasons = {encoding: details(encoding).cost_reason for encoding in chain[1:]}
        others = [_load(encoding) for encoding in chain[1:] if reasons[encoding] is None]
        left_out = next((reason for reason in reasons.values() if reason is not None), None)
        verifier = verification.PolicyBuilder().store(self._store).time(at).build_server_verifier(subject)
        try:
            verifier.verify(leaf, [one for one in others if one is not None])
        except verification.VerificationError as error:
            if left_out is not None:
                return Verdict(None, f"signatures are not checked with {left_out}")
            if _TOO_MANY in str(error):
                return Verdict(None, _TOO_MANY)
            return Verdict(False, _reason(str(error)))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # what the library raises on odd certificates has no base in common
            return Verdict(None, _reason(str(error)))
        return Verdict(True, "ok")


def _subject(name: str | None) -> x509.DNSName | x509.IPAddress | None:
    if name is None:
        return None
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.rstrip("."))
    except ValueError:
        return None


def _load(encoding: bytes) -> x509.Certificate | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return x509.load_der_x509_certificate(encoding)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # as above
        return None


def _reason(text: str) -> str:
    """Return the library's message as one printable line, without the encodings that it quotes."""
    message = text.partition(" (encountered processing")[0].removeprefix("validation failed: ")
    return printable(" ".join(message.split()).encode()[:_MAX_REASON])
