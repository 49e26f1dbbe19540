from tlsdissect.handshake.events cimport HandshakeEvent, SeenClientHello, SeenServerHello
from tlsdissect.handshake.log cimport HandshakeLog

cdef long long _NEW_SESSION_TICKET
cdef long long _SERVER_HELLO_DONE


cpdef tuple established(HandshakeLog log, long long decided_frame)
cpdef tuple identities(HandshakeLog log)
cdef list[bytes] _session_id(bytes session_id)
cdef list[bytes] _ticket(bytes body)
cdef bytes _key(bytes kind, bytes name)
