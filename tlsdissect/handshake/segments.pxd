from tlsdissect.capture.octets cimport cut
from tlsdissect.capture.packet cimport Packet
from tlsdissect.capture.transport cimport timestamp
from tlsdissect.flows.budget cimport Budget
from tlsdissect.flows.flow cimport Flow
from tlsdissect.flows.reassembly cimport PlacedSegment, Assembler
from tlsdissect.flows.sequence cimport add, difference

cdef long long _SYN
cdef long long _ACK
cdef long long _RST
cdef long long _UNKNOWN
cdef long long _UNTIMED
cdef long long _PADDING
cdef long long _SEGMENT_BYTES
cdef long long _REPLAY_BYTES
cdef long long _MAX_SEGMENTS
cdef long long _SWAPPED_NS


cdef class Segment:
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
    cdef readonly long long hop_limit


cpdef Segment new_segment(long long sender, long long frame, long long time, long long flags, long long sequence, long long acknowledgement, long long length, bytes header, bytes payload, long long place, long long hop_limit)
cpdef Segment captured_segment(Packet packet, long long sender)


cdef class SentSegments:
    cdef readonly list compared
    cdef readonly long long reached
    cdef readonly long long acknowledged
    cdef readonly long long acknowledged_at
    cdef readonly bint surprised


cdef class Segments:
    cdef readonly list kept
    cdef readonly long long held_bytes
    cdef readonly bint complete
    cdef readonly tuple conflicts
    cdef readonly long long comparisons
    cdef readonly long long settled
    cdef readonly Segment uncompared
    cdef Budget _budget
    cdef tuple _wrong
    cdef tuple _damaged
    cdef tuple _distrusted
    cdef SentSegments _one
    cdef SentSegments _other
    cdef bint _back
    cdef long long _last
    cdef long long _times
    cdef long long _surprises
    cdef bint _swapped
    cdef long long _resumed
    cpdef bint has_data(self)
    cpdef bint is_unordered(self, Flow flow)
    cpdef bint add(self, Segment one) except? -1
    cpdef bint pass_over(self, Segment one)
    cpdef bint drop(self)
    cdef bint _is_again(self, Segment one, SentSegments sent)
    cdef SentSegments _of(self, Segment one)
    cdef bint _compare(self, Segment one, SentSegments sent)
