from tlsdissect.capture.octets cimport u16
from tlsdissect.tls.record cimport Record, has_empty_record, has_header, new_record

cdef long long _LONGEST_ALERT
cdef long long _UNDECIDED
cdef long long _RECORDS
cdef long long _SSL2_HELLO
cdef long long _OTHER
cdef long long _FIRST_TYPE
cdef long long _LAST_TYPE
cdef Py_ssize_t _HEADER
cdef Py_ssize_t _MAX_EMPTY

cpdef long long classify(bytes data)
cpdef bint contains_hello(bytes data)
cdef long long _classify_ssl2(bytes data)


cdef class Start:
    cdef readonly long long offset
    cdef readonly bytes data
    cdef readonly Record hello


cdef Start _start(long long offset, bytes data, Record hello)


cdef class PlaintextPhase:
    cdef readonly long long mode
    cdef public bint seeking
    cdef readonly bint embedded
    cdef readonly bint headless
    cdef readonly object framing
    cdef readonly bytes before
    cdef bytes _opening
    cdef bytes _tail
    cpdef Start add(self, long long offset, bytes data, bint after_hole)
    cdef Start _open(self, long long offset, bytes data)
    cdef Start _begin(self, Start start)
