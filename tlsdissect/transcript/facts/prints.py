"""Fingerprints of the hellos of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.tls.client_hello import ClientHello
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.hello_cache import derive_once
from tlsdissect.tls.server_hello import ServerHello
from tlsdissect.transcript.facts import fingerprints

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.transcript.facts.hellos import Extensions
    from tlsdissect.transcript.facts.scene import Scene


def _codes(extensions: Extensions) -> tuple[int, ...]:
    return tuple([one.fact.code for one in extensions.decoded])


def _hello(scene: Scene) -> ClientHello | None:
    """The first ClientHello, unless what fingerprints are made of is not all there."""
    offer = scene.script.offer
    if offer is None or not isinstance(offer.hello, ClientHello) or not offer.item.whole:
        return None
    return None if offer.hello.cipher_suites is None else offer.hello


def _by_form(scene: Scene, write: Callable[[Scene], str | None]) -> str | None:
    """Write a fingerprint of the first ClientHello, once per template."""
    offer = scene.script.offer
    return None if offer is None or not offer.item.whole else derive_once(offer.template, write, scene)


def ja3_string(scene: Scene, *, ordered: bool = False) -> str | None:
    """The text that JA3 hashes, of the first ClientHello; `ordered`: with sorted extensions, as JA3N has it."""
    hello, extensions = _hello(scene), scene.asked
    if hello is None:
        return None
    groups = extensions.get(Type.SUPPORTED_GROUPS, "named_group_list") or ()
    formats = extensions.get(Type.EC_POINT_FORMATS, "ec_point_format_list") or ()
    write = fingerprints.ja3n_string if ordered else fingerprints.ja3_string
    return write(hello.legacy_version, hello.cipher_suites or (), _codes(extensions), groups, formats)


def ja3(scene: Scene) -> str | None:
    """JA3 of the first ClientHello."""
    return _by_form(scene, _ja3)


def _ja3(scene: Scene) -> str | None:
    string = ja3_string(scene)
    return None if string is None else fingerprints.ja3(string)


def ja3n(scene: Scene) -> str | None:
    """JA3 of the first ClientHello with its extensions sorted."""
    string = ja3_string(scene, ordered=True)
    return None if string is None else fingerprints.ja3(string)


def ja3s(scene: Scene) -> str | None:
    """JA3S of the final ServerHello."""
    answer = scene.script.answer
    if answer is None or not isinstance(answer.hello, ServerHello) or not answer.item.whole:
        return None
    return derive_once(answer.template, _ja3s, answer.hello, scene.answered)


def _ja3s(hello: ServerHello, extensions: Extensions) -> str:
    return fingerprints.ja3(fingerprints.ja3s_string(hello.legacy_version, hello.cipher_suite, _codes(extensions)))


def ja4(scene: Scene) -> str | None:
    """JA4 of the first ClientHello."""
    return _by_form(scene, _ja4)


def _ja4(scene: Scene) -> str | None:
    return _written(scene, fingerprints.ja4)


def ja4_r(scene: Scene) -> str | None:
    """JA4 of the first ClientHello with its lists in place of their hashes."""
    return _written(scene, fingerprints.ja4_r)


def _written(scene: Scene, write: Callable[..., str]) -> str | None:
    hello, extensions = _hello(scene), scene.asked
    if hello is None:
        return None
    protocols = extensions.get(Type.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, "protocol_name_list")
    return write(
        "t",
        fingerprints.highest_version(hello.legacy_version, extensions.get(Type.SUPPORTED_VERSIONS, "versions")),
        hello.cipher_suites,
        _codes(extensions),
        alpn=protocols[0] if protocols else None,
        signature_algorithms=extensions.get(Type.SIGNATURE_ALGORITHMS, "supported_signature_algorithms") or (),
    )
