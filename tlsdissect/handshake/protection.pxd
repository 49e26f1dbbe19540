cdef Py_ssize_t _AES_BLOCK
cdef long long _FEW


cdef class Aead:
    cdef str _mode
    cdef Py_ssize_t _tag
    cdef bytes _key
    cdef long long _looked_at
    cdef object _counters
    cdef object _aead
    cpdef bytes open(self, bytes nonce, bytes sealed, bytes additional)
    cpdef long long last_nonzero(self, bytes nonce, bytes sealed)
    cdef bytes _block(self, bytes nonce, Py_ssize_t number)


cdef long long _last_nonzero(bytes sealed, bytes stream, Py_ssize_t begin, Py_ssize_t end)


cdef class HeaderMask:
    cdef bytes _key
    cdef object _blocks
    cpdef bytes of(self, bytes sample)
