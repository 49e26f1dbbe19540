from tlsdissect.capture.octets cimport cut
from tlsdissect.handshake.events cimport HandshakeEvent, SealedRecord, new_event
from tlsdissect.handshake.key_schedule cimport traffic_keys
from tlsdissect.handshake.logged cimport LoggedHandshake
from tlsdissect.handshake.protection cimport Aead
from tlsdissect.tls.record cimport Message, MessageJoiner

cdef long long _ALERT
cdef long long _APPLICATION_DATA
cdef long long _HANDSHAKE
cdef long long _HEADER_SIZE
cdef long long _IV_SIZE


cdef class KeyedReader:
    cdef readonly LoggedHandshake log
    cdef public list used
    cdef public list wrong
    cdef public dict numbers
    cdef readonly dict packets
    cdef readonly list acks
    cdef readonly object close


cdef class RecordReader(KeyedReader):
    cdef MessageJoiner _one
    cdef MessageJoiner _other
    cdef list _next


cdef class _Epoch:
    cdef readonly str label
    cdef readonly object origin
    cdef public object first
    cdef readonly bint is_handshake
    cdef public bint opens
    cdef public bint noted
    cdef object _secret
    cdef object _suite
    cdef object _form
    cdef bint _authenticates_header
    cdef Aead _aead
    cdef object _iv
    cdef Aead _key(self)
    cpdef object open(self, SealedRecord record)


cdef list[_Epoch] _begin(object labels, object secrets, object chosen, LoggedHandshake log)


cdef class Reader13(RecordReader):
    cdef bytes _random
    cdef object _secrets
    cdef list _client
    cdef list _server
    cdef list _at
