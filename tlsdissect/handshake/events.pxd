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
