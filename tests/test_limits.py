"""What reaches a limit is told, and memory stays bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import quicwriting
from conversing import CLIENT, SERVER, Talk, said, write
from recorded import HEADER, SAMPLES, begun
from tlswriting import extension, message, record, sized

import tlsdissect
from tlsdissect import Limits
from tlsdissect.flows.limits import LEAST, MOST
from tlsdissect.flows.table import FLOW_BYTES
from tlsdissect.handshake import connections
from tlsdissect.handshake.datagrams import FOLLOWER_BYTES
from tlsdissect.handshake.facts.hello_extensions import MAX_REPORTED
from tlsdissect.handshake.options import Options
from tlsdissect.handshake.tracker import TRACKER_BYTES
from tlsdissect.pipeline import Reading
from tlsdissect.tls.extensions import MAX_ITEMS

if TYPE_CHECKING:
    from pathlib import Path


def test_conversations_beyond_the_limit_are_given_up_and_told(tmp_path: Path) -> None:
    reading = Reading([begun(tmp_path / "many.pcap", 5)], Options(limits=Limits(followed=2), batch=1))
    connections = list(reading)
    assert [c.stream for c in connections] == [0, 1, 2, 3, 4]
    assert [[p.code for p in c.problems] for c in connections] == [["limit"]] * 3 + [["capture_end"]] * 2
    assert {c.outcome for c in connections} == {"incomplete"}
    assert {c.packets for c in connections} == {6}
    assert reading.summary.given_up == 3


def test_what_follows_a_handshake_counts_towards_the_bytes_of_all(tmp_path: Path) -> None:
    """The first bytes of a ClientHello cost less than the objects that wait for the others."""
    path = spoken(tmp_path / "many.pcap", record(22, hello(0, 0))[:40])
    total = 11 * TRACKER_BYTES + 20 * FLOW_BYTES
    reading = Reading([path], Options(limits=Limits(total_bytes=total), batch=1))
    assert len(list(reading)) == 20
    assert 10 <= reading.summary.given_up < 20


def test_what_follows_a_udp_flow_counts_towards_the_bytes_of_all(tmp_path: Path) -> None:
    path = tmp_path / "many.pcap"
    sent = quicwriting.header(quicwriting.INITIAL, quicwriting.V1, b"unopened", b"") + b"\0\x40\x64" + bytes(100)
    path.write_bytes(quicwriting.pcap([quicwriting.Sent(sent, port=2000 + number) for number in range(20)]))
    reading = Reading([path], Options(limits=Limits(total_bytes=11 * FOLLOWER_BYTES), batch=1))
    assert list(reading) == []
    assert reading.summary.given_up >= 10
    assert reading._budget.used == 0


def test_conversations_that_nobody_has_room_for_are_told_as_they_are(tmp_path: Path) -> None:
    reading = Reading([begun(tmp_path / "many.pcap", 5)], Options(limits=Limits(known=2), batch=1))
    connections = list(reading)
    assert [c.stream for c in connections] == [0, 1, 2, 3, 4]
    assert [[p.code for p in c.problems] for c in connections] == [["limit"]] * 3 + [["capture_end"]] * 2
    assert {c.outcome for c in connections} == {"incomplete"}
    assert [c.packets for c in connections] == [6, 6, 6, 6, 6]
    assert reading.summary.evicted_connections == 3


def test_messages_beyond_the_limit_are_told(tmp_path: Path) -> None:
    (connection,) = Reading([begun(tmp_path / "one.pcap", 1)], Options(limits=Limits(message_bytes=500)))
    assert connection.client_hello is not None
    assert connection.certificates is None
    assert "limit" in {problem.code for problem in connection.problems}


def test_bytes_behind_a_hole_are_given_up_at_the_limit(tmp_path: Path) -> None:
    path = begun(tmp_path / "one.pcap", 1)
    data = path.read_bytes()
    at = 24
    for _ in range(3):
        at += 16 + HEADER.unpack_from(data, at)[2]
    size = 16 + HEADER.unpack_from(data, at)[2]
    hello = bytearray(data[at : at + size])
    # The ClientHello comes 100 bytes later in its stream than it should: there is a hole in front of it.
    place = 16 + 14 + 40 + 4
    hello[place : place + 4] = (int.from_bytes(hello[place : place + 4], "big") + 100).to_bytes(4, "big")
    path.write_bytes(data[:at] + bytes(hello) + data[at + size :])
    (connection,) = Reading([path], Options(limits=Limits(held_bytes=50)))
    codes = [problem.code for problem in connection.problems]
    assert codes[:2] == ["limit", "gap"]
    assert connection.client_hello is not None


def hello(extensions: int, size: int) -> bytes:
    """A ClientHello with so many extensions, each so long."""
    sent = b"".join(extension(0x3000 + number, bytes(size)) for number in range(extensions))
    return message(1, b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + sized(sent))


def test_extensions_beyond_the_limit_are_left_out_but_for_the_fingerprints(tmp_path: Path) -> None:
    number = MAX_REPORTED + 76
    path = spoken(tmp_path / "many.pcap", record(22, hello(number, 0)), 1)
    (connection,) = tlsdissect.read(path, raw_fingerprints=True)
    assert connection.client_hello is not None
    listed = connection.client_hello.extensions
    assert listed is not None
    assert [one.code for one in listed] == [0x3000 + place for place in range(MAX_REPORTED)]
    assert [problem.detail for problem in connection.problems if problem.code == "limit"] == [
        "of 1,100 extensions, the first 1,024 are reported"
    ]
    assert str(connection.ja3_string).split(",")[2].count("-") == number - 1


@pytest.mark.parametrize(("number", "known"), [(MAX_ITEMS, True), (MAX_ITEMS + 1, False)])
def test_an_extension_with_too_long_a_list_is_not_decoded(number: int, known: bool, tmp_path: Path) -> None:
    names = extension(0x10, sized(b"\x02h2" * number))
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + sized(names)
    (connection,) = tlsdissect.read(spoken(tmp_path / "many.pcap", record(22, message(1, body)), 1))
    assert connection.client_hello is not None
    assert connection.client_hello.alpn == (("h2",) * number if known else None)
    assert any(problem.code == "limit" for problem in connection.problems) is not known


def spoken(path: Path, words: bytes, conversations: int = 20) -> Path:
    """Conversations that go on at the same time, in which a client says all this."""
    parts = [(CLIENT, words[at : at + 1400]) for at in range(0, len(words), 1400)]
    return write(path, *[Talk(parts, number / 1e6, 100.0, 2000 + number) for number in range(conversations)])


class Measured(Reading):
    """A reading that looks after each packet how much of its budget is used."""

    most = 0

    def _advance(self, *given: Any) -> bool:
        goes_on = super()._advance(*given)
        self.most = max(self.most, self._budget.used)
        return goes_on


def held(path: Path, total_bytes: int, *, keep: bool = False) -> tuple[list[tlsdissect.Connection], int]:
    """What is told where so much may be held, and what was held at most; nothing is, at the end."""
    reading = Measured([path], Options(limits=Limits(total_bytes=total_bytes), batch=1, keep=keep))
    connections = list(reading)
    assert reading._budget.used == 0
    return connections, reading.most


HALF_A_MESSAGE = hello(3, 16_000)[:32_768]


@pytest.mark.parametrize(
    ("words", "each"),
    [
        (record(22, hello(2000, 0)), 16_000),
        (record(22, hello(1, 10)) + record(20, b"\x01") * 4000, 4000 * 100),
        (record(22, HALF_A_MESSAGE[:16_384]) + record(22, HALF_A_MESSAGE[16_384:]), 32_000),
    ],
    ids=["extensions", "messages", "half a message"],
)
def test_all_that_conversations_hold_is_counted_and_given_back(tmp_path: Path, words: bytes, each: int) -> None:
    path = spoken(tmp_path / "many.pcap", words)
    whole, most = held(path, 1 << 30)
    assert most >= 20 * each
    connections, less = held(path, most // 2)
    # What the packets of a batch bring comes on top.
    assert less < most * 3 // 4
    assert [one.stream for one in connections] == [one.stream for one in whole] == list(range(20))
    assert any("limit" in {problem.code for problem in one.problems} for one in connections)
    assert all(one.client_hello is not None for one in connections)


def test_what_was_held_before_tls_began_anew_is_given_back(tmp_path: Path) -> None:
    ((_, first), *_) = said("tls12-full")
    talk = [(CLIENT, b"EHLO there\r\n"), (SERVER, b"220 hi\r\n"), (CLIENT, bytes(700)), (CLIENT, first)]
    data = bytearray(write(tmp_path / "anew.pcap", Talk(talk, 0, 5, 4000)).read_bytes())
    # The bytes without meaning come behind a hole, the hello in the place of what was said first.
    for packet, sequence in ((5, 5000), (6, 1001)):
        at = 24
        for _ in range(packet):
            at += 16 + HEADER.unpack_from(data, at)[2]
        data[at + 16 + 24 : at + 16 + 28] = sequence.to_bytes(4, "big")
    (tmp_path / "anew.pcap").write_bytes(data)
    ((connection,), most) = held(tmp_path / "anew.pcap", 1 << 30)
    assert connection.client_hello is not None
    assert most > 700


def test_what_a_transcript_takes_is_counted_and_given_back(tmp_path: Path) -> None:
    path = spoken(tmp_path / "many.pcap", record(22, hello(1, 10)) + record(20, b"\x01") * 4000)
    whole, most = held(path, 1 << 30)
    kept, more = held(path, 1 << 30, keep=True)
    assert more >= most + 20 * 4000 * 100
    assert len(kept) == len(whole) == 20
    assert len(held(path, most, keep=True)[0]) == 20


@pytest.mark.parametrize("waiting", [False, True], ids=["half a hello", "closed"])
def test_connections_that_end_at_once_are_made_one_by_one(
    waiting: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a jump of the clock, all of them together would take many times what the budget allows."""
    made: list[tlsdissect.Connection] = []
    make = connections.connection

    def counted(*given: Any, **named: Any) -> tlsdissect.Connection:
        made.append(make(*given, **named))
        return made[-1]

    monkeypatch.setattr(connections, "connection", counted)
    parts = [(CLIENT, record(22, hello(1, 10)))] if waiting else [(CLIENT, record(22, hello(1, 10))[:40])]
    early = [Talk(parts, number / 1e6, 1.0 if waiting else 1e5, 2000 + number) for number in range(20)]
    path = write(tmp_path / "jump.pcap", *early, Talk(parts, 9000.0, 9001.0, 3000))
    reading = iter(Reading([path], Options(limits=Limits(silent_after=60))))
    for number in range(1, 21):
        assert next(reading).stream == number - 1
        assert len(made) == number


@pytest.mark.parametrize("seconds", [1e11, 1e30, float("inf")])
def test_a_time_without_end_is_one(seconds: float) -> None:
    endless = Limits(closed_after=seconds, silent_after=seconds)
    for sample in SAMPLES:
        usual = list(Reading([sample], Options(idle=60)))
        assert list(Reading([sample], Options(limits=endless, idle=seconds))) == usual


@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_a_limit_that_is_none_is_refused_by_its_name(name: str) -> None:
    for wrong in (True, None, "1", b"1", [1], 1j):
        with pytest.raises(TypeError, match=f"^{name} must be"):
            Limits(**{name: wrong})
    for less in (-1, -(10**30)):
        with pytest.raises(ValueError, match=f"^{name} must be .* at least"):
            Limits(**{name: less})
    for strange in (float("nan"), float("-inf")):
        with pytest.raises((ValueError, TypeError), match=f"^{name} must be"):
            Limits(**{name: strange})


@pytest.mark.parametrize("name", sorted(LEAST))
def test_a_limit_of_more_than_63_bits_is_refused_by_its_name(name: str) -> None:
    for huge in (1 << 63, 1 << 70, 10**5000, -(10**5000)):
        with pytest.raises(ValueError, match=f"^{name} must be a whole number .* at most {MOST}$"):
            Limits(**{name: huge})


def test_the_largest_limits_change_nothing() -> None:
    largest = Limits(closed_after=10**400, silent_after=10**400, **dict.fromkeys(LEAST, MOST))
    for sample in SAMPLES[:8]:
        usual = list(Reading([sample], Options(idle=60)))
        assert list(Reading([sample], Options(limits=largest, idle=60, batch=MOST))) == usual


@pytest.mark.parametrize("name", ["known", "followed"])
def test_a_limit_under_which_nothing_is_told_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, not 0"):
        Limits(**{name: 0})


@pytest.mark.parametrize("name", ["held_bytes", "message_bytes", "total_bytes", "max_sessions"])
def test_a_limit_of_nothing_is_one(name: str) -> None:
    for sample in SAMPLES[:8]:
        usual = [one.stream for one in tlsdissect.read(sample)]
        assert [one.stream for one in tlsdissect.read(sample, limits=Limits(**{name: 0}))] == usual


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2", None])
def test_a_batch_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^batch must be"):
        tlsdissect.read(SAMPLES[0], batch=wrong)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *[("idle", wrong) for wrong in (float("nan"), -1, True, "1")],
        *[("duration", wrong) for wrong in (float("nan"), -1, "1")],
        *[("count", wrong) for wrong in (0, 1.5, True)],
        ("limits", 3),
    ],
)
def test_what_listening_cannot_go_by_is_refused(name: str, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be"):
        tlsdissect.live("no-such-interface", **{name: wrong})


def test_a_hello_that_waits_is_not_replaced_by_another_one_of_its_flow(tmp_path: Path) -> None:
    """Its beginning is known as one only once the flow is given up."""
    hello = said("tls12-full")[0][1]
    talk = Talk([(CLIENT, hello[:60]), (CLIENT, hello), (CLIENT, hello)], start=0, closed=5, port=40_000)
    reading = Reading([write(tmp_path / "given-up.pcap", talk)], Options(limits=Limits(total_bytes=4000)))
    (found,) = reading
    assert found.client_hello is not None
    assert found.client_hello.frame == 4
    assert reading._budget.used == 0
