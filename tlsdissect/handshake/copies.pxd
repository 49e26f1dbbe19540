from tlsdissect.capture.octets cimport cut
from tlsdissect.capture.packet cimport Packet

cdef long long _UNTIMED
cdef long long _SYN_OR_FIN
cdef long long _COPY_NS
cdef long long _IDENTIFIED_NS


cdef class NumberedCopies:
    cdef readonly long long first
    cdef object _hashes
    cdef object _frames
    cpdef bint has(self, bytes data, long long frame) except? -1


cdef class _Seen:
    cdef long long frame
    cdef long long time
    cdef bytes header
    cdef bytes payload
    cdef long long hops
    cdef long long interface
    cdef long long place
    cdef long long turn


cdef class Copies:
    cdef readonly long long count
    cdef readonly object first
    cdef readonly long long latest
    cdef dict _seen
    cdef list _identifications
    cdef list _varies
    cdef long long _speaker
    cdef long long _turn
    cpdef bint has(self, Packet packet, long long sender) except? -1
    cpdef bint note(self, Packet packet, long long sender, bytes payload) except? -1
    cdef bint _is_same(self, _Seen earlier, Packet packet, long long sender) except? -1


cdef tuple _key(Packet packet, long long sender)
cdef bytes _header(Packet packet)
cdef bytes _without_checksum(bytes header)
