"""The data that all stages share: a connection's facts, and its transcript of packets and records."""
