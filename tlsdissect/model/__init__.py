"""What all stages share: a connection with all that is known of it, and the packets and records behind it."""
