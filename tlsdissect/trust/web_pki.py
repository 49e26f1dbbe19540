"""Path validation by the rules of the Web PKI, done by `cryptography` (BR section 7.1)."""

from __future__ import annotations

import warnings
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509 import verification
from msgspec import Struct

from tlsdissect.trust.chain import MAX_ISSUERS, signed
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


class _Outline(Struct, frozen=True):
    """What the search for a path needs of a certificate."""

    encoding: bytes
    subject: bytes | None
    issuer: bytes | None
    cost_reason: str | None
    """Why signatures by its key cost too much to check; None if they do not, and for trust anchors."""
    is_anchor: bool = False


class WebPki:
    """The Web PKI verifier with the user's trust anchors."""

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        loaded = [one for anchor in anchors if (one := _load(anchor.encoding)) is not None]
        self._store = verification.Store(loaded) if loaded else None
        self._anchors = [_Outline(one.encoding, details(one.encoding).subject, None, None, True) for one in anchors]

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
        sent = [_outline(encoding) for encoding in chain]
        others = [_load(one.encoding) for one in sent[1:] if one.cost_reason is None]
        policy = verification.PolicyBuilder().time(at)
        try:
            policy.store(self._store).build_server_verifier(subject).verify(leaf, [one for one in others if one])
        except verification.VerificationError as error:
            reason = self._costly_issuer(sent)
            if reason is not None and _is_valid(leaf, policy.store(verification.Store([leaf])), subject):
                return Verdict(None, f"signatures are not checked with {reason}")
            if _TOO_MANY in str(error):
                return Verdict(None, _TOO_MANY)
            return Verdict(False, _reason(str(error)))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # what the library raises on odd certificates has no base in common
            return Verdict(None, _reason(str(error)))
        return Verdict(True, "ok")

    def _costly_issuer(self, sent: Sequence[_Outline]) -> str | None:
        """Return the `cost_reason` of a certificate that may be on a path to a trust anchor; None if there is none.

        A path is ruled out by a signature that is known to be wrong. Of the certificates of one name, only the first
        few are checked; the others may be on a path.
        """
        distinct: dict[bytes, _Outline] = {}
        for one in (*self._anchors, *sent[1:]):
            distinct.setdefault(one.encoding, one)
        by_subject: dict[bytes | None, list[_Outline]] = {}
        for one in distinct.values():
            by_subject.setdefault(one.subject, []).append(one)
        seen: set[tuple[bytes, bool]] = set()
        ends: list[tuple[_Outline, str | None]] = [(sent[0], None)]
        while ends:
            top, reason = ends.pop()
            if top.is_anchor and reason is not None:
                return reason
            if (top.encoding, reason is not None) in seen:
                continue
            seen.add((top.encoding, reason is not None))
            ends += [
                (one, reason or one.cost_reason)
                for place, one in enumerate(by_subject.get(top.issuer, ()))
                if place >= MAX_ISSUERS or signed(top.encoding, one.encoding) is not False
            ]
        return None


def _outline(encoding: bytes) -> _Outline:
    inside = details(encoding)
    return _Outline(encoding, inside.subject, inside.issuer, inside.cost_reason)


def _is_valid(
    leaf: x509.Certificate, trusting: verification.PolicyBuilder, subject: x509.DNSName | x509.IPAddress
) -> bool:
    """Return whether a leaf is valid if it is trusted itself, so that its path decides."""
    try:
        trusting.build_server_verifier(subject).verify(leaf, [])
    except verification.VerificationError:
        return False
    return True


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
