"""Verdicts on connections: path, names, dates, revocation, weak choices; each a finding with its evidence and rule."""
