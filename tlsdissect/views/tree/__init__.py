"""A handshake as a tree of records, messages and fields, each with its meaning, byte range and defining RFC section."""
