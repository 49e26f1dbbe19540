from tlsdissect.handshake.events cimport HandshakeEvent, SeenClientHello, SeenServerHello

cdef long long _APPLICATION_DATA


cdef class EncryptedFlight:
    cdef readonly object sizes
    cdef readonly list flight
    cdef readonly bint exact
    cdef readonly bint ended_early_data
    cdef readonly HandshakeEvent before
    cdef readonly HandshakeEvent reply
    cdef readonly list after
    cdef readonly list alerts
    cpdef bint has_server_finished(self)
    cpdef HandshakeEvent last(self)


cpdef EncryptedFlight flight_after(
    SeenServerHello server_hello, SeenClientHello client_hello, HandshakeEvent retry_request, list[HandshakeEvent] events
)
cdef list[HandshakeEvent] _protected(HandshakeEvent hello, list[HandshakeEvent] events)
cdef Py_ssize_t _after(list[HandshakeEvent] events, Py_ssize_t start, long long sender, long long size)
cdef Py_ssize_t _first(list[HandshakeEvent] events, Py_ssize_t start, long long sender)
cdef Py_ssize_t _refusal(
    list[HandshakeEvent] events, Py_ssize_t begin, Py_ssize_t end, long long server, long long alert
)
cdef Py_ssize_t _after_last(list[HandshakeEvent] events, Py_ssize_t end, long long sender)
cdef Py_ssize_t _before_reply(list[HandshakeEvent] protected, long long server, Py_ssize_t start, long long finished)
