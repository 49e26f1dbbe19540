cdef class Headers:
    cdef public bytes data
    cdef public Py_ssize_t start
    cdef public long long kind
    cdef public long long at
    cdef public long long end
    cdef public long long limit
    cdef public long long depth
    cdef public Py_ssize_t addresses
    cdef public Py_ssize_t ip
    cdef public long long identification
    cdef public Py_ssize_t last_hop
    cdef public bint quoted
    cdef readonly long long frame
    cdef readonly tuple joined_frames
    cdef public object skipped
    cdef public object fragments
    cdef long long _joined
    cdef list _waiting
    cdef list _quotations

    cpdef bint begin(self, long long frame, bytes data, Py_ssize_t start, long long captured, long long carried, long long kind) except? -1
    cpdef long long skip(self, str what)
    cpdef bint narrow(self, long long limit) except? -1
    cpdef bint enter(self, long long start, long long end)
    cpdef bint next_held(self) except? -1
    cpdef bint drop_held(self)
