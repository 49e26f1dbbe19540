"""All findings: code, severity, meaning, the RFC or guideline that each follows, and what to do.

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
    advice: str
    """What to do about it."""


_CHAIN = "RFC 5246 section 7.4.2, RFC 8446 section 4.4.2"
"""What a chain must be, before TLS 1.3 and in it."""
_SENT_AGAIN = "RFC 9293 section 3.4, RFC 8200 section 4.5, RFC 9000 section 2.2"
"""Where it is said that retransmitted data must be the same: in TCP, in IP fragments, and in QUIC."""
RULES = (
    Rule(
        "ssl_version", "high", "SSL 2.0 or SSL 3.0 was negotiated", "RFC 6176, RFC 7568",
        "Turn SSL off on the server",
    ),
    Rule(
        "old_tls_version", "medium", "TLS 1.0, TLS 1.1 or DTLS 1.0 was negotiated", "RFC 8996",
        "Turn on TLS 1.2 and 1.3; replace the side that supports neither",
    ),
    Rule(
        "null_cipher", "high", "a suite without encryption", "RFC 9325 section 4.1",
        "Remove NULL suites from the configuration of both sides",
    ),
    Rule(
        "anonymous_cipher", "high", "a suite without authentication of the server", "RFC 5246 appendix A.5",
        "Remove anonymous suites (aNULL)",
    ),
    Rule(
        "export_cipher", "high", "a suite weakened for export", "RFC 9325 section 4.1",
        "Remove export suites",
    ),
    Rule(
        "rc4_cipher", "high", "a suite with RC4", "RFC 7465",
        "Remove RC4; prefer AES-GCM or ChaCha20-Poly1305",
    ),
    Rule(
        "des_cipher", "high", "a suite with DES or RC2", "RFC 5469",
        "Remove DES and RC2",
    ),
    Rule(
        "triple_des_cipher", "medium", "a suite with 3DES, whose blocks of 64 bits collide", "RFC 9325 section 4.1",
        "Remove 3DES, or renew keys long before 2^32 blocks",
    ),
    Rule(
        "cbc_cipher", "low", "a suite with CBC, without authenticated encryption", "RFC 9325 section 4.2",
        "Prefer suites with GCM, CCM or ChaCha20-Poly1305",
    ),
    Rule(
        "static_rsa", "medium", "RSA key transport: no forward secrecy", "RFC 9325 section 4.1",
        "Prefer ECDHE suites: whoever gets the RSA key later can decrypt this capture",
    ),
    Rule(
        "small_dh", "medium", "a Diffie-Hellman prime of less than 2048 bits", "RFC 9325 section 4.1",
        "Use ECDHE, or a group of RFC 7919 with 2048 bits or more",
    ),
    Rule(
        "no_extended_master_secret", "low", "no extended master secret", "RFC 7627 section 5.4",
        "Update the side whose hello lacks the extension",
    ),
    Rule(
        "no_secure_renegotiation", "medium", "no secure renegotiation", "RFC 5746 section 4",
        "Update the side whose hello lacks the extension",
    ),
    Rule(
        "compression", "high", "TLS compression, which leaks plaintext (CRIME)", "RFC 9325 section 3.3",
        "Turn TLS compression off",
    ),
    Rule(
        "heartbleed", "high", "a heartbeat answered with more than it sent (Heartbleed)", "RFC 6520 section 4",
        "Update OpenSSL, then replace keys and certificates: they may have been read",
    ),
    Rule(
        "early_data", "low", "accepted early data can be replayed", "RFC 8446 section 8",
        "Allow early data only for requests that may arrive twice",
    ),
    Rule(
        "conflicting_data", "medium", "the same bytes were sent twice, with different values", _SENT_AGAIN,
        "Compare both versions and their hop limits in problems: whoever sent one of them may want a monitor to read "
        "different bytes than the receiver",
    ),
    Rule(
        "sni_in_clear", "info", "the host name was sent in the clear in TLS 1.3", "RFC 9849",
        "Nothing needs to be done, unless the name is a secret; then use Encrypted Client Hello",
    ),
    Rule(
        "client_certificate_in_clear", "low", "a client certificate was sent in the clear", "RFC 5246 section 7.4.6",
        "Use TLS 1.3, which encrypts it",
    ),
    Rule(
        "expired", "high", "the certificate is no longer valid", "RFC 5280 section 4.1.2.5",
        "Renew the certificate; check why the renewal did not run",
    ),
    Rule(
        "not_yet_valid", "high", "the certificate is not valid yet", "RFC 5280 section 4.1.2.5",
        "Compare the clocks of issuer, server and client",
    ),
    Rule(
        "expires_soon", "low", "less than 30 days, or a third of the lifetime, are left", "RFC 5280 section 4.1.2.5",
        "Renew, or check that automatic renewal works",
    ),
    Rule(
        "long_lifetime", "low", "the lifetime exceeds the limit at the issue date", "BR section 6.3.2",
        "Issue for a shorter time if browsers are to accept it",
    ),
    Rule(
        "self_signed", "medium", "the server's certificate is self-signed", "RFC 5280 section 3.2",
        "Have it signed by an authority that the clients trust",
    ),
    Rule(
        "untrusted", "high", "no path leads to a trusted authority", "RFC 5280 section 6",
        "Send the missing intermediates, or give the clients this authority",
    ),
    Rule(
        "not_web_pki", "info", "the chain is not valid by the rules of the Web PKI", "BR section 7.1",
        "Nothing needs to be done inside an organization; on the Web, use a certificate from a public authority",
    ),
    Rule(
        "name_mismatch", "high", "the certificate does not cover the requested name", "RFC 9525 section 6",
        "Add the requested name to the subject alternative names, or correct the name",
    ),
    Rule(
        "incomplete_chain", "medium", "an intermediate certificate is missing", _CHAIN,
        "Configure the server to send the intermediate certificate",
    ),
    Rule(
        "misordered_chain", "low", "the chain is not in order", _CHAIN,
        "Sort the chain: the server first, then each issuer",
    ),
    Rule(
        "duplicate_in_chain", "info", "a certificate is repeated in the chain", _CHAIN,
        "Remove the repetition from the chain file",
    ),
    Rule(
        "unrelated_certificate", "low", "a certificate does not belong to the chain", _CHAIN,
        "Remove it from the chain file",
    ),
    Rule(
        "root_in_chain", "info", "the root was sent, which the client must have anyway", _CHAIN,
        "Remove the root from the chain file; it costs bytes in each handshake",
    ),
    Rule(
        "bad_signature", "high", "the issuer's key did not make the signature", "RFC 5280 section 6.1.3",
        "Compare the certificate with the one issued: it was altered, or this is not its issuer",
    ),
    Rule(
        "issuer_not_ca", "high", "the issuer is not a CA", "RFC 5280 section 4.2.1.9",
        "Treat it as an attack until it is explained; then have the certificate issued by a CA",
    ),
    Rule(
        "path_too_long", "high", "more CAs below an issuer than its path length allows", "RFC 5280 section 4.2.1.9",
        "Have the certificate issued by an authority that is allowed to",
    ),
    Rule(
        "name_not_permitted", "high", "a name outside an issuer's name constraints", "RFC 5280 section 4.2.1.10",
        "Have it issued by an authority whose constraints permit the name",
    ),
    Rule(
        "wrong_key_usage", "medium", "the key usage does not allow this use", "RFC 5280 section 4.2.1.3",
        "Have it issued with the key usage that this key exchange requires",
    ),
    Rule(
        "wrong_purpose", "medium", "the extended key usage does not allow this use", "RFC 5280 section 4.2.1.12",
        "Have it issued for servers (or clients) with that extended key usage",
    ),
    Rule(
        "weak_key", "high", "RSA under 2048 bits, a curve under 256, or any DSA", "BR section 6.1.5",
        "Make a new key: RSA of 2048 bits or more, or P-256",
    ),
    Rule(
        "roca_key", "high", "the modulus is vulnerable to ROCA: it can be factored", "CVE-2017-15361",
        "Make a new key outside the device that made this one, and revoke the certificate",
    ),
    Rule(
        "shared_prime", "high", "two RSA keys share a prime: both can be factored", "BR section 6.1.1.3",
        "Replace both keys now; check the random number generators of the devices that made them",
    ),
    Rule(
        "odd_exponent", "low", "an unusual RSA public exponent", "BR section 6.1.6",
        "Use 65537 for the next key",
    ),
    Rule(
        "weak_signature", "high", "signed with MD5 or SHA-1", "RFC 9155, BR section 7.1.3.2",
        "Have it issued again with SHA-256",
    ),
    Rule(
        "old_certificate_version", "low", "an X.509 version other than 3", "RFC 5280 section 4.1.2.1",
        "Issue certificates of version 3",
    ),
    Rule(
        "bad_serial", "low", "a serial number that is negative or zero", "RFC 5280 section 4.1.2.2",
        "Correct the authority's configuration",
    ),
    Rule(
        "duplicate_serial", "medium", "two certificates of an issuer share a serial", "RFC 5280 section 4.1.2.2",
        "Correct the authority's configuration; a revocation by serial would affect both",
    ),
    Rule(
        "not_checked", "info", "a check was skipped because it would cost too much", "RFC 8551 section 6",
        "Check the certificate by other means if it matters",
    ),
    Rule(
        "private_name", "info", "a name or an address of a private network", "BR section 4.2.2",
        "Nothing needs to be done, unless inner names are a secret",
    ),
    Rule(
        "email_address", "info", "an e-mail address in the clear", "RFC 5280 section 4.1.2.6",
        "Leave the address out of the next certificate",
    ),
    Rule(
        "acme_challenge", "info", "a certificate of an ACME challenge", "RFC 8737 section 3",
        "Nothing needs to be done: this is a validation by ACME",
    ),
    Rule(
        "acme_outside_challenge", "medium", "acmeIdentifier outside acme-tls/1", "RFC 8737 section 3",
        "Find out why the server presents a challenge certificate to ordinary clients",
    ),
    Rule(
        "revoked", "high", "the certificate is revoked", "RFC 5280 section 6.3",
        "Replace the certificate, and find out why it was revoked",
    ),
    Rule(
        "bad_crl", "medium", "a CRL cannot be used: its signature, its issuer or its dates", "RFC 5280 section 6.3.3",
        "Get the current CRL of this issuer",
    ),
    Rule(
        "must_staple_unmet", "medium", "the certificate requires a staple, and none was sent", "RFC 7633 section 4",
        "Turn OCSP stapling on at the server",
    ),
    Rule(
        "bad_staple", "medium", "a staple is not valid evidence", "RFC 6960 section 3.2",
        "Check the server's stapling configuration and the responder",
    ),
    Rule(
        "stale_staple", "medium", "a staple outside its validity period", "RFC 6960 section 4.2.2.1",
        "Check that the server can reach its responder, and that its clock is right",
    ),
    Rule(
        "ocsp_lookup", "info", "an OCSP lookup in the clear", "RFC 6960 appendix A",
        "Staple the response at the server: the lookup reveals to others which site was visited",
    ),
    Rule(
        "ocsp_elsewhere", "info", "an OCSP responder that the certificate does not name", "RFC 5280 section 4.2.2.1",
        "Find out whose responder it is: it may belong to a proxy, or be set by a local policy",
    ),
    Rule(
        "crl_download", "info", "a CRL was fetched in the clear", "RFC 5280 section 4.2.1.13",
        "Nothing needs to be done, unless observers on the path must not learn of it",
    ),
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


def finding(
    code: str, detail: str, frame: int | None = None, certificate: str | None = None, *, with_keys: bool = False
) -> Finding:
    """Make a finding by its rule; `certificate` is a SHA-256."""
    rule = _BY_CODE[code]
    return Finding(code, rule.severity, detail, frame, certificate, rule.rule, with_keys)
