from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.facts.hello_extensions cimport Extensions
