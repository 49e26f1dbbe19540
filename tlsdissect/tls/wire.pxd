cdef class Reader:
    cdef public object error
    cdef readonly bytes _data
    cdef public Py_ssize_t _next
    cdef readonly Py_ssize_t _end
