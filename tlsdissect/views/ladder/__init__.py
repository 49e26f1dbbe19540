"""A handshake as a ladder: two lifelines, and an arrow for each flight between them."""
