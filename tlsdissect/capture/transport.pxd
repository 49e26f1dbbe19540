from tlsdissect.capture.headers cimport Headers
from tlsdissect.capture.octets cimport cut, u16, u32
from tlsdissect.capture.packet cimport Packet

cdef long long EAPOL
cdef long long SHORTEST_TCP
cdef long long TCP
cdef long long UDP
cdef long long _MAX_SHIFT
cdef long long _WINDOW_SCALE
cdef long long _TIMESTAMPS
cdef long long _NO_TIMESTAMP

cpdef bint tcp(Headers h, Packet packet) except? -1
cpdef bint udp(Headers h, Packet packet)
cpdef bint eapol(Headers h, Packet packet)
cpdef long long window_shift(Packet packet)
cpdef long long timestamp(bytes data, long long start, long long end, bint echoed)
cdef long long _find_option(bytes data, long long start, long long end, long long kind, long long size)
cdef bint _clear_tcp(Packet packet)
cdef bint _from_ip(Headers h, Packet packet) except? -1
cdef bint _from_frame(Headers h, Packet packet)
