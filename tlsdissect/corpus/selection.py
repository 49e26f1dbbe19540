"""Selection of connections by their facts: which numbers, peers, times, versions, outcomes and findings.

The options of the command line and the keywords of the Python functions have the names of the fields of `Selection`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tlsdissect.capture.packet import time_or_none
from tlsdissect.corpus.suggestion import suggestion
from tlsdissect.model.connection import OLD_VERSIONS, OUTCOMES, SEVERITIES, at_least
from tlsdissect.model.transcript import has_failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.corpus.where import Where
    from tlsdissect.model.connection import Connection

Network = IPv4Network | IPv6Network

VERSIONS = ("1.3", "1.2", "1.1", "1.0", "ssl3", "older")
"""How versions are selected; `older` is whatever RFC 8996 and its predecessors forbid."""
_UNITS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
"""Nanoseconds of each unit of a duration."""
_NS = 10**9
_EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The first second of the year 1 and the last of 9999: the calendar's ends, where durations of any length end too."""


class Stream(Struct, frozen=True):
    """A stream number, in one capture or in every capture, over one kind of transport or over all."""

    source: str | None
    kind: str | None
    """"tcp", "udp" for QUIC and DTLS, "eap", or None."""
    number: int

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.source, self.kind, self.number) if part is not None)

    @classmethod
    def parse(cls, given: str | int) -> Stream:
        """Split the number from the source, which may contain colons itself."""
        match = re.fullmatch(r"(?:(.*?):)??(?:(tcp|udp|eap):)?([0-9]{1,18})", str(given), re.DOTALL)
        if match is None:
            raise ValueError(f"{given!r} is not a stream number such as 4, tcp:4, udp:4, eap:4 or SOURCE:4")
        return cls(match[1] or None, match[2], int(match[3]))

    def matches(self, connection: Connection) -> bool:
        """Return whether the connection has this stream number; a capture may be given by its file name alone."""
        if self.number != connection.stream:
            return False
        kind = "udp" if connection.transport == "quic" else connection.transport
        if self.kind not in (None, kind):
            return False
        return self.source is None or self.source in (connection.source, os.path.basename(connection.source))  # noqa: PTH119


class TimeBound(Struct, frozen=True):
    """A time, absolute or since the first packet of a capture, in nanoseconds."""

    time: int
    relative: bool = False

    @classmethod
    def parse(cls, given: str | datetime | timedelta) -> TimeBound:
        """Read a time (RFC 3339, or a date; in UTC if it has no zone) or a duration such as 90s, 5m or 1h30m."""
        if isinstance(given, timedelta):
            return cls(given // timedelta(microseconds=1) * 1000, relative=True)
        parts = re.findall(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|[smhd])", given) if isinstance(given, str) else []
        if parts and "".join(number + unit for number, unit in parts) == given:
            return cls(sum(int(float(number) * _UNITS[unit]) for number, unit in parts), relative=True)
        try:
            time = utc(given)
        except ValueError as error:
            raise ValueError(f"{error}, nor a duration such as 5m") from None
        return cls((time - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) * 1000)

    def text(self, begin: int) -> str | None:
        """Return the time as text that compares like the times of connections; None if it is not known.

        `begin` is the time of the first packet of the capture, UNTIMED without one. A fraction has no zeros at its
        end, since times with more digits sort after it then.
        """
        begun = time_or_none(begin) if self.relative else 0
        return None if begun is None else _text(begun + self.time)


@lru_cache(maxsize=64)
def _text(time: int) -> str:
    seconds, nanoseconds = divmod(time, _NS)
    second = _EPOCH + timedelta(seconds=min(max(seconds, _FIRST), _LAST))
    return f"{second.isoformat()}.{nanoseconds:09d}".rstrip("0").removesuffix(".")


def utc(given: str | datetime) -> datetime:
    """Read a time by RFC 3339, or a date; without a zone, it is in UTC."""
    try:
        time = datetime.fromisoformat(given) if isinstance(given, str) else given
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (AttributeError, ValueError, OverflowError):
        raise ValueError(f"{given!r} is not a time such as 2026-01-31 or 2026-01-31T12:00:00Z") from None


def network(given: object) -> Network:
    """Read an address or a network; an address is the network of itself alone."""
    try:
        return ip_network(str(given), strict=False)
    except ValueError:
        raise ValueError(f"{given!r} is neither an address nor a network such as 192.0.2.0/24") from None


class Selection(Struct, frozen=True, kw_only=True):
    """Criteria for connections: of each kind that is given, one value must match.

    The cheapest are checked first. Relative times need the time of the capture's first packet.
    """

    stream: tuple[Stream, ...] = ()
    port: tuple[int, ...] = ()
    ip: tuple[Network, ...] = ()
    client: tuple[Network, ...] = ()
    server: tuple[Network, ...] = ()
    sni: tuple[str, ...] = ()
    """Patterns; an empty one stands for a ClientHello without SNI."""
    tls: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    """The highest version that the client offered."""
    failed: bool = False
    outcome: tuple[str, ...] = ()
    since: TimeBound | None = None
    """At or after which connections start."""
    until: TimeBound | None = None
    """Before which connections start."""
    finding: tuple[str, ...] = ()
    min_severity: str | None = None
    where: Where | None = None
    """An expression over the keys of the JSON output."""

    @classmethod
    def of(cls, **given: Any) -> Selection:
        """Make a selection of values as they are typed; ValueError says which is wrong and what it should be."""
        return cls(**{name: _parsed(name, value) for name, value in given.items() if value is not None})

    def __bool__(self) -> bool:
        return self != _EVERYTHING

    @property
    def needs_findings(self) -> bool:
        """Whether connections are selected by their findings."""
        return self.names_findings or (self.where is not None and self.where.needs_findings)

    @property
    def names_findings(self) -> bool:
        """Whether findings are selected by code or severity."""
        return bool(self.finding or self.min_severity)

    @property
    def needs_links(self) -> bool:
        """Whether connections are selected by their links to others."""
        return self.where is not None and self.where.needs_links

    @property
    def needs_raw_fingerprints(self) -> bool:
        """Whether connections are selected by unhashed fingerprints."""
        return self.where is not None and self.where.needs_raw_fingerprints

    def missing_streams(self) -> tuple[Stream, ...]:
        """Return the selected streams if no connection matched and nothing else was selected by; else nothing.

        Only then does no match mean that the streams do not exist.
        """
        return self.stream if self == Selection(stream=self.stream) else ()

    def matches(self, c: Connection, begin: int, *, linked: bool = True) -> bool:
        """Return whether a connection is selected; `begin` is the time of its capture's first packet.

        If it is not `linked` yet and the expression needs links, all else decides: `where` has to be asked later.
        """
        if self.failed and not has_failed(c):
            return False
        if self.outcome and c.outcome not in self.outcome:
            return False
        if self.port and c.server.port not in self.port and c.client.port not in self.port:
            return False
        if self.tls and not _is_version(c.version, self.tls):
            return False
        if self.stream and not any(stream.matches(c) for stream in self.stream):
            return False
        if self.sni and not _is_named(c, self.sni):
            return False
        if (self.since or self.until) and not self._is_in_time(c.start, begin):
            return False
        if self.client and not _is_in(c.client.ip, self.client):
            return False
        if self.server and not _is_in(c.server.ip, self.server):
            return False
        if self.ip and not (_is_in(c.client.ip, self.ip) or _is_in(c.server.ip, self.ip)):
            return False
        if self.offers and not _is_version(max(c.offered_versions, default=None), self.offers):
            return False
        if self.names_findings and not self.has_finding([(one.code, one.severity) for one in c.findings or ()]):
            return False
        where = self.where
        return where is None or (where.needs_links and not linked) or where.matches(c)

    def may_start_in(self, begin: int, end: int) -> bool:
        """Return whether a connection that starts between `begin` and `end` (nanoseconds) may be selected."""
        since, until = (None if one is None else one.time + begin * one.relative for one in (self.since, self.until))
        return (since is None or since <= end) and (until is None or until > begin)

    def lists(self, found: Iterable[tuple[str, str]]) -> bool:
        """Return whether a certificate with these findings is selected by them."""
        return not self.names_findings or self.has_finding(found)

    def has_finding(self, found: Iterable[tuple[str, str]]) -> bool:
        """Return whether one of these findings, by code and severity, is among those selected."""
        severities = at_least(self.min_severity or "info")
        return any(severity in severities and (not self.finding or code in self.finding) for code, severity in found)

    def _is_in_time(self, start: str | None, begin: int) -> bool:
        if start is None:
            return False
        time = start.removesuffix("Z")
        since, until = (None if one is None else one.text(begin) for one in (self.since, self.until))
        if (self.since and since is None) or (self.until and until is None):
            return False
        return (since is None or time >= since) and (until is None or time < until)


_EVERYTHING = Selection()


def _is_named(c: Connection, globs: tuple[str, ...]) -> bool:
    if c.sni is None:
        return "" in globs and c.has_whole_client_hello
    # Host names are case-insensitive (RFC 4343).
    return any(fnmatchcase(c.sni.lower(), glob.lower()) for glob in globs)


@lru_cache(maxsize=256)
def _is_version(version: str | None, wanted: tuple[str, ...]) -> bool:
    """Return whether a version is one of those wanted; drafts count as TLS 1.3, and DTLS as TLS of the same number."""
    if version is None:
        return False
    kind, _, number = version.partition(" ")
    names = {number[:3] if kind in ("TLS", "DTLS") else f"{kind}{number[:1]}".lower()}
    names |= {"older"} if version in OLD_VERSIONS else set()
    return not names.isdisjoint(wanted)


@lru_cache(maxsize=4096)
def _is_in(address: str | None, networks: tuple[Network, ...]) -> bool:
    if address is None:
        return False
    ip = ip_address(address)
    return any(ip in one for one in networks)


def _port(given: Any) -> int:
    number = int(given)
    if not 0 <= number <= 65_535:
        raise ValueError(f"{given!r} is not a port number (0 to 65535)")
    return number


def expression(given: Any) -> Where:
    """Check and compile an expression."""
    from tlsdissect.corpus.where import Where  # noqa: PLC0415 (start-up time)

    if not isinstance(given, str):
        raise TypeError(f"an expression must be text, not {type(given).__name__}")
    return Where(given)


def _one_of(*names: str) -> Callable[[Any], str]:
    def parse(given: Any) -> str:
        if given not in names:
            raise ValueError(f"{given!r} is not one of {', '.join(names)}")
        return str(given)

    return parse


def finding_code(given: Any) -> str:
    """Check the code of a finding."""
    from tlsdissect.trust.rules import RULES  # noqa: PLC0415 (without findings, nothing of `trust` is loaded)

    codes = [rule.code for rule in RULES]
    if given not in codes:
        raise ValueError(f"{given!r} is not the code of a finding{suggestion(str(given), codes)}")
    return str(given)


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "stream": Stream.parse,
    "port": _port,
    "ip": network,
    "client": network,
    "server": network,
    "sni": str,
    "tls": _one_of(*VERSIONS),
    "offers": _one_of(*VERSIONS),
    "failed": bool,
    "outcome": _one_of(*OUTCOMES),
    "since": TimeBound.parse,
    "until": TimeBound.parse,
    "finding": finding_code,
    "min_severity": _one_of(*SEVERITIES),
    "where": expression,
}
_SINGLE = frozenset({"failed", "since", "until", "min_severity", "where"})
"""Fields of one value; of the others, several may be given."""


def _parsed(name: str, given: Any) -> Any:
    parse = _PARSERS[name]
    try:
        if name in _SINGLE:
            return parse(given)
        several = not isinstance(given, str) and isinstance(given, Iterable)
        return tuple(parse(one) for one in (given if several else (given,)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
