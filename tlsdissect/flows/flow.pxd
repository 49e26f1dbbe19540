from tlsdissect.capture.packet cimport Packet
from tlsdissect.capture.transport cimport timestamp, window_shift
from tlsdissect.flows.sequence cimport add, difference
from tlsdissect.flows.totals cimport Totals

cdef long long _FIN
cdef long long _SYN
cdef long long _HELLOS
cdef long long _RST
cdef long long _ACK
cdef long long _UNKNOWN
cdef long long _NEVER
cdef long long _NO_TIME
cdef long long _NO_TIMESTAMP
cdef long long _MAX_WINDOW
cdef long long _IN_FLIGHT
cdef long long _NEAR
cdef long long _DROPPED
cdef long long _CHALLENGED
cdef long long _RESETS
cdef long long _COPY_NS
cdef long long _INITIAL_TIMEOUT_NS

cdef bint _is_copy(long long first, long long again)
cdef bint _is_soon(long long first, long long later)


cdef class TcpSide:
    cdef readonly long long isn
    cdef readonly long long first
    cdef readonly long long acknowledged
    cdef readonly long long fin_clock
    cdef readonly bint seen
    cdef readonly bint computes
    cdef readonly long long stamp
    cdef readonly object fin
    cdef readonly long long fin_frame
    cdef readonly long long fin_place
    cdef readonly object far_fin
    cdef readonly object rst
    cdef readonly object challenged
    cdef readonly long long next
    cdef readonly long long sent
    cdef readonly long long window
    cdef readonly long long shift
    cdef readonly long long reset_next
    cdef readonly long long suspect
    cdef readonly long long witnesses
    cdef readonly tuple answers
    cdef readonly long long other_answer
    cpdef object begin(self, long long sequence)
    cpdef long long offset(self, long long sequence) except? -1
    cpdef object reach(self, long long sequence)
    cpdef long long distance(self, long long sequence)
    cpdef long long open_window(self, TcpSide peer)


cdef class TcpHandshake:
    cdef readonly long long syn
    cdef readonly long long synack
    cdef readonly long long ack
    cdef readonly long long opener
    cdef readonly bint missed
    cdef readonly long long early
    cdef readonly long long early_number
    cdef readonly long long late_side
    cpdef object add_syn(self, long long sender, long long flags, long long time, long long first)
    cpdef object acknowledge(self, long long sender, long long time, bint of_syn, long long number)


cdef class Flow(Totals):
    cdef public long long interest
    cdef readonly long long dropped
    cdef readonly long long first_dropped
    cdef public bint passed
    cdef public bint unfinished
    cdef public object given_up_segment
    cdef readonly TcpSide one
    cdef readonly TcpSide other
    cdef readonly TcpHandshake handshake
    cdef readonly long long rst_clock
    cdef readonly bint may_have_dropped
    cdef readonly bint gave_up
    cdef readonly long long resets
    cdef readonly long long first_reset
    cdef readonly long long reset_time
    cdef readonly long long due
    cdef readonly long long queued
    cdef readonly bint replaced
    cdef readonly bint claims
    cdef public Flow rival
    cdef public Flow former
    cdef public bint outlived
    cdef public str protocol
    cdef public str counted
    cdef public object follower
    cpdef TcpSide side(self, long long number)
    cpdef long long closed(self) except? -1
    cpdef bint is_established(self)
    cpdef object contest(self, Flow rival)
    cpdef long long unanswered(self)
    cpdef long long first_drop(self)
    cpdef bint has_number(self, Packet packet, Flow rival)
    cpdef long long distance(self, Packet packet)
    cpdef bint has_both_numbers(self, Packet packet)
    cpdef bint has_both_fins(self)
    cpdef bint count(self, Packet packet, long long clock, long long sender) except? -1
    cdef long long _signal(self, TcpSide me, TcpSide peer, Packet packet, long long clock, long long sender)
    cdef object _stamp(self, TcpSide me, TcpSide peer, Packet packet)
    cdef object _end(self, TcpSide me, object fin, long long clock)
    cdef bint _precedes(self, TcpSide me, long long end, long long known)
    cdef object _forget_resets(self)
    cdef object _reopen(self, TcpSide me)
    cdef object _suspect(self, TcpSide me, Packet packet)
    cdef bint _is_late(self, TcpSide me, Packet packet)
    cdef object _add_answer(self, TcpSide me, long long frame, long long sequence)
    cdef object _judge(self, TcpSide me, TcpSide peer, Packet packet)
    cdef object _choose_answer(self, TcpSide me, long long first)
    cdef object _drop_resets(self)
    cdef object _drop_suspect(self, TcpSide me)
    cdef object _drop_fin(self, TcpSide me)
    cpdef object continue_after_end(self)
    cdef object _drop(self, long long frame)
    cdef bint _reset(self, TcpSide me, TcpSide peer, Packet packet, long long clock, long long sender)
    cdef long long _effect(self, TcpSide me, TcpSide peer, Packet packet, long long sender)


cdef bint _is_of_earlier_connection(TcpSide me, TcpSide peer, Packet packet) except? -1
