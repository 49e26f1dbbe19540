from tlsdissect.capture.octets cimport cut

cdef long long _FIRST_TYPE
cdef long long _LAST_TYPE
cdef long long _DATA
cdef long long _MAX_FRAGMENT
cdef long long _MAX_MESSAGE
cdef long long _RECORD_HEADER
cdef long long _HEADER
cdef long long _NOTHING_KEPT

cpdef bint has_header(bytes data, Py_ssize_t at) except? -1
cpdef bint has_empty_record(bytes data, Py_ssize_t at) except? -1
cdef long long _message_size(bytes data, Py_ssize_t at)
cdef bint _begins_with_messages(bytes fragment)


cdef class Record:
    cdef readonly long long content_type
    cdef readonly long long version
    cdef readonly long long length
    cdef readonly long long start
    cdef readonly bytes fragment
    cdef readonly bint whole


cdef class Message:
    cdef readonly long long handshake_type
    cdef readonly bytes body
    cdef readonly long long start


cpdef Record new_record(long long content_type, long long version, long long length, long long start, bytes fragment, bint whole)
cpdef Message new_message(long long handshake_type, bytes body, long long start)


cdef class RecordReader:
    cdef readonly long long position
    cdef readonly long long skip
    cdef readonly object astray
    cdef public long long keeps
    cdef public list bodies
    cdef bytearray _kept
    cdef long long _kept_start
    cdef bytes _buffer
    cdef long long _buffer_start
    cdef long long _version
    cpdef bint is_between(self) except? -1
    cpdef bint is_keeping(self) except? -1
    cdef bint _keep(self, bytes data)
    cpdef bint start(self, long long position)
    cpdef bint jump(self, long long position, long long skip)
    cpdef list[Record] feed(self, bytes data)
    cpdef list[Record] lost(self, long long size)
    cpdef list[Record] break_off(self)
    cdef bint _pass_over(self, long long size)
    cdef list[Record] _cut(self, bytes data)


cdef class MessageJoiner:
    cdef public object malformed
    cdef readonly long long waiting
    cdef bint _aligned
    cdef bytearray _buffer
    cdef long long _need
    cdef long long _skip
    cdef long long _start
    cpdef list[Message] feed(self, bytes fragment, long long start)
    cdef bint _wait(self, bytes data)
    cdef bytes _take(self)
    cdef list[Message] _split(self, bytes data, long long start)
