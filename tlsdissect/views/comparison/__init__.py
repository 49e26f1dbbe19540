"""TLS 1.2 beside TLS 1.3, in numbers."""
