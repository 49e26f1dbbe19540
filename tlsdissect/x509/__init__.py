"""Decoding of certificates and OCSP responses from DER, field by field."""
