from tlsdissect.capture.packet cimport Packet

cdef long long _EVERY
cdef Py_ssize_t _HELLO_HEAD
cdef long long _MASK
cdef long long _PADDING


cpdef bint starts_with_hello(bytes payload)


cdef class RecordCursor:
    cdef readonly bint in_step
    cdef readonly long long position
    cdef readonly long long ahead
    cdef readonly long long notable
    cdef readonly long long keeps
    cdef readonly long long passed
    cdef readonly long long records
    cpdef bint set(self, long long position, long long ahead, long long notable, long long keeps=*) except? -1
    cpdef bint stop(self)
    cpdef bint passes(self, Packet packet)
    cpdef long long take_passed(self) except? -1
    cpdef long long take_records(self) except? -1
