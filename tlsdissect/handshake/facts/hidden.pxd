from tlsdissect.handshake.events cimport HandshakeEvent, new_event
from tlsdissect.handshake.facts.exposure cimport MessageDecoder
from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.facts.hello_extensions cimport Extensions
from tlsdissect.handshake.facts.timing cimport begin_of, milliseconds, round_trips

cdef long long _CLIENT
cdef long long _SERVER


cdef class _HiddenMessages(MessageDecoder):
    cdef readonly object _opened
    cdef readonly tuple _first
    cdef readonly Extensions _extensions
    cdef HandshakeEvent _event(self, long long side, object kind)
    cdef bint _lacks(self, long long side)
    cdef Extensions _encrypted_extensions(self)
