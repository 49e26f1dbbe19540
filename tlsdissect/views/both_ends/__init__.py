"""Connections captured at both ends of a path: recognizes them, and finds what happened between the two ends."""
