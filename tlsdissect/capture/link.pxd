from tlsdissect.capture.headers cimport Headers
from tlsdissect.capture.octets cimport u16, u16_little, u32, u32_little

cdef long long ETHERNET
cdef long long INTERNAL
cdef long long IP
cdef long long IP_PROTOCOL
cdef long long IPV4
cdef long long IPV6
cdef long long LINK_TYPE
cdef long long LLC
cdef long long MPLS
cdef long long PPP
cdef long long PPP_PROTOCOL
cdef long long PPPOE
cdef long long PSEUDOWIRE
cdef long long SERVICE_VLAN
cdef long long SNAP
cdef long long VLAN

cpdef long long ethernet(Headers h) except? -1
cpdef long long vlan(Headers h)
cpdef long long redundancy_tag(Headers h)
cpdef long long group_tag(Headers h)
cdef long long _type(Headers h, long long size, str what)
cdef long long _ethertype(Headers h, long long size, str what)
cpdef long long backbone(Headers h)
cpdef long long fabric_path(Headers h)
cpdef long long fddi(Headers h)
cpdef long long token_ring(Headers h)
cpdef long long ip_over_1394(Headers h)
cpdef long long atm(Headers h)
cpdef long long ipnet(Headers h)
cpdef long long openbsd_encapsulation(Headers h)
cpdef long long ppp_with_direction(Headers h)
cdef long long _step(Headers h, long long size, long long kind, str what)
cpdef long long macsec(Headers h)
cpdef long long trill(Headers h)
cpdef long long llc(Headers h)
cpdef long long snap(Headers h)
cpdef long long any_ip(Headers h)
cpdef long long loopback(Headers h)
cpdef long long linux_cooked(Headers h)
cpdef long long linux_cooked_2(Headers h)
cdef long long _cooked(Headers h, long long device, long long protocol, long long size)
cpdef long long ppp(Headers h)
cpdef long long cisco_hdlc(Headers h)
cpdef long long frame_relay(Headers h)
cpdef long long pktap(Headers h)
cpdef long long packet_filter_log(Headers h)
cpdef long long netfilter_log(Headers h)
cpdef long long pppoe(Headers h)
cpdef long long mpls(Headers h)
cpdef long long pseudowire(Headers h)
