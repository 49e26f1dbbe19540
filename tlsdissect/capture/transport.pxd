from tlsdissect.capture.headers cimport Headers
from tlsdissect.capture.octets cimport u16, u32
from tlsdissect.capture.packet cimport Packet

cdef long long EAPOL
cdef long long SHORTEST_TCP

cpdef bint tcp(Headers h, Packet packet)
cpdef bint udp(Headers h, Packet packet)
cpdef bint eapol(Headers h, Packet packet)
cdef bint _found(Headers h, Packet packet)
