"""Every finding that there is: its code, how grave it is, what it says, and the rule behind it.

A code keeps its meaning from version to version, so that programs can rely on it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from tlsdissect.transcript.connection import Finding

Severity = Literal["info", "low", "medium", "high"]

SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high")
"""From the least grave on."""


class Rule(Struct, frozen=True, gc=False):
    """One kind of finding."""

    code: str
    severity: Severity
    meaning: str
    rule: str
    """The RFC, or the section of the CA/Browser Forum's Baseline Requirements (BR), that says so."""


RULES = (
    Rule("ssl_version", "high", "SSL 2.0 or SSL 3.0 was negotiated", "RFC 6176, RFC 7568"),
    Rule("old_tls_version", "medium", "TLS 1.0 or TLS 1.1 was negotiated", "RFC 8996"),
    Rule("null_cipher", "high", "a suite without encryption", "RFC 9325 section 4.1"),
    Rule("anonymous_cipher", "high", "a suite without authentication of the server", "RFC 5246 appendix A.5"),
    Rule("export_cipher", "high", "a suite weakened for export", "RFC 9325 section 4.1"),
    Rule("rc4_cipher", "high", "a suite with RC4", "RFC 7465"),
    Rule("des_cipher", "high", "a suite with DES or RC2", "RFC 5469"),
    Rule("triple_des_cipher", "medium", "a suite with 3DES, whose blocks of 64 bits collide", "RFC 9325 section 4.1"),
    Rule("cbc_cipher", "low", "a suite with CBC, without authenticated encryption", "RFC 9325 section 4.2"),
    Rule("static_rsa", "medium", "key transport by RSA: no forward secrecy", "RFC 9325 section 4.1"),
    Rule("small_dh", "medium", "a Diffie-Hellman prime of less than 2048 bits", "RFC 9325 section 4.1"),
    Rule("no_extended_master_secret", "low", "no extended master secret", "RFC 7627 section 5.4"),
    Rule("no_secure_renegotiation", "medium", "no secure renegotiation", "RFC 5746 section 4"),
    Rule("compression", "high", "TLS compression, which gives away what it compresses (CRIME)", "RFC 9325 section 3.3"),
    Rule("heartbleed", "high", "a heartbeat answered with more than it sent (Heartbleed)", "RFC 6520 section 4"),
    Rule("early_data", "low", "accepted early data can be replayed", "RFC 8446 section 8"),
    Rule("sni_in_clear", "info", "the host name was asked for in the clear in TLS 1.3", "RFC 9849"),
    Rule("client_certificate_in_clear", "low", "the path saw the client's certificate", "RFC 5246 section 7.4.6"),
    Rule("expired", "high", "the certificate is no longer valid", "RFC 5280 section 4.1.2.5"),
    Rule("not_yet_valid", "high", "the certificate is not valid yet", "RFC 5280 section 4.1.2.5"),
    Rule("expires_soon", "low", "30 days, or a third of a shorter lifetime, are left", "RFC 5280 section 4.1.2.5"),
    Rule("long_lifetime", "low", "the lifetime is over the limit of the issue date", "BR section 6.3.2"),
    Rule("self_signed", "medium", "the server's certificate stands for itself", "RFC 5280 section 3.2"),
    Rule("untrusted", "high", "no path leads to a trusted authority", "RFC 5280 section 6"),
    Rule("not_web_pki", "info", "the chain does not hold by the rules of the Web PKI", "BR section 7.1"),
    Rule("name_mismatch", "high", "the certificate is for another name than the one asked for", "RFC 9525 section 6"),
    Rule("incomplete_chain", "medium", "a certificate between leaf and root is missing", "RFC 5246 section 7.4.2"),
    Rule("misordered_chain", "low", "the chain is not in order", "RFC 5246 section 7.4.2"),
    Rule("duplicate_in_chain", "info", "a certificate stands twice in the chain", "RFC 5246 section 7.4.2"),
    Rule("unrelated_certificate", "low", "a certificate that has no place in the chain", "RFC 5246 section 7.4.2"),
    Rule("root_in_chain", "info", "the root was sent, which the client must have anyway", "RFC 5246 section 7.4.2"),
    Rule("bad_signature", "high", "the issuer's key did not make the signature", "RFC 5280 section 6.1.3"),
    Rule("issuer_not_ca", "high", "the issuer is no authority", "RFC 5280 section 4.2.1.9"),
    Rule("path_too_long", "high", "more authorities below one than it allows", "RFC 5280 section 4.2.1.9"),
    Rule("name_not_permitted", "high", "a name that an authority above may not certify", "RFC 5280 section 4.2.1.10"),
    Rule("wrong_key_usage", "medium", "the key is not for what it was used for", "RFC 5280 section 4.2.1.3"),
    Rule("wrong_purpose", "medium", "the certificate is not for this purpose", "RFC 5280 section 4.2.1.12"),
    Rule("weak_key", "high", "RSA under 2048 bits, a curve under 256, or any DSA", "BR section 6.1.5"),
    Rule("roca_key", "high", "the modulus has the shape of ROCA: it can be factored", "CVE-2017-15361"),
    Rule("shared_prime", "high", "two RSA keys share a prime: both can be factored", "BR section 6.1.1.3"),
    Rule("odd_exponent", "low", "an unusual public exponent of RSA", "BR section 6.1.6"),
    Rule("weak_signature", "high", "signed with MD5 or SHA-1", "RFC 9155, BR section 7.1.3.2"),
    Rule("old_certificate_version", "low", "not of version 3", "RFC 5280 section 4.1.2.1"),
    Rule("bad_serial", "low", "a serial number that is negative or zero", "RFC 5280 section 4.1.2.2"),
    Rule("duplicate_serial", "medium", "two certificates of an issuer with one serial", "RFC 5280 section 4.1.2.2"),
    Rule("not_checked", "info", "a check that would cost too much was left out", "RFC 8551 section 6"),
    Rule("private_name", "info", "a name or an address of a private network", "BR section 4.2.2"),
    Rule("email_address", "info", "an e-mail address in the clear", "RFC 5280 section 4.1.2.6"),
    Rule("acme_challenge", "info", "a certificate of an ACME challenge", "RFC 8737 section 3"),
    Rule("acme_outside_challenge", "medium", "acmeIdentifier outside acme-tls/1", "RFC 8737 section 3"),
    Rule("revoked", "high", "the certificate is revoked", "RFC 5280 section 6.3"),
    Rule("bad_crl", "medium", "a CRL cannot be used: its signature, its issuer or its dates", "RFC 5280 section 6.3.3"),
    Rule("must_staple_unmet", "medium", "the certificate demands a staple, and none came", "RFC 7633 section 4"),
    Rule("bad_staple", "medium", "a staple that proves nothing", "RFC 6960 section 3.2"),
    Rule("stale_staple", "medium", "a staple from outside its time", "RFC 6960 section 4.2.2.1"),
    Rule("ocsp_lookup", "info", "an OCSP responder was asked in the clear", "RFC 6960 appendix A"),
    Rule("ocsp_elsewhere", "info", "an OCSP responder that the certificate does not name", "RFC 5280 section 4.2.2.1"),
    Rule("crl_download", "info", "a CRL was fetched in the clear", "RFC 5280 section 4.2.1.13"),
)  # fmt: skip
"""In the order of the table in the README."""

_BY_CODE = {rule.code: rule for rule in RULES}


def finding(code: str, detail: str, frame: int | None = None, certificate: str | None = None) -> Finding:
    """Make a finding of a rule; `certificate` is a SHA-256."""
    rule = _BY_CODE[code]
    return Finding(code, rule.severity, detail, frame, certificate, rule.rule)


def at_least(severity: str) -> frozenset[str]:
    """Tell the severities from this one on."""
    return frozenset(SEVERITIES[SEVERITIES.index(severity) :])
