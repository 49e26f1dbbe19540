"""A handshake as a tree: records, messages and fields, each with its meaning, its bytes and what defines it."""
