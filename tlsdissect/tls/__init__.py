"""Decoders of TLS structs as the RFCs define them, independent of flows, time and the peer."""
