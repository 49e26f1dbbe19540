from tlsdissect.capture.octets cimport cut
from tlsdissect.handshake.protection cimport Aead, HeaderMask

cdef long long _IV_SIZE
cdef long long _LARGEST
cdef long long _LONGEST_NUMBER
cdef long long _SAMPLE


cdef class PacketKey:
    cdef Aead _aead
    cdef object _iv
    cdef HeaderMask _mask
    cpdef object open(self, bytes data, long long start, long long protected, long long end, long long expected)


cpdef long long packet_number(long long truncated, long long bits, long long expected)


cdef class InitialKeys:
    cdef bytes _secret
    cdef str _label
    cdef PacketKey _client
    cdef PacketKey _server
    cpdef PacketKey of(self, bint server)
