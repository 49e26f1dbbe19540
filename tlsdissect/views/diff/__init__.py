"""What changed between two captures: who fails now, what servers negotiate and show, fingerprints, times."""
