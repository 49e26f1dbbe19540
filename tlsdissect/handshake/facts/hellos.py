# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Facts of hellos: code points as registered names, and decoded extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython

from tlsdissect.caches import cached
from tlsdissect.capture.octets import cut
from tlsdissect.handshake.events import decode_retry_request
from tlsdissect.handshake.facts.handshake import Handshake
from tlsdissect.handshake.facts.hello_extensions import Extensions, retry_extensions
from tlsdissect.handshake.facts.text import text
from tlsdissect.model.connection import ClientHello, HelloRetryRequest, ServerHello
from tlsdissect.tls.code_point_lists import LONG_LIST, LongList
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.codepoints import HandshakeType, Registry, cipher_spec_name
from tlsdissect.tls.hello_cache import derive_once
from tlsdissect.tls.server_hello import HelloVerifyRequest
from tlsdissect.tls.wire import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.facts.handshake import Handshake
    from tlsdissect.tls.client_hello import ClientHello as WireClientHello
    from tlsdissect.tls.client_hello import Ssl2ClientHello
    from tlsdissect.tls.server_hello import ServerHello as WireServerHello
    from tlsdissect.tls.server_hello import Ssl2ServerHello

    Numbers = tuple[int, ...] | LongList

# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_APPLICATION_LAYER_PROTOCOL_NEGOTIATION = Type.APPLICATION_LAYER_PROTOCOL_NEGOTIATION
_COOKIE = Type.COOKIE
_EC_POINT_FORMATS = Type.EC_POINT_FORMATS
_KEY_SHARE = Type.KEY_SHARE
_KEY_SHARE_OLD = Type.KEY_SHARE_OLD
_PSK_KEY_EXCHANGE_MODES = Type.PSK_KEY_EXCHANGE_MODES
_SERVER_NAME = Type.SERVER_NAME
_SIGNATURE_ALGORITHMS = Type.SIGNATURE_ALGORITHMS
_SUPPORTED_GROUPS = Type.SUPPORTED_GROUPS
_SUPPORTED_VERSIONS = Type.SUPPORTED_VERSIONS

_HOST_NAME = "host_name"
"""The type of a name (RFC 6066 section 3)."""
NAMES_CACHE_BYTES = 1 << 18
"""Bytes of cached lists of names of one registry."""
_NAMED_BYTES = 108
"""Estimated bytes of a number and its name in two tuples."""


def _name_cache(registry: Registry) -> Callable[[Numbers | None], tuple[str, ...] | None]:
    """Return a function that converts the numbers of a list to names, and caches the result."""

    @cached(NAMES_CACHE_BYTES, lambda numbers, _: _NAMED_BYTES * len(numbers), longest=LONG_LIST)
    def names(numbers: Numbers) -> tuple[str, ...]:
        return registry.names.of(numbers)

    return lambda numbers: None if numbers is None else names(numbers)


_versions, _suites, _groups = (
    _name_cache(Registry.VERSIONS),
    _name_cache(Registry.CIPHER_SUITES),
    _name_cache(Registry.GROUPS),
)
_methods, _schemes = _name_cache(Registry.COMPRESSION_METHODS), _name_cache(Registry.SIGNATURE_SCHEMES)
_psk_modes, _formats = _name_cache(Registry.PSK_MODES), _name_cache(Registry.EC_POINT_FORMATS)


@cython.ccall
def client_hello(handshake: Handshake) -> Any:
    """Return the facts of the ClientHello; None if it was not captured."""
    seen, decoded, extensions = handshake.log.client_hello, handshake.client_hello, handshake.client_extensions
    if seen is None or decoded is None:
        return None
    event = seen.event
    if decoded.is_ssl2:
        return _ssl2_client_hello(event, decoded.shared, seen.segments)
    version, suites, methods, versions, groups, schemes, protocols, modes, formats = derive_once(
        decoded.template, _client_template_facts, decoded.shared, extensions
    )
    session_id = decoded.session_id
    return ClientHello(
        event.frame,
        event.size,
        seen.segments,
        version,
        cut(decoded.body, 2, 34).hex(),
        session_id.hex() if session_id else None,
        suites,
        methods,
        _listed(extensions, event.whole and decoded.shared.legacy_compression_methods is not None),
        versions,
        groups,
        _key_shares(extensions),
        schemes,
        protocols,
        modes,
        formats,
    )


def _client_template_facts(hello: WireClientHello, extensions: Extensions) -> tuple[Any, ...]:
    """Return the facts that all ClientHellos of a template share, in the order of a ClientHello's fields.

    A tuple, because unpacking it takes a tenth of the time of reading nine fields of a struct.
    """
    protocols = extensions.get(_APPLICATION_LAYER_PROTOCOL_NEGOTIATION, "protocol_name_list")
    return (
        Registry.VERSIONS.names[hello.legacy_version],
        _suites(hello.cipher_suites),
        _methods(hello.legacy_compression_methods),
        _versions(extensions.get(_SUPPORTED_VERSIONS, "versions")),
        _groups(extensions.get(_SUPPORTED_GROUPS, "named_group_list")),
        _schemes(extensions.get(_SIGNATURE_ALGORITHMS, "supported_signature_algorithms")),
        None if protocols is None else tuple([text(name) for name in protocols]),
        _psk_modes(extensions.get(_PSK_KEY_EXCHANGE_MODES, "ke_modes")),
        _formats(extensions.get(_EC_POINT_FORMATS, "ec_point_format_list")),
    )


@cython.cfunc
def _listed(extensions: Extensions, seen: cython.bint) -> tuple | None:  # type: ignore[type-arg]
    """Return the facts of the extensions; None if there are none and the end of the hello was not `seen`."""
    facts = extensions.facts
    return facts if facts or seen else None


def _key_shares(extensions: Extensions) -> tuple[str, ...] | None:
    """Return the groups of a ClientHello's key shares; None if it has no such extension."""
    if _KEY_SHARE not in extensions.bodies and _KEY_SHARE_OLD not in extensions.bodies:
        return None
    shares = extensions.shown(_KEY_SHARE, "client_shares") or extensions.shown(_KEY_SHARE_OLD, "client_shares")
    return tuple([share["group"] for share in shares or ()])


def _ssl2_client_hello(event: HandshakeEvent, hello: Ssl2ClientHello, segments: cython.longlong) -> ClientHello:
    """Return the facts of an SSL 2.0 CLIENT-HELLO; the challenge is its random (RFC 5246 appendix E.2)."""
    return ClientHello(
        frame=event.frame,
        bytes=event.size,
        segments=segments,
        version=Registry.VERSIONS.names[hello.version],
        random=hello.challenge.hex(),
        session_id=hello.session_id.hex() or None,
        cipher_suites=tuple([cipher_spec_name(spec) for spec in hello.cipher_specs]),
        compression_methods=(),
        extensions=(),
    )


@cython.ccall
def server_hello(handshake: Handshake) -> Any:
    """Return the facts of the ServerHello; None if it was not captured."""
    seen, decoded, extensions = handshake.log.server_hello, handshake.server_hello, handshake.server_extensions
    if seen is None or decoded is None:
        return None
    event = seen.event
    if decoded.is_ssl2:
        hello: Ssl2ServerHello = decoded.shared
        return ServerHello(
            frame=event.frame,
            bytes=event.size,
            version=Registry.VERSIONS.names[hello.server_version],
            random=hello.connection_id.hex(),
            session_id=None,
            cipher_suite=None,
            compression_method=None,
            extensions=(),
        )
    version, suite, method = derive_once(decoded.template, _server_template_facts, decoded.shared)
    session_id = decoded.session_id
    return ServerHello(
        event.frame,
        event.size,
        version,
        cut(decoded.body, 2, 34).hex(),
        session_id.hex() if session_id else None,
        suite,
        method,
        _listed(extensions, event.whole),
    )


def _server_template_facts(hello: WireServerHello) -> tuple[str, str, str | None]:
    """Return the facts that all ServerHellos of a template share: version, cipher suite and compression method."""
    method = hello.legacy_compression_method
    return (
        Registry.VERSIONS.names[hello.legacy_version],
        Registry.CIPHER_SUITES.names[hello.cipher_suite],
        None if method is None else Registry.COMPRESSION_METHODS.names[method],
    )


def hello_retry_request(event: HandshakeEvent) -> tuple[HelloRetryRequest, tuple[tuple[str, str], ...]]:
    """Return the facts of a HelloRetryRequest, or of DTLS's HelloVerifyRequest, and the problems of its extensions."""
    if event.handshake_type == HandshakeType.HELLO_VERIFY_REQUEST:
        # What is malformed in it was reported when it was logged.
        r = Reader(event.body)
        request = r.attempt(lambda: HelloVerifyRequest.read(r))
        return HelloRetryRequest(event.frame, None, None if request is None else len(request.cookie)), ()
    extensions = retry_extensions(decode_retry_request(event).hello.extensions)
    group = extensions.shown(_KEY_SHARE, "selected_group") or extensions.shown(_KEY_SHARE_OLD, "selected_group")
    cookie = extensions.shown(_COOKIE, "cookie")
    fact = HelloRetryRequest(event.frame, group, None if cookie is None else len(cookie) // 2)
    return fact, extensions.problems


@cython.ccall
def sni(extensions: Extensions) -> Any:
    """Return the requested host name (RFC 6066 section 3)."""
    for entry in extensions.shown(_SERVER_NAME, "server_name_list") or ():
        if entry["name_type"] == _HOST_NAME:
            return entry["host_name"] or None
    return None
