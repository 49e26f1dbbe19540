"""Opens the inner ClientHello of Encrypted Client Hello (RFC 9849) with ECH_SECRET and ECH_CONFIG of a key log.

ECH_SECRET is the shared secret of the key encapsulation, and both labels are found by the random of the outer hello
(RFC 9850 section 2.2). From there on it is HPKE's key schedule (RFC 9180 section 5.1). If the server accepted, all
other secrets of the connection are found by the random of the inner hello.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.handshake import key_schedule as schedule
from tlsdissect.handshake.decryption import suite13
from tlsdissect.handshake.events import client_random
from tlsdissect.handshake.key_logs import ECH_SECRET
from tlsdissect.handshake.protection import Aead, nonce_of, suite
from tlsdissect.tls.client_hello import ClientHello
from tlsdissect.tls.codepoints import ExtensionType, HandshakeType
from tlsdissect.tls.extension_ech import EchClientHello, EchConfig, EchConfigContents, EchOuterExtensions
from tlsdissect.tls.record import SSL2
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.key_logs import CaptureKeys, Secret, Secrets
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.handshake.protection import Suite

CONFIG = "ECH_CONFIG"
"""The label of the configuration in the key log."""

_AEADS = {
    1: "TLS_AES_128_GCM_SHA256",
    2: "TLS_AES_256_GCM_SHA384",
    3: "TLS_CHACHA20_POLY1305_SHA256",
}
"""Cipher suites with the AEADs of HPKE (RFC 9180 section 7.3)."""
_BASE_MODE = b"\0"
_NONCE_BYTES = 12
_RANDOM_END = 34
_CONFIRMATION = slice(26, 34)
"""The last 8 bytes of the random of a ServerHello (RFC 9849 section 7.2)."""
_CONFIRMATION_BYTES = 8


class InnerHello(NamedTuple):
    """What an Encrypted Client Hello hides."""

    hello: ClientHello
    accepted: bool | None
    """Whether the server answered the inner hello; None if the capture does not show its answer."""
    outer_random: bytes
    secret: Secret

    @property
    def random(self) -> bytes:
        """The random by which the other secrets of the connection are found."""
        return self.hello.random if self.accepted else self.outer_random


def open_inner_hello(log: LoggedHandshake, keys: CaptureKeys) -> InnerHello | None:
    """Open the inner ClientHello of a handshake; None if it has none, or nothing opens it.

    That of DTLS is not opened: no implementation is known that writes the labels for it.
    """
    first = None if log.client_hello is None else log.client_hello.event
    if first is None or first.content_type == SSL2 or log.transport == "udp":
        return None
    outer_random = client_random(first)
    secrets = keys.find(outer_random)
    for secret, config in () if secrets is None else _pairs(secrets):
        try:
            inner = _Contexts(secret.value, config).open(first.body, 0)
            if inner is not None:
                accepted = _is_accepted(log, inner, _second(log, secret.value, config))
                return InnerHello(Reader(inner).whole(ClientHello.read), accepted, outer_random, secret)
        except WireError:
            continue
    return None


def _pairs(secrets: Secrets) -> Iterator[tuple[Secret, bytes]]:
    configs = [one.value for (label, _), one in secrets.found.items() if label == CONFIG]
    for (label, _), secret in secrets.found.items():
        if label == ECH_SECRET:
            yield from ((secret, config) for config in configs)


class _Contexts:
    """HPKE with a shared secret; each suite of the configuration has a context of its own."""

    def __init__(self, secret: bytes, config: bytes) -> None:
        """Raises WireError if the configuration is malformed."""
        self._secret = secret
        self._config = config
        contents = Reader(config).whole(EchConfig.read).contents
        if not isinstance(contents, EchConfigContents):
            raise WireError("unknown version of ECHConfig", 0)
        self._kem = contents.kem_id

    def open(self, outer: bytes, sequence: int) -> bytes | None:
        """Return the inner hello of an outer one; None if there is none, or the secret is another's."""
        hello = Reader(outer).whole(ClientHello.read)
        for extension in hello.extensions or ():
            if extension.extension_type == ExtensionType.ENCRYPTED_CLIENT_HELLO:
                sealed = Reader(extension.extension_data).whole(EchClientHello.read)
                if sealed.payload is None or sealed.cipher_suite is None:
                    return None
                # The hello with zeros for the payload, which is the end of the extension (RFC 9849 section 5.2).
                zeroed = extension.extension_data[: -len(sealed.payload) or None] + bytes(len(sealed.payload))
                additional = outer.replace(extension.extension_data, zeroed, 1)
                chosen = sealed.cipher_suite
                plaintext = self._decrypt(chosen.kdf_id, chosen.aead_id, sequence, sealed.payload, additional)
                return None if plaintext is None else _expanded(plaintext, hello)
        return None

    def _decrypt(self, kdf: int, aead: int, sequence: int, sealed: bytes, additional: bytes) -> bytes | None:
        chosen = suite(_AEADS.get(aead, ""))
        if chosen is None or kdf not in schedule.HPKE_HASHES:
            return None
        labels = schedule.HpkeLabels(self._kem, kdf, aead)
        context = _BASE_MODE + labels.extract(b"", b"psk_id_hash", b"")
        context += labels.extract(b"", b"info_hash", b"tls ech\0" + self._config)
        secret = labels.extract(self._secret, b"secret", b"")
        key = labels.expand(secret, b"key", context, chosen.key_bytes)
        iv = labels.expand(secret, b"base_nonce", context, _NONCE_BYTES)
        return Aead(chosen, key).open(nonce_of(iv, sequence), sealed, additional)


def _expanded(encoded: bytes, outer: ClientHello) -> bytes | None:
    """Return an encoded inner hello as it is hashed: with the session ID and the extensions that the outer one has.

    Each of these may be named once, in the order of the outer hello (RFC 9849 section 5.1), so that the result is no
    longer than both together. Raises WireError.
    """
    r = Reader(encoded)
    beginning = r.opaque(_RANDOM_END)
    r.sized(1)
    suites, compression = r.sized(2), r.sized(1)
    extensions = r.vector(2, _extension)
    left = iter(outer.extensions or ())
    copied: list[bytes] = []
    for number, data in extensions:
        if number != ExtensionType.ECH_OUTER_EXTENSIONS:
            copied.append(_encoded(number, data))
            continue
        for wanted in Reader(data).whole(EchOuterExtensions.read).outer_extensions:
            found = next((one for one in left if one.extension_type == wanted), None)
            if found is None or wanted == ExtensionType.ENCRYPTED_CLIENT_HELLO:
                return None
            copied.append(_encoded(wanted, found.extension_data))
    body = b"".join(copied)
    session_id = outer.legacy_session_id or b""
    parts = bytes([len(session_id)]), session_id, len(suites).to_bytes(2, "big"), suites
    more = bytes([len(compression)]), compression, len(body).to_bytes(2, "big"), body
    return b"".join((beginning, *parts, *more))


def _extension(r: Reader) -> tuple[int, bytes]:
    return r.u16(), r.sized(2)


def _encoded(number: int, data: bytes) -> bytes:
    return number.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def _second(log: LoggedHandshake, secret: bytes, config: bytes) -> bytes | None:
    """Return the inner hello after a HelloRetryRequest; its sequence number in the context of HPKE is 1."""
    hellos = [one for one in log.events if one.handshake_type == HandshakeType.CLIENT_HELLO and one.body]
    if log.retry_request is None or len(hellos) < 2:
        return None
    try:
        return _Contexts(secret, config).open(hellos[1].body, 1)
    except WireError:
        return None


def _is_accepted(log: LoggedHandshake, first: bytes, second: bytes | None) -> bool | None:
    """Return whether the ServerHello confirms the inner hello (RFC 9849 section 7.2); None without one."""
    chosen = suite13(log)
    if log.server_hello is None:
        return None
    if chosen is None or not log.tls13 or (log.retry_request is not None and second is None):
        return False
    answer = log.server_hello.event.body
    zeroed = answer[: _CONFIRMATION.start] + bytes(_CONFIRMATION_BYTES) + answer[_CONFIRMATION.stop :]
    hashed = _transcript(log.retry_request, chosen, first, second, _message(HandshakeType.SERVER_HELLO, zeroed))
    secret = hmac.digest(bytes(chosen.hash_bytes), first[2:_RANDOM_END], chosen.hash)
    label = b"ech accept confirmation"
    expected = schedule.hkdf_expand_label(secret, label, _CONFIRMATION_BYTES, chosen.hash, context=hashed)
    return expected == answer[_CONFIRMATION]


def _transcript(
    retry: HandshakeEvent | None, chosen: Suite, first: bytes, second: bytes | None, answer: bytes
) -> bytes:
    """Return the hash of the messages up to the server's answer (RFC 8446 section 4.4.1)."""
    hashed = hashlib.new(chosen.hash)
    if retry is None or second is None:
        hashed.update(_message(HandshakeType.CLIENT_HELLO, first))
    else:
        before = hashlib.new(chosen.hash, _message(HandshakeType.CLIENT_HELLO, first)).digest()
        hashed.update(_message(HandshakeType.MESSAGE_HASH, before))
        hashed.update(_message(HandshakeType.SERVER_HELLO, retry.body))
        hashed.update(_message(HandshakeType.CLIENT_HELLO, second))
    hashed.update(answer)
    return hashed.digest()


def _message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body
