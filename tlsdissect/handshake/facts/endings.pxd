from tlsdissect.flows.sequence cimport add, difference
from tlsdissect.handshake.encrypted_flight cimport EncryptedFlight
from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.logged cimport DirectionSummary

cdef long long _ALERT
cdef long long _CLIENT
cdef long long _SERVER


cdef long long _answered_from(Handshake handshake, EncryptedFlight flight, long long end)
cdef bint _lacks_data(Handshake handshake, EncryptedFlight flight, HandshakeEvent reply)
cdef bint _has_ended(DirectionSummary server)
cdef bint _may_answer_close(Handshake handshake, EncryptedFlight flight, HandshakeEvent reply)
cdef bint _sent_alert_before(EncryptedFlight flight, long long frame)
cdef bint _complete13(Handshake handshake)
cdef bint _lacks_answer(Handshake handshake)
cdef bint _lacks_result(Handshake handshake)
cdef object _guessed_end(Handshake handshake)
cdef object _rejection(Handshake handshake, long long until)
cdef HandshakeEvent _fatal(Handshake handshake)
cdef object _closed(Handshake handshake, long long side)
cdef bint _ends_in_alert(Handshake handshake, long long side, DirectionSummary direction, object ended)
cpdef object ending(Handshake handshake, long long until)
cpdef object closure(Handshake handshake)
cpdef tuple alerts(Handshake handshake)
cpdef tuple named_alerts(Handshake handshake, object events)
