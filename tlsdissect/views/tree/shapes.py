"""The components of DER structures, by name (RFC 5280 sections 4.1 and 4.2; RFC 6960 section 4.2; RFC 8017)."""

from __future__ import annotations

from typing import Final

from tlsdissect.x509.staples import RESPONSE_STATUS

SHAPES: Final[dict[str, tuple[str, ...]]] = {
    "Certificate": ("tbsCertificate", "signatureAlgorithm", "signatureValue"),
    "tbsCertificate": (
        "[0] version",
        "serialNumber",
        "signature",
        "issuer",
        "validity",
        "subject",
        "subjectPublicKeyInfo",
        "[1] issuerUniqueID",
        "[2] subjectUniqueID",
        "[3] extensions",
    ),
    "version": ("Version",),
    "validity": ("notBefore", "notAfter"),
    "subjectPublicKeyInfo": ("algorithm", "subjectPublicKey"),
    "subjectPublicKey": ("RSAPublicKey",),
    "RSAPublicKey": ("modulus", "publicExponent"),
    "signatureAlgorithm": ("algorithm", "parameters"),
    "signature": ("algorithm", "parameters"),
    "algorithm": ("algorithm", "parameters"),
    "hashAlgorithm": ("algorithm", "parameters"),
    "extensions": ("*extensions list",),
    "responseExtensions": ("*extensions list",),
    "singleExtensions": ("*extensions list",),
    "extensions list": ("*extension",),
    "extension": ("extnID", "critical", "extnValue"),
    "issuer": ("*relativeDistinguishedName",),
    "subject": ("*relativeDistinguishedName",),
    "Name": ("*relativeDistinguishedName",),
    "relativeDistinguishedName": ("*attribute",),
    "attribute": ("type", "value"),
    "BasicConstraints": ("cA", "pathLenConstraint"),
    "ExtKeyUsageSyntax": ("*KeyPurposeId",),
    "GeneralNames": ("*GeneralName",),
    "directoryName": ("Name",),
    "otherName": ("type-id", "value"),
    "AuthorityKeyIdentifier": ("[0] keyIdentifier", "[1] authorityCertIssuer", "[2] authorityCertSerialNumber"),
    "authorityCertIssuer": ("*GeneralName",),
    "AuthorityInfoAccessSyntax": ("*AccessDescription",),
    "AccessDescription": ("accessMethod", "GeneralName"),
    "CRLDistributionPoints": ("*DistributionPoint",),
    "DistributionPoint": ("[0] distributionPoint", "[1] reasons", "[2] cRLIssuer"),
    "distributionPoint": ("[0] fullName", "[1] nameRelativeToCRLIssuer"),
    "fullName": ("*GeneralName",),
    "cRLIssuer": ("*GeneralName",),
    "CertificatePolicies": ("*PolicyInformation",),
    "PolicyInformation": ("policyIdentifier", "policyQualifiers"),
    "policyQualifiers": ("*PolicyQualifierInfo",),
    "PolicyQualifierInfo": ("policyQualifierId", "qualifier"),
    "NameConstraints": ("[0] permittedSubtrees", "[1] excludedSubtrees"),
    "permittedSubtrees": ("*GeneralSubtree",),
    "excludedSubtrees": ("*GeneralSubtree",),
    "GeneralSubtree": ("GeneralName", "[0] minimum", "[1] maximum"),
    "PolicyConstraints": ("[0] requireExplicitPolicy", "[1] inhibitPolicyMapping"),
    "Features": ("*Feature",),
    "OCSPResponse": ("responseStatus", "[0] responseBytes"),
    "responseBytes": ("ResponseBytes",),
    "ResponseBytes": ("responseType", "response"),
    "response": ("BasicOCSPResponse",),
    "BasicOCSPResponse": ("tbsResponseData", "signatureAlgorithm", "signature", "[0] certs"),
    "tbsResponseData": ("[0] version", "ResponderID", "producedAt", "responses", "[1] responseExtensions"),
    "byName": ("Name",),
    "byKey": ("KeyHash",),
    "responses": ("*SingleResponse",),
    "SingleResponse": ("certID", "certStatus", "thisUpdate", "[0] nextUpdate", "[1] singleExtensions"),
    "certID": ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber"),
    "revoked": ("revocationTime", "[0] revocationReason"),
    "revocationReason": ("CRLReason",),
    "certs": ("*certificates",),
    "certificates": ("*Certificate",),
}
"""The names of the components in order; `*` names every value, `[n]` the optional value with that tag."""

OPTIONAL: Final = {"critical": 0x01, "cA": 0x01}
"""Optional components without a context-specific tag, and their tags."""

CHOICES: Final[dict[str, dict[int, str]]] = {
    "GeneralName": {
        0: "otherName",
        1: "rfc822Name",
        2: "dNSName",
        3: "x400Address",
        4: "directoryName",
        5: "ediPartyName",
        6: "uniformResourceIdentifier",
        7: "iPAddress",
        8: "registeredID",
    },
    "ResponderID": {1: "byName", 2: "byKey"},
    "certStatus": {0: "good", 1: "revoked", 2: "unknown"},
}
"""CHOICE types: the alternatives by tag."""

EXTENSIONS: Final = {
    "2.5.29.14": "SubjectKeyIdentifier",
    "2.5.29.15": "KeyUsage",
    "2.5.29.17": "GeneralNames",
    "2.5.29.18": "GeneralNames",
    "2.5.29.19": "BasicConstraints",
    "2.5.29.30": "NameConstraints",
    "2.5.29.31": "CRLDistributionPoints",
    "2.5.29.32": "CertificatePolicies",
    "2.5.29.35": "AuthorityKeyIdentifier",
    "2.5.29.36": "PolicyConstraints",
    "2.5.29.37": "ExtKeyUsageSyntax",
    "2.5.29.46": "CRLDistributionPoints",
    "2.5.29.54": "SkipCerts",
    "1.3.6.1.5.5.7.1.1": "AuthorityInfoAccessSyntax",
    "1.3.6.1.5.5.7.1.24": "Features",
    "1.3.6.1.5.5.7.1.31": "acmeIdentifier",
    "1.3.6.1.4.1.11129.2.4.2": "SignedCertificateTimestampList",
    "1.3.6.1.4.1.11129.2.4.5": "SignedCertificateTimestampList",
    "2.16.840.1.113730.1.1": "NetscapeCertType",
}
"""The type of an extension's value, by its identifier (RFC 7633 for Features, RFC 6962 for timestamps)."""

WRAPPING: Final = frozenset(("extnValue", "response", "subjectPublicKey"))
"""OCTET STRINGs and BIT STRINGs that contain DER."""

BITS: Final = {
    "KeyUsage": (
        "digitalSignature",
        "contentCommitment",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ),
    "NetscapeCertType": (
        "SSL client",
        "SSL server",
        "S/MIME",
        "object signing",
        "reserved",
        "SSL CA",
        "S/MIME CA",
        "object signing CA",
    ),
    "reasons": (
        "unused",
        "keyCompromise",
        "cACompromise",
        "affiliationChanged",
        "superseded",
        "cessationOfOperation",
        "certificateHold",
        "privilegeWithdrawn",
        "aACompromise",
    ),
}
"""Names of the bits of a BIT STRING, from the first on."""

NUMBERS: Final[dict[str, dict[int, str]]] = {
    "Version": {0: "v1", 1: "v2", 2: "v3"},
    "responseStatus": RESPONSE_STATUS,
    "CRLReason": {
        0: "unspecified",
        1: "keyCompromise",
        2: "cACompromise",
        3: "affiliationChanged",
        4: "superseded",
        5: "cessationOfOperation",
        6: "certificateHold",
        8: "removeFromCRL",
        9: "privilegeWithdrawn",
        10: "aACompromise",
    },
}
"""Meanings of numbers (RFC 5280 section 5.3.1 for reasons)."""

TEXTS: Final = frozenset(("rfc822Name", "dNSName", "uniformResourceIdentifier"))
"""Values with an implicit tag that are IA5Strings (RFC 5280 section 4.2.1.6)."""
