"""Findings about connections: trust path, names, dates, revocation and weak choices, each with evidence and rule."""
