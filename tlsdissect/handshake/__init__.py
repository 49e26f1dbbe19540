"""From the packets of a TCP flow to the facts of a TLS connection."""
