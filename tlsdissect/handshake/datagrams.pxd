from tlsdissect.capture.packet cimport Packet
from tlsdissect.flows.budget cimport Budget
from tlsdissect.flows.table cimport FlowTable
from tlsdissect.flows.udp cimport UdpFlow, UdpTable
from tlsdissect.handshake.sessions cimport established, identities

cdef long long _UDP
cdef long long _NEVER
cdef long long _LONG_HEADER
cdef long long _FIXED_BIT


cdef class DatagramConnections:
    cdef readonly object counted
    cdef readonly object eap_not_decoded
    cdef readonly long long given_up
    cdef public long long eap_stream
    cdef readonly list found
    cdef readonly UdpTable udp
    cdef object _names
    cdef FlowTable _flows
    cdef object _eap
    cdef bint _has_eap
    cdef Budget _budget
    cdef object _options
    cdef object _damage
    cdef object _evidence
    cdef object _keys
    cdef set _returned
    cdef object _followed
    cdef object _moves
    cdef object _idle
    cdef object _undecided
    cpdef object feed(self, Packet packet, object conflict)
    cdef bint _follow_up(self, UdpFlow flow, Packet packet, long long sender, object conflict)
    cdef UdpFlow _first_flow(self, UdpFlow flow, Packet packet)
    cdef bint _recognise(self, UdpFlow flow, Packet packet, object conflict)
    cpdef long long eap_expires(self)
    cpdef bint is_any_over(self)
