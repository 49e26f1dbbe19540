cdef long long _FIN
cdef long long _SYN
cdef long long _HELLOS
cdef long long _RST
cdef long long _ACK
cdef long long _MASK
cdef long long _UNKNOWN
cdef long long _NO_TIME


cdef class TcpSide:
    cdef readonly long long isn
    cdef readonly long long first
    cdef readonly long long acknowledged
    cdef readonly long long fin_clock
    cdef readonly bint seen
    cdef readonly object fin
    cdef readonly object rst


cdef class TcpHandshake:
    cdef readonly long long syn
    cdef readonly long long synack
    cdef readonly long long ack
    cdef readonly long long opener
    cdef readonly bint missed
    cpdef object see(self, long long sender, long long flags, long long time)
    cpdef object acknowledge(self, long long sender, long long time, bint of_syn)


cdef class Flow:
    cdef readonly bytes endpoints
    cdef readonly long long stream
    cdef readonly long long first_frame
    cdef readonly long long start
    cdef readonly long long end
    cdef readonly long long digits
    cdef readonly long long packets
    cdef readonly long long payload_bytes
    cdef public long long interest
    cdef public bint passed
    cdef readonly TcpSide one
    cdef readonly TcpSide other
    cdef readonly TcpHandshake handshake
    cdef readonly long long rst_clock
    cdef readonly long long due
    cdef readonly long long queued
    cdef readonly bint replaced
    cdef public str spoken
    cdef public str counted
    cpdef TcpSide side(self, long long number)
    cpdef long long closed(self)
    cpdef object count(
        self, long long frame, long long time, long long clock, long long sender, long long flags,
        long long sequence, long long acknowledgement, long long length,
    )
    cdef object _signal(
        self, TcpSide me, long long frame, long long time, long long clock, long long sender, long long flags,
        long long sequence, long long length,
    )
