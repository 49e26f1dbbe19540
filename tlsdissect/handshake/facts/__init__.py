"""The facts of a connection, derived from the log of its handshake, and the evidence for verdicts."""
