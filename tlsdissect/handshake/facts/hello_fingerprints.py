# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Fingerprints of the hellos of a connection."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import cython

from tlsdissect.handshake.facts import fingerprints
from tlsdissect.tls.client_hello import ClientHello
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.hello_cache import derive_once

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tlsdissect.handshake.facts.handshake import Handshake
    from tlsdissect.handshake.facts.hello_extensions import Extensions
    from tlsdissect.model.connection import Transport
    from tlsdissect.tls.server_hello import ServerHello

# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_APPLICATION_LAYER_PROTOCOL_NEGOTIATION = Type.APPLICATION_LAYER_PROTOCOL_NEGOTIATION
_EC_POINT_FORMATS = Type.EC_POINT_FORMATS
_SIGNATURE_ALGORITHMS = Type.SIGNATURE_ALGORITHMS
_SUPPORTED_GROUPS = Type.SUPPORTED_GROUPS
_SUPPORTED_VERSIONS = Type.SUPPORTED_VERSIONS


def _hello(handshake: Handshake) -> ClientHello | None:
    """Return the first ClientHello as its template has it, unless bytes of it are missing."""
    decoded, seen = handshake.client_hello, handshake.log.client_hello
    if decoded is None or not isinstance(decoded.shared, ClientHello) or seen is None or not seen.event.whole:
        return None
    if handshake.lacks_first_hello():
        return None
    return None if decoded.shared.cipher_suites is None else decoded.shared


@cython.cfunc
def _per_template(handshake: Handshake, write: Callable[[Handshake], str | None]) -> Any:
    """Return a fingerprint of the first ClientHello, which is computed once per template."""
    decoded, seen = handshake.client_hello, handshake.log.client_hello
    if decoded is None or seen is None or not seen.event.whole or handshake.lacks_first_hello():
        return None
    return derive_once(decoded.template, write, handshake)


def ja3_string(handshake: Handshake, *, ordered: cython.bint = False) -> str | None:
    """Return the text that JA3 hashes; with `ordered`, with sorted extensions as for JA3N."""
    hello, extensions = _hello(handshake), handshake.client_extensions
    if hello is None:
        return None
    groups = extensions.get(_SUPPORTED_GROUPS, "named_group_list") or ()
    formats = extensions.get(_EC_POINT_FORMATS, "ec_point_format_list") or ()
    write = fingerprints.ja3n_string if ordered else fingerprints.ja3_string
    return write(hello.legacy_version, hello.cipher_suites or (), extensions.codes, groups, formats)


@cython.ccall
def ja3(handshake: Handshake) -> Any:
    """Return the JA3 of the first ClientHello."""
    return _per_template(handshake, _ja3)


def _ja3(handshake: Handshake) -> str | None:
    string = ja3_string(handshake)
    return None if string is None else fingerprints.ja3(string)


def ja3n(handshake: Handshake) -> str | None:
    """Return the JA3N of the first ClientHello: JA3 with sorted extensions."""
    string = ja3_string(handshake, ordered=True)
    return None if string is None else fingerprints.ja3(string)


@cython.ccall
def ja3s(handshake: Handshake) -> Any:
    """Return the JA3S of the final ServerHello."""
    decoded, seen = handshake.server_hello, handshake.log.server_hello
    if decoded is None or decoded.is_ssl2 or seen is None or not seen.event.whole:
        return None
    return derive_once(decoded.template, _ja3s, decoded.shared, handshake.server_extensions)


def _ja3s(hello: ServerHello, extensions: Extensions) -> str:
    return fingerprints.ja3(fingerprints.ja3s_string(hello.legacy_version, hello.cipher_suite, extensions.codes))


@cython.ccall
def ja4(handshake: Handshake) -> Any:
    """Return the JA4 of the first ClientHello."""
    return _per_template(handshake, _JA4[handshake.log.transport])


def ja4_r(handshake: Handshake) -> str | None:
    """Return the JA4 of the first ClientHello with its lists instead of their hashes."""
    return _written(fingerprints.ja4_r, handshake)


def _written(write: Callable[..., str], handshake: Handshake) -> str | None:
    hello, extensions = _hello(handshake), handshake.client_extensions
    if hello is None:
        return None
    protocols = extensions.get(_APPLICATION_LAYER_PROTOCOL_NEGOTIATION, "protocol_name_list")
    return write(
        _PROTOCOLS[handshake.log.transport],
        fingerprints.highest_version(hello.legacy_version, extensions.get(_SUPPORTED_VERSIONS, "versions")),
        hello.cipher_suites,
        extensions.codes,
        alpn=protocols[0] if protocols else None,
        signature_algorithms=extensions.get(_SIGNATURE_ALGORITHMS, "supported_signature_algorithms") or (),
    )


_PROTOCOLS: Mapping[Transport, fingerprints.Protocol] = {"tcp": "t", "udp": "d", "quic": "q", "eap": "t"}
"""The first letter of a JA4."""
_JA4 = {transport: partial(_written, fingerprints.ja4) for transport in _PROTOCOLS}
"""A function for each transport, since hellos of two transports may have the same template."""
