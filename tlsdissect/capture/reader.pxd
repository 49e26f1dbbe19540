from tlsdissect.capture.frames cimport FrameReader
from tlsdissect.capture.headers cimport Headers
from tlsdissect.capture.ip cimport ipv4, ipv6
from tlsdissect.capture.link cimport ethernet, vlan
from tlsdissect.capture.packet cimport Packet
from tlsdissect.capture.transport cimport eapol, tcp, udp
from tlsdissect.capture.tunnels cimport over_udp

cdef long long EAPOL
cdef long long ETHERNET
cdef long long INTERNAL
cdef long long IPV4
cdef long long IPV6
cdef long long LINK_TYPE
cdef long long MAX_DEPTH
cdef long long MAX_PACKETS_OF_FRAME
cdef long long NO_LINK_TYPE
cdef long long PREAUTHENTICATION
cdef long long SERVICE_VLAN
cdef long long TCP
cdef long long UDP
cdef long long VLAN


cdef class PacketReader:
    cdef readonly bint ended
    cdef readonly long long until
    cdef readonly object skipped
    cdef bint _joined
    cdef FrameReader _frames
    cdef Headers _headers
    cdef long long _found

    cpdef bint next(self, Packet packet) except? -1
    cdef bint _next_frame(self, Headers headers) except? -1
    cdef bint _read_header(self, Headers headers, Packet packet) except? -1
    cdef long long _read_other_header(self, Headers headers, long long kind)
    cdef bint _complete(self, Headers headers, Packet packet) except? -1
