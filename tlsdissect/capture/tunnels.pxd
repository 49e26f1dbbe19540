from tlsdissect.capture.headers cimport Headers
from tlsdissect.capture.octets cimport u16, u32

cdef long long AYIYA
cdef long long CAPWAP
cdef long long ETHERNET
cdef long long GENEVE
cdef long long GRE
cdef long long GTP
cdef long long IEEE_802_11
cdef long long IEEE_802_11_SWAPPED
cdef long long IP
cdef long long IP_PROTOCOL
cdef long long IPV4
cdef long long IPV6
cdef long long L2TP
cdef long long L2TP_3
cdef long long MPLS
cdef long long NSH
cdef long long PPP
cdef long long SFLOW
cdef long long TEREDO
cdef long long TZSP
cdef long long VLAN
cdef long long VXLAN
cdef long long VXLAN_GPE

cpdef long long over_udp(Headers h)
cpdef long long gre(Headers h)
cpdef long long wccp(Headers h)
cpdef long long erspan(Headers h)
cpdef long long vxlan(Headers h)
cdef long long _next_protocol(long long number)
cpdef long long vxlan_gpe(Headers h)
cpdef long long nsh(Headers h)
cpdef long long geneve(Headers h)
cpdef long long gtp(Headers h)
cpdef long long teredo(Headers h)
cpdef long long l2tp(Headers h)
cpdef long long l2tp_3(Headers h)
cpdef long long capwap(Headers h)
cpdef long long ayiya(Headers h)
cpdef long long tzsp(Headers h)
