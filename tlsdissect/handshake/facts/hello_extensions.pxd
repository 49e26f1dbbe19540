from tlsdissect.capture.octets cimport cut
from tlsdissect.handshake.events cimport DecodedHello
from tlsdissect.tls.hello_cache cimport HelloTemplate


cdef class Extensions:
    cdef readonly tuple codes
    cdef readonly tuple facts
    cdef readonly dict bodies
    cdef readonly tuple problems
    cpdef object get(self, object number, str field)
