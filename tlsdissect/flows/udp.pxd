from tlsdissect.flows.budget cimport Budget
from tlsdissect.capture.packet cimport Packet, opposite
from tlsdissect.flows.totals cimport Totals

cdef long long _NEVER
cdef long long _UDP_FLOW_BYTES


cdef class UdpFlow(Totals):
    cdef public object follower
    cdef readonly bint two_sided
    cdef readonly long long latest
    cdef readonly long long queued
    cdef public Totals totals
    cdef public long long passing
    cdef public UdpFlow first_flow
    cdef readonly object first_follower
    cdef readonly long long client
    cdef readonly bint turned
    cpdef bint continues_connection(self)


cdef class UdpTable:
    cdef readonly long long sender
    cdef readonly long long stream
    cdef readonly long long evicted
    cdef dict _flows
    cdef list _heap
    cdef long long _expires
    cdef long long _streams
    cdef long long _silent_after
    cdef long long _limit
    cdef long long _known
    cdef long long _number
    cdef long long _of
    cdef Budget _budget
    cpdef UdpFlow find(self, Packet packet, long long clock)
    cpdef bint count(self, Packet packet, long long clock)
    cpdef object join(self, UdpFlow flow, UdpFlow first_flow, long long client)
    cpdef long long count_in_first(self, UdpFlow flow, UdpFlow first_flow, long long clock)
    cpdef bint has(self, UdpFlow flow)
    cpdef object follow(self, UdpFlow flow, object follower)
    cpdef bint is_any_over(self, long long clock) except? -1
    cdef bint _is_full(self) except? -1
    cdef object _add_known(self, long long number)
    cdef object _queue(self, UdpFlow flow)
