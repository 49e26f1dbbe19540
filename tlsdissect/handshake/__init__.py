"""Both sides of a conversation and the clock in, what they say of a TLS connection out."""
