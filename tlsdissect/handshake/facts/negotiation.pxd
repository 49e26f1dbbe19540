from tlsdissect.handshake.facts.handshake cimport Handshake
