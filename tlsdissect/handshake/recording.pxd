from tlsdissect.capture.octets cimport cut
from tlsdissect.capture.packet cimport Packet
from tlsdissect.flows.reassembly cimport Assembler
from tlsdissect.handshake.copies cimport Copies
from tlsdissect.handshake.direction cimport Direction, PacketRecords
from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.log cimport HandshakeLog
from tlsdissect.handshake.tracker cimport Tracker
from tlsdissect.tls.record cimport Record

cdef long long _PACKETS
cdef long long _HELLOS
cdef long long _APPLICATION_DATA
cdef long long _WITH_SYN
cdef long long _WITH_ACK
cdef long long _WITH_RST


cdef class Recorder:
    cdef list _packets
    cdef list _records
    cdef Copies _copies
    cdef bint _follows
    cpdef bint keep(self, HandshakeLog log, long long sender, object packet) except? -1
    cpdef bint add_records(self, HandshakeLog log, long long sender, PacketRecords completed) except? -1
    cdef tuple _named_records(self, HandshakeLog log, long long client)


cdef class EapRecorder(Recorder):
    cdef list _eap_packets
    cdef list _positions


cdef class TcpRecorder(Recorder):
    cdef long long _events
    cdef list _reached
    cdef set _again
    cdef bint _brings(self, Tracker tracker, Packet packet, long long sender, object start) except? -1
    cdef object _keep(self, Tracker tracker, Packet packet, long long sender, object start)


cdef object _start(Tracker tracker, Packet packet, long long sender)
cpdef bint has_room(HandshakeLog log, long long sender, bint room, long long size) except? -1
cdef bint _is_in_record(Direction direction) except? -1
cdef bint _is_in(object signal, long long frame) except? -1
cdef object _side(long long sender, long long client)
