from tlsdissect.capture.packet cimport Packet, opposite
from tlsdissect.flows.budget cimport Budget
from tlsdissect.flows.flow cimport Flow

cdef long long _FLOW_BYTES
cdef long long _SYN
cdef long long _ACK
cdef long long _RST
cdef long long _MASK
cdef long long _NEVER
cdef long long _PAST
cdef long long _UNKNOWN
cdef long long _UNTIMED
cdef long long _HELLOS
cdef long long _NOTHING
cdef long long _MAX_FORMER
cdef long long _FAR


cdef class FlowTable:
    cdef readonly long long clock
    cdef readonly long long begin
    cdef readonly long long late
    cdef readonly long long evicted
    cdef readonly long long known
    cdef readonly long long sender
    cdef readonly long long stream
    cdef dict _flows
    cdef dict _replaced
    cdef list _heap
    cdef long long _expires
    cdef long long _origin
    cdef long long _streams
    cdef long long _closed_after
    cdef long long _silent_after
    cdef long long _limit
    cdef long long _number
    cdef long long _of
    cdef bint _timed
    cdef Budget _budget
    cpdef object tick(self, long long time)
    cpdef object pass_time(self, long long time)
    cpdef Flow find(self, Packet packet)
    cpdef bint has(self, Flow flow)
    cpdef bint is_any_over(self) except? -1
    cdef bint _is_full(self) except? -1
    cdef object _add_known(self, long long number)
    cdef Flow _reverse(self, bytes endpoints)
    cdef Flow _add(self, Packet packet)
    cdef Flow _begin_again(self, Flow flow, Packet packet)
    cdef Flow _chosen(self, Flow flow, Packet packet)
    cdef Flow _former(self, Flow flow, Packet packet)
    cdef Flow _continue_given_up(self, Flow latest, Packet packet)
    cdef object _succeed(self, Flow flow, Flow former)
    cdef Flow _new(self, Packet packet)
    cdef object _replace(self, Flow flow)
    cdef object _hand_back(self, Flow flow)
    cdef object _unlink(self, Flow flow)
    cdef bint _has_no_timeout(self, Flow flow)
    cdef object _schedule(self, Flow flow, long long due)
