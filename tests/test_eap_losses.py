"""TLS inside EAP whatever the capture lacks, repeats or garbles: the same facts, or fewer with a problem."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from capture.building import ether, ip4, pcap, udp
from eapwriting import (
    ACCESS_REQUEST,
    AUTHENTICATOR,
    CALLING,
    CHALLENGE,
    FAILURE,
    FAST,
    GROUP,
    IDENTITY,
    LENGTH,
    MORE,
    OTHER,
    OUTER,
    PEAP,
    REQUEST,
    RESPONSE,
    START,
    STATE,
    SUCCESS,
    SUPPLICANT,
    TEAP,
    TLS,
    TTLS,
    eap,
    eapol,
    fragments,
    radius,
)
from hypothesis import given
from hypothesis import strategies as st
from recorded import ROOT, packets

from tlsdissect.capture import open_capture
from tlsdissect.cli.totals import Tally, sentences
from tlsdissect.flows.limits import Limits
from tlsdissect.handshake.options import DEFAULTS, Options
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("eapol-tls-tls12", "eapol-tls-tls13", "radius-tls-tls12", "radius-tls-tls13", "radius-peap-tls13")
FACTS = ("version", "cipher_suite", "group", "signature_scheme", "ja3", "ja3s", "ja4", "resumption", "round_trips")


@cache
def frames(name: str) -> list[bytes]:
    return [packet for _, packet in packets(ROOT / "samples" / "eap" / f"{name}.pcap")]


def read(sent: Sequence[bytes]) -> tuple[list[dict[str, Any]], Reading]:
    return read_capture(pcap(sent))


def read_capture(capture: bytes, options: Options = DEFAULTS) -> tuple[list[dict[str, Any]], Reading]:
    reading = Reading(["eap"], options, opener=lambda _: open_capture(io.BytesIO(capture)))
    return [msgspec.json.decode(msgspec.json.encode(one)) for one in reading], reading


def facts(connection: dict[str, Any]) -> dict[str, Any]:
    """The facts that must not change, and those of EAP."""
    told = {key: connection[key] for key in FACTS}
    told |= {f"eap {key}": value for key, value in connection["eap"].items() if key != "result_frame"}
    told["server"] = [one["sha256"] for one in connection["certificates"] or ()] or None
    told["supplicant"] = [one["sha256"] for one in connection["client_certificates"] or ()] or None
    told["complete"] = connection["complete"] or None
    told["outcome"] = None if connection["outcome"] in {"incomplete", "one_sided"} else connection["outcome"]
    return told


@cache
def whole(name: str) -> dict[str, Any]:
    [connection] = read(frames(name))[0]
    return facts(connection)


def check(name: str, connections: Sequence[dict[str, Any]]) -> None:
    """Each connection has the facts of the sample, or fewer and says so."""
    for connection in connections:
        told, known = facts(connection), whole(name)
        assert {key: value for key, value in told.items() if value not in (None, known[key])} == {}
        tls = {key for key, value in told.items() if value != known[key] and not key.startswith("eap ")}
        assert connection["problems"] or told["outcome"] is None or not tls


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_repetition_changes_nothing(name: str, data: st.DataObject) -> None:
    sent: list[bytes] = []
    for n, frame in enumerate(frames(name)):
        again = data.draw(st.integers(0, 3))
        sent += [frame, *frames(name)[max(0, n - again) : n + 1 if again else n]]
    [connection] = read(sent)[0]
    assert facts(connection) == whole(name)
    assert connection["problems"] == []


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_loss_leaves_fewer_facts(name: str, data: st.DataObject) -> None:
    lost = data.draw(st.sets(st.integers(0, len(frames(name)) - 1), min_size=1, max_size=6))
    check(name, read([frame for n, frame in enumerate(frames(name)) if n not in lost])[0])


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_order_leaves_fewer_facts(name: str, data: st.DataObject) -> None:
    sent = list(frames(name))
    for at, ahead in data.draw(st.lists(st.tuples(st.integers(0, len(sent) - 1), st.integers(1, 4)), max_size=4)):
        sent.insert(max(0, at - ahead), sent.pop(at))
    check(name, read(sent)[0])


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_cut_leaves_fewer_facts(name: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(20, 700))
    sent = frames(name)
    capture = pcap([frame[:size] for frame in sent], carried=[len(frame) for frame in sent])
    check(name, read_capture(capture)[0])


@given(data=st.data())
def test_any_bytes_end_in_a_result(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    sent = [bytearray(frame) for frame in frames(name)]
    for frame in sent:
        for at, value in data.draw(
            st.lists(st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255)), max_size=3)
        ):
            frame[at] = value
    read([bytes(frame) for frame in sent])


@given(st.lists(st.tuples(st.binary(max_size=80), st.booleans(), st.sampled_from([REQUEST, RESPONSE])), max_size=20))
def test_any_eap_ends_in_a_result(parts: list[tuple[bytes, bool, int]]) -> None:
    """Any bytes behind the header of an EAP packet of a method that carries TLS."""
    sent = []
    for n, (body, on_lan, code) in enumerate(parts):
        packet = eap(code, n // 2, (TLS, TTLS, PEAP, FAST, TEAP)[n % 5], body)
        sent.append(lan(packet) if on_lan else ether(ip4(udp(radius(ACCESS_REQUEST, n, packet), dport=1812), 17)))
    read(sent)


# ---------------------------------------------------------------- single cases


def lan(packet: bytes) -> bytes:
    if packet[0] == RESPONSE:
        return eapol(packet, to=GROUP, source=SUPPLICANT)
    return eapol(packet, to=SUPPLICANT, source=AUTHENTICATOR)


def tls_of(name: str) -> tuple[bytes, bytes, bytes]:
    """The ClientHello, the server's flight and the client's second flight of EAP-TLS over a LAN, joined."""
    messages, joined = [], b""
    for frame in frames(name):
        packet = frame[18 : 18 + int.from_bytes(frame[20:22], "big")]
        if len(packet) > 6 and packet[4] == TLS:
            joined += packet[10:] if packet[5] & LENGTH else packet[6:]
            if not packet[5] & MORE:
                messages.append(joined)
                joined = b""
    return messages[0], messages[1], messages[2]


HELLO, FLIGHT, SECOND_FLIGHT = tls_of("eapol-tls-tls12")
STARTED = eap(REQUEST, 1, TLS, bytes((START,)))


def talk(*messages: list[bytes]) -> list[bytes]:
    """Messages of the server and the supplicant in turn; each fragment but the last is acknowledged."""
    sent = [lan(STARTED)]
    for packets_of_message in messages:
        for n, packet in enumerate(packets_of_message):
            sent.append(lan(packet))
            if n < len(packets_of_message) - 1:
                server = packet[0] == REQUEST
                sent.append(lan(eap(RESPONSE if server else REQUEST, packet[1] + (not server), packet[4], b"\0")))
    return sent


def problems(connection: dict[str, Any]) -> list[tuple[str, str]]:
    """Its problems, except that these captures end before the handshake does."""
    return [(one["code"], one["detail"]) for one in connection["problems"] if one["code"] != "capture_end"]


@pytest.mark.parametrize("size", [100, 1, 5000])
def test_fragments_of_any_size(size: int) -> None:
    hello = fragments(RESPONSE, 1, HELLO, max(size, len(HELLO) // 100))
    flight = fragments(REQUEST, hello[-1][1] + 1, FLIGHT, max(size, len(FLIGHT) // 100))
    [connection], _ = read(talk(hello, flight))
    assert problems(connection) == []
    assert len(connection["certificates"]) == 2
    assert connection["client_hello"]["segments"] == len(hello)


def test_a_missing_fragment_is_passed_over_by_its_size() -> None:
    """The rest of the flight is read: its records begin where the lengths of the others say."""
    flight = fragments(REQUEST, 2, FLIGHT, 300)
    sent = talk(fragments(RESPONSE, 1, HELLO), flight)
    lost = sent.index(lan(flight[3]))
    [connection], _ = read(sent[:lost] + sent[lost + 2 :])
    assert problems(connection)[0] == ("gap", "300 bytes of an EAP message are not in the capture")
    assert connection["certificates"] is None
    types = [one["type"] for one in connection["messages"]]
    assert types[:2] == ["client_hello", "server_hello"]
    assert types[-1] == "server_hello_done"


def test_a_message_that_states_another_length() -> None:
    packet = eap(RESPONSE, 1, TLS, bytes((LENGTH,)) + (len(HELLO) + 5).to_bytes(4, "big") + HELLO)
    [connection], _ = read(talk([packet]))
    detail = f"an EAP message states a length of {len(HELLO) + 5} bytes and has {len(HELLO)}"
    assert problems(connection) == [("malformed_record", detail)]
    assert connection["client_hello"] is not None


def test_other_bytes_under_the_same_identifier() -> None:
    other = eap(RESPONSE, 1, TLS, b"\0" + HELLO[:-1] + b"?")
    [connection], _ = read(talk(fragments(RESPONSE, 1, HELLO), [other]))
    assert problems(connection) == [
        ("conflicting_data", "another packet with the identifier of the one before, which counts")
    ]
    first, second = connection["problems"][0]["copies"]
    assert (first["bytes"], first["used"]) == (HELLO[-1:].hex(), True)
    assert (second["bytes"], second["used"]) == (b"?".hex(), False)
    assert first["frame"] < second["frame"] == connection["problems"][0]["frame"]


def test_tlvs_outside_tls_are_no_tls() -> None:
    """TEAP sends them behind the TLS bytes of its first messages (RFC 7170 section 4.1)."""
    outer = b"\0\1\0\4none"
    lengths = (len(HELLO) + len(outer)).to_bytes(4, "big") + len(outer).to_bytes(4, "big")
    started = eap(REQUEST, 1, TEAP, bytes((START | OUTER | 1,)) + len(outer).to_bytes(4, "big") + outer)
    hello = eap(RESPONSE, 1, TEAP, bytes((LENGTH | OUTER | 1,)) + lengths + HELLO + outer)
    flight = fragments(REQUEST, 2, FLIGHT, method=TEAP)
    [connection], _ = read([lan(started), *talk([hello], flight)[1:]])
    assert problems(connection) == []
    assert connection["eap"]["method"] == "TEAP"
    assert len(connection["certificates"]) == 2


def test_identities_are_escaped() -> None:
    identity = lan(eap(RESPONSE, 0, IDENTITY, b"\x1b[31m\xffalice"))
    [connection], _ = read([identity, *talk(fragments(RESPONSE, 1, HELLO))])
    assert connection["eap"]["identity"] == r"\x1b[31m\xffalice"


def test_fragments_that_never_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlsdissect.handshake.eap.MAX_FRAGMENTED_BYTES", 5000)
    endless = [eap(REQUEST, n, TLS, bytes((MORE,)) + FLIGHT[:100]) for n in range(2, 200)]
    [connection], reading = read(talk(fragments(RESPONSE, 1, HELLO), endless))
    assert [code for code, _ in problems(connection)] == ["limit", "gap", "gap"]
    assert reading._budget.used == 0


def test_a_method_without_a_hello_is_counted() -> None:
    """The capture ends, or the supplicant rejects the method; EAP without TLS is not counted."""
    others = [eap(REQUEST, 1, 4, b"challenge"), eap(REQUEST, 1, IDENTITY, b"who"), eap(SUCCESS, 1), eap(FAILURE, 1)]
    for sent in ([lan(STARTED)], [lan(STARTED), lan(eap(RESPONSE, 1, 3, bytes((PEAP,))))]):
        connections, reading = read(sent)
        assert connections == []
        assert reading.summary.eap == {("EAP-TLS", "802.1X"): 1}
    assert sentences(Tally(), reading.summary, selected=False) == [
        "no TLS connections",
        "1 EAP-TLS conversation in 802.1X without a hello",
    ]
    assert read([lan(packet) for packet in others])[1].summary.eap == {}
    request = radius(CHALLENGE, 1, STARTED, (STATE, b"s"), (CALLING, b"a"))
    assert read([ether(ip4(udp(request, sport=1812), 17))])[1].summary.eap == {("EAP-TLS", "RADIUS"): 1}


def cooked(name: str, step: int = 0) -> list[bytes]:
    """The frames of a sample as a Linux cooked capture has them, with other identifiers."""
    found = []
    for frame in frames(name):
        packet = bytearray(frame[14:])
        if packet[1] == 0:
            packet[5] = (packet[5] + step) % 256
            found.append(b"\0\0\0\1\0\6" + frame[6:12] + b"\0\0\x88\x8e" + bytes(packet))
    return found


@pytest.mark.parametrize("step", [0, 40])
def test_two_supplicants_without_addresses_are_not_mixed(step: int) -> None:
    """A cooked capture has no addresses: EAP identifiers distinguish the conversations."""
    first, second = cooked("eapol-tls-tls12"), cooked("eapol-tls-tls13", (step + first_identifier()) % 256)
    sent = [frame for pair in zip(first, second, strict=True) for frame in pair]
    connections, _ = read_capture(pcap(sent, link=113))
    known = [whole("eapol-tls-tls12"), whole("eapol-tls-tls13")]
    for connection in connections:
        told = {key: value for key, value in facts(connection).items() if value is not None}
        told = {key: value for key, value in told.items() if key not in ("eap supplicant", "eap authenticator")}
        assert any(told.items() <= one.items() for one in known)
    if step:
        assert [facts(one)["version"] for one in connections] == ["TLS 1.2", "TLS 1.3"]
        assert [one["complete"] for one in connections] == [True, True]


def first_identifier() -> int:
    """How far the identifiers of the second sample are behind those of the first."""
    one, other = (frames(name)[1][19] for name in ("eapol-tls-tls12", "eapol-tls-tls13"))
    return (one - other) % 256


def test_ieee_802_11() -> None:
    """A data frame from an access point, and one to it (IEEE 802.11-2020 section 9.3.2.1)."""
    sent = []
    for frame in frames("eapol-tls-tls12"):
        to, source, rest = frame[:6], frame[6:12], frame[14:]
        to = AUTHENTICATOR_OF_SAMPLE if to == GROUP else to
        flags = 1 if source == SUPPLICANT else 2
        llc = b"\xaa\xaa\x03\0\0\0\x88\x8e"
        sent.append(bytes((8, flags, 0, 0)) + to + source + AUTHENTICATOR_OF_SAMPLE + b"\0\0" + llc + rest)
    [connection], _ = read_capture(pcap(sent, link=105))
    assert facts(connection) == whole("eapol-tls-tls12")


AUTHENTICATOR_OF_SAMPLE = bytes((2, 0, 0, 0, 0, 2))


def test_too_many_conversations_are_given_up_once() -> None:
    first = talk(fragments(RESPONSE, 1, HELLO), fragments(REQUEST, 2, FLIGHT))
    second = [frame.replace(SUPPLICANT, OTHER) for frame in first]
    sent = [*first[:3], *second[:3], *first[3:], *second[3:]]
    connections, reading = read_capture(pcap(sent), Options(limits=Limits(followed=1)))
    assert [(one["stream"], one["certificates"] is None) for one in connections] == [(0, True), (1, False)]
    assert ("limit", "too many connections at the same time: this one was given up") in problems(connections[0])
    assert reading.summary.given_up == 1
    assert reading._budget.used == 0


def test_a_conversation_is_decided_by_its_result_or_by_silence() -> None:
    """Then it is returned, before conversations that began later are over."""
    silent = talk(fragments(RESPONSE, 1, HELLO))
    decided = [frame.replace(SUPPLICANT, OTHER) for frame in talk(fragments(RESPONSE, 1, HELLO), [eap(FAILURE, 2)])]
    sent = [*silent, *decided, *decided[:1]]
    times = [n * 1_000_000_000 for n in (0, 1, 2, 3, 4, 15)]
    for idle, order in ((10.0, [(1, False), (0, True)]), (None, [(0, False), (1, False)])):
        connections, _ = read_capture(pcap(sent, times=times), Options(idle=idle))
        assert [(one["stream"], one["open"]) for one in connections] == order


@pytest.mark.parametrize(("name", "end"), [("radius-tls-supplicant-refused-tls13", 1), ("radius-tls-tls13", 3)])
def test_without_the_servers_result_a_login_is_not_said_to_have_succeeded(name: str, end: int) -> None:
    """The end of the handshake alone does not show success (RFC 9190 section 2.1.1)."""
    [found], _ = read(frames(name)[:-end])
    assert (found["complete"], found["outcome"], found["failed_by"]) == (False, "incomplete", None)
    assert [code for code, _ in problems(found)] == ["inferred"]


@pytest.mark.parametrize("keep", [False, True])
def test_packets_that_are_missing_behind_the_start_are_noticed(*, keep: bool) -> None:
    """The hello of the supplicant, fragments of the server, and acknowledgements of these."""
    sent = frames("eapol-peap-wrong-password-tls12")
    for lost in ({4}, {5, 6}, {5, 6, 7}):
        kept = [packet for n, packet in enumerate(sent) if n not in lost]
        [found], _ = read_capture(pcap(kept), Options(keep=keep))
        assert ("gap", "packets of EAP are not in the capture") in problems(found)
        assert (found["outcome"] in {"established", "incomplete"}, found["failed_by"]) == (True, None)


@pytest.mark.parametrize(("name", "lost"), [("eapol-tls-server-refused-tls12", 10), ("eapol-tls-tls12", -2)])
def test_a_result_answers_a_response(name: str, lost: int) -> None:
    """What is missing before a Failure may be the supplicant's alert (RFC 3748 section 4.2)."""
    sent = list(frames(name))
    del sent[lost]
    [found], _ = read(sent)
    assert ("gap", "packets of EAP are not in the capture") in problems(found)
    assert (found["outcome"], found["failed_by"]) in {("incomplete", None), ("established", None)}


def test_a_supplicant_that_says_nothing_more_is_failed_by_the_server() -> None:
    """After some seconds without a Response, a server sends its Request again; a Failure behind that is no answer."""
    flight = fragments(REQUEST, 2, FLIGHT)
    sent = talk(fragments(RESPONSE, 1, HELLO), flight[-1:])
    sent.append(lan(eap(FAILURE, 1 + len(flight))))
    for seconds, outcome in ((1, "incomplete"), (4, "closed")):
        times = [n * 1_000_000 for n in range(len(sent) - 1)]
        times.append(times[-1] + seconds * 1_000_000_000)
        [found], _ = read_capture(pcap(sent, times=times))
        assert found["outcome"] == outcome


def test_a_failure_with_another_identifier_answers_no_response() -> None:
    """An authenticator sends one on its own, after an EAPOL-Logoff for example."""
    sent = talk(fragments(RESPONSE, 1, HELLO), fragments(REQUEST, 2, FLIGHT)[-1:])
    [found], _ = read([*sent, lan(eap(FAILURE, 3))])
    assert ("gap", "packets of EAP are not in the capture") not in problems(found)
    assert (found["outcome"], found["failed_by"]) == ("closed", "server")
