from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake


cdef class MessageDecoder:
    cdef readonly list problems
    cdef readonly Handshake _handshake
    cdef readonly object _evidence
