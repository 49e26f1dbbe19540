"""Every certificate of other projects' captures, if they are beside the checkout: no error, and the facts that OpenSSL
reads."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

import pytest
from recorded import SHARED, need

from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.pipeline import Reading
from tlsdissect.trust import anchors
from tlsdissect.trust.inventory import CertificateInventory, CertificateSummary
from tlsdissect.trust.judge import Judge
from tlsdissect.trust.rules import RULES
from tlsdissect.trust.verdicts import Settings

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection
    from tlsdissect.x509.facts import Certificate

CAPTURES = SHARED / "captures"
pytestmark = pytest.mark.skipif(
    not CAPTURES.exists(), reason=f"no {CAPTURES}: the captures of other projects are not part of this one"
)


class Read(NamedTuple):
    """The contents of the captures."""

    connections: list[Connection]
    summaries: list[CertificateSummary]
    encodings: dict[str, bytes]


@cache
def read() -> Read:
    evidence = Evidence()
    judge = Judge(Settings(anchors=anchors.system()))
    gathered = CertificateInventory(judge, evidence)
    connections = []
    for one in Reading([CAPTURES], judge=judge, evidence=evidence):
        connections.append(one)
        gathered.add(one)
    summaries = list(gathered)
    return Read(connections, summaries, {one.sha256: gathered.encoding(one.sha256) or b"" for one in summaries})


@cache
def by_openssl(sha256: str) -> str | None:
    """The output of `openssl x509 -text` for a certificate; None if it cannot read it."""
    command = [need("openssl"), "x509", "-inform", "DER", "-noout", "-text", "-dates", "-serial"]
    command += ["-subject", "-issuer", "-nameopt", "RFC2253"]
    done = subprocess.run(command, input=read().encodings[sha256], capture_output=True, timeout=60, check=False)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def test_there_are_many_and_each_was_kept() -> None:
    assert len(read().summaries) > 200
    assert all(read().encodings.values())


def test_every_connection_was_judged_by_rules_that_there_are() -> None:
    codes = {rule.code for rule in RULES}
    for one in read().connections:
        assert one.findings is not None
        assert {found.code for found in one.findings} <= codes
        assert all(found.detail.isprintable() for found in one.findings)


def test_findings_name_certificates_that_were_shown() -> None:
    trusted = {anchor.facts.sha256 for anchor in anchors.system()}
    for one in read().connections:
        shown = {facts.sha256 for facts in certificates_of(one)}
        assert {found.certificate for found in one.findings or ()} <= shown | trusted | {None}


def certificates_of(one: Connection) -> list[Certificate]:
    """The certificates in the clear, and those that the keys in a capture open."""
    places = (one,) if one.hidden is None else (one, one.hidden)
    return [facts for place in places for facts in (*(place.certificates or ()), *(place.client_certificates or ()))]


def test_most_are_read_by_openssl_too() -> None:
    assert sum(by_openssl(one.sha256) is not None for one in read().summaries) > 200


def test_serial_numbers_and_dates() -> None:
    for one in read().summaries:
        text = by_openssl(one.sha256)
        if text is None:
            continue
        stated = re.search(r"^serial=(-?)([0-9A-F]+)$", text, re.MULTILINE)
        assert stated, text
        assert one.serial is not None
        assert int(one.serial, 16) == int("".join(stated.groups()), 16)
        for name, told in (("notBefore", one.not_before), ("notAfter", one.not_after)):
            date = re.search(rf"^{name}=(.*) GMT$", text, re.MULTILINE)
            if date is not None and told is not None:
                assert datetime.strptime(date[1], "%b %d %H:%M:%S %Y").replace(tzinfo=UTC) == when(told)


def when(told: str) -> datetime:
    return datetime.fromisoformat(told)


def test_keys_signatures_and_constraints() -> None:
    for one in read().summaries:
        text = by_openssl(one.sha256)
        if text is None:
            continue
        bits = re.search(r"Public-Key: \((\d+) bit", text)
        if bits is not None and one.key_bits is not None and not (one.key_type or "").startswith(("Ed", "X")):
            assert one.key_bits == int(bits[1])
        algorithm = re.search(r"Signature Algorithm: (\S+)", text)
        assert algorithm, text
        # OpenSSL 3.0 prints the OID of an algorithm that it does not know.
        if not re.fullmatch(r"[\d.]+", algorithm[1]):
            assert canonical(one.signature_algorithm or "") == canonical(algorithm[1])
        assert one.is_ca is ("CA:TRUE" in text)
        if one.dns_names and all(re.fullmatch(r"[!-+\--~]+", name) for name in one.dns_names):
            names = re.search(r"Subject Alternative Name: .*\n +(.*)\n", text)
            assert names, text
            listed = [name[4:] for name in names[1].split(", ") if name.startswith("DNS:")]
            # OpenSSL does not print a name with a zero byte completely.
            assert list(one.dns_names) == listed or any("\\x00" in name for name in one.dns_names)


def test_names_of_subject_and_issuer() -> None:
    for one in read().summaries:
        for name, told in (("subject", one.subject), ("issuer", one.issuer)):
            stated = re.search(rf"^{name}=(.*)$", by_openssl(one.sha256) or "", re.MULTILINE)
            assert stated is None or told == stated[1]


def test_version_exponent_curve_and_length_of_paths() -> None:
    for one in read().summaries:
        text = by_openssl(one.sha256)
        if text is None:
            continue
        for told, stated in (
            (one.version, re.search(r"Version: (\d+)", text)),
            (one.exponent, re.search(r"Exponent: (\d+)", text)),
            (one.path_length, re.search(r"pathlen:(\d+)", text)),
        ):
            assert told == (None if stated is None else int(stated[1]))
        curve = re.search(r"ASN1 OID: (\S+)", text)
        # OpenSSL uses the older name, of ANSI X9.62.
        assert one.curve == (None if curve is None else curve[1].replace("prime256v1", "secp256r1"))


def test_what_extensions_say() -> None:
    for one in read().summaries:
        text = by_openssl(one.sha256)
        if text is None:
            continue
        access, lists = (section(text, name) for name in ("Authority Information Access", "X509v3 CRL Distribution"))
        names = section(text, "X509v3 Subject Alternative Name")
        assert list(one.ocsp_urls or ()) == re.findall(r"OCSP - URI:(.*)", access)
        assert list(one.ca_issuer_urls or ()) == re.findall(r"CA Issuers - URI:(.*)", access)
        assert list(one.crl_urls or ()) == re.findall(r"URI:(.*)", lists)
        assert list(one.email_addresses or ()) == re.findall(r"email:([^,\s]+)", names)
        addresses = [str(ip_address(told)) for told in re.findall(r"IP Address:([0-9A-F.:]+)", names)]
        assert list(one.ip_addresses or ()) == addresses
        assert one.scts == text.count("Signed Certificate Timestamp:")
        assert one.must_staple is ("status_request" in section(text, "TLS Feature"))


def section(text: str, name: str) -> str:
    """The lines below a heading of `openssl x509 -text` that are indented further."""
    found = re.search(rf"^( +){re.escape(name)}.*\n((?:\1 .*\n|\s*\n)*)", text, re.MULTILINE)
    return found[2] if found else ""


def canonical(algorithm: str) -> str:
    return re.sub(r"[^a-z0-9]", "", algorithm.lower()).removesuffix("encryption")


def test_unreadable_fields_are_reported() -> None:
    """Fields are read one by one: an unreadable one does not affect the others."""
    odd = [one for one in read().summaries if one.problems]
    assert odd
    for one in odd:
        assert one.serial is not None or "serial" in "".join(one.problems)
    for one in read().summaries:
        unread = {field for problem in one.problems for field in re.split(r", ", problem.partition(":")[0])}
        for field in ("subject", "issuer", "serial", "not_before", "not_after", "key_type", "signature_algorithm"):
            assert (getattr(one, field) is None) == (field in unread), (one.sha256, field, one.problems)
