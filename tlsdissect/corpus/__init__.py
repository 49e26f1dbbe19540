"""Queries over many captures, run by one or more processes whose output is merged in order."""
