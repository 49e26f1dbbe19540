from tlsdissect.capture.octets cimport cut
from tlsdissect.capture.packet cimport Packet
from tlsdissect.flows.budget cimport Budget
from tlsdissect.flows.totals cimport Totals
from tlsdissect.flows.udp cimport UdpFlow
from tlsdissect.handshake.copies cimport NumberedCopies
from tlsdissect.handshake.log cimport HandshakeLog
from tlsdissect.handshake.logged cimport LoggedHandshake
from tlsdissect.handshake.quic_handshake cimport Datagram, QuicHandshake, new_datagram
from tlsdissect.handshake.quic_keys cimport InitialKeys, PacketKey
from tlsdissect.tls.quic_packets cimport CryptoFrame, LongPacket, crypto_frames

cdef long long _INITIAL
cdef long long _ZERO_RTT
cdef long long _HANDSHAKE
cdef long long _RETRY
cdef long long _VERSION_NEGOTIATION
cdef long long _FIXED_BIT
cdef long long _LONG_HEADER
cdef long long _LEAST_ID
cdef long long _DATAGRAM_BYTES
cdef long long _UNKNOWN


cdef class Counts:
    cdef readonly Totals totals
    cdef readonly long long seen
    cpdef bint add(self, Packet packet, long long sender)


cdef class QuicConnection:
    cdef readonly Counts counts
    cdef readonly long long client
    cdef readonly list ids
    cdef readonly long long version
    cdef readonly bint answered
    cdef readonly tuple offered
    cdef readonly object version_negotiation
    cdef readonly object retry
    cdef readonly tuple close
    cdef readonly bint returned
    cdef readonly object recorder
    cdef bytes _original_id
    cdef bytes _key_id
    cdef list _initial_packets
    cdef list _expected
    cdef list _first_one_rtt
    cdef bint _has_identities
    cdef list _sent
    cdef Budget _budget
    cdef object _keys
    cdef QuicHandshake _handshake
    cdef QuicHandshake _second
    cdef QuicHandshake _sealing
    cdef LoggedHandshake _logged
    cdef long long _logged_bytes
    cpdef bint is_noted(self, long long sender)
    cpdef bint is_decided(self)
    cpdef bint lacks_first(self)
    cpdef HandshakeLog hello(self)
    cpdef bint report(self, long long sender, str code, str detail, long long frame)
    cpdef bytes key_id(self)
    cpdef object open(self, LongPacket packet, bytes data, long long sender)
    cdef bint _precedes_retry(self, LongPacket packet, long long sender)
    cpdef bint begin_again(self, LongPacket packet)
    cdef bint _go_on_with(self, QuicHandshake handshake)
    cdef bint _drop_second(self)
    cdef bint _add_crypto(self, long long offset, bytes data, Datagram datagram, bint after_retry)
    cpdef object read_initial(self, LongPacket packet, object opened, Datagram datagram)
    cdef list[bool] _read_frames(self, bytes payload, Datagram datagram, bint after_retry)
    cpdef bint read_handshake(self, list[LongPacket] packets, Datagram datagram)
    cpdef bint pass_by(self, Datagram datagram, object opened)
    cpdef bint read_one_rtt(self, long long sender, long long frame, long long time)
    cdef bint _settle_if_over(self)
    cdef bint _settle(self)
    cpdef bint read_retry(self, LongPacket packet, bytes data)
    cpdef bint precede(self, bytes original_id)
    cpdef bint follow_retry(self, bytes connection_id)
    cpdef bint read_negotiation(self, LongPacket packet, bytes data)


cdef class _Reading:
    cdef Datagram datagram
    cdef QuicConnection found
    cdef list handshake
    cdef dict opened
    cdef bint held


cdef class QuicFollower:
    cdef readonly str protocol
    cdef public bint limited
    cdef public list changed
    cdef public bint ready
    cdef readonly object google_version
    cdef long long _google_client
    cdef bint _is_google_answered
    cdef list _server_ids
    cdef bint _early
    cdef UdpFlow _flow
    cdef Budget _budget
    cdef bint _keeps
    cdef object _keys
    cdef list _connections
    cdef dict _ids
    cdef list _lengths
    cdef list _unknown
    cdef Counts _unclaimed
    cdef NumberedCopies _copies
    cdef list _held
    cdef bint _explains
    cdef long long _refused
    cpdef object feed(self, Packet packet, long long sender)
    cdef bint _note_google(self, object version, long long sender)
    cpdef object take_server_ids(self)
    cpdef bint goes_on(self, Packet packet, long long client)
    cdef bint _let_pass(self, Counts counts)
    cdef Counts _counts(self, QuicConnection connection)
    cdef QuicConnection _of_short(self, bytes data, long long sender)
    cdef QuicConnection _of_new_id(self, Datagram datagram)
    cdef QuicConnection _read_long(self, Datagram datagram)
    cdef bint _replay(self)
    cdef bint _read_packet(self, LongPacket packet, _Reading reading)
    cdef QuicConnection _end(self, _Reading reading)
    cdef QuicConnection _find(self, LongPacket packet, long long sender)
    cdef QuicConnection _read_initial(self, LongPacket packet, _Reading reading)
    cdef list[QuicConnection] _candidates(self, LongPacket packet, long long sender, QuicConnection found)
    cdef bint _may_open_later(self, LongPacket packet, Datagram datagram, QuicConnection found)
    cdef QuicConnection _begin(self, LongPacket packet, _Reading reading, QuicConnection found)
    cdef bint _has_too_many(self, Datagram datagram)
    cdef QuicConnection _new_connection(self, LongPacket packet, Datagram datagram, long long number)
    cdef bint _begin_answered(self, Datagram datagram)
    cdef bint _begin_if_answer(self, Datagram asked, Datagram datagram)
    cdef bint _learn(self, QuicConnection connection, LongPacket packet, long long sender)
    cdef bint _add_id(self, QuicConnection connection, long long sender, bytes destination)
    cdef QuicConnection _latest(self)
    cdef bint _hold(self, Datagram datagram)
    cdef list[Datagram] _release_held(self)


cdef bint _is_answer(LongPacket packet, bytes data, bytes connection_id)
