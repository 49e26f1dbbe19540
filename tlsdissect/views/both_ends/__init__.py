"""Connections that two captures show, as recorded at both ends of a path: which they are, and what happened between."""
