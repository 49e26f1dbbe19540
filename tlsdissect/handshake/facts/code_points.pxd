cdef long long _LARGEST
cdef long long _LONG


cdef bint _is_grease(long long number) except? -1
cdef bytes _counted(tuple numbers)
cpdef tuple without_grease(tuple numbers)
cpdef bytes sorted_octets(tuple numbers)
