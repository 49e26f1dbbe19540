from tlsdissect.capture.octets cimport cut
from tlsdissect.handshake.events cimport DecodedHello
from tlsdissect.handshake.facts.refill cimport Refill, Refills
from tlsdissect.tls.hello_cache cimport HelloTemplate


cdef class Extensions:
    cdef readonly tuple codes
    cdef readonly tuple problems
    cdef readonly dict bodies
    cdef readonly tuple facts
    cpdef object get(self, object number, str field)
    cpdef object shown(self, object number, str field)
    cpdef Extensions like(self, bytes body, object decoder, list places)


cpdef Extensions client_extensions(DecodedHello decoded)
cpdef Extensions server_extensions(DecodedHello decoded)
cdef Extensions _by_template(object decoder, DecodedHello decoded)
