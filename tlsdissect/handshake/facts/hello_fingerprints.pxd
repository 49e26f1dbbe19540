from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.facts.hello_extensions cimport Extensions
from tlsdissect.tls.hello_cache cimport derive_once


cdef object _per_template(Handshake handshake, object write)
cpdef object ja3(Handshake handshake)
cpdef object ja3s(Handshake handshake)
cpdef object ja4(Handshake handshake)
