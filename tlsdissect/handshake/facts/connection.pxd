from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.facts.timing cimport milliseconds
from tlsdissect.handshake.logged cimport LoggedHandshake

cdef long long _APPLICATION_DATA
cdef long long _CLIENT
cdef long long _HELLO_RETRY_REQUEST
cdef long long _NS
cdef long long _SERVER
cdef long long _SERVER_HELLO
cdef long long _UNTIMED


cdef str _address(bytes packed)
cdef str _message_type(HandshakeEvent event)
cdef bint _is_message(Handshake handshake, HandshakeEvent event, bint protected)
