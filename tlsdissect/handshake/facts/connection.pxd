from tlsdissect.capture.octets cimport cut, u16
from tlsdissect.flows.totals cimport Totals
from tlsdissect.handshake.events cimport HandshakeEvent
from tlsdissect.handshake.facts.endings cimport alerts, closure, ending
from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.facts.hello_fingerprints cimport ja3, ja3s, ja4
from tlsdissect.handshake.facts.hellos cimport client_hello, server_hello, sni
from tlsdissect.handshake.facts.negotiation cimport alpn, early_data, ech, external_psk, hello_retry, infers_early_data, key_agreement, negotiated, psk_identity, resumption
from tlsdissect.handshake.facts.timing cimport begin_of, handshake_bytes, milliseconds, round_trips, timing
from tlsdissect.handshake.logged cimport DirectionSummary, LoggedHandshake

cdef long long _ALERT
cdef long long _APPLICATION_DATA
cdef long long _CHANGE_CIPHER_SPEC
cdef long long _CLIENT
cdef long long _NS
cdef long long _SERVER
cdef long long _UNTIMED


cpdef tuple endpoints(bytes packed)
cdef str _address(bytes packed)
cdef str _message_type(HandshakeEvent event)
cdef bint _is_message(Handshake handshake, HandshakeEvent event, bint protected) except? -1
cdef list _inferred(Handshake handshake, object of_end, object early, object times)
cdef bint _tells_of_end(Handshake handshake, object times) except? -1
cdef object _guess(str detail, tuple facts)
cdef tuple _messages(Handshake handshake)
cdef list _malformed(Handshake handshake, object in_key_exchange, tuple in_retry)
cdef list _in_message(Handshake handshake, HandshakeEvent event, tuple problems)
cdef object _join_secrets(Handshake handshake, object keys)
cdef object _rfc3339(long long time, long long digits)
cdef tuple _problems(Handshake handshake, tuple malformed, list inferred)
