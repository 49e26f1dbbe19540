cdef long long _MAX_BYTES
cdef long long _MAX_HELD
cdef long long _FRAME_BYTES


cdef class CryptoStream:
    cdef readonly object conflict
    cdef readonly long long news
    cdef readonly long long position
    cdef dict _spans
    cdef bytearray _read
    cdef list _waiting
    cdef long long _waiting_bytes
    cdef long long _arrivals
    cpdef long long held_bytes(self)
    cpdef bint has_gap(self)
    cpdef bytes add(self, long long offset, bytes data)
    cdef bint _join(self, long long offset, bytes data, bint is_latest)
    cdef bint _compare(self, long long offset, bytes known, bytes data, bint is_latest)
