from tlsdissect.capture.octets cimport cut
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


cdef class KeptSegment:
    cdef readonly long long sender
    cdef readonly long long frame
    cdef readonly long long time
    cdef readonly long long flags
    cdef readonly long long sequence
    cdef readonly long long acknowledgement
    cdef readonly long long length
    cdef readonly bytes header
    cdef readonly bytes payload
    cdef readonly long long place


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
    cdef bint _compare(self, KeptSegment one, long long sender, long long sequence, long long length, long long acknowledged)
