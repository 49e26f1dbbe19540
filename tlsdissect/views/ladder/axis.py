"""Ladders on one axis of time, for drawings in which an arrow is slanted by the time that it took.

A time was measured where an arrow passed the capture point, which is next to one end; the other end is half a round
trip away, as far as TCP's handshake shows that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.views.ladder.model import OTHER, legend, path
from tlsdissect.views.ladder.scale import Scale
from tlsdissect.views.phrases import ordinal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.model.connection import Side
    from tlsdissect.views.ladder.model import Arrow, Ladder

MAX_ARROWS = 60
"""Arrows of a ladder that a picture shows; later ones are counted."""
_TICKS = 9
"""Maximum number of times on the axis."""


class Slant(NamedTuple):
    """An arrow and its moments, in milliseconds."""

    arrow: Arrow
    begin: float
    """When it left its sender."""
    end: float
    """When it arrived."""


class Band(NamedTuple):
    """A part of a handshake, shaded between the lifelines."""

    begin: float
    end: float
    number: int
    """0 for TCP's handshake, 1 and 2 in turn for the round trips of TLS."""
    name: str


class Course:
    """The arrows of one ladder at their moments."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self._ways = ladder.ways
        self.near: Side = "client" if self._ways["client"] <= self._ways["server"] else "server"
        """The side that is next to the capture point."""
        self.estimated = any(self._ways.values())
        """Whether the moments at the other side are estimated."""
        arrows = ladder.arrows[:MAX_ARROWS]
        self.more = len(ladder.arrows) - len(arrows)
        """Arrows that are not drawn."""
        self.timed = any(arrow.ms is not None for arrow in arrows)
        self.slants = list(self._slants(arrows))

    def _slants(self, arrows: Sequence[Arrow]) -> Iterator[Slant]:
        """Yield each arrow with its moments; one without a time follows the previous one."""
        reached = 0.0
        for number, arrow in enumerate(arrows):
            reached = arrow.ms if arrow.ms is not None else reached if self.timed else float(number)
            yield Slant(arrow, reached - self._ways[arrow.sender], reached + self._ways[OTHER[arrow.sender]])

    @property
    def completing(self) -> Arrow | None:
        """The arrow by which the handshake was complete, as its client saw it."""
        done = self.ladder.timing.handshake_ms
        return next((one.arrow for one in self.slants if done is not None and one.arrow.ms == done), None)

    def bands(self) -> Iterator[Band]:
        """Yield a band for TCP's handshake and one for TLS's, or for each round trip if it waited for nothing else."""
        timing, rtt, done = self.ladder.timing, self.ladder.timing.path_ms, self.ladder.timing.handshake_ms
        gap, tcp = timing.ack_client_hello_ms, timing.tcp_ms
        if gap is not None and tcp is not None:
            yield Band(-gap - tcp, -gap, 0, "TCP")
        if done is None:
            return
        count = self.ladder.round_trips
        if rtt is None:
            return  # without round trips, a band would look like one
        if not count or round(done / rtt) != count:
            yield Band(0.0, done, 1, "handshake")  # it waited for something else, too
            return
        for number in range(count):
            end = done if number + 1 == count else (number + 1) * rtt
            yield Band(number * rtt, end, 1 + number % 2, f"{ordinal(number + 1)} round trip")


class Axis:
    """The time that ladders have in common, to scale but for pauses that are cut."""

    def __init__(self, courses: Sequence[Course]) -> None:
        self._courses = courses
        self._moments = [ms for course in courses for one in course.slants for ms in (one.begin, one.end)]
        self.scale = Scale(self._moments, path(course.ladder for course in courses))

    def ticks(self) -> Iterator[float]:
        """Yield round times, except where a pause is cut."""
        if not self.scale.length or not any(course.timed for course in self._courses):
            return
        step = _round_step(self.scale.length / _TICKS)
        begins = [min(self._moments), *(pause.end for pause in self.scale.pauses)]
        ends = [*(pause.begin for pause in self.scale.pauses), max(self._moments)]
        for begin, end in zip(begins, ends, strict=True):
            first = -int(-begin // step)
            yield from (round(number * step, 9) for number in range(first, int(end // step) + 1))

    @property
    def origin(self) -> str:
        """A sentence that says where times were measured, and what is not drawn."""
        near = {course.ladder.timing.captured_near for course in self._courses if course.estimated}
        said = "Times since the ClientHello, as captured"
        if len(near) == 1 and (side := next(iter(near))) is not None:
            said += f" near the {side}; when arrows were at the {OTHER[side]} is estimated from TCP's round trip"
        elif near:
            said += "; when arrows were at either side is estimated from TCP's round trip"
        more = sum(course.more for course in self._courses)
        return f"{said}{f'; {more:,} more arrows are not drawn' if more else ''}."

    @property
    def legend(self) -> str:
        """What explains the signs of what only keys show; empty if there are none."""
        return legend(course.ladder for course in self._courses)


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not smaller."""
    power = 1e-6
    while power * 10 <= least:
        power *= 10
    return next((power * one for one in (1, 2, 5) if power * one >= least), power * 10)
