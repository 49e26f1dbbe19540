from tlsdissect.flows.sequence cimport add, difference
from tlsdissect.handshake.encrypted_flight cimport EncryptedFlight
from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.logged cimport DirectionSummary

cdef long long _ALERT
cdef long long _CLIENT
cdef long long _SERVER


cdef bint _sent_alert_before(EncryptedFlight flight, long long frame)
