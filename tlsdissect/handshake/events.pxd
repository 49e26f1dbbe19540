from tlsdissect.capture.octets cimport cut
from tlsdissect.tls.hello_cache cimport HelloCache, HelloTemplate

cdef Py_ssize_t _RANDOM
cdef Py_ssize_t _SESSION_ID
cdef long long _UNKNOWN


cdef class HandshakeEvent:
    cdef readonly long long sender
    cdef readonly long long content_type
    cdef readonly object handshake_type
    cdef readonly long long size
    cdef readonly bytes body
    cdef readonly long long frame
    cdef readonly long long time
    cdef readonly long long start
    cdef readonly long long end
    cdef readonly bint encrypted
    cdef readonly bint whole
    cdef public long long acknowledgement


cpdef HandshakeEvent new_event(long long sender, long long content_type, object handshake_type, long long size, bytes body, long long frame, long long time, long long start, long long end, bint encrypted)


cdef class SealedRecord:
    cdef readonly long long sender
    cdef readonly long long epoch
    cdef readonly object number
    cdef readonly long long content_type
    cdef readonly long long version
    cdef readonly bytes body
    cdef readonly long long frame
    cdef readonly long long time
    cdef readonly long long start
    cdef readonly bytes previous
    cdef readonly bytes header


cpdef SealedRecord new_sealed(long long sender, long long epoch, object number, long long content_type, long long version, bytes body, long long frame, long long time, long long start, bytes previous=*, bytes header=*)


cdef class DecodedHello


cdef class SeenClientHello:
    cdef readonly HandshakeEvent event
    cdef readonly long long segments
    cdef readonly bint offers_tls13
    cdef readonly bint offers_early_data
    cdef readonly bytes pre_shared_keys
    cdef readonly long long template
    cpdef DecodedHello decoded(self, bint datagram=*)


cdef class SeenServerHello:
    cdef readonly HandshakeEvent event
    cdef readonly object cipher_suite
    cdef readonly bytes session_id
    cdef readonly long long template
    cpdef DecodedHello decoded(self)


cdef class DecodedHello:
    cdef readonly object shared
    cdef readonly HelloTemplate template
    cdef readonly object error
    cdef readonly bytes body
    cdef readonly bint is_ssl2


cdef DecodedHello _decoded(object shared, HelloTemplate template, object error, bytes body)
cpdef DecodedHello decode_client_hello(HandshakeEvent event, bint datagram=*)
cdef DecodedHello _decode_client_hello(bytes body)
cpdef DecodedHello decode_server_hello(HandshakeEvent event)
cdef DecodedHello _decode_with_template(HelloCache cache, object read, bytes body)
