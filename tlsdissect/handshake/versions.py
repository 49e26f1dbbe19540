"""Which version a hello offers or selects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.tls.client_hello import ClientHello
from tlsdissect.tls.codepoints import ExtensionType, is_tls13
from tlsdissect.tls.server_hello import ServerHello

if TYPE_CHECKING:
    from tlsdissect.tls.client_hello import Extension, Ssl2ClientHello
    from tlsdissect.tls.server_hello import HelloRetryRequest, Ssl2ServerHello


def extension_data(extensions: tuple[Extension, ...] | None, number: int) -> bytes | None:
    """The bytes of the first extension of a type; None: it is not there."""
    for extension in extensions or ():
        if extension.extension_type == number:
            return extension.extension_data
    return None


def selected_version(hello: ServerHello | Ssl2ServerHello | HelloRetryRequest) -> int:
    """What a server chose: supported_versions where it sent it, else its legacy_version (RFC 8446 section 4.2.1)."""
    if not isinstance(hello, ServerHello):
        return hello.server_version
    data = extension_data(hello.extensions, ExtensionType.SUPPORTED_VERSIONS)
    return int.from_bytes(data, "big") if data is not None and len(data) == 2 else hello.legacy_version


def lacks_version(hello: ServerHello) -> bool:
    """Whether a hello is like one of TLS 1.3 but for the extension that says so."""
    said = extension_data(hello.extensions, ExtensionType.SUPPORTED_VERSIONS)
    return said is None and hello.legacy_version == 0x0303


def offers_tls13(hello: ClientHello | Ssl2ClientHello) -> bool:
    """Whether a client offers TLS 1.3 or a draft of it."""
    if not isinstance(hello, ClientHello):
        return False
    data = extension_data(hello.extensions, ExtensionType.SUPPORTED_VERSIONS)
    if data is None:
        return False
    return any(is_tls13(int.from_bytes(data[at : at + 2], "big")) for at in range(1, len(data) - 1, 2))


def offers_early_data(hello: ClientHello | Ssl2ClientHello) -> bool:
    """Whether a client sends early data (RFC 8446 section 4.2.10)."""
    return isinstance(hello, ClientHello) and extension_data(hello.extensions, ExtensionType.EARLY_DATA) is not None


def pre_shared_keys(hello: ClientHello | Ssl2ClientHello) -> bytes | None:
    """Return the body of the pre_shared_key extension, which is the last one (RFC 8446 section 4.2.11)."""
    last = hello.extensions[-1] if isinstance(hello, ClientHello) and hello.extensions else None
    return last.extension_data if last is not None and last.extension_type == ExtensionType.PRE_SHARED_KEY else None
