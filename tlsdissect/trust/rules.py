"""All findings: code, severity, meaning, and the RFC or guideline that each follows.

A code keeps its meaning across versions, so programs can rely on it.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from tlsdissect.model.connection import Finding, Severity


class Rule(Struct, frozen=True, gc=False):
    """One kind of finding."""

    code: str
    severity: Severity
    meaning: str
    rule: str
    """The RFC, or the section of the CA/Browser Forum's Baseline Requirements (BR), that is violated."""


_CHAIN = "RFC 5246 section 7.4.2, RFC 8446 section 4.4.2"
"""What a chain must be, before TLS 1.3 and in it."""
_SENT_AGAIN = "RFC 9293 section 3.4, RFC 8200 section 4.5, RFC 9000 section 2.2"
"""Where it is said that retransmitted data must be the same: in TCP, in IP fragments, and in QUIC."""
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
    Rule("static_rsa", "medium", "RSA key transport: no forward secrecy", "RFC 9325 section 4.1"),
    Rule("small_dh", "medium", "a Diffie-Hellman prime of less than 2048 bits", "RFC 9325 section 4.1"),
    Rule("no_extended_master_secret", "low", "no extended master secret", "RFC 7627 section 5.4"),
    Rule("no_secure_renegotiation", "medium", "no secure renegotiation", "RFC 5746 section 4"),
    Rule("compression", "high", "TLS compression, which leaks plaintext (CRIME)", "RFC 9325 section 3.3"),
    Rule("heartbleed", "high", "a heartbeat answered with more than it sent (Heartbleed)", "RFC 6520 section 4"),
    Rule("early_data", "low", "accepted early data can be replayed", "RFC 8446 section 8"),
    Rule("conflicting_data", "medium", "the same bytes were sent twice, with different values", _SENT_AGAIN),
    Rule("sni_in_clear", "info", "the host name was sent in the clear in TLS 1.3", "RFC 9849"),
    Rule("client_certificate_in_clear", "low", "a client certificate was sent in the clear", "RFC 5246 section 7.4.6"),
    Rule("expired", "high", "the certificate is no longer valid", "RFC 5280 section 4.1.2.5"),
    Rule("not_yet_valid", "high", "the certificate is not valid yet", "RFC 5280 section 4.1.2.5"),
    Rule("expires_soon", "low", "less than 30 days, or a third of the lifetime, are left", "RFC 5280 section 4.1.2.5"),
    Rule("long_lifetime", "low", "the lifetime exceeds the limit at the issue date", "BR section 6.3.2"),
    Rule("self_signed", "medium", "the server's certificate is self-signed", "RFC 5280 section 3.2"),
    Rule("untrusted", "high", "no path leads to a trusted authority", "RFC 5280 section 6"),
    Rule("not_web_pki", "info", "the chain is not valid by the rules of the Web PKI", "BR section 7.1"),
    Rule("name_mismatch", "high", "the certificate does not cover the requested name", "RFC 9525 section 6"),
    Rule("incomplete_chain", "medium", "an intermediate certificate is missing", _CHAIN),
    Rule("misordered_chain", "low", "the chain is not in order", _CHAIN),
    Rule("duplicate_in_chain", "info", "a certificate is repeated in the chain", _CHAIN),
    Rule("unrelated_certificate", "low", "a certificate does not belong to the chain", _CHAIN),
    Rule("root_in_chain", "info", "the root was sent, which the client must have anyway", _CHAIN),
    Rule("bad_signature", "high", "the issuer's key did not make the signature", "RFC 5280 section 6.1.3"),
    Rule("issuer_not_ca", "high", "the issuer is not a CA", "RFC 5280 section 4.2.1.9"),
    Rule("path_too_long", "high", "more CAs below an issuer than its path length allows", "RFC 5280 section 4.2.1.9"),
    Rule("name_not_permitted", "high", "a name outside an issuer's name constraints", "RFC 5280 section 4.2.1.10"),
    Rule("wrong_key_usage", "medium", "the key usage does not allow this use", "RFC 5280 section 4.2.1.3"),
    Rule("wrong_purpose", "medium", "the extended key usage does not allow this use", "RFC 5280 section 4.2.1.12"),
    Rule("weak_key", "high", "RSA under 2048 bits, a curve under 256, or any DSA", "BR section 6.1.5"),
    Rule("roca_key", "high", "the modulus is vulnerable to ROCA: it can be factored", "CVE-2017-15361"),
    Rule("shared_prime", "high", "two RSA keys share a prime: both can be factored", "BR section 6.1.1.3"),
    Rule("odd_exponent", "low", "an unusual RSA public exponent", "BR section 6.1.6"),
    Rule("weak_signature", "high", "signed with MD5 or SHA-1", "RFC 9155, BR section 7.1.3.2"),
    Rule("old_certificate_version", "low", "an X.509 version other than 3", "RFC 5280 section 4.1.2.1"),
    Rule("bad_serial", "low", "a serial number that is negative or zero", "RFC 5280 section 4.1.2.2"),
    Rule("duplicate_serial", "medium", "two certificates of an issuer share a serial", "RFC 5280 section 4.1.2.2"),
    Rule("not_checked", "info", "a check was skipped because it would cost too much", "RFC 8551 section 6"),
    Rule("private_name", "info", "a name or an address of a private network", "BR section 4.2.2"),
    Rule("email_address", "info", "an e-mail address in the clear", "RFC 5280 section 4.1.2.6"),
    Rule("acme_challenge", "info", "a certificate of an ACME challenge", "RFC 8737 section 3"),
    Rule("acme_outside_challenge", "medium", "acmeIdentifier outside acme-tls/1", "RFC 8737 section 3"),
    Rule("revoked", "high", "the certificate is revoked", "RFC 5280 section 6.3"),
    Rule("bad_crl", "medium", "a CRL cannot be used: its signature, its issuer or its dates", "RFC 5280 section 6.3.3"),
    Rule("must_staple_unmet", "medium", "the certificate requires a staple, and none was sent", "RFC 7633 section 4"),
    Rule("bad_staple", "medium", "a staple is not valid evidence", "RFC 6960 section 3.2"),
    Rule("stale_staple", "medium", "a staple outside its validity period", "RFC 6960 section 4.2.2.1"),
    Rule("ocsp_lookup", "info", "an OCSP lookup in the clear", "RFC 6960 appendix A"),
    Rule("ocsp_elsewhere", "info", "an OCSP responder that the certificate does not name", "RFC 5280 section 4.2.2.1"),
    Rule("crl_download", "info", "a CRL was fetched in the clear", "RFC 5280 section 4.2.1.13"),
)  # fmt: skip
"""In the order of the table in docs/findings.md."""

_BY_CODE = {rule.code: rule for rule in RULES}
MEANINGS = {rule.code: rule.meaning for rule in RULES}
"""What each code means."""


class CertificateFinding(NamedTuple):
    """A finding about a certificate or chain, independent of the connection that carried it.

    Verdicts on a chain are cached across connections; each connection adds the frame to make a `Finding`.
    """

    code: str
    detail: str
    certificate: str | None = None
    """SHA-256 of the certificate."""


def finding(code: str, detail: str, frame: int | None = None, certificate: str | None = None) -> Finding:
    """Make a finding by its rule; `certificate` is a SHA-256."""
    rule = _BY_CODE[code]
    return Finding(code, rule.severity, detail, frame, certificate, rule.rule)
