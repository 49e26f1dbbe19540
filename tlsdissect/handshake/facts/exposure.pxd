from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake

cdef long long _CLIENT
cdef long long _SERVER


cdef class MessageDecoder:
    cdef readonly list problems
    cdef readonly Handshake _handshake
    cdef readonly object _evidence
