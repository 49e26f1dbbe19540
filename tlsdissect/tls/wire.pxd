cdef class Reader:
    cdef public object error
    cdef public long long most_items
    cdef readonly bytes _data
    cdef public Py_ssize_t _next
    cdef readonly Py_ssize_t _end
    cdef bint _check_room(self, Py_ssize_t number)
