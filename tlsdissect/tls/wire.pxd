from tlsdissect.capture.octets cimport cut

cdef long long LONG_LIST
cdef long long _SHORT


cdef class Reader:
    cdef public object error
    cdef public long long most_items
    cdef readonly bytes _data
    cdef public Py_ssize_t _next
    cdef readonly Py_ssize_t _end
    cdef bint _check_room(self, Py_ssize_t number)
    cpdef object _left_over(self)
    cdef object _short(self, Py_ssize_t size)
    cdef long long _number(self, Py_ssize_t start, Py_ssize_t end)
    cdef Py_ssize_t _claim(self, Py_ssize_t size)
    cdef Reader _child(self, Py_ssize_t start, Py_ssize_t end)
