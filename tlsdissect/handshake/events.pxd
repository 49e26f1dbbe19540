from tlsdissect.tls.hello_cache cimport HelloTemplate


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


cdef class SeenClientHello:
    cdef readonly HandshakeEvent event
    cdef readonly long long segments
    cdef readonly bint offers_tls13
    cdef readonly bint offers_early_data
    cdef readonly bytes pre_shared_keys


cdef class SeenServerHello:
    cdef readonly HandshakeEvent event
    cdef readonly object cipher_suite
    cdef readonly bytes session_id


cdef class DecodedHello:
    cdef readonly object shared
    cdef readonly HelloTemplate template
    cdef readonly object error
    cdef readonly bytes body
