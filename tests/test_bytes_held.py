"""The memory that a reading holds is bounded, however large a sender makes hellos and names."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import dtlswriting
import eapwriting
import pytest
from conversing import CLIENT, Talk, write
from msgspec.structs import replace
from recorded import ROOT
from tlswriting import extension, message, record, sized

import tlsdissect
from tlsdissect import kernel
from tlsdissect.caches import SHARED
from tlsdissect.capture.window import PIECE
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.limits import Limits
from tlsdissect.handshake import retries
from tlsdissect.handshake.events import new_event
from tlsdissect.handshake.log import HandshakeLog
from tlsdissect.handshake.options import Options
from tlsdissect.handshake.problems import ProblemList
from tlsdissect.handshake.retries import Retries
from tlsdissect.handshake.spill import WaitingHandshakes
from tlsdissect.pipeline import Reading
from tlsdissect.tls.client_hello import ClientHello
from tlsdissect.tls.hello_cache import CLIENT_HELLOS, HelloCache, HelloTemplate
from tlsdissect.tls.wire import decode_partially
from tlsdissect.trust.rules import finding
from tlsdissect.views.report.summary import Findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tlsdissect.model.connection import Connection

sys.path.append(str(ROOT / "tests/benchmarks"))
import attacks

HALF = ("tcp", "hellos", "unanswered", "half-certificates", "quic", "quic-hellos", "dtls", "eap")
"""The attacks whose handshakes do not end."""


@pytest.fixture(scope="module")
def recorded() -> Connection:
    (one,) = tlsdissect.read(ROOT / "samples/tls12-full.pcap")
    return one


def numbers(many: int, start: int) -> bytes:
    return b"".join([((start * 7919 + 31 * n) & 0xFFFF).to_bytes(2, "big") for n in range(many)])


def client_hello(number: int, suites: bytes = b"\x13\x01", extensions: bytes = b"") -> bytes:
    lists = sized(b"", 1) + sized(suites) + sized(b"\0", 1)
    return b"\x03\x03" + number.to_bytes(32, "big") + lists + (sized(extensions) if extensions else b"")


def in_records(body: bytes) -> bytes:
    hello = message(1, body)
    return b"".join([record(22, hello[at : at + 16_000], 0x0301) for at in range(0, len(hello), 16_000)])


SENT: dict[str, Callable[[int, int], bytes]] = {
    "cipher suites": lambda n, size: client_hello(n, numbers(size // 2, n)),
    "groups": lambda n, size: client_hello(n, extensions=extension(10, sized(numbers(size // 2, n)))),
    "protocols": lambda n, size: client_hello(
        n, extensions=extension(16, sized(b"".join([sized(bytes([n, at & 255]), 1) for at in range(size // 3)])))
    ),
    "key shares": lambda n, size: client_hello(
        n, extensions=extension(51, sized(b"".join([bytes([n, at & 255, 0, 0]) for at in range(size // 4)])))
    ),
    "extensions": lambda n, size: client_hello(
        n, extensions=b"".join([extension(0x4000 + 3 * at + n, b"") for at in range(size // 4)])
    ),
    "host names": lambda n, size: client_hello(n, extensions=extension(0, sized(b"\0" + sized(bytes([n + 1]) * size)))),
}
SIZES = (3_500, 12_000)
MANY = 100


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
def test_waiting_connections_and_caches_take_what_is_estimated(
    sent: Callable[[int, int], bytes], size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WaitingHandshakes.__init__, "__defaults__", (1 << 20, 0, None))
    monkeypatch.setattr(CLIENT_HELLOS, "limit", 1 << 20)
    talks = [Talk([(CLIENT, in_records(sent(n, size)))], n / 100, n / 100 + 0.01, 1025 + n) for n in range(MANY)]
    path = write(tmp_path / "a.pcap", *talks)
    assert len(list(tlsdissect.read(path))) == MANY
    for cache in SHARED:
        cache.clear()
    tracemalloc.start()
    try:
        reading = iter(tlsdissect.read(path))
        first = next(reading)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert first.client_hello is not None
    estimated = sum(cache.used for cache in SHARED)
    # The capture is in memory too; lists of names that hellos share are counted for each of them.
    assert held < 3 * (1 << 20) + estimated + 2 * path.stat().st_size + (2 << 20)


class Counted(Reading):
    """A reading that traces, once all packets are read, what its handshakes and flows take and what they count."""

    traced = counted = 0

    def _advance(self, *given: Any) -> bool:
        goes_on = super()._advance(*given)
        if not goes_on and not self.counted:
            gc.collect()
            self.traced, _ = tracemalloc.get_traced_memory()
            self.counted = self._budget.used + self._budget.flow_bytes
        return goes_on


def tiny_records(number: int) -> Iterator[bytes]:
    """Send 64 DTLS alerts in each flow: no flow begins a handshake."""
    for n in range(64 * number):
        alert = dtlswriting.record(21, bytes((1, n % 256)), sequence=n)
        yield attacks.udp(attacks.address(n // 64), 40_000, alert)


def long_packets(number: int) -> Iterator[bytes]:
    """Send a packet of EAP that is long and no TLS."""
    for n in range(number):
        body = eapwriting.eap(eapwriting.RESPONSE, 1, eapwriting.TLS, bytes(3000))
        yield eapwriting.eapol(body, to=eapwriting.GROUP, source=b"\2\0" + n.to_bytes(4, "big"))


HALF_FINISHED = {one.name: one.capture for one in attacks.ATTACKS if one.name in HALF} | {
    "tiny records": lambda n: attacks.pcap(tiny_records(n)),
    "long packets": lambda n: attacks.pcap(long_packets(n), 1),
}


@pytest.mark.skipif(kernel.describe() != "compiled", reason="objects of pure Python are larger")
@pytest.mark.parametrize("capture", HALF_FINISHED.values(), ids=HALF_FINISHED)
def test_half_finished_handshakes_take_what_is_estimated(
    capture: Callable[[int], Iterable[bytes]], tmp_path: Path
) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(b"".join(capture(2000)))
    list(tlsdissect.read(path))
    tracemalloc.start()
    try:
        reading = Counted([path], Options(batch=1 << 30))
        list(reading)
    finally:
        tracemalloc.stop()
    traced = reading.traced - min(path.stat().st_size, PIECE)
    assert reading.counted / 2 < traced < reading.counted


def test_templates_are_bounded_in_bytes() -> None:
    cache: HelloCache = HelloCache(100_000)
    learnt = []
    for number in range(40):
        body = client_hello(number, numbers(40, number))
        learnt.append(cache.learn(body, decode_partially(ClientHello.read, body)[0]))
        assert learnt[-1] in templates_of(cache)
        assert sum(template.footprint for template in templates_of(cache)) <= cache.limit
    assert sum(template.footprint for template in learnt if template is not None) > cache.limit
    assert cache.learn(bytes(4000), ClientHello(771, bytes(32), b"", tuple(range(1500)), (0,), ())) is None


def templates_of(cache: HelloCache) -> list[HelloTemplate]:
    return [
        template
        for masks in cache._templates.values()
        for templates in masks.values()
        for template in templates.values()
    ]


def test_the_budget_counts_a_hello_that_the_log_does_not_keep() -> None:
    budget = Budget(Limits())
    log = HandshakeLog(budget)
    body = client_hello(1, numbers(5000, 1))
    log.add_beginning(new_event(0, 22, 1, len(body), body, 1, 0, 0, len(body), encrypted=False), ProblemList(), 1)
    assert budget.used >= len(body)


def test_failures_are_bounded_in_bytes(recorded: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "RETRIES_BYTES", 1 << 20)
    known = Retries(100_000)
    failed = replace(recorded, complete=False, outcome="alert")
    tracemalloc.start()
    try:
        for n in range(100):
            suites = tuple([f"0x{n:02x}{suite:02x}" for suite in range(256)] * 4)
            assert len(suites) <= retries.MAX_OFFERED
            hello = replace(recorded.client_hello, cipher_suites=suites)
            known.learn(replace(failed, sni=f"{n}." * 5000, client_hello=hello))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert known.evicted > 0
    assert known._used <= 1 << 20
    assert held < 2 << 20


def test_a_failure_that_offered_too_much_is_forgotten(recorded: Connection) -> None:
    known = Retries(100)
    hello = replace(recorded.client_hello, cipher_suites=tuple(map(str, range(retries.MAX_OFFERED + 1))))
    failed = replace(recorded, complete=False, outcome="alert", client_hello=hello)
    known.learn(failed)
    assert known.evicted == len(retries.peers(failed))
    assert known.find(recorded) is None
    assert known.find(failed) is None


def test_a_failure_that_was_retried_frees_its_bytes(recorded: Connection) -> None:
    known = Retries(100)
    failed = replace(recorded, complete=False, outcome="alert")
    known.learn(failed)
    hello = recorded.client_hello
    less = replace(recorded, client_hello=replace(hello, cipher_suites=hello.cipher_suites[1:]))
    assert known.find(less) is not None
    assert known._used == 0


def test_long_names_of_servers_are_not_held(recorded: Connection) -> None:
    found = Findings()
    expired = finding("expired", "long ago")
    tracemalloc.start()
    try:
        for n in range(100):
            found.add(replace(recorded, sni=f"{n}." * 10_000, findings=(expired,)))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1 << 20
    (told,) = found.by_rule(())
    assert told.where.endswith("and 97 more")
