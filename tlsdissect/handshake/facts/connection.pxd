from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.facts.timing cimport milliseconds

cdef long long _APPLICATION_DATA
cdef long long _UNTIMED


cdef str _message_type(HandshakeEvent event)
cdef bint _is_message(Handshake handshake, HandshakeEvent event, bint protected)
