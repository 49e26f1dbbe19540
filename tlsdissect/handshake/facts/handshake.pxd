from tlsdissect.handshake.encrypted_flight cimport EncryptedFlight
from tlsdissect.handshake.events cimport DecodedHello, HandshakeEvent
from tlsdissect.handshake.facts.hello_extensions cimport Extensions, client_extensions, server_extensions
from tlsdissect.handshake.logged cimport DirectionSummary, LoggedHandshake

cdef long long _ALERT
cdef long long _CHANGE_CIPHER_SPEC
cdef long long _CHANGE_SIZE
cdef long long _CLIENT
cdef long long _HANDSHAKE
cdef long long _SERVER


cdef class Handshake:
    cdef readonly LoggedHandshake log
    cdef readonly long long client
    cdef readonly bint tls13
    cdef readonly tuple directions
    cdef readonly tuple events
    cdef readonly tuple alerts
    cdef readonly tuple messages
    cdef readonly list changes
    cdef list _finished
    cdef readonly DecodedHello client_hello
    cdef readonly DecodedHello server_hello
    cdef readonly Extensions client_extensions
    cdef readonly Extensions server_extensions
    cdef readonly object cipher_suite
    cdef readonly HandshakeEvent retry_or_verify_request
    cdef readonly object start
    cdef readonly object is_full
    cdef readonly EncryptedFlight encrypted_flight
    cpdef object side(self, long long sender)
    cpdef DirectionSummary direction(self, long long side)
    cpdef HandshakeEvent message(self, long long side, object kind)
    cpdef HandshakeEvent change(self, long long side)
    cpdef HandshakeEvent finished(self, long long side)
    cpdef bint lacks_first_hello(self)
    cdef bint _note_finished(self, long long side, HandshakeEvent event) except? -1
    cpdef bint may_follow_finished(self, HandshakeEvent record)
    cpdef long long received(self, long long side, HandshakeEvent record)
    cpdef bint follows_hole(self, long long side, HandshakeEvent record)
    cdef object _is_full(self)


cdef EncryptedFlight _encrypted_flight(LoggedHandshake log)
cdef object _start(LoggedHandshake log, HandshakeEvent retry_request)
