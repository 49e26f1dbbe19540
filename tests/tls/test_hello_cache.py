"""Hellos that match a cached template decode as they do without the cache."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import SAMPLES

import tlsdissect
from tlsdissect.handshake import events
from tlsdissect.tls import hello_cache
from tlsdissect.tls.client_hello import ClientHello, Extension
from tlsdissect.tls.codepoints import ExtensionType, HandshakeType
from tlsdissect.tls.hello_cache import HelloCache
from tlsdissect.tls.server_hello import ServerHello
from tlsdissect.tls.wire import WireError, decode_partially

if TYPE_CHECKING:
    from pathlib import Path


@cache
def bodies(kind: HandshakeType) -> list[bytes]:
    """The hellos of one kind of all samples."""
    found = []
    for sample in SAMPLES:
        for connection in tlsdissect.read(sample, keep=True):
            for record in connection.transcript.records:
                fragment = record.fragment or b""
                if record.content_type == 22 and fragment[:1] == bytes([kind]) and not record.encrypted:
                    found.append(fragment[4 : 4 + int.from_bytes(fragment[1:4], "big")])
    return [body for body in found if decode_partially(READ[kind], body)[1] is None]


READ = {HandshakeType.CLIENT_HELLO: ClientHello.read, HandshakeType.SERVER_HELLO: ServerHello.read}
KINDS = pytest.mark.parametrize("kind", list(READ), ids=lambda kind: kind.name.lower())


@KINDS
def test_fields_that_vary_do_not_change_the_template(kind: HandshakeType) -> None:
    cache: HelloCache = HelloCache()
    for body in bodies(kind):
        hello = decode_partially(READ[kind], body)[0]
        template = cache.find(body) or cache.learn(body, hello)
        if template is None:
            continue
        other = bytearray(body)
        other[2:34] = bytes(32)
        size = other[34]
        other[35 : 35 + size] = bytes(size)
        assert cache.find(bytes(other)) is template
        assert template.fill(bytes(other)) == decode_partially(READ[kind], bytes(other))[0]
        assert template.fill(body) == hello


def test_samples_have_templates() -> None:
    cache: HelloCache = HelloCache()
    learnt = [
        cache.learn(body, decode_partially(ClientHello.read, body)[0]) for body in bodies(HandshakeType.CLIENT_HELLO)
    ]
    assert any(learnt)


@KINDS
@given(data=st.data())
def test_a_template_matches_only_hellos_that_it_decodes_alike(kind: HandshakeType, data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(bodies(kind))))
    cache: HelloCache = HelloCache()
    cache.learn(bytes(body), decode_partially(READ[kind], bytes(body))[0])
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=4)):
        body[at] = data.draw(st.integers(0, 255))
    template = cache.find(bytes(body))
    try:
        hello, error = decode_partially(READ[kind], bytes(body))
    except WireError:
        assert template is None
    else:
        assert template is None or (template.fill(bytes(body)), None) == (hello, error)


def test_hellos_that_never_recur_have_no_template() -> None:
    cache: HelloCache = HelloCache()
    body = next(
        b for b in bodies(HandshakeType.CLIENT_HELLO) if cache.learn(b, decode_partially(ClientHello.read, b)[0])
    )
    hello = decode_partially(ClientHello.read, body)[0]
    suites, extensions = hello.cipher_suites or (), hello.extensions or ()
    assert cache.learn(body, msgspec.structs.replace(hello, cipher_suites=(0x0A0A, *suites[1:]))) is None
    assert cache.learn(body, msgspec.structs.replace(hello, extensions=(extensions[0], *extensions))) is None
    assert cache.learn(bytes(hello_cache.MAX_HELLO_SIZE + 1), hello) is None
    many = tuple([Extension(number, b"") for number in range(0x3000, 0x3000 + hello_cache.MAX_EXTENSIONS + 1)])
    assert cache.learn(body, msgspec.structs.replace(hello, extensions=many)) is None


def test_templates_are_limited_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hello_cache, "MAX_TEMPLATES", 4)
    cache: HelloCache = HelloCache()
    hello = ClientHello(0x0303, bytes(32), b"", (0x1301,), (0,), ())
    sizes = range(100, 200)
    for size in sizes:
        cache.learn(bytes(size), hello)
    assert sum(cache.find(bytes(size)) is not None for size in sizes) <= 4


def test_masks_per_length_are_limited() -> None:
    cache: HelloCache = HelloCache()
    for size in range(20):
        sent = (Extension(ExtensionType.COOKIE, bytes(size)),)
        cache.learn(bytes(100), ClientHello(0x0303, bytes(32), b"", (0x1301,), (0,), sent))
    assert len(cache._templates[100]) == hello_cache.MAX_MASKS


def test_a_template_is_found_by_its_number_until_it_is_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    cache: HelloCache = HelloCache()
    hello = ClientHello(0x0303, bytes(32), b"", (0x1301,), (0,), ())
    learned = [cache.learn(bytes(size), hello) for size in range(100, 104)]
    numbers = [one.number for one in learned if one is not None]
    assert [cache.numbered(number) for number in numbers] == learned
    assert cache.numbered(hello_cache.UNNUMBERED) is None
    monkeypatch.setattr(hello_cache, "MAX_TEMPLATES", 4)
    later = cache.learn(bytes(104), hello)
    assert later is not None
    assert [cache.numbered(number) for number in [*numbers, later.number]] == [None] * 4 + [later]


def test_a_mask_is_evicted_with_the_numbers_of_its_templates() -> None:
    cache: HelloCache = HelloCache()
    numbers = []
    for size in range(hello_cache.MAX_MASKS + 1):
        sent = (Extension(ExtensionType.COOKIE, bytes(size)),)
        learned = cache.learn(bytes(100), ClientHello(0x0303, bytes(32), b"", (0x1301,), (0,), sent))
        assert learned is not None
        numbers.append(learned.number)
    assert [cache.numbered(number) is None for number in numbers] == [True] + [False] * hello_cache.MAX_MASKS


def test_hellos_are_decoded_again_once_their_template_is_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [msgspec.json.encode(one) for sample in SAMPLES[:9] for one in tlsdissect.read(sample)]
    client, server = HelloCache(), HelloCache()
    monkeypatch.setattr(events, "CLIENT_HELLOS", client)
    monkeypatch.setattr(events, "SERVER_HELLOS", server)
    monkeypatch.setattr(hello_cache, "MAX_TEMPLATES", 0)
    assert known == [msgspec.json.encode(one) for sample in SAMPLES[:9] for one in tlsdissect.read(sample)]
    assert client.numbered(0) is None


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_facts_are_the_same_without_templates(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = [msgspec.json.encode(one) for _ in range(2) for one in tlsdissect.read(sample)]
    for name in ("CLIENT_HELLOS", "SERVER_HELLOS"):
        monkeypatch.setattr(events, name, HelloCache(0))
    assert known == 2 * [msgspec.json.encode(one) for one in tlsdissect.read(sample)]
