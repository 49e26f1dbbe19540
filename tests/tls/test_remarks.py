from __future__ import annotations

import re

import pytest
from msgspec import Struct

from tlsdissect.tls import (
    alert,
    certificate,
    client_hello,
    extension_ech,
    extension_keys,
    extension_names,
    extension_proofs,
    headers,
    key_exchange,
    messages,
    server_hello,
)
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.remarks import alert_meaning, extension_reference, reference, remark

MODULES = (
    alert, certificate, client_hello, extension_ech, extension_keys, extension_names, extension_proofs, headers,
    key_exchange, messages, server_hello,
)  # fmt: skip
STRUCTS = [
    kind
    for module in MODULES
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Struct) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_every_struct_of_the_wire_cites_what_defines_it(kind: type[Struct]) -> None:
    if kind is not key_exchange.KeyExchange:
        assert reference(kind)


@pytest.mark.parametrize(
    ("registry", "number", "said"),
    [
        (Registry.GROUPS, 0x001D, None),
        (Registry.GROUPS, 0x0001, "obsolete: RFC 8422 section 5.1.1"),
        (Registry.GROUPS, 0xFE30, "draft of a post-quantum group"),
        (Registry.GROUPS, 0xFE01, "private use: RFC 8422 section 5.1.1"),
        (Registry.EXTENSIONS, 0x1234, "not registered"),
        (Registry.EXTENSIONS, 0x0A0A, None),
        (Registry.VERSIONS, 0x7F17, "draft of TLS 1.3"),
        (Registry.CIPHER_SUITES, 0x1301, None),
    ],
)
def test_remarks(registry: Registry, number: int, said: str | None) -> None:
    assert remark(registry, number) == said


def test_every_registered_extension_has_a_reference() -> None:
    for number, name in Registry.EXTENSIONS.names.items():
        if name != "GREASE" and number not in (0x3374, 0x4469, 0x44CD, 0x754F, 0x7550):
            assert re.match(r"RFC \d+ section|ETSI TS|draft-", extension_reference(number) or ""), name


def test_every_registered_alert_has_a_meaning() -> None:
    assert Registry.ALERTS.names[0] == "close_notify"
    for number, name in Registry.ALERTS.names.items():
        if not name.startswith("0x"):
            meaning, cited = alert_meaning(number) or ("", "")
            assert meaning, name
            assert re.fullmatch(r"RFC \d+ section [0-9.]+", cited), name
    assert alert_meaning(0xFF) is None
