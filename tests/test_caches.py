"""Caches are bounded in bytes, however large the keys and values in a capture are."""

from __future__ import annotations

import ast
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from recorded import ROOT

import tlsdissect
from tlsdissect.caches import SHARED, ByteCache, cached, footprint
from tlsdissect.handshake.facts import fingerprints, hello_extensions, hellos
from tlsdissect.handshake.facts.evidence import Evidence, client_key
from tlsdissect.handshake.revocation_lookups import CapturedLookup, LookupExchange, RevocationLookup
from tlsdissect.model.connection import Endpoint
from tlsdissect.tls.codepoints import Registry
from tlsdissect.trust.chain import signed
from tlsdissect.trust.details import details
from tlsdissect.x509.certificates import certificate
from tlsdissect.x509.names import name

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = ROOT / "tlsdissect"

SIZED_BY_US = {
    "capture/device.py _handle": "no argument: one socket",
    "handshake/key_schedule.py _traffic_infos": "a suite of ours",
    "handshake/quic_keys.py _packet_infos": "labels and sizes of ours",
    "tls/codepoints.py _hexadecimals": "no argument: a table of 65,536 names",
    "tls/key_exchange.py key_exchange": "512 names of cipher suites, each from a registry or six characters",
    "tls/remarks.py _alerts": "no argument: a file of ours",
    "tls/remarks.py _references": "no argument: a file of ours",
    "tls/remarks.py _remarks": "no argument: a file of ours",
    "tls/remarks.py alert_meanings": "no argument: a file of ours",
    "tls/remarks.py reference": "a class of ours",
    "tls/layout.py _hints": "a class of ours",
    "tls/layout.py form": "a type in a declaration of ours",
    "tls/layout.py layout": "a class of ours",
    "tls/layout.py reader": "a class of ours, or a type in a declaration of ours",
    "flows/udp_protocols.py _google": "no argument: an expression of ours",
    "flows/udp_protocols.py _known": "no argument: an expression of ours",
    "tls/wire.py _u16s": "1,024 formats, whose size does not depend on their count of numbers",
    "handshake/facts/extensions.py _fact_class": "a class of ours",
    "handshake/facts/extensions.py _formatters": "a class of ours",
    "handshake/facts/extensions.py fact_names": "no argument: names of ours",
    "views/arrow.py fields_of": "a table of ours",
    "views/cbom/algorithms.py cipher_suite": "512 names of cipher suites, each from a registry or six characters",
    "views/cbom/algorithms.py group": "512 names of groups, each from a registry or six characters",
    "views/cbom/algorithms.py signature_scheme": "512 names of schemes, each from a registry or six characters",
    "handshake/facts/exposure.py _certificate_decoder": "no argument: a function of ours",
    "handshake/facts/connection.py _second": "4,096 times, each a number and 19 characters",
    "handshake/encrypted_flight.py sizes": "64 numbers",
    "handshake/protection.py suite": "512 names of cipher suites, each from a registry or six characters",
    "handshake/starttls.py _compiled": "the shapes of the protocols that turn into TLS, which are constants",
    "x509/der.py _dotted": "1,024 object identifiers of 128 bytes at most",
    "trust/weak_keys.py _powers": "no argument: small primes",
    "trust/protocol.py _suite": "512 names of cipher suites, each from a registry or six characters",
    "trust/protocol.py _version": "64 names of versions",
    "views/comparison/builder.py is_aead": "512 names of cipher suites, each from a registry or six characters",
    "views/comparison/builder.py is_post_quantum": "512 names of groups, each from a registry or six characters",
    "views/printable.py _in_json": "single characters",
    "corpus/where.py _library": "no argument: a library",
    "corpus/documents.py _decoders": "no argument: decoders",
    "corpus/plausible.py checked": "types of ours",
    "corpus/selection.py _text": "64 times that a user gave, each a number and 29 characters",
    "corpus/selection.py _is_version": "256 names of versions",
    "corpus/selection.py _is_in": "4,096 addresses of 39 characters at most",
    "views/table.py _suite": "512 names of cipher suites, each from a registry or six characters",
    "views/table.py _version": "256 names of versions",
    "views/report/page.py _script": "no argument: files of ours",
    "views/tree/asn1.py _oids": "no argument: a file of ours",
    "handshake/log.py _mac_size": "64 numbers of cipher suites",
    "kernel.py refuse_stale": "no argument: nothing",
    "views/ndjson.py _decoder": "no argument: one decoder",
}
"""The caches of functools, each with the reason why a sender cannot make their entries large."""


def is_functools_cache(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return name in {"cache", "lru_cache"}


def functools_caches() -> set[str]:
    found = set()
    for module in PACKAGE.rglob("*.py"):
        where, text = str(module.relative_to(PACKAGE)), module.read_text()
        if "functools" not in text:
            continue
        tree, decorators = ast.parse(text), set()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                cached_by = [one for one in node.decorator_list if is_functools_cache(one)]
                decorators |= {id(one) for one in cached_by}
                found |= {f"{where} {node.name}" for _ in cached_by}
        # `kept = lru_cache(maxsize=9)(function)` has no function of its name.
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and id(node) not in decorators]
        found |= {f"{where} {ast.unparse(node)}" for node in calls if is_functools_cache(node)}
    return found


def test_caches_that_count_entries_are_those_whose_entries_no_sender_can_enlarge() -> None:
    assert functools_caches() == set(SIZED_BY_US)


ADD_UP = """
import pkgutil
from importlib import import_module
import tlsdissect
from tlsdissect.caches import SHARED, TOTAL_BYTES
from tlsdissect.tls.hello_cache import CLIENT_HELLOS, SERVER_HELLOS
for module in pkgutil.walk_packages(tlsdissect.__path__, "tlsdissect."):
    if not module.name.endswith("__main__") and not module.name.startswith("tlsdissect.corpus.cluster"):
        import_module(module.name)
total = sum(cache.limit for cache in (*SHARED, CLIENT_HELLOS, SERVER_HELLOS))
assert 0 < total <= TOTAL_BYTES, total
"""


def test_the_limits_of_all_caches_add_up_to_the_total() -> None:
    """In a process of its own: other tests import modules anew, which adds their caches once more."""
    subprocess.run([sys.executable, "-c", ADD_UP], check=True, cwd=ROOT)


def certificate_of(size: int, number: int) -> bytes:
    """A value with the outermost length of a certificate, whose fields cannot be read."""
    return b"\x30\x83" + (size + 8).to_bytes(3, "big") + number.to_bytes(8, "big") + bytes(size)


def numbers(size: int, number: int) -> tuple[int, ...]:
    return tuple([(number + 257 * n) & 0xFFFF for n in range(size)])


def short_list(number: int) -> bytes:
    return b"\x00\xfc" + b"".join([(number + n).to_bytes(2, "big") for n in range(126)])


FILLED: dict[str, Callable[[int], Any]] = {
    "long cipher suite lists": lambda n: hellos._suites(numbers(30_000, n)),
    "cipher suite lists": lambda n: hellos._suites(numbers(250, n)),
    "JA3 of long lists": lambda n: fingerprints.ja3(fingerprints.ja3_string(771, numbers(30_000, n), (), (), ())),
    "JA4 of long lists": lambda n: fingerprints.ja4(
        "t", 771, numbers(30_000, n), (), alpn=bytes(250) + n.to_bytes(4, "big"), signature_algorithms=numbers(3000, n)
    ),
    "JA4 of lists": lambda n: fingerprints.ja4_r("t", 771, numbers(250, n), (), alpn=b"", signature_algorithms=()),
    "facts of extensions": lambda n: hello_extensions._FROM_CLIENT.decode(13, short_list(n)),
    "facts of malformed extensions": lambda n: hello_extensions._FROM_CLIENT.decode(13, short_list(n)[:-1]),
    "certificates": lambda n: certificate(certificate_of(16_000, n)),
    "large certificates": lambda n: certificate(certificate_of(64_000, n)),
    "names": lambda n: name(b"\x30\x82\x02\x00" + n.to_bytes(512, "big")),
    "details": lambda n: details(certificate_of(64_000, n)),
    "signatures": lambda n: signed(certificate_of(64_000, n), certificate_of(64_000, n + 1)),
}


@pytest.mark.parametrize("fill", FILLED.values(), ids=FILLED)
def test_estimates_are_not_below_the_memory_taken(fill: Callable[[int], Any]) -> None:
    fill(0)
    Registry.CIPHER_SUITES.names.of(numbers(300, 0))
    for cache in SHARED:
        cache.clear()
    tracemalloc.start()
    try:
        for number in range(1, 25):
            fill(number)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept <= 1.1 * sum(cache.used for cache in SHARED) + 100_000


def test_a_cached_value_is_computed_once() -> None:
    made = []

    @cached(100_000)
    def double(number: int) -> int:
        made.append(number)
        return 2 * number

    assert [double(number % 3) for number in range(9)] == [0, 2, 4] * 3
    assert made == [0, 1, 2]


def test_none_is_cached_like_other_values() -> None:
    made = []
    nothing = cached(100_000)(made.append)
    nothing(1)
    nothing(1)
    assert made == [1]


def test_the_least_recently_used_entries_are_evicted() -> None:
    made = []
    cache: ByteCache[bytes] = ByteCache(100_000)

    def make(number: int) -> bytes:
        made.append(number)
        return bytes(1000)

    for number in range(1, 500):
        cache.get(number, lambda number=number: make(number))
        cache.get(0, lambda: make(0))
        assert cache.used <= cache.limit
    assert made.count(0) == 1
    cache.get(1, lambda: make(1))
    assert made.count(1) == 2


def test_entries_that_are_too_large_evict_nothing() -> None:
    cache: ByteCache[bytes] = ByteCache(100_000)
    cache.get(1, lambda: b"small")
    cache.get(2, lambda: bytes(50_000))
    cache.get(bytes(50_000), lambda: b"")
    assert len(cache) == 1


def test_a_footprint_includes_nested_values() -> None:
    held = {"names": ["a" * 1000, ("b" * 1000, b"c" * 1000)], "error": ValueError("d" * 1000)}
    assert 4000 < footprint(held, enough=1 << 20) < 6000
    assert footprint(tuple(range(1000)), enough=100) > 100


def lookup(number: int) -> CapturedLookup:
    here = Endpoint("192.0.2.1", 80)
    exchange = LookupExchange(
        "ocsp", "a" * 8000, "/" * 8000 + str(number), (), number, 1, number, 2, None, f"{number:064}"
    )
    return CapturedLookup(RevocationLookup("a capture", number, here, here, exchange), bytes(10))


def test_evidence_counts_what_each_entry_takes() -> None:
    evidence = Evidence(kept_bytes=1 << 20)
    tracemalloc.start()
    try:
        for number in range(20_000):
            evidence.keep(f"{number:064}", bytes(1))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2 << 20


def test_lookups_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlsdissect.handshake.facts.evidence.LOOKUP_BYTES", 100_000)
    evidence = Evidence()
    for number in range(1, 11):
        evidence.add_lookup(lookup(number))
    kept = len(evidence.asked("a capture", client_key("192.0.2.1"), 0, 100, most=100))
    assert 1 <= kept < 7
    assert (evidence.lookups, evidence.lookups_left_out) == (10, 10 - kept)


@pytest.mark.parametrize("name", ["tls12-suites", "tls13-suites"])
def test_connections_of_a_server_share_the_facts_of_its_certificates(name: str) -> None:
    path = ROOT / "samples/keys" / f"{name}.pcap"
    connections = list(tlsdissect.read(path, keylog=path.with_suffix(".keys")))
    chains = [
        one.hidden.certificates if name == "tls13-suites" and one.hidden else one.certificates for one in connections
    ]
    known = [chain for chain in chains if chain]
    assert len(known) > len(set(known)) == len({id(chain) for chain in known})
