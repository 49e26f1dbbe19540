from tlsdissect.capture.octets cimport cut

cdef long long _LARGEST
cdef long long _MOST_CHARACTERS
cdef long long _LONG_BYTES
cdef long long _ZERO
cdef long long _HYPHEN


cdef class LongList:
    cdef readonly bytes octets


cpdef tuple named(list names, bytes octets)
cdef bint _is_grease(long long number) except? -1
cpdef bytes without_grease(bytes octets)
cpdef str decimals(bytes octets)
cpdef bytes in_order(bytes octets)
cdef bytes _counted(bytes octets)
