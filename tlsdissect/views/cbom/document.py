"""The inventory as a CycloneDX CBOM: JSON with one component, service or dependency a line.

The file is written and validated in parts, each a small BOM. Validating all of it at once would take a time that is
quadratic in the number of components, because they must differ from each other; here they differ in their `bom-ref`,
which is derived from what a component describes. Nothing in the file depends on when or where it was made: it has no
timestamp, and its serial number is derived from its content, so that the same captures give the same file.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.exception import MissingOptionalDependencyException
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tlsdissect.trust.times import format_time, parse_time
from tlsdissect.views.cbom import algorithms
from tlsdissect.views.cbom.readiness import key_agreement, signatures
from tlsdissect.views.cbom.use import SIDES
from tlsdissect.views.ndjson import json_text
from tlsdissect.views.printable import without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tlsdissect.model.connection import Certificate
    from tlsdissect.views.cbom.algorithms import Algorithm
    from tlsdissect.views.cbom.use import CryptographicUse, ProtocolUse, ServerUse, Sighting

Item = dict[str, Any]
SPECIFICATION = SchemaVersion.V1_7
_SCHEMA = f"http://cyclonedx.org/schema/bom-{SPECIFICATION.to_version()}.schema.json"
# Asked for when this is imported: once a process is confined, it may not look for the metadata of packages.
_TOOL: Item = {"type": "application", "name": "tlsdissect", "version": version("tlsdissect")}
_HEAD: Item = {"bomFormat": "CycloneDX", "specVersion": SPECIFICATION.to_version()}
_PART = 30
"""Components, services or dependencies that are validated together."""
_KINDS: dict[str, Callable[[str], Algorithm]] = {
    "cipher_suites": algorithms.cipher_suite,
    "groups": algorithms.group,
    "signature_schemes": algorithms.signature_scheme,
}


class Document:
    """Writes what was collected. ImportError says that the library, or what it needs to validate, is missing."""

    def __init__(self) -> None:
        self._validator = JsonStrictValidator(SPECIFICATION)
        try:
            self._validate(_HEAD)
        except MissingOptionalDependencyException as error:
            raise ImportError(str(error)) from None

    def pieces(self, use: CryptographicUse) -> Iterator[bytes]:
        """Yield the file in parts; what comes from captures is validated before it is yielded."""
        digest = sha256()
        for piece in self._content(use):
            digest.update(piece)
            yield piece
        yield f',\n"serialNumber": "{uuid5(NAMESPACE_OID, digest.hexdigest()).urn}"\n}}\n'.encode()

    def _content(self, use: CryptographicUse) -> Iterator[bytes]:
        servers = sorted(use.servers.values(), key=_service_ref)
        metadata = _metadata(use, servers)
        self._validate({**_HEAD, "metadata": metadata})
        # Without its closing brace: the arrays follow.
        yield json_text({"$schema": _SCHEMA, **_HEAD, "version": 1, "metadata": metadata})[:-1]
        assets = _Assets(use, servers)
        yield from self._array("components", assets.components())
        yield from self._array("services", (_service(server, use.certificates) for server in servers))
        yield from self._array("dependencies", assets.dependencies())

    def _array(self, name: str, items: Iterable[Item]) -> Iterator[bytes]:
        waiting = iter(items)
        before = b',\n"%s": [\n' % name.encode()
        while part := list(islice(waiting, _PART)):
            self._validate({**_HEAD, name: part})
            yield before + b",\n".join(map(json_text, part))
            before = b",\n"
        yield b"\n]" if before == b",\n" else before + b"]"

    def _validate(self, bom: Item) -> None:
        """Raise an error, which is one of this program, if a part does not match the schema."""
        error = self._validator.validate_str(json_text(bom).decode())
        if error is not None:
            raise ValueError(f"the inventory does not match the schema of CycloneDX: {error.data}")


class _Assets:
    """The components, and how they depend on each other."""

    def __init__(self, use: CryptographicUse, servers: list[ServerUse]) -> None:
        self._use = use
        self._servers = servers
        self._algorithms: dict[str, Algorithm] = {}
        self._occurrences: dict[str, list[Item]] = {}
        """By `bom-ref`: where an algorithm or a certificate was in use."""
        self._chosen: dict[str, int] = {}
        """By `bom-ref`: in how many connections an algorithm or a certificate was in use."""
        self._only_with_keys: dict[str, bool] = {}
        self._roles: dict[str, set[str]] = {}
        for server in servers:
            self._add_server(server)
        self._offered = self._add_offers()
        for certificate in use.certificates.values():
            self._add_algorithms(filter(None, (algorithms.signature_of(certificate), algorithms.key_of(certificate))))

    def _add_server(self, server: ServerUse) -> None:
        for name, protocol in server.versions.items():
            where = f"{server.address}, {name}"
            for suite, used in protocol.cipher_suites.items():
                self._add_use(algorithms.cipher_suite(suite), used.seen, where)
                for group, seen in used.groups.items():
                    self._add_use(algorithms.group(group), seen, where)
                for scheme, seen in used.signature_schemes.items():
                    self._add_use(algorithms.signature_scheme(scheme), seen, where)
        for side in SIDES:
            for digest, seen in server.certificates[side].items():
                ref = _certificate_ref(digest)
                where = str(server.address) if side == "server" else f"a client of {server.address}"
                self._occur(ref, seen, where)
                self._roles.setdefault(ref, set()).add(side)
                self._only_with_keys[ref] = self._only_with_keys.get(ref, True) and seen.with_keys

    def _add_use(self, algorithm: Algorithm, seen: Sighting, where: str) -> None:
        self._add_algorithms([algorithm])
        self._occur(algorithm.ref, seen, where)

    def _add_algorithms(self, found: Iterable[Algorithm]) -> None:
        for one in found:
            if one.ref not in self._algorithms:
                self._algorithms[one.ref] = one
                self._add_algorithms(one.parts)

    def _occur(self, ref: str, seen: Sighting, where: str) -> None:
        self._occurrences.setdefault(ref, []).append(_occurrence(seen, where))
        self._chosen[ref] = self._chosen.get(ref, 0) + seen.connections

    def _add_offers(self) -> dict[str, int]:
        """Add what clients offered; return in how many connections, by `bom-ref`."""
        offered: dict[str, int] = {}
        for kind, sightings in self._use.offered.items():
            for name, seen in sightings.items():
                one = _KINDS[kind](name)
                offered[one.ref] = seen.connections
                self._add_algorithms([one])
                self._occurrences.setdefault(one.ref, [_occurrence(seen, "offered by a client")])
        return offered

    def components(self) -> Iterator[Item]:
        """Yield the components, sorted."""
        for ref in sorted(self._algorithms):
            yield self._algorithm(self._algorithms[ref])
        for digest in sorted(self._use.certificates):
            yield self._certificate(self._use.certificates[digest])
        for digest in sorted(self._use.certificates):
            yield from self._public_key(self._use.certificates[digest])
        for server in self._servers:
            for name in sorted(server.versions):
                yield _protocol(server, name, server.versions[name])

    def _algorithm(self, one: Algorithm) -> Item:
        facts = {
            "code-point": one.code,
            "connections": self._chosen.get(one.ref),
            "offered-in": self._offered.get(one.ref),
            "post-quantum": one.post_quantum,
            "use": _use(one.ref in self._chosen, one.ref in self._offered),
        }
        crypto: Item = {"assetType": "algorithm", "algorithmProperties": one.properties}
        if one.oid is not None:
            crypto["oid"] = one.oid
        return self._asset(one.ref, one.name, crypto, _properties(facts))

    def _certificate(self, one: Certificate) -> Item:
        ref = _certificate_ref(one.sha256)
        begin, end = _date(one.not_before), _date(one.not_after)
        signature, key = algorithms.signature_of(one), algorithms.key_of(one)
        related = [] if key is None else [{"type": "publicKey", "ref": _key_ref(one.sha256)}]
        related += [] if signature is None else [{"type": "algorithm", "ref": signature.ref}]
        stated = {
            "serialNumber": one.serial,
            "subjectName": one.subject,
            "issuerName": one.issuer,
            "notValidBefore": begin,
            "notValidAfter": end,
            "certificateFormat": "X.509",
            "relatedCryptographicAssets": related,
        }
        facts = {
            "connections": self._chosen.get(ref),
            "only-with-keys": self._with_keys(ref),
            # A date outside the calendar is no date-time.
            "not-before": None if begin else one.not_before,
            "not-after": None if end else one.not_after,
        }
        listed = [
            *_properties(facts),
            *_list("role", sorted(self._roles.get(ref, ()))),
            *_list("name", one.dns_names or ()),
            *_list("ip-address", one.ip_addresses or ()),
        ]
        crypto = {"assetType": "certificate", "certificateProperties": _known(stated)}
        hashes = [{"alg": "SHA-256", "content": one.sha256}]
        return {**self._asset(ref, one.subject or one.sha256, crypto, listed), "hashes": hashes}

    def _public_key(self, one: Certificate) -> Iterator[Item]:
        algorithm = algorithms.key_of(one)
        if algorithm is None:
            return
        stated = {
            "type": "public-key",
            "size": one.key_bits,
            "relatedCryptographicAssets": [{"type": "algorithm", "ref": algorithm.ref}],
        }
        crypto = {"assetType": "related-crypto-material", "relatedCryptoMaterialProperties": _known(stated)}
        facts = {"only-with-keys": self._with_keys(_certificate_ref(one.sha256))}
        yield self._asset(
            _key_ref(one.sha256), f"public key of {one.subject or one.sha256}", crypto, _properties(facts)
        )

    def _with_keys(self, ref: str) -> str | None:
        """Say whether only keys show a certificate."""
        return "true" if self._only_with_keys.get(ref) else None

    def _asset(self, ref: str, name: str, crypto: Item, properties: list[Item]) -> Item:
        asset: Item = {"type": "cryptographic-asset", "bom-ref": ref, "name": name, "cryptoProperties": crypto}
        if properties:
            asset["properties"] = properties
        if ref in self._occurrences:
            asset["evidence"] = {"occurrences": self._occurrences[ref]}
        return asset

    def dependencies(self) -> Iterator[Item]:
        """Yield the dependencies: services depend on protocols and certificates, protocols on algorithms."""
        for ref in sorted(self._algorithms):
            parts = self._algorithms[ref].parts
            if parts:
                yield _dependency(ref, [one.ref for one in parts])
        for digest in sorted(self._use.certificates):
            one = self._use.certificates[digest]
            signature, key = algorithms.signature_of(one), algorithms.key_of(one)
            on = [] if key is None else [_key_ref(digest)]
            on += [] if signature is None else [signature.ref]
            if on:
                yield _dependency(_certificate_ref(digest), on)
            if key is not None:
                yield _dependency(_key_ref(digest), [key.ref])
        for server in self._servers:
            names = sorted(server.versions)
            certificates = map(_certificate_ref, server.certificates["server"])
            yield _dependency(_service_ref(server), [*(_protocol_ref(server, name) for name in names), *certificates])
            for name in names:
                yield _dependency(_protocol_ref(server, name), _used_refs(server.versions[name]))


def _metadata(use: CryptographicUse, servers: list[ServerUse]) -> Item:
    agreed = [one for one in servers if one.agreements]
    facts = {
        "connections": use.connections,
        "servers": len(servers),
        "servers-with-post-quantum-key-agreement-in-all-connections": sum(
            one.post_quantum == one.agreements for one in agreed
        ),
        "servers-with-post-quantum-key-agreement-in-some-connections": sum(
            0 < one.post_quantum < one.agreements for one in agreed
        ),
        "servers-with-key-agreement-not-seen": len(servers) - len(agreed),
        "left-out": use.left_out or None,
    }
    return {
        "lifecycles": [{"phase": "operations"}],
        "tools": {"components": [_TOOL]},
        "properties": _properties(facts),
    }


def _service(server: ServerUse, certificates: dict[str, Certificate]) -> Item:
    facts = {
        "transport": server.transport,
        "connections": server.connections,
        "post-quantum-key-agreement": key_agreement(server),
        "post-quantum-signatures": signatures(server, certificates),
    }
    properties = [*_properties(facts), *_list("name", sorted(server.names))]
    return {"bom-ref": _service_ref(server), "name": str(server.address), "properties": properties}


def _protocol(server: ServerUse, name: str, protocol: ProtocolUse) -> Item:
    kind, _, number = name.partition(" ")
    suites = [
        {
            "name": suite,
            "algorithms": [part.ref for part in one.parts] or [one.ref],
            "identifiers": [] if one.code is None else [f"0x{byte:02x}" for byte in bytes.fromhex(one.code[2:])],
            "tlsGroups": sorted(used.groups),
            "tlsSignatureSchemes": sorted(used.signature_schemes),
        }
        for suite, used in sorted(protocol.cipher_suites.items())
        for one in [algorithms.cipher_suite(suite)]
    ]
    stated = {
        "type": "dtls" if kind == "DTLS" else "tls",
        "version": number if kind in ("TLS", "DTLS") else name,
        "cipherSuites": suites,
    }
    return {
        "type": "cryptographic-asset",
        "bom-ref": _protocol_ref(server, name),
        "name": name,
        "cryptoProperties": {"assetType": "protocol", "protocolProperties": stated},
        "properties": _properties({"connections": protocol.seen.connections, "server": str(server.address)}),
        "evidence": {"occurrences": [_occurrence(protocol.seen, str(server.address))]},
    }


def _used_refs(protocol: ProtocolUse) -> list[str]:
    """Return what a protocol depends on: the suites, groups and signature schemes that were used."""
    refs: dict[str, None] = {}
    for suite, used in sorted(protocol.cipher_suites.items()):
        refs[algorithms.cipher_suite(suite).ref] = None
        refs |= {algorithms.group(one).ref: None for one in sorted(used.groups)}
        refs |= {algorithms.signature_scheme(one).ref: None for one in sorted(used.signature_schemes)}
    return list(refs)


def _dependency(ref: str, on: Iterable[str]) -> Item:
    return {"ref": ref, "dependsOn": sorted(on)}


def _occurrence(seen: Sighting, where: str) -> Item:
    """Return the evidence of a value: capture, stream as `--stream` takes it, frame."""
    frame = "" if seen.frame is None else f"frame {seen.frame}, "
    many = f"{seen.connections} connection{'' if seen.connections == 1 else 's'}"
    keys = ", only with keys" if seen.with_keys else ""
    return {
        "location": without_surrogates(seen.source),
        "symbol": f"stream {seen.stream}",
        "additionalContext": f"{frame}{where}, {many}{keys}",
    }


def _use(chosen: bool, offered: bool) -> str | None:
    return "in use" if chosen else "offered by clients only" if offered else None


def _known(stated: Item) -> Item:
    return {name: value for name, value in stated.items() if value is not None}


def _properties(facts: Item) -> list[Item]:
    return [{"name": f"tlsdissect:{name}", "value": str(value)} for name, value in _known(facts).items()]


def _list(name: str, values: Iterable[str]) -> list[Item]:
    return [{"name": f"tlsdissect:{name}", "value": value} for value in values]


def _date(time: str | None) -> str | None:
    """Return a time as RFC 3339 has it; None for a year outside the calendar."""
    parsed = parse_time(time)
    return None if parsed is None else f"{format_time(parsed)}Z"


def _service_ref(server: ServerUse) -> str:
    return f"service/{server.transport}/{server.address}"


def _protocol_ref(server: ServerUse, name: str) -> str:
    return f"protocol/{server.transport}/{server.address}/{name.replace(' ', '-')}"


def _certificate_ref(digest: str) -> str:
    return f"certificate/{digest}"


def _key_ref(digest: str) -> str:
    return f"key/{digest}"
