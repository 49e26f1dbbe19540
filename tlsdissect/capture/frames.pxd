from tlsdissect.capture.octets cimport u16, u16_little, u32, u32_little
from tlsdissect.capture.window cimport Window

cdef long long UNTIMED


cdef class FrameReader:
    cdef public bytes data
    cdef public Py_ssize_t start
    cdef public long long captured
    cdef public long long carried
    cdef public long long link
    cdef public long long time
    cdef public long long digits
    cdef public long long interface
    cdef public long long frames
    cdef public bint ended
    cdef public list damage
    cdef public list secrets
    cdef public long long secret_bytes
    cdef public set links
    cdef public long long until
    cdef public long long damaged
    cdef public str name
    cdef public long long before
    cdef public bint reordered

    cpdef bint next_frame(self)
    cpdef bint goes_back(self)


cdef class FileReader(FrameReader):
    cdef readonly Window window
    cdef readonly bint big

    cdef long long _u16(self, bytes data, Py_ssize_t at)
    cdef long long _u32(self, bytes data, Py_ssize_t at) except? -1
    cdef bint _report(self, str detail, Py_ssize_t place)
