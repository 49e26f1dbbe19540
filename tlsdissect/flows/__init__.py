"""Packets of many conversations in, each side's bytes in order out."""
