"""Decoders of TLS structs as the RFCs define them, independent of flows, time and the peer."""

from tlsdissect import kernel

kernel.refuse_stale()
