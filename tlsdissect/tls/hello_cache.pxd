from tlsdissect.capture.octets cimport cut


cdef class HelloTemplate:
    cdef readonly object hello
    cdef readonly list places
    cdef readonly long long footprint
    cdef readonly dict derived
    cdef Py_ssize_t _session_id_end
    cpdef bytes session_id(self, bytes body)


cdef class HelloCache:
    cdef public long long limit
    cdef readonly dict _templates
    cdef long long _count
    cdef long long _used
    cdef object _learning
    cpdef HelloTemplate find(self, bytes body)


cdef bytes _masked(bytes body, tuple mask)
