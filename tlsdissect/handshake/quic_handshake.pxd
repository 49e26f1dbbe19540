from tlsdissect.capture.octets cimport cut
from tlsdissect.capture.packet cimport Packet
from tlsdissect.flows.budget cimport Budget
from tlsdissect.handshake.crypto_stream cimport CryptoStream
from tlsdissect.handshake.events cimport HandshakeEvent, new_event, new_sealed
from tlsdissect.handshake.log cimport HandshakeLog
from tlsdissect.handshake.logged cimport DirectionSummary, LoggedHandshake
from tlsdissect.tls.quic_packets cimport LongPacket, long_packets
from tlsdissect.tls.record cimport Message, MessageJoiner

cdef long long _MAX_ENCRYPTED
cdef Py_ssize_t _MESSAGE_HEADER
cdef long long _HANDSHAKE
cdef long long _ALERT
cdef long long _UNKNOWN


cdef class Datagram:
    cdef readonly bytes data
    cdef readonly list packets
    cdef readonly long long sender
    cdef readonly long long frame
    cdef readonly long long time
    cdef readonly long long length
    cdef readonly long long offset


cpdef Datagram new_datagram(Packet packet, long long sender)


cdef class _Side:
    cdef CryptoStream crypto
    cdef MessageJoiner joiner
    cdef long long end
    cdef long long encrypted
    cdef long long first_encrypted
    cdef set frames
    cdef long long latest_frame
    cdef object problems
    cdef long long first_hole


cdef class QuicHandshake:
    cdef readonly HandshakeLog log
    cdef Budget _budget
    cdef _Side _one
    cdef _Side _other
    cdef _Side _side(self, long long sender)
    cpdef bint has_hellos(self)
    cpdef bint conflicts(self, long long sender)
    cpdef bint report(self, long long sender, str code, str detail, long long frame)
    cpdef bint add_crypto(self, long long offset, bytes data, Datagram datagram)
    cdef bint _report_conflict(self, _Side side, object conflict, long long frame)
    cdef bint _add_message(self, long long sender, long long kind, bytes body, long long size, long long frame, long long time)
    cpdef bint add_alert(self, long long description, Datagram datagram)
    cpdef bint add_encrypted(self, long long size, Datagram datagram)
    cpdef bint seal(self, LongPacket packet, Datagram datagram, long long position)
    cdef long long _later_frame(self, long long sender, object one_rtt)
    cdef bint _break_off(self, long long sender, long long later)


cdef DirectionSummary _summary(_Side side)
