from tlsdissect.capture.frames cimport FrameReader
from tlsdissect.capture.octets cimport u16, u16_little, u32, u32_little

cdef long long LOOPBACK
cdef long long PACKET_OUTGOING
cdef long long SOCKADDR
cdef long long VLAN
cdef long long VLAN_TPID_VALID
cdef long long VLAN_VALID


cdef class RingFrames(FrameReader):
    cdef public bint cooked
    cdef public object recorder
    cdef bint _little
    cdef object _blocks
    cdef bytes _block
    cdef Py_ssize_t _next
    cdef long long _left
    cdef long long _bytes

    cdef bint _found(self, Py_ssize_t here)
    cdef bint _replace(self, bytes head, Py_ssize_t rest)
    cdef bytes _vlan_tag(self, Py_ssize_t here)
    cdef bytes _sll2(self, Py_ssize_t address)
    cdef long long _u16(self, Py_ssize_t at)
    cdef long long _u32(self, Py_ssize_t at)
