cdef class PlaintextPhase:
    cdef readonly long long mode
    cdef public bint seeking
    cdef readonly bint embedded
    cdef readonly bint headless
    cdef readonly object framing
    cdef readonly bytes before
    cdef bytes _opening
    cdef bytes _tail
