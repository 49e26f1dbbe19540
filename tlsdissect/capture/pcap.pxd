from tlsdissect.capture.frames cimport FileReader
from tlsdissect.capture.window cimport Window

cdef long long DAY
cdef long long IN_A_ROW
cdef long long MAX_CAPTURED
cdef long long MAX_DISTANCE


cdef class Pcap(FileReader):
    cdef long long header
    cdef long long ticks
    cdef long long tick

    cdef bint _found(self, bytes data, Py_ssize_t here, long long captured) except? -1
    cdef bint _end(self)
    cdef bint _resume(self, long long captured)
    cdef bint _is_chain(self, Py_ssize_t place)
