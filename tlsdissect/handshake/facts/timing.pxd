from tlsdissect.handshake.encrypted_flight cimport EncryptedFlight
from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake

cdef long long _APPLICATION_DATA
cdef long long _CLIENT
cdef long long _EXACT
cdef long long _NS_PER_MS
cdef long long _SERVER
cdef long long _UNTIMED


cdef object _time(HandshakeEvent event)
cdef object _bytes(Handshake handshake, long long side, HandshakeEvent last)
cpdef object elapsed(object start, object end)
cpdef object milliseconds(long long begin, long long start, long long frame, long long time)
