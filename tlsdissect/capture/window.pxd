cdef class Window:
    cdef public bytes data
    cdef public Py_ssize_t start
    cdef public Py_ssize_t end
    cdef public long long offset
    cdef public bint ended
    cdef public bint unreported
    cdef public object source
    cdef long long piece

    cpdef bint need(self, long long size)
    cpdef bint skip(self, long long size)
    cpdef bint pauses(self)
    cdef bint _read(self, long long size)
    cdef bint _decompress(self)
