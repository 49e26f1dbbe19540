cdef class Packet:
    cdef public bytes data
    cdef public bytes endpoints
    cdef public long long frame
    cdef public long long time
    cdef public long long digits
    cdef public long long protocol
    cdef public long long sequence
    cdef public long long acknowledgement
    cdef public long long flags
    cdef public long long length
    cdef public long long captured
    cdef public long long place
    cdef public Py_ssize_t payload
    cdef public bint quoted
