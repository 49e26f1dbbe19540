"""Hellos known by their form are read as they would be without it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import SAMPLES

import tlsdissect
from tlsdissect.tls import forms
from tlsdissect.tls.client_hello import ClientHello
from tlsdissect.tls.codepoints import ExtensionType, HandshakeType
from tlsdissect.tls.forms import Forms
from tlsdissect.tls.server_hello import ServerHello
from tlsdissect.tls.wire import WireError, salvage

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
    return [body for body in found if salvage(READ[kind], body)[1] is None]


READ = {HandshakeType.CLIENT_HELLO: ClientHello.read, HandshakeType.SERVER_HELLO: ServerHello.read}
KINDS = pytest.mark.parametrize("kind", list(READ), ids=lambda kind: kind.name.lower())


@KINDS
def test_what_varies_does_not_change_the_form(kind: HandshakeType) -> None:
    known: Forms = Forms()
    for body in bodies(kind):
        hello = salvage(READ[kind], body)[0]
        form = known.find(body) or known.learn(body, hello)
        if form is None:
            continue
        other = bytearray(body)
        other[2:34] = bytes(32)
        size = other[34]
        other[35 : 35 + size] = bytes(size)
        assert known.find(bytes(other)) is form
        assert form.fill(bytes(other)) == salvage(READ[kind], bytes(other))[0]
        assert form.fill(body) == hello


def test_samples_have_forms() -> None:
    known: Forms[ClientHello] = Forms()
    learnt = [known.learn(body, salvage(ClientHello.read, body)[0]) for body in bodies(HandshakeType.CLIENT_HELLO)]
    assert any(learnt)


@KINDS
@given(data=st.data())
def test_other_bytes_are_known_only_as_what_they_say(kind: HandshakeType, data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(bodies(kind))))
    known: Forms = Forms()
    known.learn(bytes(body), salvage(READ[kind], bytes(body))[0])
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=4)):
        body[at] = data.draw(st.integers(0, 255))
    form = known.find(bytes(body))
    try:
        hello, flaw = salvage(READ[kind], bytes(body))
    except WireError:
        assert form is None
    else:
        assert form is None or (form.fill(bytes(body)), None) == (hello, flaw)


def test_hellos_that_never_recur_have_no_form() -> None:
    known: Forms[ClientHello] = Forms()
    body = next(b for b in bodies(HandshakeType.CLIENT_HELLO) if known.learn(b, salvage(ClientHello.read, b)[0]))
    hello = salvage(ClientHello.read, body)[0]
    suites, extensions = hello.cipher_suites or (), hello.extensions or ()
    assert known.learn(body, msgspec.structs.replace(hello, cipher_suites=(0x0A0A, *suites[1:]))) is None
    assert known.learn(body, msgspec.structs.replace(hello, extensions=(extensions[0], *extensions))) is None
    assert known.learn(bytes(forms.LONGEST + 1), hello) is None
    many = tuple([forms.Extension(number, b"") for number in range(0x3000, 0x3000 + forms.MAX_EXTENSIONS + 1)])
    assert known.learn(body, msgspec.structs.replace(hello, extensions=many)) is None


def test_no_more_are_known_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MAX_FORMS", 4)
    known: Forms[ClientHello] = Forms()
    hello = ClientHello(0x0303, bytes(32), b"", (0x1301,), (0,), ())
    sizes = range(100, 200)
    for size in sizes:
        known.learn(bytes(size), hello)
    assert sum(known.find(bytes(size)) is not None for size in sizes) <= 4


def test_of_one_length_few_places_are_tried() -> None:
    known: Forms[ClientHello] = Forms()
    for size in range(20):
        sent = (forms.Extension(ExtensionType.COOKIE, bytes(size)),)
        known.learn(bytes(100), ClientHello(0x0303, bytes(32), b"", (0x1301,), (0,), sent))
    assert len(known._known[100]) == forms.MAX_MASKS


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_facts_are_the_same_without_forms(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = [msgspec.json.encode(one) for _ in range(2) for one in tlsdissect.read(sample)]
    monkeypatch.setattr(Forms, "find", lambda *_: None)
    monkeypatch.setattr(Forms, "learn", lambda *_: None)
    assert known == 2 * [msgspec.json.encode(one) for one in tlsdissect.read(sample)]
