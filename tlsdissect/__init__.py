"""Passive TLS handshake analyzer for packet captures."""
