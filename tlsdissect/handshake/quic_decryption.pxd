from tlsdissect.handshake.crypto_stream cimport CryptoStream
from tlsdissect.handshake.decryption cimport KeyedReader
from tlsdissect.handshake.events cimport HandshakeEvent, new_event
from tlsdissect.handshake.quic_keys cimport PacketKey
from tlsdissect.tls.quic_packets cimport CryptoFrame, LongPacket, crypto_frames, read_long_packet
from tlsdissect.tls.record cimport Message, MessageJoiner

cdef long long _HANDSHAKE
cdef long long _FINISHED


cdef class _Side:
    cdef CryptoStream crypto
    cdef MessageJoiner joiner
    cdef long long expected
    cdef bint closed
    cdef object latest
    cdef bint finished


cdef class QuicReader(KeyedReader):
    cdef object _suite
    cdef bytes _random
    cdef object _secrets
    cdef _Side _client
    cdef _Side _server
    cdef dict _keys
    cdef set _failed
    cdef object _key(self, long long side, long long version)
    cdef bint _read_frames(self, bytes payload, object record, _Side sent, list[HandshakeEvent] events)
    cdef bint _add_crypto(self, long long offset, bytes data, object record, _Side sent, list[HandshakeEvent] events)
