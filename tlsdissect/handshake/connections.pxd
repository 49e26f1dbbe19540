from tlsdissect.capture.packet cimport Packet
from tlsdissect.capture.reader cimport PacketReader
from tlsdissect.flows.budget cimport Budget
from tlsdissect.flows.flow cimport Flow
from tlsdissect.flows.sequence cimport difference
from tlsdissect.flows.table cimport FlowTable
from tlsdissect.flows.udp cimport UdpTable
from tlsdissect.handshake.datagrams cimport DatagramConnections
from tlsdissect.handshake.events cimport SeenClientHello
from tlsdissect.handshake.facts.connection cimport endpoints
from tlsdissect.handshake.log cimport HandshakeLog
from tlsdissect.handshake.logged cimport LoggedHandshake
from tlsdissect.handshake.segments cimport Segment
from tlsdissect.handshake.sessions cimport established, identities
from tlsdissect.handshake.tracker cimport Tracker, may_resume

cdef long long _SIGNALS
cdef long long _TCP
cdef long long _UDP
cdef long long _UNTIMED
cdef long long _RECORDS
cdef long long _HELLOS
cdef long long _NOTHING
cdef long long _UNKNOWN


cdef class Connections:
    cdef public bint waiting
    cdef readonly long long given_up
    cdef readonly long long returned_early
    cdef readonly object not_tls
    cdef object _names
    cdef FlowTable _flows
    cdef DatagramConnections _datagrams
    cdef long long _eap_expires
    cdef UdpTable _udp
    cdef Budget _budget
    cdef long long _followed
    cdef object _damage
    cdef bint _raw
    cdef object _evidence
    cdef bint _decodes_lookups
    cdef object _keys
    cdef bint _linked
    cdef bint _keeps
    cdef object _early
    cdef dict _trackers
    cdef object _waiting
    cdef list _due
    cdef Packet _packet
    cdef PacketReader _reader
    cdef object _observer
    cpdef bint advance(self, PacketReader reader, long long most)
    cdef bint _observe(self, object observer, Packet packet, PacketReader reader)
    cdef bint _dispatch(self, Flow flow, Packet packet, long long sender) except? -1
    cdef bint _give_up_oldest(self)
    cdef bint _feed(self, Tracker tracker, Packet packet, long long sender) except? -1
    cdef bint _forget(self, Flow flow)
    cdef LoggedHandshake _conclude(self, Tracker tracker, long long clock, object seen=*)
    cdef list _results(self, long long due, long long frame, object found)
