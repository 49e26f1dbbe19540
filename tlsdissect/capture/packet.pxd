from tlsdissect.capture.octets cimport cut, u16


cpdef bytes opposite(bytes endpoints)


cdef class Packet:
    cdef public bytes data
    cdef public long long frame
    cdef public long long time
    cdef public long long digits
    cdef public long long protocol
    cdef public bytes endpoints
    cdef public Py_ssize_t ip
    cdef public Py_ssize_t transport
    cdef public long long sequence
    cdef public long long acknowledgement
    cdef public long long flags
    cdef public long long window
    cdef public Py_ssize_t payload
    cdef public long long length
    cdef public long long captured
    cdef public long long place
    cdef public long long interface
    cdef public long long identification
    cdef public bint quoted

    cpdef bytes captured_payload(self)
    cpdef long long hop_limit(self) except? -1
    cpdef bint ip_checksum_is_wrong(self)
    cpdef bint checksum_is_right(self)
    cpdef bint checksum_is_partial(self)
    cdef long long _pseudo_header(self)
    cpdef bint checksum_is_wrong(self)


cdef long long _sum(bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
