from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.facts.hello_extensions cimport Extensions
from tlsdissect.handshake.facts.refill cimport Refill, Refills

cdef long long _SERVER


cpdef object resumption(Handshake handshake)
cpdef object hello_retry(Handshake handshake)
cpdef object early_data(Handshake handshake)
cpdef bint infers_early_data(Handshake handshake)
cpdef object ech(Handshake handshake)
cpdef object key_agreement(Handshake handshake)
cpdef object negotiated(Handshake handshake, object extension)
cdef object _has(HandshakeEvent hello, Extensions extensions, object extension)
cpdef object alpn(Handshake handshake)
cpdef object psk_identity(Handshake handshake)
cpdef bint external_psk(Handshake handshake)
