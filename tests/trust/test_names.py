"""Matching of host names against certificates (RFC 9525 section 6.3)."""

from __future__ import annotations

import pytest

from tlsdissect.model.connection import Certificate
from tlsdissect.trust.names import is_for, is_private


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("www.example.com", "www.example.com", True),
        ("WWW.Example.COM", "www.example.com", True),
        ("www.example.com", "www.example.com.", True),
        ("example.com", "www.example.com", False),
        ("*.example.com", "www.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("*.example.com", ".example.com", False),
        ("w*.example.com", "www.example.com", False),
        ("*w.example.com", "www.example.com", False),
        ("www.*.com", "www.example.com", False),
        ("*.*.com", "www.example.com", False),
        ("*", "localhost", False),
        ("xn--bcher-kva.example", "bücher.example", True),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", True),
        ("*.xn--bcher-kva.example", "www.bücher.example", True),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_dns_names(pattern: str, name: str, fits: bool) -> None:
    assert is_for(shown(dns=(pattern,)), name) is fits


def shown(dns: tuple[str, ...] | None = (), addresses: tuple[str, ...] | None = ()) -> Certificate:
    return Certificate(sha256="00", bytes=1, subject="CN=www.example.com", dns_names=dns, ip_addresses=addresses)


def test_the_common_name_does_not_count() -> None:
    assert is_for(shown(), "www.example.com") is False


def test_addresses_are_compared_as_such() -> None:
    here = shown(dns=("192.0.2.1",), addresses=("2001:db8::1", "192.0.2.7"))
    assert is_for(here, "192.0.2.7") is True
    assert is_for(here, "[2001:db8:0::1]") is True
    assert is_for(here, "192.0.2.1") is False


def test_names_that_could_not_be_read_tell_nothing() -> None:
    assert is_for(shown(dns=None), "www.example.com") is None
    assert is_for(shown(addresses=None), "192.0.2.1") is None


@pytest.mark.parametrize(
    ("name", "private"),
    [
        ("localhost", True),
        ("printer.local", True),
        ("*.corp.internal", True),
        ("www.example.com", False),
        ("10.1.2.3", True),
        ("8.8.8.8", False),
        ("::1", True),
        ("fd00::1", True),
        ("2606:4700::1", False),
    ],
)
def test_private_names(name: str, private: bool) -> None:
    assert is_private(name) is private
