"""What happened in a handshake, in sentences, each with the frames that it rests on."""
