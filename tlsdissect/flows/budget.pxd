cdef class Budget:
    cdef readonly object limits
    cdef public long long used
    cdef readonly long long held_bytes
    cdef readonly long long message_bytes
    cdef readonly long long total_bytes
    cpdef bint is_spent(self)
