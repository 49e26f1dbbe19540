cdef class HelloTemplate:
    cdef readonly tuple fresh
    cdef readonly long long footprint
    cdef readonly dict derived
    cdef object _hello
    cdef list _fields
    cdef Py_ssize_t _session_id_end
    cdef list _places
