"""Trust anchors and CRLs, loaded from files that the user names."""

from __future__ import annotations

import os
import re
import ssl
from base64 import b64decode
from binascii import Error as Base64Error
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.x509.certificates import certificate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.model.connection import Certificate

MAX_FILE = 256 << 20
"""Bytes of the largest certificate or CRL file that is read; a larger one is an error."""

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATES = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")
_LISTS = (b"X509 CRL",)


class AnchorError(Exception):
    """A certificate or CRL file cannot be used; the message names the file and the reason."""


class Anchor(Struct, frozen=True):
    """A certificate authority that the user trusts."""

    facts: Certificate
    encoding: bytes


def certificates(path: str) -> tuple[Anchor, ...]:
    """Read all certificates of a PEM or DER file; raise AnchorError if there is none."""
    found = tuple([_anchor(encoding) for encoding in _encodings(path, _CERTIFICATES)])
    if not found:
        raise AnchorError(f"{path}: contains no certificate")
    return found


def folder(path: str) -> tuple[Anchor, ...]:
    """Read the certificates of all files in a folder; a file with several links counts once."""
    try:
        files = sorted({entry.resolve() for entry in Path(path).iterdir() if entry.is_file()})
    except OSError as error:
        raise AnchorError(f"{path}: {error.strerror}") from None
    found = [_anchor(encoding) for file in files for encoding in _encodings(os.fspath(file), _CERTIFICATES)]
    if not found:
        raise AnchorError(f"{path}: contains no certificate")
    return tuple(found)


def system() -> tuple[Anchor, ...]:
    """Read the certificate authorities that OpenSSL trusts on this system."""
    places = ssl.get_default_verify_paths()
    if places.cafile is not None:
        return certificates(places.cafile)
    if places.capath is not None:
        return folder(places.capath)
    raise AnchorError("OpenSSL has no trust store on this system")


def lists(path: str) -> tuple[bytes, ...]:
    """Read all CRLs of a PEM or DER file, as DER; raise AnchorError if there is none."""
    found = tuple(_encodings(path, _LISTS))
    if not found:
        raise AnchorError(f"{path}: contains no CRL")
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
        raise AnchorError(f"{path}: malformed PEM (RFC 7468)") from None


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (paths are text here)
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise AnchorError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise AnchorError(f"{path}: larger than {MAX_FILE >> 20} MiB")
    return data


def _anchor(encoding: bytes) -> Anchor:
    return Anchor(certificate(encoding)[0], encoding)
