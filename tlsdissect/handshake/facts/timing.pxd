from tlsdissect.handshake.encrypted_flight cimport EncryptedFlight
from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.facts.negotiation cimport hello_retry

cdef long long _ACKNOWLEDGEMENT
cdef long long _APPLICATION_DATA
cdef long long _CLIENT
cdef long long _EXACT
cdef long long _NO_TIME
cdef long long _NS_PER_MS
cdef long long _SERVER
cdef long long _UNTIMED


cdef object _time(HandshakeEvent event)
cdef object _from_to(long long start, long long end)
cdef object _any_from_to(object start, object end)
cdef object _bytes(Handshake handshake, long long side, HandshakeEvent last)
cdef object _datagram_bytes(Handshake handshake, long long side, HandshakeEvent last)
cdef object _data(Handshake handshake, long long side)
cdef object _data_time(object data)
cdef object _end(Handshake handshake)
cdef object _known(long long time)
cdef bint _lacks_data(Handshake handshake, long long side)
cdef bint _may_be_handshake(Handshake handshake, long long side)
cdef object _quic_bytes(Handshake handshake, long long side)
cdef object _reply(Handshake handshake)
cdef bint _is_whole(Handshake handshake, EncryptedFlight flight)
cdef object _round_trips12(Handshake handshake)
cdef tuple _tcp_times(Handshake handshake)
cpdef tuple begin_of(Handshake handshake)
cpdef object round_trips(Handshake handshake, object early_data, bint complete)
cpdef object timing(Handshake handshake)
cpdef object handshake_bytes(Handshake handshake, bint complete)
cpdef object elapsed(object start, object end)
cpdef object milliseconds(long long begin, long long start, long long frame, long long time)
