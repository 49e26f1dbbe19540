"""Bytes to the structs of the RFCs: decoders that know no flow, no clock and no other side."""
