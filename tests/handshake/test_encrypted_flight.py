"""What the lengths of protected records tell of a handshake of TLS 1.3, where the flight is not plain to see."""

from __future__ import annotations

import pytest

from tlsdissect.flows.budget import Budget
from tlsdissect.flows.limits import Limits
from tlsdissect.handshake.encrypted_flight import EncryptedFlight, encrypted_flight
from tlsdissect.handshake.events import HandshakeEvent, SeenClientHello, SeenServerHello, new_event
from tlsdissect.handshake.log import HandshakeLog
from tlsdissect.tls.record import APPLICATION_DATA, HANDSHAKE

CLIENT, SERVER = 0, 1
FINISHED, ALERT, END_OF_EARLY_DATA, EXTENSIONS, TICKET = 53, 19, 21, 23, 250
"""Lengths with TLS_AES_128_GCM_SHA256."""


def seen(records: list[tuple[int, int]], *, early: bool = False, hello_retry: bool = False) -> EncryptedFlight:
    """The shape of what follows a ServerHello; records are (sender, length)."""
    log = HandshakeLog(Budget(Limits()))
    server_hello = new_event(SERVER, HANDSHAKE, 2, 90, b"", 2, 2, 0, 95, encrypted=False)
    client_hello = new_event(CLIENT, HANDSHAKE, 1, 200, b"", 1, 1, 0, 205, encrypted=False)
    log.client_hello = SeenClientHello(client_hello, 1, offers_tls13=True, offers_early_data=early)
    log.server_hello, log.version, log.tls13 = SeenServerHello(server_hello, 0x1301, b""), 0x0304, True
    log.retry_request = server_hello if hello_retry else None
    log.events = [log.client_hello.event, server_hello]
    ends = [205, 95]
    for number, (sender, size) in enumerate(records, 3):
        start, ends[sender] = ends[sender], ends[sender] + 5 + size
        log.events.append(
            new_event(sender, APPLICATION_DATA, None, size, b"", number, number, start, ends[sender], encrypted=True)
        )
    found = encrypted_flight(log)
    assert found is not None
    return found


FLIGHT = [(SERVER, EXTENSIONS), (SERVER, 900), (SERVER, FINISHED)]


def sizes(events: tuple[HandshakeEvent, ...]) -> list[int]:
    return [event.size for event in events]


def test_a_finished_ends_the_flight() -> None:
    found = seen([*FLIGHT, (CLIENT, FINISHED), (CLIENT, 96), (SERVER, TICKET)])
    assert (sizes(found.flight), found.exact, sizes(found.after)) == ([FINISHED], True, [96])
    assert found.before is not None
    assert found.before.size == FINISHED
    assert found.reply is not None
    assert found.reply.size == TICKET


def test_a_certificate_belongs_to_the_flight() -> None:
    found = seen([*FLIGHT, (CLIENT, 800), (CLIENT, 281), (CLIENT, FINISHED), (SERVER, ALERT)])
    assert sizes(found.flight) == [800, 281, FINISHED]


@pytest.mark.parametrize("hello_retry", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_a_flight_in_one_record_ends_before_the_reply(early: bool, hello_retry: bool) -> None:
    found = seen([*FLIGHT, (CLIENT, 834), (SERVER, TICKET), (CLIENT, 100)], early=early, hello_retry=hello_retry)
    assert (sizes(found.flight), found.exact, sizes(found.after)) == ([834], False, [100])
    assert found.reply is not None
    assert found.reply.size == TICKET


def test_early_data_that_was_taken_ends_with_a_record_of_its_own() -> None:
    found = seen([(CLIENT, 500), *FLIGHT, (CLIENT, END_OF_EARLY_DATA), (CLIENT, FINISHED), (SERVER, 300)], early=True)
    assert (sizes(found.flight), found.ended_early_data) == ([FINISHED], True)


def test_early_data_that_was_refused_is_not_of_the_flight() -> None:
    said = [(CLIENT, 500), *FLIGHT, (CLIENT, 800), (CLIENT, 281), (CLIENT, FINISHED), (SERVER, TICKET)]
    found = seen(said, early=True)
    assert (sizes(found.flight), found.ended_early_data, found.exact) == ([800, 281, FINISHED], False, True)


def test_what_the_server_sends_while_the_flight_comes_is_not_before_it() -> None:
    found = seen([*FLIGHT, (CLIENT, 800), (SERVER, TICKET), (CLIENT, FINISHED)])
    assert found.before is not None
    assert found.before.size == FINISHED


def test_java_pads_its_flights_and_its_alerts() -> None:
    flight = [*FLIGHT[:2], (SERVER, FINISHED + 16)]
    found = seen([*flight, (CLIENT, FINISHED + 16), (CLIENT, 96), (SERVER, 1500), (SERVER, ALERT + 16)])
    assert (sizes(found.flight), found.exact, found.alerts) == ([FINISHED + 16], True, [ALERT + 16, ALERT + 16])
    found = seen([*FLIGHT, (CLIENT, FINISHED + 16), (SERVER, TICKET)])
    assert found.alerts == [ALERT + 16, ALERT]
    found = seen([*flight, (CLIENT, FINISHED), (SERVER, ALERT + 16)])
    assert (found.exact, found.alerts) == (True, [ALERT, ALERT + 16])
    assert seen([*FLIGHT, (CLIENT, ALERT + 16)]).refused


def test_a_record_that_is_too_short_for_a_finished_is_not_of_the_flight() -> None:
    """NSS puts its whole flight in one record."""
    found = seen([*FLIGHT, (CLIENT, 1242), (CLIENT, FINISHED - 1), (SERVER, TICKET)])
    assert (sizes(found.flight), found.exact, sizes(found.after)) == ([1242], False, [FINISHED - 1])
    assert sizes(seen([*FLIGHT, (CLIENT, 25), (SERVER, ALERT)]).flight) == [25]


def test_a_server_may_refuse_before_the_flight_ends() -> None:
    """Java sends an empty Certificate, and is refused before its Finished comes."""
    found = seen([*FLIGHT, (CLIENT, 41), (SERVER, ALERT), (CLIENT, FINISHED + 16), (CLIENT, 51)])
    assert (sizes(found.flight), found.exact) == ([41], False)
    assert found.reply is not None
    assert found.only_alerts(found.reply.end, None)
    # A server that goes on has refused nothing.
    found = seen([*FLIGHT, (CLIENT, 41), (SERVER, ALERT), (CLIENT, FINISHED + 16), (SERVER, TICKET)])
    assert (sizes(found.flight), found.exact) == ([41, FINISHED + 16], True)


@pytest.mark.parametrize(("more", "refuses"), [([], True), ([ALERT], True), ([ALERT, ALERT], False), ([TICKET], False)])
def test_a_server_may_refuse_with_two_alerts(more: list[int], refuses: bool) -> None:
    found = seen([*FLIGHT, (CLIENT, FINISHED), (SERVER, ALERT), *((SERVER, size) for size in more)])
    assert found.reply is not None
    end = found.reply.end + sum(5 + size for size in more)
    last = (end - 5 - more[-1], more[-1]) if more else None
    assert found.only_alerts(end, last) is refuses


def test_a_client_that_refuses() -> None:
    assert seen([*FLIGHT, (CLIENT, ALERT)]).refused
    assert not seen([*FLIGHT, (CLIENT, ALERT), (CLIENT, FINISHED)]).refused


def test_a_server_that_says_nothing_under_protection() -> None:
    found = seen([(CLIENT, 100)])
    assert (found.flight, found.before, found.reply) == ([], None, None)
