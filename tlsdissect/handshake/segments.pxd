from tlsdissect.capture.packet cimport Packet
from tlsdissect.flows.budget cimport Budget
from tlsdissect.flows.sequence cimport add, difference

cdef long long _SYN
cdef long long _ACK
cdef long long _RST
cdef long long _UNKNOWN
cdef long long _UNTIMED
cdef long long _PADDING
cdef long long _SEGMENT_BYTES
cdef long long _KEPT_BYTES
cdef long long _MAX_SEGMENTS


cdef class Segments:
    cdef readonly list kept
    cdef readonly long long held_bytes
    cdef readonly bint complete
    cdef readonly list conflicts
    cdef readonly long long comparisons
    cdef Budget _budget
    cdef set _wrong
    cdef list _sides
    cdef list _reached
    cdef list _acknowledged
    cdef bint _back
    cdef long long _last
    cdef long long _times
    cdef long long _surprises
    cpdef bint add(self, Packet packet, long long sender)
    cdef bint _compare(self, object one, long long sender, long long sequence, long long length, long long acknowledged)
