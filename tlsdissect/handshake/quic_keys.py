# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The keys of QUIC's packets: those of Initial packets can be derived by anyone, all others follow from secrets.

RFC 9001 sections 5.1 and 5.2, with the salts and labels of each version. The tag of the AEAD proves that a packet was
opened with the right keys, so trying keys that may be wrong shows nothing that was not sent.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

import cython
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tlsdissect.caches import cached
from tlsdissect.capture.octets import cut
from tlsdissect.handshake.key_schedule import IV_SIZE, hkdf_expand, hkdf_extract, label_info
from tlsdissect.handshake.protection import AES_128_GCM, Aead, HeaderMask, Suite

INITIAL_SUITE: Final = AES_128_GCM
"""That of Initial packets (RFC 9001 section 5.2)."""
SAMPLE: Final = 16
"""Bytes of the sample from which the mask of a header is computed (RFC 9001 section 5.4.2)."""
KEY_CACHE_BYTES = 4 << 20
"""Bytes of cached keys of Initial packets."""
KEY_BYTES = 4096
"""Estimated bytes of the keys of one side."""
TAG: Final = 16
"""Bytes of the tag of the AEAD (RFC 9001 section 5.3)."""
_LONGEST_NUMBER, _LARGEST = 4, (1 << 62) - 1
"""Bytes of the longest packet number in a header, and the largest packet number (RFC 9000 sections 17.1 and 12.3)."""
_SAMPLE, _IV_SIZE = SAMPLE, IV_SIZE


class VersionKeys(NamedTuple):
    """What the keys of a version depend on."""

    salt: bytes
    label: str
    """Begins the labels of packet keys."""
    retry_key: bytes | None
    """Computes the integrity tag of a Retry; None if the version's Retry has none, or in another form."""
    retry_nonce: bytes


def _version_keys(salt: str, label: str = "quic", retry_key: str = "", retry_nonce: str = "") -> VersionKeys:
    return VersionKeys(
        bytes.fromhex(salt), label, bytes.fromhex(retry_key) or None, bytes.fromhex(retry_nonce)
    )  # fmt: skip


_V1: Final = _version_keys(
    "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
    "quic",
    "be0c690b9f66575a1d766b54e368c84e",
    "461599d35d632bf2239825bb",
)
"""RFC 9001 sections 5.2 and 5.8."""
_V2: Final = _version_keys(
    "0dede3def700a6db819381be6e269dcbf9bd2ed9",
    "quicv2",
    "8fb4b01b56ac48e260fbcbcead7ccc92",
    "d86969bc2d7c6d9990efb04a",
)
"""RFC 9369 section 3.3."""
_DRAFT_29: Final = _version_keys(
    "afbfec289993d24c9e9786f19c6111e04390a899",
    "quic",
    "ccce187ed09a09d05728155a6cb96be1",
    "e54930f97f2136f0530a8c1c",
)
"""draft-ietf-quic-tls-29 sections 5.2 and 5.8."""
_DRAFT_25: Final = _version_keys(
    "c3eef712c72ebb5a11a7d2432bb46365bef9f502",
    "quic",
    "4d32ecdb2a2133c841e4043df27d4430",
    "4d1611d05513a552c587d575",
)
"""draft-ietf-quic-tls-25 sections 5.2 and 5.8."""
_DRAFT_23: Final = _version_keys("c3eef712c72ebb5a11a7d2432bb46365bef9f502")
"""draft-ietf-quic-tls-23 section 5.2."""
_DRAFT_22: Final = _version_keys("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a")
"""draft-ietf-quic-tls-22 section 5.2."""
_V2_DRAFT: Final = _version_keys("a707c203a59b47184a1d62ca570406ea7ae3e5d3", "quicv2")
"""draft-ietf-quic-v2-01 section 3.3."""
_T050: Final = _version_keys("7ff579e5acd072915580304c43a2367c60488310")
_T051: Final = _version_keys("7a4edef4e7ccee5fa4506c19124fc8ccda6e033d")
"""Google QUIC with TLS, by Chromium."""
_PICOQUIC: Final = _version_keys("306716d76375d5554b2f605eef78d8333dc1ca36")
"""The internal test version of picoquic."""

VERSIONS: Final[dict[int, VersionKeys]] = {
    0x00000001: _V1,
    0x6B3343CF: _V2,
    0x709A50C4: _V2_DRAFT,
    **dict.fromkeys((0xFF000021, 0xFF000022), _V1),
    **dict.fromkeys(range(0xFF00001D, 0xFF000021), _DRAFT_29),
    **dict.fromkeys(range(0xFF000019, 0xFF00001D), _DRAFT_25),
    **dict.fromkeys((0xFF000017, 0xFF000018), _DRAFT_23),
    0xFF000016: _DRAFT_22,
    0xFACEB001: _DRAFT_22,
    **dict.fromkeys((0xFACEB002, 0xFACEB00E), _DRAFT_25),
    0x54303530: _T050,
    0x54303531: _T051,
    0x50435130: _PICOQUIC,
}
"""The versions whose Initial packets can be opened; mvfst, of Facebook, follows drafts 22 and 27."""
_RESERVED: Final = (_V1, _DRAFT_29)
"""Clients protect packets of a reserved version, which no server accepts, like those of another version."""
_CHOICES: Final = {version: (keys,) for version, keys in VERSIONS.items()}


def version_keys(version: cython.longlong) -> tuple[VersionKeys, ...]:
    """Return what the keys of a version may depend on; several for a reserved one (RFC 9000 section 15)."""
    if version & 0x0F0F0F0F == 0x0A0A0A0A:
        return _RESERVED
    return _CHOICES.get(version, ())


class OpenedPacket(NamedTuple):
    """A packet without its protection."""

    number: int
    header: bytes
    """With the packet number."""
    payload: bytes
    repeated: bool | None = None
    """Whether all bytes in its CRYPTO frames were known before; None if it has no such frames."""


@cython.cclass
class PacketKey:
    """The keys with which one side protects the packets of one level (RFC 9001 section 5.1)."""

    _aead: Aead
    _iv: Any
    _mask: HeaderMask

    def __init__(self, secret: bytes, label: str, suite: Suite = INITIAL_SUITE) -> None:
        """`secret` is that of a side and a level, `label` that of the version."""
        size = suite.key_bytes
        key, iv, hp = hkdf_expand(secret, _packet_infos(label, size), suite.hash)
        self._aead = Aead(suite, key[:size])
        self._iv = int.from_bytes(iv[:IV_SIZE], "big")
        self._mask = HeaderMask(suite, hp[:size])

    @cython.ccall
    def open(
        self,
        data: bytes,
        start: cython.longlong,
        protected: cython.longlong,
        end: cython.longlong,
        expected: cython.longlong,
    ) -> Any:
        """Open a packet; None if it has other keys, or not all of its bytes are there.

        `protected` is where its packet number begins; `expected` is one more than the highest number so far.
        """
        sample: cython.longlong = protected + _LONGEST_NUMBER
        if end > len(data) or sample + _SAMPLE > end:
            return None
        aead: Aead = self._aead
        masks: HeaderMask = self._mask
        mask: bytes = masks.of(cut(data, sample, sample + _SAMPLE))
        first: cython.longlong = data[start] ^ (mask[0] & (0x0F if data[start] & 0x80 else 0x1F))
        size: cython.longlong = (first & 3) + 1
        truncated: cython.longlong = 0
        index: cython.longlong
        for index in range(size):
            truncated = truncated << 8 | (data[protected + index] ^ mask[1 + index])
        header: bytes = bytes((first,)) + cut(data, start + 1, protected) + truncated.to_bytes(size, "big")
        number: cython.longlong = packet_number(truncated, 8 * size, expected)
        nonce: bytes = (self._iv ^ number).to_bytes(_IV_SIZE, "big")
        payload: bytes | None = aead.open(nonce, cut(data, protected + size, end), header)
        return None if payload is None else OpenedPacket(number, header, payload)


@cache
def _packet_infos(label: str, key_bytes: cython.longlong) -> tuple[bytes, ...]:
    sizes = {"key": key_bytes, "iv": IV_SIZE, "hp": key_bytes}
    return tuple(label_info(f"{label} {name}".encode(), size) for name, size in sizes.items())


@cython.ccall
def packet_number(truncated: cython.longlong, bits: cython.longlong, expected: cython.longlong) -> cython.longlong:
    """Return the packet number with these low bits that is nearest to the expected one (RFC 9000 appendix A.3)."""
    window: cython.longlong = 1
    window <<= bits
    number: cython.longlong = (expected & ~(window - 1)) | truncated
    if number <= expected - window // 2 and number <= _LARGEST - window:
        return number + window
    if number > expected + window // 2 and number >= window:
        return number - window
    return number


_CLIENT_INFO, _SERVER_INFO = label_info(b"client in", 32), label_info(b"server in", 32)


@cython.cclass
class InitialKeys:
    """The keys of the Initial packets of a connection, those of each side derived once they are needed."""

    _secret: bytes
    _label: str
    _client: PacketKey | None
    _server: PacketKey | None

    def __init__(self, keys: VersionKeys, connection_id: bytes) -> None:
        self._secret = hkdf_extract(keys.salt, connection_id, INITIAL_SUITE.hash)
        self._label = keys.label
        self._client = None
        self._server = None

    @cython.ccall
    def of(self, server: cython.bint) -> PacketKey:
        """Return the keys of a side."""
        key: PacketKey | None = self._server if server else self._client
        if key is not None:
            return key
        [secret] = hkdf_expand(self._secret, (_SERVER_INFO if server else _CLIENT_INFO,), INITIAL_SUITE.hash)
        key = PacketKey(secret, self._label)
        if server:
            self._server = key
        else:
            self._client = key
        return key


@cached(KEY_CACHE_BYTES, lambda *_: 2 * KEY_BYTES)
def initial_keys(keys: VersionKeys, connection_id: bytes) -> InitialKeys:
    """Return the keys of Initial packets, which follow from the client's first Destination Connection ID.

    After a Retry, that is the one which the server chose.
    """
    return InitialKeys(keys, connection_id)


def is_genuine_retry(version: cython.longlong, data: bytes, connection_id: bytes) -> bool:
    """Return whether the tag of a Retry shows that its sender knows the Initial's Destination Connection ID.

    Anybody may know it, but an endpoint drops a Retry with another tag (RFC 9001 section 5.8). Retries of the first
    drafts have none.
    """
    keys = VERSIONS.get(version)
    if keys is None or keys.retry_key is None:
        return keys is not None
    pseudo = bytes([len(connection_id)]) + connection_id + data[: len(data) - TAG]
    return AESGCM(keys.retry_key).encrypt(keys.retry_nonce, b"", pseudo) == data[len(data) - TAG :]
