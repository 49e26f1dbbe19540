"""Key logs: the secrets of connections, by the random of their ClientHello.

Two sources: files in the NSS format (draft-ietf-tls-keylogfile), which programs write that have SSLKEYLOGFILE, and the
decryption secrets blocks of a pcapng file, which hold the same lines.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.capture.blocks import SecretsBlock

SECRETS_BYTES = 256 << 20
"""Estimated bytes that the secrets of a key log may take; what follows is not read."""
LOG_BYTES = 512 << 20
"""Bytes of a key log that are read, twice the lines of all secrets that can be kept: a device such as /dev/zero never
ends. Of a file that grows, so many are read at a time."""
MAX_LINE = 4096
"""Bytes of the longest line of a key log: ECH_CONFIG is the longest known."""
SECRET_BYTES = 192
"""Estimated bytes that a secret takes besides its own, counted towards SECRETS_BYTES."""
MAX_CANDIDATES = 4
"""Different secrets for one label, random and length that are tried: a log to which several programs write, or that was
joined by hand, may have a wrong one."""
MAX_ATTEMPTS = 32
"""Times that what was kept of a connection is opened, with one or another of several secrets for a label. Four labels
with four candidates each, of which one opens only after the other, take half of it."""
AT_A_TIME = 1 << 20
"""Bytes of a key log that are read at a time."""

_COMPARED = 256
"""Bytes before the new ones of a growing file that are compared with those that were read there."""

ECH_SECRET = "ECH_SECRET"  # noqa: S105  # a label
"""The label of the shared secret of Encrypted Client Hello (RFC 9850 section 2.2)."""
RSA = "RSA"
"""The label of a premaster secret, found by the first bytes of its encrypted form."""
RSA_PREFIX = 8
"""Their number."""
RANDOM_SIZE = 32
_MASTER_SIZES = (48,)
"""That of a master secret and of a premaster secret of RSA (RFC 5246 sections 7.4.7.1 and 8.1)."""
_HASH_SIZES = (32, 48)
"""Bytes of the output of the hash functions of TLS 1.3's suites."""
_SIZES: dict[str, tuple[int, ...]] = {"CLIENT_RANDOM": _MASTER_SIZES, RSA: _MASTER_SIZES}
"""What lengths the secrets with a label have; those of other labels that are no traffic secrets may have any."""
_OF_TRAFFIC = "_TRAFFIC_SECRET"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_LINE = re.compile(rb"([A-Z][A-Z0-9_]*) ((?:[0-9A-Fa-f]{2})+) ((?:[0-9A-Fa-f]{2})+)")

Origin = Literal["keylog", "capture"]


class Secret(NamedTuple):
    """A secret, and where it comes from."""

    value: bytes
    origin: Origin


class Secrets(NamedTuple):
    """The secrets of a connection; of those with the same label, that of a key log."""

    found: dict[tuple[str, int], Secret]
    """By label and number of bytes: test vectors repeat a random, with the secrets of another hash."""

    def get(self, label: str, size: int) -> Secret | None:
        """Return the secret with a label and a number of bytes."""
        return self.found.get((label, size))


class _Place:
    """Where lines come from, and how many of them are damaged."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.line = 0
        """Number of the latest line."""
        self.damaged = 0
        self.first = 0
        """Number of the first damaged line."""
        self.why = ""
        """What is wrong with it."""
        self.others = 0
        """Lines with another secret than an earlier line has for the same label and random."""
        self.first_other = 0
        """Number of the first of them."""
        self.is_cut = False
        """Whether there is more than was read."""

    def warnings(self) -> Iterator[str]:
        """Yield a sentence about the damaged lines, and one about what was not read."""
        if self.damaged:
            further = self.damaged - 1
            more = f", and {further:,} further {'line is' if further == 1 else 'lines are'} damaged" if further else ""
            yield f"{self.name}: line {self.first:,} {self.why}{more}"
        if self.others:
            further = self.others - 1
            more = f", as {'does' if further == 1 else 'do'} {further:,} more" if further else ""
            yield (
                f"{self.name}: line {self.first_other:,} repeats the label and random of an earlier line with another "
                f"secret{more}: up to {MAX_CANDIDATES} secrets are tried"
            )
        if self.is_cut:
            yield f"{self.name}: only the first {LOG_BYTES >> 20} MiB were read"


class _File(_Place):
    """A file that may grow: what was read, and the line that is not complete."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._read_bytes = 0
        self._latest = b""
        """The latest bytes that were read, by which a file that was replaced is known."""
        self._rest = b""

    def read(self, *, whole: bool) -> Iterator[list[bytes]]:
        """Yield the lines that follow those read before; `whole` if the last line counts without a newline."""
        with open(self.name, "rb") as file:  # noqa: PTH123  # the path may be a descriptor's
            if file.seekable():
                file.seek(self._read_bytes - len(self._latest))
                if file.read(len(self._latest)) != self._latest:
                    self._read_bytes, self._latest, self._rest, self.line = 0, b"", b"", 0
                    file.seek(0)
            end = self._read_bytes + LOG_BYTES
            while data := file.read(min(AT_A_TIME, end - self._read_bytes)):
                self._read_bytes += len(data)
                self._latest = (self._latest + data)[-_COMPARED:]
                *lines, self._rest = (self._rest + data).split(b"\n")
                if len(self._rest) > MAX_LINE:
                    # The rest of the line becomes a damaged line of its own, which the warning counts.
                    lines.append(self._rest)
                    self._rest = b""
                yield lines
            self.is_cut = whole and self._read_bytes == end and bool(file.read(1))
        if whole and self._rest:
            yield [self._rest]
            self._rest = b""


class KeyLog:
    """The secrets in key logs, or in the secrets blocks of a capture.

    Lines with unknown labels are kept like others: whoever opens something asks for the labels that it knows.
    """

    def __init__(
        self, paths: Iterable[str | os.PathLike[str]] = (), *, origin: Origin = "keylog", follows: bool = False
    ) -> None:
        """With `follows`, the files may grow, and `refresh` reads what is new. Raises OSError."""
        self.origin = origin
        self.follows = follows
        self.left_out = 0
        """Secrets that are not kept, for lack of room."""
        self._secrets: dict[bytes, dict[tuple[str, int], bytes]] = {}
        self._others: dict[bytes, dict[tuple[str, int], list[bytes]]] = {}
        """Further secrets for the same label and length."""
        self._used_bytes = 0
        self._files = [_File(os.fspath(path)) for path in paths]
        self.has_rsa = False
        """Whether there are premaster secrets, which the ClientHello does not identify."""
        # A file that is followed may come into being later.
        with suppress(FileNotFoundError) if follows else nullcontext():
            self.refresh()

    def refresh(self) -> None:
        """Read what was appended to the files since; a file that was replaced is read from the beginning."""
        for file in self._files:
            for lines in file.read(whole=not self.follows):
                self._add(lines, file)

    @property
    def warnings(self) -> list[str]:
        """Sentences about files with damaged lines or of which only a part was read, and about what is not kept."""
        found = [warning for file in self._files for warning in file.warnings()]
        return [*found, f"{self.left_out:,} secrets are not kept, for lack of room"] if self.left_out else found

    @property
    def keys(self) -> frozenset[bytes]:
        """The keys of the secrets: client randoms, and the beginnings of encrypted premaster secrets."""
        return frozenset(self._secrets)

    def find(self, key: bytes) -> dict[tuple[str, int], bytes] | None:
        """Return the secrets for a client random, or for the beginning of an encrypted premaster secret."""
        return self._secrets.get(key)

    def others(self, key: bytes, label: str, size: int) -> list[bytes]:
        """Return the secrets that later lines have instead of one that `find` returns."""
        return self._others.get(key, {}).get((label, size), [])

    def lines(self, keys: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines of a key log with the secrets of these keys."""
        for key in sorted(keys):
            for (label, size), secret in self._secrets.get(key, {}).items():
                for one in (secret, *self.others(key, label, size)):
                    yield f"{label} {key.hex()} {one.hex()}".encode()

    def add_block(self, block: bytes) -> None:
        """Add the lines of a decryption secrets block."""
        self._add(block.split(b"\n"), _Place(""))

    def _add(self, lines: list[bytes], place: _Place) -> None:
        for line in lines:
            place.line += 1
            text = (line.removeprefix(_BYTE_ORDER_MARK) if place.line == 1 else line).strip()
            if not text or text[:1] == b"#":
                continue
            match = _LINE.fullmatch(text)
            if match is None:
                why = "is not a label followed by two hexadecimal strings"
            else:
                label, key, secret = (part.decode("ascii") for part in match.groups())
                why = _wrong_length(label, len(key) // 2, len(secret) // 2)
            if why:
                place.damaged += 1
                if not place.first:
                    place.first, place.why = place.line, why
            elif not self._add_secret(sys.intern(label), bytes.fromhex(key), bytes.fromhex(secret)):
                place.others += 1
                place.first_other = place.first_other or place.line

    def _add_secret(self, label: str, key: bytes, secret: bytes) -> bool:
        """Add a secret; return False if there is another one for the same label, key and length."""
        name = label, len(secret)
        known = self._secrets.get(key, {}).get(name)
        others = self.others(key, *name)
        if secret == known or secret in others:
            return True
        if len(others) < MAX_CANDIDATES - 1:
            self._used_bytes += len(secret) + SECRET_BYTES
            if self._used_bytes > SECRETS_BYTES:
                self.left_out += 1
            elif known is None:
                self.has_rsa = self.has_rsa or label == RSA
                self._secrets.setdefault(key, {})[name] = secret
            else:
                self._others.setdefault(key, {}).setdefault(name, []).append(secret)
        return known is None


def _wrong_length(label: str, key: int, secret: int) -> str:
    """Return what is wrong with the lengths of a line's numbers, in bytes; empty if nothing is."""
    expected = RSA_PREFIX if label == RSA else RANDOM_SIZE
    if key != expected:
        what = "the beginning of an encrypted premaster secret" if label == RSA else "a client random"
        return f"has {what} of {key:,} byte{'' if key == 1 else 's'}; the label {label} requires {expected}"
    sizes = _SIZES.get(label, _HASH_SIZES if _OF_TRAFFIC in label else ())
    if sizes and secret not in sizes:
        right = " or ".join(map(str, sizes))
        return f"has a secret of {secret:,} byte{'' if secret == 1 else 's'}; the label {label} requires {right}"
    return ""


def key_of(line: bytes) -> bytes | None:
    """Return the key of the secret in a line of a key log; None if there is none."""
    match = _LINE.fullmatch(line.strip())
    return None if match is None else bytes.fromhex(match[2].decode())


class KeyListener(Protocol):
    """Hears which secrets decrypted something."""

    def opened(self, transport: str, stream: int, keys: Iterable[bytes]) -> None:
        """Hear that the secrets of these keys decrypted something in a connection."""
        ...


class CaptureKeys:
    """The key logs of a reading, and the secrets blocks of the capture that is read."""

    def __init__(self, keylog: KeyLog | None, blocks: list[SecretsBlock], listener: KeyListener | None = None) -> None:
        """`blocks` is the list to which the reader of the capture adds the blocks that it comes to."""
        self.blocks = blocks
        self._keylog = keylog
        self._inside = KeyLog(origin="capture")
        self._taken = 0
        self._more_may_come = keylog is not None and keylog.follows
        """Whether secrets may come later than what they open."""
        self._latest: tuple[bytes, Secrets | None] = b"", None
        """What was found last: several ask for the secrets of one connection, one after the other."""
        self._listener = listener
        self._attempt = 0
        """The index of the secret that `find` returns where a label has several, until one has decrypted something."""
        self._several: dict[tuple[str, bytes], int] = {}
        """How many secrets there are for each label for which it came to several, by label and random."""
        self._proven: dict[tuple[str, bytes], int] = {}
        """Which of these decrypted something."""
        self._attempts = 1
        """How often secrets were returned for this connection."""
        self._progress = False
        """Whether a secret has decrypted something since the first of several was returned."""
        self.used: set[bytes] = set()
        """The keys of all secrets that decrypted something, or that belong to the same connection as one that did."""

    @property
    def exist(self) -> bool:
        """Whether there are any keys so far."""
        return self._keylog is not None or bool(self.blocks)

    @property
    def inside(self) -> frozenset[bytes]:
        """The keys of the secrets in the capture."""
        self._take_blocks()
        return self._inside.keys

    def use(self, keys: Iterable[bytes], transport: str, stream: int) -> None:
        """Note the keys of the secrets that decrypted something in a connection."""
        self.used.update(keys)
        if self._listener is not None:
            self._listener.opened(transport, stream, keys)

    def join(self, client_random: bytes, premaster_key: bytes) -> None:
        """Note that both keys find secrets of one connection, which is counted by its client random.

        OpenSSL writes both, and with a suite without encryption, neither opens anything.
        """
        for log in (self._keylog, self._inside):
            if log is not None and log.find(client_random) is not None and log.find(premaster_key) is not None:
                self.used.add(premaster_key)

    def may_open(self, client_random: bytes) -> bool:
        """Return whether there are secrets for a connection, or may be some by its end."""
        self._take_blocks()
        if self._more_may_come:
            return True
        logs = [log for log in (self._keylog, self._inside) if log is not None]
        return any(log.has_rsa or log.find(client_random) is not None for log in logs)

    def find(self, key: bytes) -> Secrets | None:
        """Return the secrets for a client random, or for the beginning of an encrypted premaster secret."""
        self._take_blocks()
        if self._latest[0] == key and not (self._keylog is not None and self._keylog.follows):
            return self._latest[1]
        found: dict[tuple[str, int], list[Secret]] = {}
        for log in (self._keylog, self._inside):
            if log is None:
                continue
            if log.follows:
                with suppress(OSError):
                    log.refresh()
            for name, value in (log.find(key) or {}).items():
                candidates = found.setdefault(name, [])
                known = [one.value for one in candidates]
                every = (value, *log.others(key, *name))
                candidates += [Secret(one, log.origin) for one in every if one not in known]
        chosen = {name: self._candidate(key, name[0], candidates) for name, candidates in found.items()}
        self._latest = key, Secrets(chosen) if chosen else None
        return self._latest[1]

    def _candidate(self, key: bytes, label: str, candidates: list[Secret]) -> Secret:
        if len(candidates) > 1:
            self._several[label, key] = len(candidates)
        return candidates[min(self._proven.get((label, key), self._attempt), len(candidates) - 1)]

    def begin(self) -> None:
        """Begin with another connection: `find` returns the first secret for each label again."""
        self._attempt, self._several, self._proven, self._progress = 0, {}, {}, False
        self._attempts, self._latest = 1, (b"", None)

    def try_next(self, used: Iterable[tuple[str, bytes]]) -> bool:
        """Let `find` return the next secrets for the labels for which none is among those `used`, if there are any.

        A secret that opened something, given by its label and what it is found by, is returned again. What another one
        opens may depend on it, as the first record of an epoch is known by the Finished before it: all are tried again.
        """
        for name in self._several.keys() & set(used) - self._proven.keys():
            self._proven[name] = self._attempt
            self._progress = True
        most = max((many for name, many in self._several.items() if name not in self._proven), default=0)
        self._attempt += 1
        if self._attempt >= most and self._progress:
            self._attempt, self._progress = 0, False
        self._attempts += 1
        self._latest = b"", None
        return self._attempt < most and self._attempts <= MAX_ATTEMPTS

    def _take_blocks(self) -> None:
        while self._taken < len(self.blocks):
            block = self.blocks[self._taken]
            self._inside.add_block(block.lines)
            # Who wrote one while packets were captured may write more.
            self._more_may_come = self._more_may_come or block.is_late
            self._taken += 1
            self._latest = b"", None
