from tlsdissect.capture.octets cimport cut


cdef class HelloTemplate:
    cdef public long long number
    cdef readonly object hello
    cdef readonly list places
    cdef readonly long long footprint
    cdef readonly dict derived
    cdef Py_ssize_t _session_id_end
    cpdef bytes session_id(self, bytes body)


cdef class HelloCache:
    cdef public long long limit
    cdef readonly dict _templates
    cdef dict _numbered
    cdef long long _next
    cdef long long _count
    cdef long long _used
    cdef object _learning
    cpdef HelloTemplate find(self, bytes body)
    cpdef HelloTemplate numbered(self, long long number)


cdef bytes _masked(bytes body, tuple mask)
cpdef object derive_once(HelloTemplate template, object compute, object first, object second=*)
