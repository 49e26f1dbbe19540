"""Segments that are not part of a stream: TCP drops them, or what they carry is not stream data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from conversing import ACK, CLIENT, FIN, RST, SERVER, SYN, said
from mangle import Segment, Segments, Way, in_ethernet, in_ip4, strip
from random_captures import START, segment
from recorded import facts as read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PORT = 40_000
SECOND = 1_000_000
SAMPLES = ("tls12-full", "tls13-full")
FIRST = ((1000, 5000), (2**32 - 60, 2**32 - 700))
"""The numbers of both SYNs; those of the second row wrap within the handshake."""
WINDOW_SCALE = b"\x03\x03\x07\x01"
"""The option that makes windows 128 times as large as the header says."""


@pytest.fixture(params=[in_ip4, in_ethernet], ids=["ip4", "ip6"])
def wrap(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=FIRST, ids=["plain", "wrapping"])
def first(request: pytest.FixtureRequest) -> Any:
    return request.param


class Course:
    """A conversation to which packets are added, a millisecond apart."""

    def __init__(self, first: tuple[int, int], wrap: Callable[[Segment], list[bytes]]) -> None:
        self.sent = list(first)
        self.time = START
        self.packets: Segments = []
        self._way = Way(wrap=wrap)

    def send(self, side: int, flags: int = ACK, payload: bytes = b"", ahead: int = 0, **fields: Any) -> None:
        """Add a packet at the side's next sequence number plus `ahead`; without `ahead` it advances that number."""
        numbers = self.sent[side] + ahead, self.sent[1 - side] if flags & ACK else 0
        self.put(replace(segment(PORT, side, flags, numbers, payload), window=8192, **fields))
        if not ahead and not flags & RST:
            self.sent[side] = (self.sent[side] + len(payload) + bool(flags & (SYN | FIN))) % 2**32

    def put(self, one: Segment) -> None:
        """Add a packet that advances no sequence number."""
        numbers = {"sequence": one.sequence % 2**32, "acknowledged": one.acknowledged % 2**32}
        self.packets.append(replace(one, time=self.time, **numbers))
        self.time += 1000

    def open(self, options: bytes = b"") -> None:
        """Add TCP's handshake."""
        self.send(CLIENT, SYN, options=options)
        self.send(SERVER, SYN | ACK, options=options)
        self.send(CLIENT)

    def close(self) -> None:
        """Add the FINs of both sides."""
        self.send(CLIENT, FIN | ACK)
        self.send(SERVER, FIN | ACK)
        self.send(CLIENT)

    def read(self, path: Path) -> list[dict[str, Any]]:
        """The connections, which do not depend on the size of a batch."""
        path.write_bytes(self._way(self.packets))
        one_by_one, found = read(path, batch=1), read(path)
        assert one_by_one == found
        return found


CHANGING = {
    "source", "stream", "start", "end", "first_frame", "packets", "bytes", "problems", "timing", "client", "server",
}  # fmt: skip


def plain(sample: str, path: Path, *, opened: bool = True, close: bool = True) -> dict[str, Any]:
    """The connection of the sample without anything that TCP drops."""
    course = Course(FIRST[0], in_ip4)
    if opened:
        course.open()
    else:
        course.sent = [one + 1 for one in course.sent]
    for side, data in said(sample):
        course.send(side, ACK, data)
    if close:
        course.close()
    (connection,) = course.read(path)
    return connection


def facts(connection: dict[str, Any]) -> object:
    """The facts that no packet without stream data changes: frames and times are left out."""
    kept = {key: value for key, value in connection.items() if key not in CHANGING}
    return strip(kept, frozenset({"frame", "ms"}))


def codes(connection: dict[str, Any]) -> set[str]:
    return {problem["code"] for problem in connection["problems"]} - {"inferred"}


# ---------------------------------------------------------------- RST


@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("ahead", [1_234_567, -1000])
def test_a_rst_outside_the_window_ends_nothing(
    tmp_path: Path, wrap: Any, sample: str, first: tuple[int, int], side: int, ahead: int
) -> None:
    """RFC 9293 section 3.10.7.4; after the pause behind it, packets of an ended connection would be late."""
    course = Course(first, wrap)
    course.open()
    words = said(sample)
    for number, (sender, data) in enumerate(words):
        course.send(sender, ACK, data)
        course.send(1 - sender)
        if number == 0:
            course.send(side, RST | ACK, ahead=ahead)
            course.time += 61 * SECOND
    course.close()
    (connection,) = course.read(tmp_path / "rst.pcap")
    assert facts(connection) == facts(plain(sample, tmp_path / "plain.pcap"))
    assert codes(connection) == {"dropped_segment"}


@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("opened", [True, False])
def test_a_rst_behind_which_both_go_on_ends_nothing(
    tmp_path: Path, wrap: Any, sample: str, first: tuple[int, int], side: int, opened: bool
) -> None:
    """In the window, but beyond all that was sent: a challenge ACK answers it (RFC 9293 section 3.10.7.4)."""
    course = Course(first, wrap)
    if opened:
        course.open(WINDOW_SCALE)
    for number, (sender, data) in enumerate(said(sample)):
        course.send(sender, ACK, data)
        course.send(1 - sender)
        if number == 0:
            course.send(side, RST | ACK, ahead=500_000)
            course.time += 61 * SECOND
    course.close()
    (connection,) = course.read(tmp_path / "rst.pcap")
    assert facts(connection) == facts(plain(sample, tmp_path / "plain.pcap", opened=opened))


@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("ahead", [0, 300])
def test_a_rst_in_the_window_resets(tmp_path: Path, wrap: Any, first: tuple[int, int], side: int, ahead: int) -> None:
    course = Course(first, wrap)
    course.open()
    course.send(CLIENT, ACK, said("tls12-full")[0][1])
    course.send(SERVER)
    course.send(side, RST, ahead=ahead)
    (connection,) = course.read(tmp_path / "rst.pcap")
    name = ("client", "server")[side]
    assert connection["closure"] == {"client": None, "server": None, name: "rst"}
    assert codes(connection) == set()


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_text_in_a_rst_is_no_stream_data(tmp_path: Path, wrap: Any, side: int) -> None:
    """RFC 9293 section 3.5.3."""
    course = Course(FIRST[0], wrap)
    course.open()
    course.send(CLIENT, ACK, said("tls12-full")[0][1])
    course.send(SERVER)
    course.send(side, RST | ACK, b"no such host \xff")
    (connection,) = course.read(tmp_path / "rst.pcap")
    name = ("client", "server")[side]
    assert connection["closure"] == {"client": None, "server": None, name: "rst"}
    assert [(one["code"], one["frame"], one["from"]) for one in connection["problems"]] == [("reset_text", 6, name)]
    assert connection["problems"][0]["detail"] == r'a RST carries a text: "no such host \xff"'


# ---------------------------------------------------------------- FIN


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_a_fin_outside_the_window_ends_nothing(
    tmp_path: Path, wrap: Any, sample: str, first: tuple[int, int], side: int
) -> None:
    """RFC 9293 section 3.10.7.4; after the pause behind it, packets of an ended connection would be late."""
    course = Course(first, wrap)
    course.open()
    for number, (sender, data) in enumerate(said(sample)):
        course.send(sender, ACK, data)
        course.send(1 - sender)
        if number == 0:
            course.send(side, FIN | ACK, ahead=1_234_567)
            course.time += 61 * SECOND
    (connection,) = course.read(tmp_path / "fin.pcap")
    assert facts(connection) == facts(plain(sample, tmp_path / "plain.pcap", close=False))


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_a_fin_behind_a_hole_ends_its_side_once_it_is_acknowledged(
    tmp_path: Path, wrap: Any, first: tuple[int, int], side: int
) -> None:
    """The capture lacks what opened the window for it."""
    course = Course(first, wrap)
    course.open()
    course.send(CLIENT, ACK, said("tls12-full")[0][1])
    course.send(SERVER)
    course.sent[side] += 1_234_567
    course.send(side, FIN | ACK)
    course.send(1 - side)
    (connection,) = course.read(tmp_path / "fin.pcap")
    assert connection["closure"] == {"client": None, "server": None, ("client", "server")[side]: "fin"}


# ---------------------------------------------------------------- earlier connections of the same endpoints


@pytest.mark.parametrize("old", [0, 77_000, 2**31 + 5])
@pytest.mark.parametrize("again", [0, 12_345])
@pytest.mark.parametrize("pause", [1, 70])
def test_a_syn_that_meets_a_half_open_connection_goes_on(
    tmp_path: Path, wrap: Any, sample: str, old: int, again: int, pause: int
) -> None:
    """A challenge ACK, and the RST that answers it, belong to the old connection (RFC 9293 section 3.5.1)."""
    course = Course((2**31 + 90_000, 5000), wrap)
    number, numbers = course.sent[CLIENT], (old + 555_000, old)
    course.put(segment(PORT, CLIENT, SYN, (number, 0)))
    course.put(segment(PORT, SERVER, ACK, numbers))
    course.put(segment(PORT, CLIENT, RST, (old, 0)))
    course.time += SECOND
    course.sent[CLIENT] += again
    course.open()
    course.time += pause * SECOND
    for sender, data in said(sample):
        course.send(sender, ACK, data)
    course.close()
    (connection,) = course.read(tmp_path / "again.pcap")
    assert connection["stream"] == (1 if again else 0)
    assert facts(connection) == facts(plain(sample, tmp_path / "plain.pcap"))


def test_a_syn_behind_a_refusal_goes_on(tmp_path: Path, wrap: Any, sample: str) -> None:
    course = Course(FIRST[0], wrap)
    course.put(segment(PORT, CLIENT, SYN, (FIRST[0][0], 0)))
    course.put(segment(PORT, SERVER, RST | ACK, (0, FIRST[0][0] + 1)))
    course.open()
    course.time += 61 * SECOND
    for sender, data in said(sample):
        course.send(sender, ACK, data)
    course.close()
    (connection,) = course.read(tmp_path / "again.pcap")
    assert facts(connection) == facts(plain(sample, tmp_path / "plain.pcap"))


@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("new", [(900_000, 1_700_000), (2**31 + 900, 300), (2**31 + 900, 2**31 + 4900)])
@pytest.mark.parametrize("late", [0, 1, 2])
def test_what_is_late_of_an_earlier_connection_is_not_of_the_next(
    tmp_path: Path, wrap: Any, sample: str, side: int, new: tuple[int, int], late: int
) -> None:
    """A side's numbers begin at its SYN, and it acknowledges nothing before the other side's (section 3.4)."""
    course = Course(FIRST[0], wrap)
    course.open()
    for sender, data in said("tls12-full"):
        course.send(sender, ACK, data)
    old = course.sent
    course.sent = list(new)
    for number, (sender, flags) in enumerate([(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)]):
        course.send(sender, flags)
        if number == late:
            course.put(segment(PORT, side, ACK, (old[side] - 50, old[1 - side]), b"\x99" * 50))
            course.put(segment(PORT, side, FIN | ACK, (old[side], old[1 - side])))
    for sender, data in said(sample):
        course.send(sender, ACK, data)
    course.close()
    _, connection = course.read(tmp_path / "reused.pcap")
    assert facts(connection) == facts(plain(sample, tmp_path / "plain.pcap"))
    assert codes(connection) <= {"dropped_segment"}


# ---------------------------------------------------------------- keep-alives and streams without SYN


@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("byte", [b"\0", b"\x16", b"x"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_keep_alive_says_nothing(
    tmp_path: Path, wrap: Any, sample: str, first: tuple[int, int], side: int, byte: bytes, times: int
) -> None:
    """Its byte is before the stream's next (RFC 9293 section 3.8.4)."""
    course = Course(first, wrap)
    for _ in range(times):
        course.send(side, ACK, byte, ahead=-1)
        course.send(1 - side)
    for sender, data in said(sample):
        course.send(sender, ACK, data)
    course.close()
    (connection,) = course.read(tmp_path / "keep-alive.pcap")
    assert facts(connection) == facts(plain(sample, tmp_path / "plain.pcap", opened=False))
    assert codes(connection) == set()


def test_a_hello_that_comes_byte_by_byte_is_whole_without_its_syn(tmp_path: Path, wrap: Any, sample: str) -> None:
    course = Course(FIRST[0], wrap)
    for number, (sender, data) in enumerate(said(sample)):
        for at in range(len(data) if number < 1 else 1):
            course.send(sender, ACK, data[at : at + 1] if number < 1 else data)
            course.send(1 - sender)
    course.close()
    (connection,) = course.read(tmp_path / "bytes.pcap")
    expected = facts(plain(sample, tmp_path / "plain.pcap", opened=False))
    connection["client_hello"]["segments"] = expected["client_hello"]["segments"]
    assert facts(connection) == expected


@pytest.mark.parametrize("order", [(1, 0), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_stream_without_syn_begins_with_its_first_segment(
    tmp_path: Path, wrap: Any, sample: str, first: tuple[int, int], order: tuple[int, ...], acknowledged: bool
) -> None:
    """That need not be the first one captured, as long as nothing was acknowledged."""
    course = Course(first, wrap)
    for number, (sender, data) in enumerate(said(sample)):
        if number:
            course.send(sender, ACK, data)
            continue
        size = -(-len(data) // len(order))
        for part in order:
            course.send(sender, ACK, data[part * size : (part + 1) * size], ahead=part * size or 2**32)
        course.sent[sender] += len(data)
        if acknowledged:
            course.send(1 - sender)
    course.close()
    (connection,) = course.read(tmp_path / "swapped.pcap")
    expected = facts(plain(sample, tmp_path / "plain.pcap", opened=False))
    connection["client_hello"]["segments"] = expected["client_hello"]["segments"]
    assert facts(connection) == expected
    assert codes(connection) == set()


# ---------------------------------------------------------------- padding that IP's length counts


@pytest.mark.parametrize("sides", [(CLIENT,), (SERVER,), (CLIENT, SERVER)])
@pytest.mark.parametrize("size", [1, 2, 6])
@pytest.mark.parametrize("opened", [True, False])
def test_padding_that_counts_as_payload_is_no_stream_data(
    tmp_path: Path, wrap: Any, sample: str, first: tuple[int, int], sides: tuple[int, ...], size: int, opened: bool
) -> None:
    """Its sender then sends other bytes at the same place, and no ACK covers it (RFC 9293 section 3.4)."""
    course = Course(first, wrap)
    if opened:
        course.open()
    for number, (sender, data) in enumerate(said(sample)):
        for _ in range(1 + number % 2):
            for side in sides:
                course.send(side, ACK, bytes(size), ahead=2**32)
        course.send(sender, ACK, data)
    course.close()
    for side in sides:
        course.send(side, ACK, bytes(size), ahead=2**32)
    (connection,) = course.read(tmp_path / "padded.pcap")
    expected = plain(sample, tmp_path / "plain.pcap", opened=opened)
    assert facts(connection) == facts(expected)
    assert codes(connection) == set()


@pytest.mark.parametrize("size", [2, 6])
@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_fin_with_padding_lacks_no_bytes(
    tmp_path: Path, wrap: Any, sample: str, first: tuple[int, int], size: int, acknowledged: bool
) -> None:
    """A FIN takes one sequence number, and so does one whose padding counts as payload."""
    course = Course(first, wrap)
    course.open()
    for sender, data in said(sample):
        course.send(sender, ACK, data)
    for side in (CLIENT, SERVER):
        course.send(side, FIN | ACK, bytes(size), ahead=2**32)
        course.sent[side] += 1
        if acknowledged:
            course.send(1 - side, ACK)
    for side in (CLIENT, SERVER):
        course.send(side, ACK, bytes(size), ahead=2**32)
    (connection,) = course.read(tmp_path / "padded.pcap")
    assert codes(connection) == set()
    assert connection["closure"] == {"client": "fin", "server": "fin"}


def test_bytes_missing_before_a_fin_with_padding_are_a_gap(tmp_path: Path, wrap: Any) -> None:
    course = Course(FIRST[0], wrap)
    course.open()
    for sender, data in said("tls12-full"):
        course.send(sender, ACK, data)
    course.sent[CLIENT] += 40
    course.send(CLIENT, FIN | ACK, bytes(2), ahead=2**32)
    (connection,) = course.read(tmp_path / "padded.pcap")
    assert [one["detail"] for one in connection["problems"] if one["code"] == "gap"] != []


@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("size", [1, 2, 6])
def test_padding_of_a_rst_is_no_text(tmp_path: Path, wrap: Any, side: int, size: int) -> None:
    course = Course(FIRST[0], wrap)
    course.open()
    course.send(CLIENT, ACK, said("tls12-full")[0][1])
    course.send(SERVER)
    course.send(side, RST | ACK, bytes(size))
    (connection,) = course.read(tmp_path / "rst.pcap")
    assert connection["closure"][("client", "server")[side]] == "rst"
    assert codes(connection) == set()


def test_a_short_segment_that_is_acknowledged_is_stream_data(tmp_path: Path, wrap: Any) -> None:
    """A retransmission with different content is forged then: the first copy counts."""
    course = Course(FIRST[0], wrap)
    course.open()
    course.send(CLIENT, ACK, b"\x16\x03\x01")
    course.send(SERVER)
    hello = said("tls12-full")[0][1]
    course.put(segment(PORT, CLIENT, ACK, (FIRST[0][0] + 1, FIRST[0][1] + 1), b"\0" * 3))
    course.send(CLIENT, ACK, hello[3:])
    course.send(SERVER)
    (connection,) = course.read(tmp_path / "short.pcap")
    assert connection["sni"] == plain("tls12-full", tmp_path / "plain.pcap")["sni"]


def test_the_window_scale_option_is_found_behind_others(tmp_path: Path) -> None:
    """A RST that the scaled window holds may reset; one that it does not hold is dropped."""
    for scale, code in (
        (b"\x02\x04\x05\xb4\x01" + b"\x03\x03\x07", set()),
        (b"\x02\x04\x05\xb4", {"dropped_segment", "capture_end"}),
    ):
        course = Course(FIRST[0], in_ip4)
        course.open(scale + bytes(-len(scale) % 4))
        course.send(CLIENT, ACK, said("tls12-full")[0][1])
        course.send(SERVER)
        course.send(SERVER, RST, ahead=100_000)
        (connection,) = course.read(tmp_path / "scaled.pcap")
        assert codes(connection) == code
        assert connection["closure"]["server"] == (None if code else "rst")
