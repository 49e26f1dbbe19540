"""Certificates and OCSP responses read from their DER, field by field."""
