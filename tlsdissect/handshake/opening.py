# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The entry to decryption: tries a connection's secrets on each record or packet that was kept."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import cython

from tlsdissect.handshake.decryption import Reader12, Reader13
from tlsdissect.handshake.events import client_random
from tlsdissect.handshake.key_logs import ECH_SECRET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.handshake.decryption import Wrong
    from tlsdissect.handshake.encrypted_hello import InnerHello
    from tlsdissect.handshake.events import HandshakeEvent, SealedRecord, SeenClientHello
    from tlsdissect.handshake.key_logs import CaptureKeys, Origin
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.handshake.quic_keys import OpenedPacket
    from tlsdissect.tls.quic import ConnectionClose

_frame = attrgetter("frame")


class Reader(Protocol):
    """Opens the protected records or packets of a handshake."""

    used: list[tuple[str, bytes, Origin]]
    """Label, key and origin of each secret that opened something."""
    wrong: list[Wrong]
    """What is wrong in something that was opened."""
    numbers: dict[HandshakeEvent, int]
    """The `message_seq` of each message of DTLS."""
    packets: dict[tuple[int, int], OpenedPacket]
    """The packets of QUIC, by sender and start, if the handshake is recorded."""
    acks: list[tuple[int, int, bytes]]
    """Sender, start and content of each ACK of DTLS 1.3, if the handshake is recorded."""
    close: tuple[int, ConnectionClose, int] | None
    """The first CONNECTION_CLOSE of QUIC: who sent it, the frame of QUIC, and the number of the capture's frame."""

    def read(self, record: SealedRecord) -> Sequence[HandshakeEvent] | None:
        """Return the messages that a record or packet completes, and its alerts; None if no secret opens it."""
        ...

    def finish(self) -> None:
        """Report what is missing of the messages that were opened."""
        ...


class Opened(NamedTuple):
    """What the secrets of a connection opened."""

    events: tuple[HandshakeEvent, ...]
    """Handshake messages and alerts, in the order of the frames that completed them."""
    origin: Origin
    labels: tuple[str, ...]
    """Those of the secrets that opened something."""
    used: tuple[tuple[str, bytes], ...]
    """Label of each of these secrets, and what it is found by."""
    failed: tuple[SealedRecord, ...]
    """Records that no secret opens."""
    wrong: tuple[Wrong, ...]
    """As `Reader.wrong`."""
    numbers: dict[HandshakeEvent, int]
    """As `Reader.numbers`."""
    packets: dict[tuple[int, int], OpenedPacket]
    """As `Reader.packets`."""
    acks: tuple[tuple[int, int, bytes], ...]
    """As `Reader.acks`."""
    close: tuple[int, ConnectionClose, int] | None
    """As `Reader.close`."""
    inner: InnerHello | None
    """The inner hello of an Encrypted Client Hello."""

    @property
    def only_inner(self) -> bool:
        """Whether nothing opened but the inner hello."""
        return set(self.labels) == {ECH_SECRET}


def opened(log: LoggedHandshake, keys: CaptureKeys) -> Opened | None:
    """Decrypt the records or packets that were kept of a handshake; None if no secret opens any.

    Where there are several secrets for a label, each is tried until one opens something. It is used from then on, so
    the last attempt opens all that an earlier one did.
    """
    if log.client_hello is None:
        return None
    keys.begin()
    found: Opened | None = _opened(log, keys, log.client_hello)
    while keys.try_next(() if found is None else found.used):
        found = _opened(log, keys, log.client_hello)
    return found


@cython.cfunc
def _opened(log: LoggedHandshake, keys: CaptureKeys, client_hello: SeenClientHello) -> Any:
    """Return what the current secrets of `keys` decrypt; None if nothing."""
    random: bytes = client_random(client_hello.event)
    inner = _inner_hello(log, keys, random)
    used = [] if inner is None else [(ECH_SECRET, inner.outer_random, inner.secret.origin)]
    reader: Reader | None = _reader(log, keys, random if inner is None else inner.random)
    events: list[HandshakeEvent] = []
    failed: list[SealedRecord] = []
    if reader is not None:
        for record in sorted(log.sealed_records, key=_frame):
            found = reader.read(record)
            if found is None:
                failed.append(record)
            else:
                events += found
        reader.finish()
        used += reader.used
    if not used:
        return None
    labels = tuple(dict.fromkeys([label for label, _, _ in used]))
    noted = tuple([(label, key) for label, key, _ in used])
    wrong, numbers = ((), {}) if reader is None else (tuple(reader.wrong), reader.numbers)
    packets, acks, close = ({}, (), None) if reader is None else (reader.packets, tuple(reader.acks), reader.close)
    return Opened(tuple(events), used[0][2], labels, noted, tuple(failed), wrong, numbers, packets, acks, close, inner)


@cython.cfunc
def _inner_hello(log: LoggedHandshake, keys: CaptureKeys, outer_random: bytes) -> Any:
    """Return the inner hello of an Encrypted Client Hello; None if there is none, or no secret for it."""
    secrets = keys.find(outer_random)
    if secrets is None or not [label for label, _ in secrets.found if label == ECH_SECRET]:
        return None
    from tlsdissect.handshake.encrypted_hello import open_inner_hello  # noqa: PLC0415 (start-up time)

    return open_inner_hello(log, keys)


@cython.cfunc
def _reader(log: LoggedHandshake, keys: CaptureKeys, random: bytes) -> Any:
    """Return the reader of a handshake's records; None if these are not to be opened."""
    if log.server_hello is None or log.server_hello.cipher_suite is None:
        return None
    if log.transport == "quic":
        from tlsdissect.handshake.quic_decryption import QuicReader  # noqa: PLC0415 (start-up time)

        return QuicReader(log, keys, random)
    if log.transport == "udp":
        from tlsdissect.handshake.dtls_decryption import DtlsReader12, DtlsReader13  # noqa: PLC0415 (start-up time)

        return DtlsReader13(log, keys) if log.tls13 else DtlsReader12(log, keys)
    return Reader13(log, keys, random) if log.tls13 else Reader12(log, keys)
