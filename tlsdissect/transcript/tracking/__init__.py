"""A conversation followed, in both directions, until nothing more can be learnt: what was seen, in order."""
