"""What a conversation of TLS comes to: one Connection, and what verdicts rest on beside it."""
