from tlsdissect.capture.octets cimport cut
from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.facts.hello_extensions cimport Extensions
from tlsdissect.tls.hello_cache cimport derive_once


cpdef object client_hello(Handshake handshake)
cpdef object server_hello(Handshake handshake)
cdef tuple _listed(Extensions extensions, bint seen)
cpdef object sni(Extensions extensions)
