"""Path validation from a leaf to a trust anchor, done by OpenSSL (RFC 5280 section 6)."""

from __future__ import annotations

import warnings
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct
from OpenSSL import crypto

from tlsdissect.x509.der import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tlsdissect.trust.anchors import Anchor

UNREADABLE = "a certificate that OpenSSL cannot load"


class Verdict(Struct, frozen=True):
    """The result of path validation; `trusted` is None if it was not done, and `reason` says why."""

    trusted: bool | None
    reason: str
    code: int | None = None
    """OpenSSL's X509_V_ERR_* code."""
    depth: int | None = None
    """Position on the path of the certificate at fault, the leaf at 0."""
    certificate: str | None = None
    """SHA-256 of the certificate at fault."""


NOT_CHECKED = Verdict(None, "not checked")


class Verifier:
    """OpenSSL's verifier with the user's trust anchors.

    A path must end in a self-signed certificate, as with `openssl verify` without -partial_chain.
    """

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        self._anchors = [one for anchor in anchors if (one := _load(anchor.encoding)) is not None]

    def verify(self, chain: Sequence[bytes], at: datetime) -> Verdict:
        """Verify the first certificate of a chain at a time; the others are untrusted intermediates."""
        leaf, *others = loaded = [_load(encoding) for encoding in chain]
        if leaf is None:
            return Verdict(None, UNREADABLE)
        intermediates = [one for one in others if one is not None]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                crypto.X509StoreContext(self._store(at), leaf, intermediates).verify_certificate()
        except crypto.X509StoreContextError as error:
            code, depth, reason = error.errors
            return Verdict(False, reason, code, depth, _digest(error.certificate, chain, loaded))
        except crypto.Error as error:
            return Verdict(None, printable(str(error).encode()))
        return Verdict(True, "ok", 0)

    def _store(self, at: datetime) -> crypto.X509Store:
        """Make a new store for each time: OpenSSL ignores a second call of set_time."""
        store = crypto.X509Store()
        for anchor in self._anchors:
            store.add_cert(anchor)
        # pyOpenSSL takes a time without zone as UTC.
        store.set_time(at.replace(tzinfo=None))
        return store


def _digest(wrong: crypto.X509, chain: Sequence[bytes], loaded: Sequence[crypto.X509 | None]) -> str:
    """Return the SHA-256 of a certificate as it was sent: OpenSSL re-encodes certificates that are not strictly DER."""
    written = _written(wrong)
    both = zip(chain, loaded, strict=True)
    sent = (encoding for encoding, own in both if own is not None and _written(own) == written)
    return sha256(next(sent, written)).hexdigest()


def _written(loaded: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, loaded)


def _load(encoding: bytes) -> crypto.X509 | None:
    """Load a certificate, uncached: OpenSSL takes up to 40 times the size of a name to represent it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return crypto.load_certificate(crypto.FILETYPE_ASN1, encoding)
    except (crypto.Error, ValueError):
        return None
