from tlsdissect.flows.sequence cimport difference
from tlsdissect.handshake.events cimport HandshakeEvent, SeenClientHello, SeenServerHello

cdef long long _UNKNOWN


cdef class DirectionSummary:
    cdef readonly long long begin
    cdef readonly long long position
    cdef readonly long long first
    cdef readonly long long isn
    cdef public object acked
    cdef public object fin
    cdef public object rst
    cdef readonly long long payload
    cdef readonly long long first_frame
    cdef readonly long long first_hole
    cdef readonly long long cut_off
    cdef readonly bint strayed
    cdef readonly long long changed
    cdef readonly object last_data
    cdef readonly long long mode
    cdef readonly bytes before
    cdef readonly bint embedded
    cdef readonly bint headless
    cdef readonly object framing
    cdef readonly object reply
    cdef readonly object reset_text
    cdef readonly tuple problems
    cpdef long long offset(self, long long sequence)
    cpdef bint is_whole(self, long long end)


cpdef DirectionSummary new_summary(long long begin, long long position, long long first, long long isn, object acked, object fin, object rst, long long payload, long long first_frame, long long first_hole, long long cut_off, bint strayed, long long changed, object last_data, long long mode, bytes before, bint embedded, bint headless, str framing, object reply, object reset_text, tuple problems)


cdef class LoggedHandshake:
    cdef readonly object transport
    cdef public long long client
    cdef readonly list events
    cdef readonly SeenClientHello client_hello
    cdef readonly SeenServerHello server_hello
    cdef readonly HandshakeEvent retry_request
    cdef readonly long long hello_retries
    cdef readonly long long version
    cdef readonly bint tls13
    cdef readonly bint decided
    cdef public tuple first_data
    cdef readonly tuple heartbeats
    cdef public object limited
    cdef readonly tuple directions
    cdef readonly long long opener
    cdef readonly tuple tcp_times
    cdef public bint two_sided
    cdef public long long dropped
    cdef public long long first_dropped
    cdef readonly object before
    cdef public bint given_up
    cdef readonly bint unordered
    cdef readonly bint clocks_differ
    cdef readonly dict frames
    cdef public long long until
    cdef public tuple damage
    cdef public object recording
    cdef public tuple next_messages
    cdef public tuple plain_bytes
    cdef public object hello_verify
    cdef public object quic
    cdef public object dtls
    cdef public object eap
    cdef readonly tuple sealed_records
    cdef readonly bint unkept
