cdef long long _HALF
cdef long long _MASK

cpdef long long add(long long sequence, long long octets) except? -1
cpdef long long difference(long long one, long long other) except? -1
