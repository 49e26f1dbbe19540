cdef Py_ssize_t _AES_BLOCK
cdef Py_ssize_t _CHACHA_BLOCK


cdef class Aead:
    cdef str _mode
    cdef Py_ssize_t _tag
    cdef bytes _key
    cdef object _counters
    cdef object _aead
    cpdef bytes open(self, bytes nonce, bytes sealed, bytes additional)
    cpdef long long last_nonzero(self, bytes nonce, bytes sealed)
    cdef bytes _key_stream(self, bytes nonce, Py_ssize_t block, Py_ssize_t size)


cdef class HeaderMask:
    cdef bytes _key
    cdef object _blocks
    cpdef bytes of(self, bytes sample)
