"""Sentences about time: how many round trips a handshake took, what each was for, and what else delayed it."""

from __future__ import annotations

from itertools import pairwise, takewhile, zip_longest
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from tlsdissect.handshake.facts.timing import elapsed
from tlsdissect.handshake.record_cursor import PADDING
from tlsdissect.handshake.segments import UNCOMPARED
from tlsdissect.model.transcript import KeptConnection, probes
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.quic import PacketType
from tlsdissect.tls.record import HANDSHAKE
from tlsdissect.trust.conflicts import conflicts
from tlsdissect.views.durations import in_ms
from tlsdissect.views.explain import quic
from tlsdissect.views.explain.model import Sentence, rfc_name
from tlsdissect.views.phrases import counted, listed, ordinal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tlsdissect.model.connection import Connection, Dtls, Side
    from tlsdissect.model.transcript import Packet, Probe

_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_SLOW = 10.0
"""Milliseconds beyond a round trip from which on a side is called slow."""
_DELAYED = 25.0
"""Minimum milliseconds by which an acknowledgement is delayed: 40 in Linux."""
_MAX_DELAYED = 500.0
"""Maximum milliseconds by which a TCP may delay an acknowledgement (RFC 9293 section 3.8.6.3)."""
_LOOKUPS = {
    "ocsp_lookup": "The handshake waited for an OCSP look-up",
    "crl_download": "A CRL was fetched meanwhile",
}
"""Findings about lookups that take time."""
_NO_TIMES = "Some packets have no time"
_RETRIES = {
    "hello_retry_request": "request for another one (HelloRetryRequest)",
    "hello_verify_request": "request for its cookie (HelloVerifyRequest)",
}
"""What a server sends to make the client send another ClientHello."""
_LISTED = 8
"""Maximum number of frames that a sentence lists."""
_MANY = 4
"""Maximum number of retransmitted segments that are listed one by one."""
WINDOW = 10
"""Segments that may be sent before the first acknowledgement (RFC 6928 section 2)."""


def trips(c: Connection) -> Iterator[Sentence]:
    """The timing of a connection."""
    kept = _without_padding(c) if isinstance(c, KeptConnection) else []
    packets = _handshake(c, kept)
    if c.transport == "tcp":
        yield from _tcp(c, packets)
    elif c.quic is not None:
        yield from quic.before(c, c.quic)
    yield from _total(c)
    yield from _spent(c)
    # What another capture shows at the server's end is better than an inference from this one.
    if not isinstance(c, KeptConnection) or c.other_view is None:
        yield from _server(c)
    yield from _lookups(c)
    if isinstance(c, KeptConnection) and c.eap is None:
        # If a handshake has no end, the packets after its last message belong to it, too.
        seen = packets if c.outcome == "established" else kept
        asked = probes(seen) if c.transport == "tcp" else []
        found = list(repeats(packets, {one.frame for one in asked}))
        yield from _hello_segments(c)
        yield from _flight_segments(c, seen, asked)
        yield from _waits(c, packets)
        yield from _closed_windows(seen)
        yield from _keep_alives(asked)
        yield from _copied(c)
        if c.dtls is not None:
            yield from _fragments(c, c.dtls)
        if c.dtls is None and c.quic is None:
            yield from _repeated(c, found)
        else:
            yield from _flights_again(c, packets)


def _tcp(c: Connection, packets: list[Packet]) -> Iterator[Sentence]:
    t = c.timing
    if c.dtls is not None:
        return
    opened = any(packet.flags & _SYN for packet in packets)
    why = _untimed(packets) if opened or t.tcp_ms is not None else None
    if why is None and c.start is None:
        why = _NO_TIMES, ()
    if t.tcp_ms is None and why is not None:
        text, frames = why
        yield Sentence("time", "no_times", f"{text}: how long a round trip takes is not known.", frames)
        return
    if t.tcp_ms is None and _is_opened(c, packets):
        text = "No packet in the capture acknowledges the SYN-ACK alone: how long a round trip takes is not known."
        yield Sentence("time", "no_tcp_round_trip", text, (c.first_frame,))
        return
    if t.tcp_ms is None:
        begun = t.syn_synack_ms is not None or opened
        text = (
            f"The {'whole ' if begun else ''}TCP handshake is not in the capture: how long a round trip takes is not "
        )
        text += "known."
        yield Sentence("time", "no_tcp_handshake", text)
        return
    near = f" (captured near the {t.captured_near})" if t.captured_near else ""
    text = f"The TCP handshake took {in_ms(t.tcp_ms)}, which is one round trip{near}."
    yield Sentence("time", "tcp", text, (c.first_frame,))
    if why is not None and t.handshake_ms is None and c.round_trips is not None:
        text, frames = why
        yield Sentence("time", "no_times", f"{text}: how long the handshake took is not known.", frames)


def _is_opened(c: Connection, packets: list[Packet]) -> bool:
    """Return whether the capture has the SYN and the SYN-ACK, or two SYNs that crossed (RFC 9293 section 3.5)."""
    syns = {packet.sender for packet in packets if packet.flags & (_SYN | _ACK) == _SYN}
    return c.timing.syn_synack_ms is not None or len(syns) > 1


def _untimed(packets: list[Packet]) -> tuple[str, tuple[int, ...]] | None:
    """Say why times between packets are not known, with the frames that show it; None if they are."""
    for one, other in pairwise(packets):
        if one.time is None or other.time is None:
            return _NO_TIMES, ()
        if elapsed(one.time, other.time) is None:
            text = "A packet has an earlier time than one that it follows or answers, as if a clock had been set "
            return f"{text}back, or several clocks differed", (one.frame, other.frame)
    return None


def _total(c: Connection) -> Iterator[Sentence]:
    if c.round_trips is None:
        return
    before = 0 if c.quic is None else quic.trips_before_hello(c, c.quic)
    took = "" if c.timing.handshake_ms is None else f", {in_ms(c.timing.handshake_ms)} counted from the ClientHello"
    if took and before:
        took = f": {before} before this ClientHello, and {c.round_trips - before} within the {took[2:]}"
    guess = "round_trips" in c.inferred or (took != "" and "timing.handshake_ms" in c.inferred)
    waited = counted(c.round_trips, "round trip") if c.round_trips else "no round trip"
    frames = (c.client_hello.frame,) if c.client_hello else ()
    yield Sentence("time", "round_trips", f"The client waited {waited}{took}.", frames, guess)


def _spent(c: Connection) -> Iterator[Sentence]:
    """Yield a sentence for each round trip."""
    number = 0
    if c.round_trips is None:
        return
    if c.round_trips == 0:
        text = "Early data was accepted: the request travelled with the ClientHello."
        yield Sentence("time", "early", text, guess=True)
        return
    for code, text, frames in _stations(c):
        number += 1
        what = f"Round trip {number}" if number <= c.round_trips else "Not waited for"
        yield Sentence("time", code, f"{what}: {text}.", frames)
    if number > c.round_trips:
        text = "The client sent data before the server's Finished was there (false start, RFC 7918)."
        yield Sentence("time", "false_start", text)


def _stations(c: Connection) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    answer, number, since = c.server_hello, 0, 0
    # A part of a ClientHello is no message.
    first = [] if c.client_hello is None else [c.client_hello.frame]
    hellos = [m.frame for m in c.messages if m.type == "client_hello"] or first
    if c.quic is not None and c.quic.version_negotiation:
        yield (
            "trip_version",
            "a version that the server does not support",
            quic.frames(c, PacketType.VERSION_NEGOTIATION),
        )
    if c.quic is not None and c.quic.retry:
        yield "trip_address", "the server's check of the client's address", quic.frames(c, PacketType.RETRY)
    if c.hello_retry_request:
        for number, retry in enumerate([m for m in c.messages if m.type in _RETRIES], 1):
            which, asked = _hello(number, [frame for frame in hellos if since < frame <= retry.frame])
            yield "trip_retry", f"{which}, and the server's {_RETRIES[retry.type]}", (*asked, retry.frame)
            since = retry.frame
    elif hellos and c.hello_retry:
        number = 1
        # One alone may be the second one.
        what = (
            "the ClientHello, and the server's request for another one"
            if hellos[1:]
            else "the server's request for another ClientHello"
        )
        yield "trip_retry", f"{what}, which is not in the capture", tuple(hellos[:-1][:1])
    if answer:
        which, asked = _hello(number + 1, [frame for frame in hellos if since < frame <= answer.frame])
        # Of QUIC's flight, only the ServerHello is known to be in these packets.
        known = c.resumption is not None and c.quic is None
        size = "" if not known else "short " if c.resumption in ("ticket", "session_id") else "whole "
        yield "trip_hello", f"{which}, and the server's {size}flight", (*asked, answer.frame)
    keys = c.first_message("client_key_exchange")
    if keys is not None and c.resumption == "none":
        done = [m.frame for m in c.messages if m.sender == "server" and m.type == "encrypted" and m.frame >= keys.frame]
        yield "trip_keys", "the client's keys and Finished, and the server's Finished", (keys.frame, *done[:1])


def _hello(number: int, seen: list[int]) -> tuple[str, tuple[int, ...]]:
    """Return a ClientHello by its number, and the last of the frames in which it was seen."""
    name = "the ClientHello" if number == 1 else f"the {'second' if number == 2 else ordinal(number)} ClientHello"
    return name if seen else f"{name}, which is not in the capture", tuple(seen[-1:])


def _server(c: Connection) -> Iterator[Sentence]:
    """Explain a slow server, or a TCP connection that ends nearer than TLS."""
    t = c.timing
    if t.tcp_ms is None or t.server_hello_ms is None or not c.server_hello or not c.client_hello:
        return
    frames = (c.client_hello.frame, c.server_hello.frame)
    is_slow = not c.hello_retry and t.server_hello_ms - t.tcp_ms > _SLOW
    again = _hello_again(c, c.client_hello.frame, c.server_hello.frame) if t.split_path or is_slow else None
    if again is not None:
        what, last, after = again
        text = f"The ServerHello took {in_ms(t.server_hello_ms)}: {what} was sent again, and the ServerHello came "
        yield Sentence(
            "time", "hello_again", f"{text}{in_ms(after)} after the last copy.", (frames[0], last, frames[1])
        )
    elif t.split_path:
        times = f", {t.server_hello_ms / t.tcp_ms:,.0f} round trips of TCP" if t.tcp_ms >= 1 else ""
        text = f"The ServerHello took {in_ms(t.server_hello_ms)}{times}: "
        text += "TCP may end at a proxy near the client, or the server was slow."
        yield Sentence("time", "split_path", text, frames, guess=True)
    elif is_slow:
        late = in_ms(t.server_hello_ms - t.tcp_ms)
        text = f"The server took about {late} to answer the ClientHello, beyond the round trip."
        yield Sentence("time", "slow_server", text, frames)


def _hello_again(c: Connection, hello: int, answer: int) -> tuple[str, int, float] | None:
    """Return what of the ClientHello was sent again, the last frame with that, and the milliseconds to the ServerHello.

    None if nothing of it was, or if that is not known.
    """
    if not isinstance(c, KeptConnection) or c.transport != "tcp" or c.eap is not None:
        return None
    mine = [one for one in c.transcript.records if one.sender == "client" and one.frame == hello]
    places = [(one.start, one.end) for one in mine if one.content_type == HANDSHAKE]
    packets = [one for one in c.transcript.packets if one.frame <= answer]
    asked = {one.frame for one in probes(packets)}
    copied = {one.frames[1] for one in repeats(packets, asked) if one.sender == "client" and not one.late}
    if not places:
        return None
    begin, end = min(places)[0], max(places)[1]
    copies = [
        (one.offset, one.offset + one.length, one)
        for one in packets
        if one.frame in copied and one.frame > hello and one.offset is not None
    ]
    # A copy of one byte may be a keep-alive. Once the server had the whole hello, no copy explains a late answer.
    copies = [one for one in copies if one[0] < end and one[1] > begin and one[1] - one[0] > 1]
    had = next((one.frame for one in packets if one.sender == "server" and (one.acknowledged or 0) >= end), answer)
    if copies and had < copies[0][2].frame:
        return None
    after = elapsed(copies[-1][2].time, packets[-1].time) if copies else None
    if after is None:
        return None
    is_whole = min(one[0] for one in copies) <= begin and max(one[1] for one in copies) >= end
    return f"{'' if is_whole else 'a part of '}the ClientHello", copies[-1][2].frame, after


def _handshake(c: Connection, packets: list[Packet]) -> list[Packet]:
    """Return the packets up to the end of the handshake."""
    last = c.messages[-1].frame if c.messages else 0
    return [packet for packet in packets if packet.frame <= last]


def _without_padding(c: KeptConnection) -> list[Packet]:
    """Return the packets, those whose payload is a frame's padding as what they are, bare acknowledgements."""
    packets = list(c.transcript.packets)
    padded = _padded(packets) if c.transport == "tcp" else set()
    return [replace(one, length=0, payload=b"") if one.frame in padded else one for one in packets]


def _padded(packets: Sequence[Packet]) -> set[int]:
    """Return the frames of segments of a few zeros in whose place their sender later sent other bytes.

    Some stacks count a frame's padding as payload of a bare acknowledgement. What the other side acknowledged is data.
    """
    found: set[int] = set()
    held: dict[Side, list[Packet]] = {"client": [], "server": []}
    for packet in packets:
        peer: Side = "server" if packet.sender == "client" else "client"
        if held[peer]:
            reached = packet.acknowledged or 0
            held[peer] = [one for one in held[peer] if one.offset is not None and reached <= one.offset]
        if not packet.length or packet.offset is None or packet.flags & (_SYN | _RST):
            continue
        if packet.length <= PADDING and packet.payload == bytes(packet.length):
            held[packet.sender].append(packet)
            continue
        for one in held[packet.sender]:
            if one.offset == packet.offset and packet.payload[: one.length] != one.payload:
                found.add(one.frame)
        held[packet.sender].clear()
    return found


def _hello_segments(c: KeptConnection) -> Iterator[Sentence]:
    hello = c.client_hello
    if hello and hello.segments > 1 and c.has_whole_client_hello:
        parts = "fragments" if c.dtls is not None else f"{_pieces(c)}s"
        text = f"The ClientHello has {hello.bytes:,} bytes and came in {hello.segments} {parts}: "
        yield Sentence("time", "large_client_hello", f"{text}it is complete only with the last.", (hello.frame,))


def _flight_segments(c: KeptConnection, packets: list[Packet], asked: list[Probe]) -> Iterator[Sentence]:
    """Yield a sentence about the server's first flight if it has more than one segment."""
    hello = c.server_hello
    # Where the client's packets are missing, nothing shows where one flight ends and the next begins.
    if hello is None or c.outcome == "one_sided":
        return
    said = [m for m in c.messages if m.frame >= hello.frame]
    flight = list(takewhile(lambda m: m.sender == "server", said))
    first = _first_of_flight(c, hello.frame)
    last = flight[-1].frame if flight else hello.frame
    following = said[len(flight)].frame if flight and len(said) > len(flight) else inf
    segments = [p for p in packets if p.sender == "server" and p.length and first <= p.frame]
    if c.transport == "tcp" and c.eap is None:
        # An encrypted record counts as of the frame in which it begins.
        end = max((one.end for one in c.transcript.records if one.sender == "server" and one.frame <= last), default=0)
        segments = [p for p in segments if p.frame <= last or (p.frame < following and (p.offset or 0) < end)]
    else:
        segments = [p for p in segments if p.frame <= last]
    if _misses_client(c, segments, following):
        return
    probed = {probe.frame for probe in asked}
    again = {repeat.frames[1] for repeat in repeats(packets, probed) if not repeat.late}
    again |= c.transcript.repeated_frames() | probed
    # Over UDP, what comes after a datagram that was sent again was sent again with it.
    over_tcp = c.quic is None and c.dtls is None
    until = inf if over_tcp else min((frame for frame in again if frame > hello.frame), default=inf)
    sent = [packet for packet in segments if packet.frame not in again and packet.frame < until]
    if len(sent) > 1:
        size = _covered(sent) if c.transport == "tcp" and c.eap is None else sum(packet.length for packet in sent)
        took = elapsed(sent[0].time, sent[-1].time)
        over = "" if took is None else f", over {in_ms(took)}"
        least = "at least " if _lacks_bytes(c, "server") else ""
        text = f"The server's flight came in {least}{len(sent)} {_pieces(c)}s with {size:,} bytes{over}."
        yield Sentence("time", "flight_segments", text, (sent[0].frame, sent[-1].frame))


def _covered(packets: list[Packet]) -> int:
    """Count the bytes of the stream in these packets; bytes in several of them count once."""
    covered, reached = 0, 0
    for start, end in sorted((one.offset, one.offset + one.length) for one in packets if one.offset is not None):
        covered += max(end - max(start, reached), 0)
        reached = max(reached, end)
    return covered


def _first_of_flight(c: KeptConnection, completed: int) -> int:
    """Return the frame of the first segment that contains bytes of the ServerHello, which a later one may complete."""
    if c.transport != "tcp" or c.eap is not None:
        return completed
    before = ("client_hello", *_RETRIES)
    asked = max((m.frame for m in c.messages if m.type in before and m.frame <= completed), default=0)
    carried = (
        one
        for one in c.transcript.records
        if one.sender == "server"
        and one.content_type == HANDSHAKE
        and asked < one.frame <= completed
        and (one.fragment or b"\0")[0] == HandshakeType.SERVER_HELLO
    )
    begin = next(carried, None)
    if begin is None:
        return completed
    frames = (
        one.frame
        for one in c.transcript.packets
        if one.sender == "server" and one.offset is not None and one.offset <= begin.start < one.offset + one.length
    )
    return min((frame for frame in frames if frame > asked), default=completed)


def _misses_client(c: KeptConnection, flight: list[Packet], following: float) -> bool:
    """Return whether bytes of the client may be missing within what looks like one flight of the server.

    They may be a flight of its own. `following` is the frame of the client's next message.
    """
    if not flight:
        return False
    first, known = flight[0].frame, flight[0].acknowledged
    for problem in c.problems:
        # What the server had acknowledged before was the client's earlier flight.
        is_later = known is None or problem.offset is None or problem.offset >= known
        is_within = problem.frame is not None and first < problem.frame <= following
        if problem.code == "gap" and problem.sender == "client" and is_later and is_within:
            return True
    reached = max((one.acknowledged for one in flight if one.acknowledged is not None), default=None)
    if known is None or reached is None:
        return False
    for one in sorted(
        (one.offset, one.offset + one.length)
        for one in c.transcript.packets
        if one.sender == "client" and one.offset is not None and one.length
    ):
        if one[0] <= known:
            known = max(known, one[1])
    return known < reached


def _lacks_bytes(c: Connection, side: Side) -> bool:
    """Return whether bytes that a side sent are known to be missing."""
    return any(problem.code == "gap" and problem.sender == side for problem in c.problems)


def _pieces(c: Connection) -> str:
    """What carries a handshake."""
    return "segment" if c.quic is None and c.dtls is None else "datagram"


def _lookups(c: Connection) -> Iterator[Sentence]:
    """Yield the lookups that the handshake waited for; they are known if findings were requested."""
    for one in c.findings or ():
        if one.code in _LOOKUPS and one.frame is not None:
            text = f"{_LOOKUPS[one.code]}: {one.detail}."
            # Where the certificate is encrypted, only time and addresses match.
            yield Sentence("time", one.code, text, (one.frame,), guess=one.certificate is None)


def _waits(c: KeptConnection, packets: list[Packet]) -> Iterator[Sentence]:
    """Yield the pauses within a flight: for the congestion window, or for delayed acknowledgements."""
    rtt, to_server = c.timing.tcp_ms, c.timing.syn_synack_ms
    if rtt is None or to_server is None:
        return
    within = before_end(c, packets)
    delayed: list[Pause] = []
    for pause in pauses(within, max(rtt / 2, 1.0)):
        size = segment_size(within, pause.sender)
        # From the capture point to the other side and back, and to the sender and back.
        beyond = rtt - to_server if pause.sender == "server" else to_server
        if pause.sent >= (WINDOW - 1) * size and pause.segments >= WINDOW - 1:
            yield _window(pause)
        elif pause.is_delayed(beyond, rtt - beyond):
            delayed.append(pause)
    if delayed:
        yield _delayed(delayed)


def before_end(c: KeptConnection, packets: list[Packet]) -> list[Packet]:
    """Return the packets up to the end of the client's handshake; all packets if that end is not known."""
    took, hello = c.timing.handshake_ms, c.client_hello
    begin = None if hello is None else next((one for one in packets if one.frame == hello.frame), None)
    if took is None or begin is None:
        return packets
    return [packet for packet in packets if (since := elapsed(begin.time, packet.time)) is None or since <= took]


def _window(pause: Pause) -> Sentence:
    sent = f"{pause.sent:,} bytes in {counted(pause.segments, 'segment')}"
    text = f"The {pause.sender}'s flight stopped after {sent} and went on {in_ms(pause.ms)} later, once these were "
    text += "acknowledged: it is larger than the initial window of ten segments (RFC 6928)."
    return Sentence("time", "initial_window", text, pause.frames, guess=True)


def _delayed(waits: list[Pause]) -> Sentence:
    first = waits[0]
    other = "client" if first.sender == "server" else "server"
    if len(waits) == 1:
        text = f"The {first.sender} waited {in_ms(first.ms)} within its flight for an acknowledgement that the {other} "
        text += "held back (a delayed ACK, RFC 9293 section 3.8.6.3)."
    else:
        took = in_ms(sum(pause.ms for pause in waits))
        text = f"{len(waits)} times, {took} in all, a side waited within its flight for an acknowledgement that the "
        text += "other held back (delayed ACKs, RFC 9293 section 3.8.6.3)."
    return Sentence("time", "delayed_ack", text, first.frames, guess=True)


def _closed_windows(packets: list[Packet]) -> Iterator[Sentence]:
    """Say how long a closed receive window made the other side wait (RFC 9293 section 3.8.6.1)."""
    sides: tuple[Side, ...] = ("client", "server")
    for side in sides:
        closed: Packet | None = None
        waits = False
        found: list[tuple[float, tuple[int, int]]] = []
        for packet in packets:
            if packet.flags & _RST:
                continue
            if packet.sender != side:
                waits = waits or (closed is not None and packet.length > 0)
            elif packet.closed:
                closed = closed or packet
            elif closed is not None:
                ms = elapsed(closed.time, packet.time)
                if waits and ms is not None and ms >= _SLOW:
                    found.append((ms, (closed.frame, packet.frame)))
                closed, waits = None, False
        for ms, frames in found[:_MANY]:
            text = f"For {in_ms(ms)} the {side} accepted no bytes: its receive window was 0."
            yield Sentence("time", "closed_window", text, frames)
        if len(found) > _MANY:
            text = f"This happened {counted(len(found) - _MANY, 'more time')}."
            yield Sentence("time", "closed_window_more", text, tuple(one[0] for _, one in found[_MANY:])[:_LISTED])
        if closed is not None and waits:
            text = f"From then on the {side} accepted no bytes: its receive window was 0."
            yield Sentence("time", "closed_window", text, (closed.frame,))


def _keep_alives(asked: list[Probe]) -> Iterator[Sentence]:
    sides: tuple[Side, ...] = ("client", "server")
    for side in sides:
        frames = tuple(one.frame for one in asked if one.sender == side and not one.of_window)
        if frames:
            times = "once" if len(frames) == 1 else f"{len(frames):,} times"
            text = (
                f"The {side} asked {times} whether the other side was still there (keep-alive, RFC 9293 section 3.8.4)."
            )
            yield Sentence("time", "keep_alive", text, frames[:_LISTED])


def _copied(c: KeptConnection) -> Iterator[Sentence]:
    """Yield a sentence about packets that were captured twice, which were not lost."""
    seen = c.transcript
    if seen.copied is not None:
        # Later ones than those of the handshake are not kept, nor counted.
        many = counted(seen.copies, "packet was", "packets were")
        text = (
            f"At least {many} captured twice, as on two interfaces of a router or in two VLANs: here each counts once."
        )
        yield Sentence("time", "captured_twice", text, seen.copied)


def _repeated(c: Connection, known: list[Repeat]) -> Iterator[Sentence]:
    # What was not compared may differ: it is not known to be the same segment.
    limits = [problem.frame for problem in c.problems if problem.detail == UNCOMPARED and problem.frame is not None]
    found = [repeat for repeat in known if repeat.late or not limits or repeat.frames[1] < min(limits)]
    # Nothing was sent again where other bytes came: a sentence of its own tells them.
    other = {copy.frame for problem in conflicts(c) for copy in problem.copies or ()}
    found = [repeat for repeat in found if repeat.frames[1] not in other]
    filling = {repeat.frames[1] for repeat in found if repeat.late}
    for repeat in found[:_MANY]:
        after = "after" if repeat.ms is None else f"{in_ms(repeat.ms)} after"
        if repeat.late:
            text = f"A segment of the {repeat.sender} came {after} a later part of the stream: it was "
            text += "lost before the capture point and sent again, or overtaken."
            yield Sentence("time", "late_segment", text, repeat.frames)
            continue
        # What fills a gap completes messages of which it has only a part.
        content = "" if repeat.frames[0] in filling else _completed(c, repeat)
        text = f"The {repeat.sender} sent a segment again{content}, {after} it was seen first: "
        text += "it, or its acknowledgement, was lost or late."
        yield Sentence("time", "sent_again", text, repeat.frames)
    if len(found) > _MANY:
        text = f"{counted(len(found) - _MANY, 'more segment was', 'more segments were')} sent again or late."
        yield Sentence("time", "sent_again_more", text, tuple(repeat.frames[1] for repeat in found[_MANY:])[:_LISTED])


def _completed(c: Connection, repeat: Repeat) -> str:
    """Name the messages in the clear that end in the repeated segment."""
    names = [
        rfc_name(one)
        for one in c.messages
        if one.sender == repeat.sender and one.frame == repeat.frames[0] and one.type != "encrypted"
    ]
    return f" ({listed(names, most=3)})" if names else ""


def _fragments(c: Connection, dtls: Dtls) -> Iterator[Sentence]:
    counts: tuple[tuple[Side, int], ...] = (("client", dtls.fragments.client), ("server", dtls.fragments.server))
    for side, count in counts:
        if count:
            many = f"at least {counted(count, 'fragment')}" if _lacks_bytes(c, side) else counted(count, "fragment")
            text = f"The {side} sent messages in {many}: a message larger than a datagram is complete only with the "
            text += "last, in whatever order they come (RFC 6347 section 4.2.3)."
            yield Sentence("time", "fragments", text)


def _flights_again(c: KeptConnection, packets: list[Packet]) -> Iterator[Sentence]:
    """Flights of DTLS or QUIC that were sent again: from a repeated datagram on, up to one of the other side."""
    repeated = c.transcript.repeated_frames()
    latest: dict[Side, Packet] = {}
    run: list[Packet] = []
    found: list[tuple[list[Packet], float | None]] = []
    for packet, following in zip_longest(packets, packets[1:]):
        if packet.frame in repeated or run:
            run.append(packet)
        if run and (following is None or following.sender != packet.sender):
            before = latest.get(packet.sender)
            found.append((run, None if before is None else elapsed(before.time, run[0].time)))
            run = []
        if not run:
            latest[packet.sender] = packet
    if found:
        yield _flight_again(*found[0], "6347 section 4.2.4" if c.quic is None else "9002 section 6.2")
    if found[1:]:
        yield _more_flights_again(found[1:])


def _flight_again(run: list[Packet], ms: float | None, rfc: str) -> Sentence:
    after = "" if ms is None else f", {in_ms(ms)} after its latest datagram"
    text = (
        f"The {run[0].sender} sent {counted(len(run), 'datagram')} again{after}: its flight or the answer was lost or "
    )
    text += f"late, so that its timer expired or the other side repeated its own flight (RFC {rfc})."
    return Sentence("time", "flight_again", text, (run[0].frame, run[-1].frame) if len(run) > 1 else (run[0].frame,))


def _more_flights_again(found: list[tuple[list[Packet], float | None]]) -> Sentence:
    """Count the later ones, whose reasons are those of the first."""
    flights = [
        f"{counted(len(run), 'datagram')} of the {run[0].sender}{'' if ms is None else f' after {in_ms(ms)}'}"
        for run, ms in found
    ]
    text = f"{counted(len(found), 'more flight was', 'more flights were')} sent again: {listed(flights)}."
    frames = tuple(frame for run, _ in found for frame in dict.fromkeys((run[0].frame, run[-1].frame)))
    return Sentence("time", "flight_again_more", text, frames[:8])


class Pause(NamedTuple):
    """A pause within a flight that ended with an acknowledgement."""

    sender: Side
    ms: float
    heard_ms: float
    """Milliseconds of it until that acknowledgement was captured."""
    complete: bool
    """Whether that acknowledged all bytes before the pause."""
    sent: int
    """Bytes that the side had sent in this flight."""
    segments: int
    """The number of their segments."""
    frames: tuple[int, int, int]
    """The segment before the pause, the acknowledgement, and the segment after it."""

    def is_delayed(self, beyond: float, before: float) -> bool:
        """Return whether the acknowledgement was delayed, and the sender went on as soon as it had come.

        `beyond` and `before` are the milliseconds from the capture point to the other side and to the sender, and back.
        """
        is_late = _DELAYED <= self.heard_ms - beyond <= _MAX_DELAYED
        return self.complete and is_late and self.ms - self.heard_ms - before <= _SLOW


class Repeat(NamedTuple):
    """A segment without new bytes, or one that came after later bytes of the stream."""

    sender: Side
    ms: float | None
    """Milliseconds after its first transmission, or after the later bytes; None if not known."""
    frames: tuple[int, int]
    late: bool
    """Whether its bytes are new."""


def pauses(packets: Sequence[Packet], least_ms: float) -> Iterator[Pause]:
    """Yield pauses of at least `least_ms` that ended with an acknowledgement without payload."""
    run: list[Packet] = []
    heard: Packet | None = None
    complete = False
    for packet in packets:
        if not packet.length:
            if run and not complete and _only_acknowledges(packet, run[-1]):
                heard, complete = packet, _reaches(packet, run[-1])
            continue
        if run and packet.sender == run[-1].sender:
            wait = elapsed(run[-1].time, packet.time)
            until = None if heard is None else elapsed(run[-1].time, heard.time)
            if heard is not None and until is not None and wait is not None and wait >= least_ms:
                sent, frames = sum(one.length for one in run), (run[-1].frame, heard.frame, packet.frame)
                yield Pause(packet.sender, wait, until, complete, sent, len(run), frames)
        else:
            run = []
        run.append(packet)
        heard, complete = None, False


def _only_acknowledges(packet: Packet, segment: Packet) -> bool:
    """Return whether a packet without payload is only an acknowledgement of the side that received a segment."""
    return packet.sender != segment.sender and packet.flags & (_FIN | _SYN | _RST | _ACK) == _ACK


def _reaches(packet: Packet, segment: Packet) -> bool:
    """Return whether a packet acknowledges all of a segment."""
    if packet.acknowledged is None or segment.offset is None:
        return False
    return packet.acknowledged >= segment.offset + segment.length


def repeats(packets: Sequence[Packet], asked: Collection[int] = ()) -> Iterator[Repeat]:
    """Yield the segments without new bytes, and those that fill a gap before later bytes.

    Segments in the frames `asked` are probes, by which nothing is sent again.
    """
    if _in_order(packets):
        return
    sides: dict[Side, _Seen] = {"client": _Seen(), "server": _Seen()}
    for packet in packets:
        if not packet.length or packet.offset is None:
            continue
        before, late = sides[packet.sender].add(packet, packet.offset)
        if before is not None and packet.frame not in asked:
            ms = elapsed(before.time, packet.time)
            yield Repeat(packet.sender, ms, (before.frame, packet.frame), late)


def _in_order(packets: Sequence[Packet]) -> bool:
    """Return whether each segment begins where the one before it ended, as in nearly all handshakes."""
    reached: dict[Side, int] = {"client": 0, "server": 0}
    for packet in packets:
        if packet.length and packet.offset is not None:
            if packet.offset != reached[packet.sender]:
                return False
            reached[packet.sender] += packet.length
    return True


class _Seen:
    """The bytes of one side that were captured: all up to an offset, except gaps."""

    def __init__(self) -> None:
        self._packets: list[tuple[int, Packet]] = []
        self._reached = 0
        self._holes: list[tuple[int, int, Packet]] = []
        """Each gap with the segment after it."""

    def add(self, packet: Packet, start: int) -> tuple[Packet | None, bool]:
        """Add a segment; return the one that it should have preceded and True, or the one that it repeats and False."""
        end = start + packet.length
        filled = [hole for hole in self._holes if start < hole[1] and hole[0] < end]
        before = filled[0][2] if filled else self._first(start) if end <= self._reached else None
        for hole in filled:
            self._holes.remove(hole)
            rest = ((hole[0], start, hole[2]), (end, hole[1], hole[2]))
            self._holes += (part for part in rest if part[0] < part[1])
        if start > self._reached and self._packets:
            self._holes.append((self._reached, start, packet))
        self._reached = max(self._reached, end)
        self._packets.append((start, packet))
        return before, bool(filled)

    def _first(self, byte: int) -> Packet | None:
        """Return the first segment that contains a byte."""
        return next((packet for start, packet in self._packets if start <= byte < start + packet.length), None)


def segment_size(packets: Sequence[Packet], sender: Side) -> int:
    """Return the size of a side's largest segment: about what its path can carry."""
    return max((packet.length for packet in packets if packet.sender == sender), default=0)
