from tlsdissect.capture.frames cimport FileReader
from tlsdissect.capture.interfaces cimport Interface
from tlsdissect.capture.window cimport Window

cdef long long SECTION
cdef long long INTERFACE
cdef long long OLD_PACKET
cdef long long SIMPLE_PACKET
cdef long long STATISTICS
cdef long long ENHANCED_PACKET
cdef long long SECRETS
cdef long long TLS_KEY_LOG
cdef long long SHORTEST
cdef long long SHORTEST_PACKET
cdef long long SHORTEST_SIMPLE_PACKET
cdef long long SHORTEST_SECTION
cdef long long END_TIME
cdef long long MAX_CAPTURED
cdef long long MAX_DISTANCE
cdef long long UNTIMED


cdef class Pcapng(FileReader):
    cdef list interfaces
    cdef bint too_many_interfaces
    cdef public bint returns_blocks
    cdef readonly long long kind
    cdef readonly Py_ssize_t block
    cdef readonly long long block_size
    cdef set last_secrets
    cdef bint extracted

    cdef bint _at(self, long long kind, Py_ssize_t here, long long size)
    cdef bint _packet(self, bytes data, Py_ssize_t here, long long size, bint old)
    cdef bint _simple_packet(self, bytes data, Py_ssize_t here, long long size)
    cdef Interface _interface(self, long long number)
    cdef bint _found(self, bytes data, Py_ssize_t start, long long captured, long long carried, Interface interface)
    cdef bint _describe(self, Py_ssize_t here, long long size)
    cdef bint _begin_section(self)
    cdef bint _read_end(self, Py_ssize_t here, long long size)
    cdef bint _secrets(self, Py_ssize_t here, long long block)
    cdef bint _end(self, bint in_block)
    cdef bint _resume(self, str detail)
