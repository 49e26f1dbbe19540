from tlsdissect.capture.octets cimport cut

cdef long long _MAX_VALUES


cdef class Value:
    cdef readonly bytes data
    cdef readonly long long tag
    cdef readonly Py_ssize_t start
    cdef readonly Py_ssize_t inside
    cdef readonly Py_ssize_t end
    cpdef Value item(self)
    cpdef Value expect(self, long long tag)


cpdef Value value(bytes data, Py_ssize_t start, Py_ssize_t end)
cdef object _short(long long size, Py_ssize_t start, Py_ssize_t end)
cpdef Value first(bytes data)
