"""Whom the user trusts, and the revocation lists that the user has: files of certificates and of CRLs."""

from __future__ import annotations

import os
import re
import ssl
from base64 import b64decode
from binascii import Error as Base64Error
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.transcript.x509.certificates import certificate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.transcript.connection import Certificate

MAX_FILE = 256 << 20
"""Bytes of a file of certificates or of a CRL."""

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATES = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")
_LISTS = (b"X509 CRL",)


class AnchorError(Exception):
    """A file of certificates or of CRLs that cannot be used; the text names it and says why."""


class Anchor(Struct, frozen=True):
    """An authority that the user trusts."""

    facts: Certificate
    encoding: bytes


def certificates(path: str) -> tuple[Anchor, ...]:
    """Read the certificates of a file, PEM (any number) or DER; AnchorError where there is none."""
    found = tuple([_anchor(encoding) for encoding in _encodings(path, _CERTIFICATES)])
    if not found:
        raise AnchorError(f"{path}: no certificate in it")
    return found


def folder(path: str) -> tuple[Anchor, ...]:
    """Read every certificate in the files of a folder, one of several links to a file once."""
    try:
        files = sorted({entry.resolve() for entry in Path(path).iterdir() if entry.is_file()})
    except OSError as error:
        raise AnchorError(f"{path}: {error.strerror}") from None
    found = [_anchor(encoding) for file in files for encoding in _encodings(os.fspath(file), _CERTIFICATES)]
    if not found:
        raise AnchorError(f"{path}: no certificate in it")
    return tuple(found)


def system() -> tuple[Anchor, ...]:
    """Read the authorities that OpenSSL trusts on this system."""
    places = ssl.get_default_verify_paths()
    if places.cafile is not None:
        return certificates(places.cafile)
    if places.capath is not None:
        return folder(places.capath)
    raise AnchorError("OpenSSL has no trusted authorities on this system")


def lists(path: str) -> tuple[bytes, ...]:
    """Read the CRLs of a file, PEM (any number) or DER, as DER; AnchorError where there is none."""
    found = tuple(_encodings(path, _LISTS))
    if not found:
        raise AnchorError(f"{path}: no CRL in it")
    return found


def _encodings(path: str, kinds: Iterable[bytes]) -> Iterator[bytes]:
    data = _content(path)
    if not data.lstrip().startswith(b"-----") and b"-----BEGIN" not in data:
        if data[:1] == b"\x30":
            yield data
        return
    for kind, text in _PEM.findall(data):
        if kind in kinds:
            yield _decoded(path, text)


def _decoded(path: str, text: bytes) -> bytes:
    try:
        return b64decode(text)
    except Base64Error:
        raise AnchorError(f"{path}: not PEM as RFC 7468 has it") from None


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (paths are text here)
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise AnchorError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise AnchorError(f"{path}: too large")
    return data


def _anchor(encoding: bytes) -> Anchor:
    return Anchor(certificate(encoding)[0], encoding)
