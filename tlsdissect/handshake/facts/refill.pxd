from tlsdissect.capture.octets cimport cut
from tlsdissect.handshake.facts.text cimport text

cdef long long _CONSTANT
cdef long long _DICT
cdef long long _HEX
cdef long long _NUMBER
cdef long long _TEXT
cdef long long _TUPLE


cdef class Step:
    cdef readonly long long kind
    cdef readonly Py_ssize_t start
    cdef readonly Py_ssize_t end
    cdef readonly object what
    cdef readonly Py_ssize_t count


cdef class Refill:
    cdef list _fixed
    cdef Py_ssize_t _size
    cdef list _fact
    cpdef bint matches(self, bytes data)
    cpdef object fact_of(self, bytes data)


cdef class Refills:
    cdef dict _known
    cdef Py_ssize_t _count
    cpdef Refill find(self, object kind, bytes data)


cdef object _made(list[Step] steps, bytes data)
