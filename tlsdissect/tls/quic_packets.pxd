from tlsdissect.capture.octets cimport cut, u32

cdef long long _LONG_HEADER
cdef long long _LONGEST_ID
cdef long long _NEGOTIATION
cdef Py_ssize_t _RETRY_TAG
cdef long long _INITIAL
cdef long long _RETRY
cdef long long _VERSION_NEGOTIATION
cdef Py_ssize_t _IDS
cdef long long _PADDING
cdef long long _PING
cdef long long _ACK
cdef long long _ACK_ECN
cdef long long _CRYPTO
cdef long long _RANGE_COUNT
cdef bytes _ZEROS


cdef class LongPacket:
    cdef readonly long long kind
    cdef readonly long long version
    cdef readonly bytes destination_id
    cdef readonly bytes source_id
    cdef readonly bytes token
    cdef readonly long long start
    cdef readonly long long protected
    cdef readonly long long end


cdef long long _varint(bytes data, Py_ssize_t at)
cdef Py_ssize_t _varint_size(bytes data, Py_ssize_t at)
cdef LongPacket _packet(long long kind, long long version, bytes destination_id, bytes source_id, bytes token, long long start, long long protected, long long end)
cpdef long long packet_type(long long first_byte, long long version)
cpdef LongPacket read_long_packet(bytes data, Py_ssize_t start)
cpdef list[LongPacket] long_packets(bytes data)


cdef class CryptoFrame:
    cdef readonly long long offset
    cdef readonly bytes data


cdef CryptoFrame _frame(long long offset, bytes data)
cpdef list[CryptoFrame] crypto_frames(bytes payload, long long version)
