cdef class Budget:
    cdef readonly object limits
    cdef public long long used
    cdef public long long flow_bytes
    cdef readonly long long held_bytes
    cdef readonly long long message_bytes
    cdef readonly long long total_bytes
    cdef readonly long long table_bytes
    cpdef bint is_spent(self) except? -1
    cpdef long long room(self) except? -1
    cpdef bint is_too_large(self, long long table) except? -1
