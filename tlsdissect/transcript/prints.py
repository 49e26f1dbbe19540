"""Fingerprints of the hellos of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.tls.client_hello import ClientHello
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.server_hello import ServerHello
from tlsdissect.transcript import fingerprints

if TYPE_CHECKING:
    from tlsdissect.transcript.hellos import Told
    from tlsdissect.transcript.scene import Scene


def _codes(told: Told) -> tuple[int, ...]:
    return tuple([one.fact.code for one in told.decoded])


def ja3_string(scene: Scene, *, ordered: bool = False) -> str | None:
    """The text that JA3 hashes, of the first ClientHello; `ordered`: with sorted extensions, as JA3N has it."""
    offer, told = scene.script.offer, scene.asked
    if offer is None or not isinstance(offer.hello, ClientHello) or not offer.item.whole:
        return None
    hello = offer.hello
    if hello.cipher_suites is None:
        return None
    groups = told.get(Type.SUPPORTED_GROUPS, "named_group_list") or ()
    formats = told.get(Type.EC_POINT_FORMATS, "ec_point_format_list") or ()
    write = fingerprints.ja3n_string if ordered else fingerprints.ja3_string
    return write(hello.legacy_version, hello.cipher_suites, _codes(told), groups, formats)


def ja3(scene: Scene) -> str | None:
    """JA3 of the first ClientHello."""
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
    hello = answer.hello
    return fingerprints.ja3(fingerprints.ja3s_string(hello.legacy_version, hello.cipher_suite, _codes(scene.answered)))


def ja4(scene: Scene, *, raw: bool = False) -> str | None:
    """JA4 of the first ClientHello; `raw`: with its lists in place of their hashes."""
    offer, told = scene.script.offer, scene.asked
    if offer is None or not isinstance(offer.hello, ClientHello) or not offer.item.whole:
        return None
    hello = offer.hello
    if hello.cipher_suites is None:
        return None
    protocols = told.get(Type.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, "protocol_name_list")
    write = fingerprints.ja4_r if raw else fingerprints.ja4
    return write(
        "t",
        fingerprints.highest_version(hello.legacy_version, told.get(Type.SUPPORTED_VERSIONS, "versions")),
        hello.cipher_suites,
        _codes(told),
        alpn=protocols[0] if protocols else None,
        signature_algorithms=told.get(Type.SIGNATURE_ALGORITHMS, "supported_signature_algorithms") or (),
    )
