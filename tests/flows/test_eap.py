"""EAP packets find their conversation, in RADIUS and in IEEE 802.1X; conversations are numbered and bounded."""

from __future__ import annotations

import pytest
from eapwriting import (
    ACCEPT,
    ACCESS_REQUEST,
    AUTHENTICATOR,
    CALLED,
    CALLING,
    CHALLENGE,
    GROUP,
    IDENTITY,
    NAK,
    OTHER,
    PEAP,
    REJECT,
    REQUEST,
    RESPONSE,
    START,
    STATE,
    SUPPLICANT,
    TLS,
    USER_NAME,
    eap,
    radius,
)

from tlsdissect.capture.packet import UDP, Packet
from tlsdissect.capture.protocols import EAPOL
from tlsdissect.flows import eap as module
from tlsdissect.flows.eap import FAILURE, METHODS, SUCCESS, EapConversation, EapTable, read_eap
from tlsdissect.flows.limits import Limits
from tlsdissect.flows.radius import read_radius

NAS, SERVER = b"\xc0\0\2\1", b"\xc0\0\2\2"
TO_SERVER, TO_NAS = NAS + SERVER + b"\x9c\x40\x07\x14", SERVER + NAS + b"\x07\x14\x9c\x40"
ASKED = eap(REQUEST, 1, IDENTITY)
ALICE = eap(RESPONSE, 1, IDENTITY, b"alice")
STARTED = eap(REQUEST, 2, TLS, bytes((START,)))
HELLO, ACK = eap(RESPONSE, 2, TLS, b"\0hello"), eap(REQUEST, 3, TLS, b"\0")
ACCEPTED, REJECTED = eap(SUCCESS, 3), eap(FAILURE, 3)
SECOND = 1_000_000_000


class Talk:
    """A table, and the packets that it is given, one a second."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.table = EapTable(limits=limits or Limits())
        self.clock = 0

    def udp(self, endpoints: bytes, payload: bytes, captured: int | None = None) -> EapConversation | None:
        return self._find(UDP, endpoints, payload, captured)

    def request(self, number: int, packet: bytes, *attributes: tuple[int, bytes]) -> int | None:
        unique = str(self.clock).encode()
        return _number(self.udp(TO_SERVER, radius(ACCESS_REQUEST, number, packet, *attributes, unique=unique)))

    def answer(self, code: int, number: int, packet: bytes | None, *attributes: tuple[int, bytes]) -> int | None:
        return _number(self.udp(TO_NAS, radius(code, number, packet, *attributes)))

    def lan(self, packet: bytes, *, to: bytes = GROUP, source: bytes = SUPPLICANT) -> int | None:
        return _number(self._find(EAPOL, to + source + bytes(4), packet, None))

    def _find(self, protocol: int, endpoints: bytes, payload: bytes, captured: int | None) -> EapConversation | None:
        packet = Packet()
        packet.data, packet.endpoints, packet.protocol = payload[:captured], endpoints, protocol
        packet.length, packet.captured = len(payload), len(packet.data)
        self.clock += SECOND
        return self.table.find(packet, self.clock)


def _number(found: EapConversation | None) -> int | None:
    return None if found is None else found.stream


# ---------------------------------------------------------------- packets


@pytest.mark.parametrize(
    "data",
    [b"", b"\1\1\0", b"\1\1\0\4", b"\1\1\0\3\1", b"\1\1\0\x09\1", b"\5\1\0\5\1", b"\0\1\0\5\1"],
)
def test_what_is_no_eap_packet(data: bytes) -> None:
    assert read_eap(data, len(data)) is None


def test_an_expanded_type_is_the_type_in_it() -> None:
    ietf, vendor = b"\xfe\0\0\0\0\0\0\x0d\x20", b"\xfe\0\0\1\0\0\0\x0d\x20"
    for rest, method, body in ((ietf, TLS, b"\x20"), (vendor, 254, vendor[1:])):
        read = read_eap(b"\1\2\0\x0d" + rest, 13)
        assert read is not None
        assert (read.method, read.body, read.is_start) == (method, body, method == TLS)


def test_padding_behind_an_eap_packet_is_not_part_of_it() -> None:
    read = read_eap(ALICE + bytes(40), len(ALICE) + 40)
    assert read is not None
    assert (read.code, read.identifier, read.method, read.body, read.size) == (RESPONSE, 1, IDENTITY, b"alice", 5)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        radius(4, 1, ALICE),  # Accounting-Request
        radius(ACCESS_REQUEST, 1, ALICE)[:19],
        radius(ACCESS_REQUEST, 1, ALICE)[:-1],  # shorter than it states
        radius(ACCESS_REQUEST, 1, ALICE, (STATE, b"s"))[:20] + b"\x4f\1" + bytes(13),  # an attribute without header
        b"\1\1\0\x15" + bytes(17),  # one byte that is no attribute
    ],
)
def test_what_is_no_radius_packet_of_eap(packet: bytes) -> None:
    assert read_radius(packet, len(packet)) is None


def test_eap_message_attributes_are_joined() -> None:
    long = eap(RESPONSE, 1, TLS, bytes(600))
    read = read_radius(radius(ACCESS_REQUEST, 7, long, (STATE, b"s"), (CALLING, b"c"), unique=b"u"), 4096)
    assert read is not None
    assert (read.eap, read.state, read.calling_station, read.identifier, read.cut) == (long, b"s", b"c", 7, False)
    assert [size for _, size in read.spans] == [253, 253, len(long) - 506]


# ---------------------------------------------------------------- RADIUS


def test_a_state_continues_a_conversation() -> None:
    talk = Talk()
    assert talk.request(0, ALICE, (CALLING, b"a")) == 0
    assert talk.answer(CHALLENGE, 0, STARTED, (STATE, b"1")) == 0
    assert talk.request(1, ALICE, (CALLING, b"b")) == 1
    assert talk.answer(CHALLENGE, 1, STARTED, (STATE, b"2")) == 1
    assert talk.request(3, HELLO, (STATE, b"2"), (CALLING, b"b")) == 1
    assert talk.request(2, HELLO, (STATE, b"1"), (CALLING, b"a")) == 0
    assert talk.answer(ACCEPT, 2, ACCEPTED) == 0
    assert talk.answer(REJECT, 3, REJECTED) == 1
    assert [one.result for one in talk.table.finish()] == [SUCCESS, FAILURE]


def test_the_same_state_of_two_supplicants_is_not_one_conversation() -> None:
    talk = Talk()
    for number, station in enumerate((b"a", b"b")):
        assert talk.request(number, ALICE, (CALLING, station)) == number
        assert talk.answer(CHALLENGE, number, STARTED, (STATE, b"same")) == number
    assert talk.request(2, HELLO, (STATE, b"same"), (CALLING, b"a")) == 0
    assert talk.request(3, HELLO, (STATE, b"same"), (CALLING, b"b")) == 1


def test_without_state_the_identifier_continues_a_conversation() -> None:
    talk = Talk()
    assert talk.request(0, ALICE, (USER_NAME, b"alice")) == 0
    assert talk.answer(CHALLENGE, 0, STARTED) == 0
    assert talk.request(1, HELLO, (USER_NAME, b"alice")) == 0
    assert talk.request(2, eap(RESPONSE, 9, TLS, b"\0"), (USER_NAME, b"alice")) == 1


def test_repeated_requests_are_of_one_conversation() -> None:
    """A NAS repeats a request as it was, or with another identifier."""
    talk, request = Talk(), radius(ACCESS_REQUEST, 0, ALICE, (USER_NAME, b"alice"), unique=b"u")
    assert _number(talk.udp(TO_SERVER, request)) == 0
    assert talk.table.packet is not None
    assert _number(talk.udp(TO_SERVER, request)) == 0
    assert talk.table.packet is None
    assert talk.request(1, ALICE, (USER_NAME, b"alice")) == 0
    assert talk.table.packet is None
    assert [one.packets for one in talk.table.finish()] == [3]


def test_a_second_login_is_another_conversation() -> None:
    talk = Talk()
    for number in range(2):
        assert talk.request(0, ALICE, (CALLING, b"a")) == number
        assert talk.answer(CHALLENGE, 0, STARTED, (STATE, b"s")) == number
        assert talk.request(1, HELLO, (STATE, b"s"), (CALLING, b"a")) == number
        assert talk.answer(ACCEPT, 1, ACCEPTED) == number


def test_a_reject_without_eap_ends_a_conversation() -> None:
    talk = Talk()
    assert talk.answer(REJECT, 0, None) is None
    assert talk.request(0, ALICE) == 0
    assert talk.answer(REJECT, 0, None) == 0
    assert [one.result for one in talk.table.finish()] == [FAILURE]


def test_other_radius_is_no_conversation() -> None:
    talk = Talk()
    assert talk.udp(TO_SERVER, radius(ACCESS_REQUEST, 0, None, (USER_NAME, b"alice"))) is None
    assert talk.answer(ACCEPT, 0, None) is None


def test_who_takes_part() -> None:
    talk = Talk()
    talk.request(0, ALICE, (USER_NAME, b"user"), (CALLING, b"02-00"), (CALLED, b"02-01:net"))
    [one] = talk.table.finish()
    assert (one.supplicant, one.authenticator, one.identity) == (b"02-00", b"02-01:net", b"alice")
    assert one.endpoints == TO_SERVER


def test_a_capture_that_begins_with_an_answer() -> None:
    talk = Talk()
    assert talk.answer(CHALLENGE, 0, STARTED, (STATE, b"s")) == 0
    assert talk.request(1, HELLO, (STATE, b"s")) == 0
    [one] = talk.table.finish()
    assert one.endpoints == TO_SERVER


def test_a_cut_request_has_no_state() -> None:
    """The snap length cuts what follows: the EAP packet by its length, and the State behind it."""
    talk = Talk()
    assert talk.request(0, ALICE, (CALLING, b"a")) == 0
    assert talk.answer(CHALLENGE, 0, STARTED, (STATE, b"s")) == 0
    whole = radius(ACCESS_REQUEST, 1, eap(RESPONSE, 2, TLS, bytes(500)), (CALLING, b"a"))
    assert _number(talk.udp(TO_SERVER, whole, captured=200)) == 0
    assert talk.table.packet is not None
    assert (talk.table.packet.size, len(talk.table.packet.body)) == (500, 200 - 20 - 3 - 2 - 5)


# ---------------------------------------------------------------- IEEE 802.1X


def test_each_supplicant_has_its_own_conversation() -> None:
    talk = Talk()
    for number, station in enumerate((SUPPLICANT, OTHER)):
        assert talk.lan(ASKED, to=station, source=AUTHENTICATOR) == number
        assert talk.lan(ALICE, source=station) == number
    for number, station in enumerate((SUPPLICANT, OTHER)):
        assert talk.lan(STARTED, to=station, source=AUTHENTICATOR) == number
        assert talk.lan(HELLO, to=AUTHENTICATOR, source=station) == number
        assert talk.lan(ACCEPTED, to=station, source=AUTHENTICATOR) == number
    first, second = talk.table.finish()
    assert (first.supplicant, second.supplicant) == (SUPPLICANT, OTHER)
    assert first.authenticator == second.authenticator == AUTHENTICATOR
    assert (first.identity, first.method, first.result) == (b"alice", TLS, SUCCESS)


@pytest.mark.parametrize("source", [AUTHENTICATOR, bytes(6)])
def test_frames_to_a_group_or_without_addresses(source: bytes) -> None:
    supplicant = SUPPLICANT if any(source) else bytes(6)
    to = GROUP if any(source) else bytes(6)
    talk = Talk()
    for packet in (ASKED, ALICE, STARTED, HELLO, ACK):
        from_supplicant = packet[0] == RESPONSE
        assert talk.lan(packet, to=to, source=supplicant if from_supplicant else source) == 0
    [one] = talk.table.finish()
    assert one.packets == 5
    assert one.supplicant == (SUPPLICANT if any(source) else b"")


def test_an_identity_asked_again_is_the_same_conversation_until_a_method_begins() -> None:
    talk = Talk()
    for number in range(3):
        assert talk.lan(eap(REQUEST, number, IDENTITY), to=SUPPLICANT, source=AUTHENTICATOR) == 0
    assert talk.lan(eap(RESPONSE, 2, IDENTITY, b"alice")) == 0
    assert talk.lan(eap(REQUEST, 3, TLS, bytes((START,))), to=SUPPLICANT, source=AUTHENTICATOR) == 0
    assert talk.lan(eap(REQUEST, 4, IDENTITY), to=SUPPLICANT, source=AUTHENTICATOR) == 1


def test_a_rejected_method_does_not_end_a_conversation() -> None:
    talk = Talk()
    for packet in (STARTED, eap(RESPONSE, 2, NAK, bytes((PEAP,))), eap(REQUEST, 3, PEAP, bytes((START,)))):
        if packet[0] == REQUEST:
            assert talk.lan(packet, to=SUPPLICANT, source=AUTHENTICATOR) == 0
        else:
            assert talk.lan(packet) == 0
    assert [METHODS[one.method] for one in talk.table.finish()] == ["PEAP"]


def test_a_start_after_tls_begins_another_conversation() -> None:
    talk = Talk()
    assert talk.lan(STARTED, to=SUPPLICANT, source=AUTHENTICATOR) == 0
    assert talk.lan(HELLO) == 0
    assert talk.lan(eap(REQUEST, 9, TLS, bytes((START,))), to=SUPPLICANT, source=AUTHENTICATOR) == 1


def test_a_repeated_result_is_of_the_conversation_that_it_ended() -> None:
    talk = Talk()
    for packet in (STARTED, ACCEPTED, ACCEPTED):
        assert talk.lan(packet, to=SUPPLICANT, source=AUTHENTICATOR) == 0
    assert talk.lan(REJECTED, to=SUPPLICANT, source=AUTHENTICATOR) == 1


# ---------------------------------------------------------------- time and limits


def test_conversations_end_by_silence_and_soon_after_their_result() -> None:
    talk = Talk(Limits(udp_silent_after=10, closed_after=5))
    talk.lan(STARTED, to=SUPPLICANT, source=AUTHENTICATOR)
    talk.lan(STARTED, to=OTHER, source=AUTHENTICATOR)
    talk.lan(ACCEPTED, to=OTHER, source=AUTHENTICATOR)
    assert talk.table.expires == 8 * SECOND
    ended = talk.table.over(11 * SECOND + 1)
    assert [(clock // SECOND, one.stream) for clock, one in ended] == [(8, 1), (11, 0)]
    assert talk.table.finish() == []
    # Nothing finds them any more.
    assert talk.lan(ACCEPTED, to=OTHER, source=AUTHENTICATOR) == 2


def test_floods_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversations with a result leave first, then those that are silent for longest; their keys leave with them."""
    monkeypatch.setattr(module, "MAX_CONVERSATIONS", 10)
    talk = Talk()
    talk.lan(ACCEPTED, to=OTHER, source=AUTHENTICATOR)
    gone = []
    for number in range(1, 50):
        talk.lan(ASKED, to=bytes((4, 0, 0, 0, 0, number)), source=AUTHENTICATOR)
        gone += [one.stream for _, one in talk.table.over(talk.clock)] if talk.table.is_full else []
    assert gone == list(range(40))
    assert len(talk.table._known) <= 10 * module._KEYS


def test_a_conversation_is_found_by_its_latest_keys_only() -> None:
    talk = Talk()
    for number in range(200):
        assert talk.request(number, eap(RESPONSE, number, TLS, b"\0"), (STATE, b"%d" % number)) == 0
        assert talk.answer(CHALLENGE, number, eap(REQUEST, number + 1, TLS, b"\0"), (STATE, b"%d" % (number + 1))) == 0
    [one] = talk.table.finish()
    assert len(one.keys) == len(talk.table._known) == module._KEYS
