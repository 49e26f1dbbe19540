"""The background and the ink of every picture and of the report's page (its style sheet repeats them)."""

SHEETS = {False: ("#ffffff", "#1a1a1a"), True: ("#0d1117", "#e8eaed")}
"""Light and dark; the dark background is that of GitHub, where the README shows pictures."""
