"""Connections in, what people and other programs read out."""
