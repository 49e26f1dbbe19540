"""Facts from the extensions of a certificate (RFC 5280 section 4.2).

The extensions are decoded here, one by one: `cryptography` rejects all of a certificate's extensions if one is
malformed, and pyOpenSSL does not expose them.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from tlsdissect.tls.wire import Reader, WireError
from tlsdissect.x509 import der

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Facts = dict[str, Any]

_RFC822_NAME, _DNS_NAME, _URI, _IP_ADDRESS = 0x81, 0x82, 0x86, 0x87
_CONTEXT_0 = 0xA0
_STATUS_REQUEST = 5

ABSENT: Facts = {
    "dns_names": (),
    "ip_addresses": (),
    "is_ca": False,
    "must_staple": False,
    "ocsp_urls": (),
    "crl_urls": (),
    "ca_issuer_urls": (),
    "scts": 0,
    "acme_identifier": None,
    "email_addresses": (),
    "uris": (),
    "path_length": None,
}
"""The facts of a certificate without extensions."""


def read(extensions: der.Value) -> tuple[Facts, tuple[tuple[str, str], ...]]:
    """Return the facts of Extensions, and the fields that could not be read (None in the facts) with the reasons."""
    facts, problems = dict(ABSENT), []
    seen = set()
    for extension in extensions.expect(der.SEQUENCE).items():
        identifier, *_, content = extension.expect(der.SEQUENCE).items(least=2)
        oid = der.oid(identifier)
        fields, reader = _READERS.get(oid, ((), None))
        if reader is None:
            continue
        if oid in seen:  # RFC 5280 section 4.2 forbids it; the first one counts
            problems.append((", ".join(fields), "the extension is repeated"))
            continue
        seen.add(oid)
        try:
            facts.update(reader(content.expect(der.OCTET_STRING)))
        except WireError as error:
            facts.update(dict.fromkeys(fields))
            problems.append((", ".join(fields), error.problem))
    return facts, tuple(problems)


def _alternative_names(content: der.Value) -> Facts:
    """Read subjectAltName (RFC 5280 section 4.2.1.6)."""
    names = content.item().expect(der.SEQUENCE).items()
    return {
        "dns_names": _texts(names, _DNS_NAME),
        "ip_addresses": tuple([_address(name) for name in names if name.tag == _IP_ADDRESS]),
        "email_addresses": _texts(names, _RFC822_NAME),
        "uris": _texts(names, _URI),
    }


def _texts(names: Iterable[der.Value], tag: int) -> tuple[str, ...]:
    return tuple([der.printable(name.body) for name in names if name.tag == tag])


def _address(name: der.Value) -> str:
    if len(name.body) not in {4, 16}:
        raise WireError(f"an address of {len(name.body)} bytes", name.start)
    return str(ip_address(name.body))


def _basic_constraints(content: der.Value) -> Facts:
    """Read basicConstraints (RFC 5280 section 4.2.1.9); cA defaults to false."""
    parts = content.item().expect(der.SEQUENCE).items()
    lengths = [part for part in parts if part.tag == der.INTEGER]
    return {
        "is_ca": bool(parts) and parts[0].tag == der.BOOLEAN and any(parts[0].body),
        "path_length": der.small(lengths[0]) if lengths else None,
    }


def _features(content: der.Value) -> Facts:
    """Read the TLS features (RFC 7633 section 4): extensions that the server must support."""
    features = content.item().expect(der.SEQUENCE).items()
    return {"must_staple": _STATUS_REQUEST in [der.integer(feature) for feature in features]}


def _information_access(content: der.Value) -> Facts:
    """Read authorityInfoAccess (RFC 5280 section 4.2.2.1)."""
    urls: dict[str, list[str]] = {"1.3.6.1.5.5.7.48.1": [], "1.3.6.1.5.5.7.48.2": []}
    for description in content.item().expect(der.SEQUENCE).items():
        method, location, *_ = description.expect(der.SEQUENCE).items(least=2)
        if location.tag == _URI:
            urls.setdefault(der.oid(method), []).append(der.printable(location.body))
    return {"ocsp_urls": tuple(urls["1.3.6.1.5.5.7.48.1"]), "ca_issuer_urls": tuple(urls["1.3.6.1.5.5.7.48.2"])}


def _distribution_points(content: der.Value) -> Facts:
    """Read cRLDistributionPoints (RFC 5280 section 4.2.1.13)."""
    points = [point.expect(der.SEQUENCE).items() for point in content.item().expect(der.SEQUENCE).items()]
    names = [name for point in points for name in _full_names(point)]
    return {"crl_urls": _texts(names, _URI)}


def _full_names(point: Iterable[der.Value]) -> Iterable[der.Value]:
    """Return the GeneralNames of a DistributionPoint: fullName [0] inside distributionPoint [0]."""
    places = [choice for field in point if field.tag == _CONTEXT_0 for choice in field.items()]
    return [name for choice in places if choice.tag == _CONTEXT_0 for name in choice.items()]


def _timestamps(content: der.Value) -> Facts:
    """Count the SCTs of a SignedCertificateTimestampList (RFC 6962 section 3.3)."""
    reader = Reader(content.item().expect(der.OCTET_STRING).body)
    return {"scts": len(reader.whole(lambda whole: whole.vector(2, lambda item: item.block(2).rest())))}


def _acme(content: der.Value) -> Facts:
    """Read the acmeIdentifier of a tls-alpn-01 challenge (RFC 8737 section 3)."""
    return {"acme_identifier": content.item().expect(der.OCTET_STRING).body.hex()}


_READERS: dict[str, tuple[tuple[str, ...], Callable[[der.Value], Facts]]] = {
    "2.5.29.17": (("dns_names", "ip_addresses", "email_addresses", "uris"), _alternative_names),
    "2.5.29.19": (("is_ca", "path_length"), _basic_constraints),
    "2.5.29.31": (("crl_urls",), _distribution_points),
    "1.3.6.1.5.5.7.1.1": (("ocsp_urls", "ca_issuer_urls"), _information_access),
    "1.3.6.1.5.5.7.1.24": (("must_staple",), _features),
    "1.3.6.1.5.5.7.1.31": (("acme_identifier",), _acme),
    "1.3.6.1.4.1.11129.2.4.2": (("scts",), _timestamps),
}
