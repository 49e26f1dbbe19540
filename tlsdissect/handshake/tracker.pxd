from tlsdissect.capture.packet cimport Packet
from tlsdissect.flows.budget cimport Budget
from tlsdissect.flows.flow cimport Flow, TcpHandshake
from tlsdissect.flows.sequence cimport difference
from tlsdissect.handshake.direction cimport Direction, PacketRecords, may_be_padding
from tlsdissect.handshake.log cimport HandshakeLog
from tlsdissect.handshake.logged cimport LoggedHandshake
from tlsdissect.handshake.plaintext cimport contains_hello
from tlsdissect.handshake.record_cursor cimport starts_with_hello
from tlsdissect.handshake.segments cimport Segment, Segments, captured_segment, new_segment

cdef long long _PACKETS
cdef long long _RECORDS
cdef long long _HELLOS
cdef long long _NOTHING
cdef long long _SYN
cdef long long _ACK
cdef long long _RST
cdef long long _URG
cdef long long _UNKNOWN
cdef long long _NEVER
cdef long long _PLAIN
cdef long long _FOLLOWED_BYTES


cpdef bint may_resume(Flow flow, long long sender, long long sequence, bytes payload)
cdef Segment _numbered(Segment one, long long frame)


cdef class Tracker:
    cdef readonly Flow flow
    cdef readonly tuple directions
    cdef readonly HandshakeLog log
    cdef readonly long long state
    cdef readonly long long hello_frame
    cdef readonly long long decided_frame
    cdef readonly object before
    cdef public bint limited
    cdef readonly dict frames
    cdef readonly bint unordered
    cdef readonly bint reread
    cdef readonly object recorder
    cdef readonly object lookups
    cdef Budget _budget
    cdef object _keys
    cdef Segments _segments
    cdef tuple _fragments
    cdef object _left_out
    cpdef bint is_silent(self) except? -1
    cpdef bint awaits_hello(self)
    cpdef long long feed(self, Packet packet, long long sender) except? -1
    cdef bint _has_no_data(self) except? -1
    cdef bint _begin_anew(self)
    cdef bint _read(self, Segment segment) except? -1
    cdef bint _start(self)
    cdef bint _process(self, Segment segment) except? -1
    cdef bint _review(self)
    cdef bint _search(self, Segment segment)
    cdef bint _add_records(self, long long sender, list[PacketRecords] completed, long long acknowledgement) except? -1
    cdef bint _keep_bodies(self)
    cpdef bint passes(self, Packet packet, long long sender) except? -1
    cpdef bint expect(self)
    cpdef bint catch_up(self) except? -1
    cdef bint _decide(self, long long frame)
    cdef bint _is_too_long(self)
    cdef bint _mark_as_tls(self, long long frame)
    cpdef long long closed_clock(self)
    cdef bint _is_closed(self)
    cpdef bint finish(self)
    cpdef LoggedHandshake logged(self, long long until, object damage)
    cpdef bint release(self)
