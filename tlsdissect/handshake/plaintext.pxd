cdef long long _UNDECIDED
cdef long long _RECORDS
cdef long long _SSL2_HELLO
cdef long long _OTHER
cdef long long _FIRST_TYPE
cdef long long _LAST_TYPE

cpdef long long classify(bytes data)
cdef long long _classify_ssl2(bytes data)


cdef class PlaintextPhase:
    cdef readonly long long mode
    cdef public bint seeking
    cdef readonly bint embedded
    cdef readonly bint headless
    cdef readonly object framing
    cdef readonly bytes before
    cdef bytes _opening
    cdef bytes _tail
