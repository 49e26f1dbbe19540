"""What was agreed: resumption, early data, key exchange, extensions that change the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.codepoints import HandshakeType, Registry
from tlsdissect.tls.key_exchange import DhParams, EcdhParams, ServerKeyExchange, key_exchange
from tlsdissect.tls.server_hello import ServerHello
from tlsdissect.tls.wire import Reader, WireError
from tlsdissect.transcript.facts.naming import text

if TYPE_CHECKING:
    from tlsdissect.transcript.facts.hellos import Extensions
    from tlsdissect.transcript.facts.scene import Scene
    from tlsdissect.transcript.tracking.seen import Answer, Offer

_ECH = frozenset((Type.ENCRYPTED_CLIENT_HELLO, 0xFFCE, 0xFE08, 0xFE09, 0xFE0A, 0xFE0B, 0xFE0C))
"""encrypted_client_hello, and the numbers that it and its forerunner had in drafts."""


class KeyExchange(NamedTuple):
    """How the keys were agreed on, as far as a ServerKeyExchange or key_share tells."""

    group: str | None = None
    dh_bits: int | None = None
    signature_scheme: str | None = None


def resumption(scene: Scene) -> str | None:
    """What the server accepted: "none", "ticket", "session_id" or "psk"; None while it cannot be told.

    TLS 1.2 and older: a server that resumes goes from its ServerHello (and NewSessionTicket) straight to its
    ChangeCipherSpec (RFC 5246 section 7.3, RFC 5077 section 3.1). TLS 1.3: RFC 8446 section 4.2.11.
    """
    answer = scene.script.answer
    if answer is None or not isinstance(answer.hello, ServerHello):
        return None
    if scene.script.tls13:
        taken = _has(answer, scene.answered, Type.PRE_SHARED_KEY)
        return None if taken is None else "psk" if taken else "none"
    if scene.is_full is not False or scene.script.offer is None:
        return "none" if scene.is_full else None
    if scene.asked.get(Type.SESSION_TICKET, "data"):
        return "ticket"
    if not scene.script.offer.item.whole and Type.SESSION_TICKET not in scene.asked.bodies:
        # The missing bytes may hold a ticket, whose session the client then names by an id of its own choice (RFC 5077
        # section 3.4).
        return None
    offered = getattr(scene.script.offer.hello, "legacy_session_id", b"")
    return "session_id" if offered and answer.hello.legacy_session_id_echo == offered else None


def hello_retry(scene: Scene) -> bool | None:
    """Whether the server asked for another ClientHello; None: bytes are missing in which it may have done so."""
    if scene.script.retry is not None:
        return True
    answer = scene.script.answer
    if answer is None or (scene.script.tls13 and not scene.halves[1].is_whole(answer.item.start)):
        return None
    return False


def early_data(scene: Scene) -> str | None:
    """The fate of early data (RFC 8446 section 4.2.10); where the server takes it or not is told by shape."""
    if scene.script.offer is None:
        return None
    offered = _has(scene.script.offer, scene.asked, Type.EARLY_DATA)
    if not offered:
        return "none" if offered is False else None
    if scene.script.retry is not None:
        return "rejected"
    if scene.script.answer is None:
        return "offered"
    if _has(scene.script.answer, scene.answered, Type.PRE_SHARED_KEY) is None:
        return None
    if scene.answered.get(Type.PRE_SHARED_KEY, "selected_identity") != 0:
        return "rejected"
    if scene.shape is None or not scene.shape.exact:
        return None
    return "accepted" if scene.shape.ended_early_data else "rejected"


def early_data_by_shape(scene: Scene) -> bool:
    """Whether the fate of early data rests on the lengths of records."""
    selected = scene.answered.get(Type.PRE_SHARED_KEY, "selected_identity") == 0
    return Type.EARLY_DATA in scene.asked.bodies and scene.script.retry is None and selected


def ech(scene: Scene) -> str | None:
    """Whether an Encrypted Client Hello, or GREASE that looks like one, was offered (RFC 9849)."""
    if scene.script.offer is None:
        return None
    if not _ECH.isdisjoint(scene.asked.bodies):
        return "grease_or_offered"
    return "none" if scene.script.offer.item.whole else None


def key_agreement(scene: Scene) -> KeyExchange:
    """The group, prime and signature scheme of the key exchange."""
    if scene.script.tls13:
        group = scene.answered.get(Type.KEY_SHARE, "group")
        group = scene.answered.get(Type.KEY_SHARE_OLD, "group") if group is None else group
        return KeyExchange(group=None if group is None else Registry.GROUPS.names[group])
    item, suite = scene.message(1, HandshakeType.SERVER_KEY_EXCHANGE), scene.cipher_suite
    kind = None if suite is None else key_exchange(Registry.CIPHER_SUITES.names[suite])
    if item is None or kind is None:
        return KeyExchange()
    reader = Reader(item.body)
    try:
        message = ServerKeyExchange.read(reader, kind, scene.script.version or 0)
    except WireError as error:
        scene.halves[1].trouble("malformed_message", f"ServerKeyExchange: {error}", item.frame, item.start)
        return KeyExchange()
    params, scheme = message.params, message.signature_scheme
    curve = getattr(params.curve_params, "named_curve", None) if isinstance(params, EcdhParams) else None
    return KeyExchange(
        group=None if curve is None else Registry.GROUPS.names[curve],
        dh_bits=int.from_bytes(params.dh_p, "big").bit_length() if isinstance(params, DhParams) else None,
        signature_scheme=None if scheme is None else Registry.SIGNATURE_SCHEMES.names[scheme],
    )


def negotiated(scene: Scene, extension: Type) -> bool | None:
    """Whether the server took up an extension that TLS 1.3 has no more; None there, and without a ServerHello."""
    answer = scene.script.answer
    if scene.script.tls13 or scene.cipher_suite is None or answer is None:
        return None
    return _has(answer, scene.answered, extension)


def _has(hello: Offer | Answer, extensions: Extensions, extension: Type) -> bool | None:
    """Whether a hello has an extension; None where bytes of the hello are missing, and the extension may be."""
    return extension in extensions.bodies or (None if not hello.item.whole else False)


def alpn(scene: Scene) -> str | None:
    """The protocol that the server picked in the clear (RFC 7301 section 3.2)."""
    names = scene.answered.get(Type.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, "protocol_name_list")
    return text(names[0]) if names and not scene.script.tls13 else None


def external_psk(scene: Scene) -> bool:
    """Whether the accepted pre-shared key has no ticket's age (RFC 8446 section 4.2.11): it may be external."""
    if not scene.script.tls13:
        return False
    selected = scene.answered.get(Type.PRE_SHARED_KEY, "selected_identity")
    identities = scene.asked.get(Type.PRE_SHARED_KEY, "identities") or ()
    return selected is not None and selected < len(identities) and identities[selected].obfuscated_ticket_age == 0
