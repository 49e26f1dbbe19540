"""What changed between two captures: who fails now, negotiated values, certificates, fingerprints, times."""
