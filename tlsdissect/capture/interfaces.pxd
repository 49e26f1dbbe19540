cdef class Interface:
    cdef readonly long long link
    cdef readonly long long snap
    cdef readonly long long digits
    cdef long long _tick
    cdef long long _max_ticks
    cdef bint _binary
    cdef long long _exponent
    cdef long long _offset

    cpdef long long nanoseconds(self, long long high, long long low)
