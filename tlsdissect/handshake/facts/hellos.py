"""Facts of hellos: code points as registered names, and decoded extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from tlsdissect.caches import cached
from tlsdissect.handshake.events import decode_retry_request
from tlsdissect.handshake.facts.extensions import Decoded, ExtensionDecoder, text
from tlsdissect.model.connection import ClientHello, Extension, HelloRetryRequest, ServerHello
from tlsdissect.tls.client_hello import ClientHello as WireClientHello
from tlsdissect.tls.codepoints import LONG_LIST, HandshakeType, Registry, cipher_spec_name
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.extension_names import ServerNameList
from tlsdissect.tls.extensions import FROM_CLIENT, FROM_RETRY, FROM_SERVER
from tlsdissect.tls.hello_cache import MAX_EXTENSIONS, derive_once
from tlsdissect.tls.server_hello import HelloVerifyRequest
from tlsdissect.tls.server_hello import ServerHello as WireServerHello
from tlsdissect.tls.wire import Reader, TooManyItemsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

    from tlsdissect.handshake.events import DecodedHello, HandshakeEvent
    from tlsdissect.handshake.facts.handshake import Handshake
    from tlsdissect.tls.client_hello import Extension as WireExtension
    from tlsdissect.tls.client_hello import Ssl2ClientHello
    from tlsdissect.tls.hello_cache import HelloTemplate
    from tlsdissect.tls.server_hello import Ssl2ServerHello

_MALFORMED = "malformed_message"
MAX_REPORTED = 1024
"""Extensions of a hello that are decoded and reported; a hello with more has a problem `limit`."""
HOST_NAME = 0
"""RFC 6066 section 3."""
NAMES_CACHE_BYTES = 1 << 18
"""Bytes of cached lists of names of one registry."""
_NAMED_BYTES = 108
"""Estimated bytes of a number and its name in two tuples."""


class Extensions(NamedTuple):
    """The decoded extensions of a hello; of a repeated type, the first counts."""

    codes: tuple[int, ...]
    """The types of all extensions."""
    decoded: tuple[Decoded, ...]
    bodies: dict[int, Struct | None]
    problems: tuple[tuple[str, str], ...] = ()
    """Code and detail of each problem."""

    def get(self, number: int, field: str) -> Any:
        """Return a field of an extension's body; None if the extension is absent or malformed."""
        body = self.bodies.get(number)
        return None if body is None else getattr(body, field, None)


_FROM_CLIENT, _FROM_SERVER, _FROM_RETRY = (
    ExtensionDecoder(FROM_CLIENT),
    ExtensionDecoder(FROM_SERVER),
    ExtensionDecoder(FROM_RETRY),
)


def _name_cache(registry: Registry) -> Callable[[tuple[int, ...] | None], tuple[str, ...] | None]:
    """Return a function that converts the numbers of a list to names, and caches the result."""

    @cached(NAMES_CACHE_BYTES, lambda numbers, _: _NAMED_BYTES * len(numbers), longest=LONG_LIST)
    def names(numbers: tuple[int, ...]) -> tuple[str, ...]:
        return registry.names.of(numbers)

    return lambda numbers: None if numbers is None else names(numbers)


_versions, _suites, _groups = (
    _name_cache(Registry.VERSIONS),
    _name_cache(Registry.CIPHER_SUITES),
    _name_cache(Registry.GROUPS),
)
_methods, _schemes = _name_cache(Registry.COMPRESSION_METHODS), _name_cache(Registry.SIGNATURE_SCHEMES)
_psk_modes, _formats = _name_cache(Registry.PSK_MODES), _name_cache(Registry.EC_POINT_FORMATS)


NOTHING = Extensions((), (), {})


def decode_extensions(decoder: ExtensionDecoder, extensions: tuple[WireExtension, ...] | None) -> Extensions:
    """Decode the extensions of a hello."""
    sent = extensions or ()
    # A hello with very many extensions is unlikely to be repeated.
    keep = len(sent) <= MAX_EXTENSIONS
    decoded = tuple([decoder.decode(one, keep=keep) for one in sent[:MAX_REPORTED]])
    bodies: dict[int, Struct | None] = {}
    problems: list[tuple[str, str]] = []
    if len(sent) > MAX_REPORTED:
        problems.append(("limit", f"of {len(sent):,} extensions, the first {MAX_REPORTED:,} are reported"))
    for one in decoded:
        problems += _problems(one)
        if one.fact.code in bodies:
            # RFC 8446 section 4.2, RFC 5246 section 7.4.1.4: there must not be more than one extension of a type.
            problems.append((_MALFORMED, f"extension {one.fact.type}: repeated"))
        bodies.setdefault(one.fact.code, one.body)
    codes = tuple([one.extension_type for one in sent])
    return Extensions(codes, decoded, bodies, tuple(problems))


def _problems(one: Decoded) -> list[tuple[str, str]]:
    error = one.error or (_names_error(one.body) if isinstance(one.body, ServerNameList) else None)
    if error is None:
        return []
    code = "limit" if isinstance(error, TooManyItemsError) else _MALFORMED
    return [(code, f"extension {one.fact.type}: {error}")]


def _names_error(names: ServerNameList) -> str | None:
    """Return what is wrong with a ServerNameList: it must have a name, none empty, and only one of each type.

    RFC 6066 section 3.
    """
    listed = names.server_name_list
    types = {name.name_type for name in listed}
    if not listed:
        return "no name"
    if not all(name.host_name for name in listed):
        return "an empty name"
    return "several names of one type" if len(types) < len(listed) else None


def client_extensions(decoded: DecodedHello[WireClientHello | Ssl2ClientHello]) -> Extensions:
    """Decode the extensions of a ClientHello."""
    hello = decoded.hello
    return _by_template(
        _FROM_CLIENT, decoded.template, hello.extensions if isinstance(hello, WireClientHello) else None
    )


def server_extensions(decoded: DecodedHello[WireServerHello | Ssl2ServerHello]) -> Extensions:
    """Decode the extensions of a ServerHello."""
    hello = decoded.hello
    return _by_template(
        _FROM_SERVER, decoded.template, hello.extensions if isinstance(hello, WireServerHello) else None
    )


def _by_template(
    decoder: ExtensionDecoder, template: HelloTemplate[Any] | None, sent: tuple[WireExtension, ...] | None
) -> Extensions:
    """Decode extensions; of a hello with a known template, only those that vary."""
    known: Extensions | None = None if template is None else template.derived.get(_by_template)
    if template is None or known is None or sent is None:
        extensions = decode_extensions(decoder, sent)
        if template is not None and not extensions.problems:
            template.derived[_by_template] = extensions
        return extensions
    decoded, bodies, problems = list(known.decoded), known.bodies.copy(), list[tuple[str, str]]()
    for index in template.fresh:
        one = decoded[index] = decoder.decode(sent[index])
        problems += _problems(one)
        bodies[one.fact.code] = one.body
    return Extensions(known.codes, tuple(decoded), bodies, tuple(problems))


def client_hello(handshake: Handshake) -> ClientHello | None:
    """Return the facts of the ClientHello; None if it was not captured."""
    seen, decoded, extensions = handshake.log.client_hello, handshake.client_hello, handshake.client_extensions
    if seen is None or decoded is None:
        return None
    event, hello = seen.event, decoded.hello
    if not isinstance(hello, WireClientHello):
        return _ssl2_client_hello(event, hello, seen.segments)
    return replace(
        derive_once(decoded.template, _client_template_facts, hello, extensions),
        frame=event.frame,
        bytes=event.size,
        segments=seen.segments,
        random=hello.random.hex(),
        session_id=(hello.legacy_session_id or b"").hex() or None,
        extensions=_listed(extensions, seen=event.whole and hello.legacy_compression_methods is not None),
        key_shares=_key_shares(extensions),
    )


def _client_template_facts(hello: WireClientHello, extensions: Extensions) -> ClientHello:
    """Return the facts that all ClientHellos of a template share."""
    protocols = extensions.get(Type.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, "protocol_name_list")
    return ClientHello(
        frame=0,
        bytes=0,
        segments=0,
        version=Registry.VERSIONS.names[hello.legacy_version],
        random="",
        session_id=None,
        cipher_suites=_suites(hello.cipher_suites),
        compression_methods=_methods(hello.legacy_compression_methods),
        extensions=(),
        supported_versions=_versions(extensions.get(Type.SUPPORTED_VERSIONS, "versions")),
        groups=_groups(extensions.get(Type.SUPPORTED_GROUPS, "named_group_list")),
        signature_schemes=_schemes(extensions.get(Type.SIGNATURE_ALGORITHMS, "supported_signature_algorithms")),
        alpn=None if protocols is None else tuple([text(name) for name in protocols]),
        psk_modes=_psk_modes(extensions.get(Type.PSK_KEY_EXCHANGE_MODES, "ke_modes")),
        ec_point_formats=_formats(extensions.get(Type.EC_POINT_FORMATS, "ec_point_format_list")),
    )


def _listed(extensions: Extensions, *, seen: bool) -> tuple[Extension, ...] | None:
    """Return the facts of the extensions; None if there are none and the end of the hello was not `seen`."""
    return tuple([one.fact for one in extensions.decoded]) if extensions.decoded or seen else None


def _key_shares(extensions: Extensions) -> tuple[str, ...] | None:
    """Return the groups of a ClientHello's key shares; None if it has no such extension."""
    if Type.KEY_SHARE not in extensions.bodies and Type.KEY_SHARE_OLD not in extensions.bodies:
        return None
    shares = extensions.get(Type.KEY_SHARE, "client_shares") or extensions.get(Type.KEY_SHARE_OLD, "client_shares")
    return _groups(tuple([share.group for share in shares or ()]))


def _ssl2_client_hello(event: HandshakeEvent, hello: Ssl2ClientHello, segments: int) -> ClientHello:
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


def server_hello(handshake: Handshake) -> ServerHello | None:
    """Return the facts of the ServerHello; None if it was not captured."""
    seen, decoded, extensions = handshake.log.server_hello, handshake.server_hello, handshake.server_extensions
    if seen is None or decoded is None:
        return None
    event, hello = seen.event, decoded.hello
    if not isinstance(hello, WireServerHello):
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
    return replace(
        derive_once(decoded.template, _server_template_facts, hello),
        frame=event.frame,
        bytes=event.size,
        random=hello.random.hex(),
        session_id=(hello.legacy_session_id_echo or b"").hex() or None,
        extensions=_listed(extensions, seen=event.whole),
    )


def _server_template_facts(hello: WireServerHello) -> ServerHello:
    """Return the facts that all ServerHellos of a template share."""
    method = hello.legacy_compression_method
    return ServerHello(
        frame=0,
        bytes=0,
        version=Registry.VERSIONS.names[hello.legacy_version],
        random="",
        session_id=None,
        cipher_suite=Registry.CIPHER_SUITES.names[hello.cipher_suite],
        compression_method=None if method is None else Registry.COMPRESSION_METHODS.names[method],
        extensions=(),
    )


def hello_retry_request(event: HandshakeEvent) -> tuple[HelloRetryRequest, tuple[tuple[str, str], ...]]:
    """Return the facts of a HelloRetryRequest, or of DTLS's HelloVerifyRequest, and the problems of its extensions."""
    if event.handshake_type == HandshakeType.HELLO_VERIFY_REQUEST:
        # What is malformed in it was reported when it was logged.
        r = Reader(event.body)
        request = r.attempt(lambda: HelloVerifyRequest.read(r))
        return HelloRetryRequest(event.frame, None, None if request is None else len(request.cookie)), ()
    extensions = decode_extensions(_FROM_RETRY, decode_retry_request(event).hello.extensions)
    group = extensions.get(Type.KEY_SHARE, "selected_group") or extensions.get(Type.KEY_SHARE_OLD, "selected_group")
    cookie = extensions.get(Type.COOKIE, "cookie")
    fact = HelloRetryRequest(
        frame=event.frame,
        group=None if group is None else Registry.GROUPS.names[group],
        cookie_bytes=None if cookie is None else len(cookie),
    )
    return fact, extensions.problems


def sni(extensions: Extensions) -> str | None:
    """Return the requested host name (RFC 6066 section 3)."""
    for entry in extensions.get(Type.SERVER_NAME, "server_name_list") or ():
        if entry.name_type == HOST_NAME:
            return text(entry.host_name) or None
    return None
