"""From the packets of a TCP flow to the facts of a TLS connection."""

from tlsdissect import kernel

kernel.refuse_stale()
