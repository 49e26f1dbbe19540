cdef class FrameReader:
    cdef public bytes data
    cdef public Py_ssize_t start
    cdef public long long captured
    cdef public long long carried
    cdef public long long link
    cdef public long long time
    cdef public long long digits
    cdef public long long interface
    cdef public long long frames
    cdef public bint ended
    cdef public list damage
    cdef public list secrets
    cdef public set links

    cpdef bint next_frame(self)
