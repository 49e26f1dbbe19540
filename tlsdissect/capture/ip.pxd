from tlsdissect.capture.headers cimport Headers
from tlsdissect.capture.octets cimport u16, u32

cdef long long ETHERNET
cdef long long IP
cdef long long IP_PROTOCOL
cdef long long IPV4
cdef long long IPV6

cpdef long long ipv4(Headers h) except? -1
cdef long long _source_route(bytes data, long long at, long long end)
cdef bint _stands_alone(Headers h)
cdef long long _fragment(Headers h, long long body, long long protocol, long long offset, bint last)
cpdef long long ipv6(Headers h)
cpdef long long extension(Headers h)
cpdef long long routing(Headers h)
cpdef long long authentication(Headers h)
cpdef long long fragment(Headers h)
cpdef long long ethernet_in_ip(Headers h)
cpdef long long icmp(Headers h)
cpdef long long icmp6(Headers h)
