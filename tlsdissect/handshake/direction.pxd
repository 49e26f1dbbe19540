from tlsdissect.flows.budget cimport Budget
from tlsdissect.flows.flow cimport TcpSide
from tlsdissect.flows.reassembly cimport PlacedSegment, Assembler
from tlsdissect.flows.sequence cimport add, difference
from tlsdissect.handshake.logged cimport DirectionSummary, new_summary
from tlsdissect.handshake.plaintext cimport PlaintextPhase, Start, classify
from tlsdissect.handshake.record_cursor cimport RecordCursor, starts_with_hello
from tlsdissect.handshake.segments cimport Segment
from tlsdissect.tls.record cimport MessageJoiner, Record, RecordReader

cdef long long _OPENING
cdef long long _PLAIN
cdef long long _TLS
cdef long long _UNKNOWN
cdef long long _PADDING
cdef long long _EVERY
cdef long long _FIN
cdef long long _MAX_RECORD
cdef long long _MASK


cdef class KeptBody:
    cdef readonly long long start
    cdef readonly bytes body
    cdef readonly long long frame
    cdef readonly long long time


cdef class PacketRecords:
    cdef readonly list records
    cdef readonly long long frame
    cdef readonly long long time
    cdef readonly bint broken


cpdef bint may_be_padding(Segment segment)
cdef PacketRecords _completed(list[Record] records, long long frame, long long time, bint broken)


cdef class Direction:
    cdef readonly TcpSide tcp
    cdef readonly Assembler assembler
    cdef readonly RecordReader reader
    cdef readonly MessageJoiner joiner
    cdef readonly RecordCursor cursor
    cdef public object alert
    cdef readonly PlaintextPhase plaintext
    cdef readonly long long mode
    cdef public long long changed
    cdef public long long awaited
    cdef public bint counting
    cdef readonly list arrivals
    cdef readonly long long payload
    cdef readonly list unplaced
    cdef readonly long long unplaced_bytes
    cdef readonly list late
    cdef readonly long long late_bytes
    cdef public object reset_text
    cdef readonly Segment possible_padding
    cdef readonly long long first_hole
    cdef public long long accounted
    cdef readonly long long cut_off
    cdef readonly bint strayed
    cdef readonly long long first_frame
    cdef public object last
    cdef public list bodies
    cdef public object reply
    cdef readonly object problems
    cdef readonly long long latest
    cdef public dict frames
    cdef Budget _budget
    cdef object _framing
    cpdef list[PacketRecords] add(self, Segment segment)
    cpdef list[PacketRecords] deliver(self, Segment segment)
    cpdef list[PacketRecords] lose(self, long long size)
    cdef list[PacketRecords] _add(self, Segment segment)
    cpdef bint waits(self)
    cpdef list[PacketRecords] acknowledge(self)
    cdef list[PacketRecords] _await_place(self, Segment segment)
    cdef bint _awaits_more(self)
    cpdef list[PacketRecords] place(self)
    cdef bint _release_unplaced(self)
    cdef list[PacketRecords] _compare(self, Segment segment)
    cdef bint _ends_padded(self)
    cdef bint _follows_padded_fin(self, Segment segment)
    cdef list[PacketRecords] _accept_doubtful(self)
    cdef list[PacketRecords] _take_late(self)
    cdef list[PacketRecords] _reassemble(self, Segment segment)
    cdef object _numbered(self, object signal)
    cpdef bint has_passed(self, long long sequence)
    cpdef bint expect(self, bint decided, long long alert_size) except? -1
    cpdef bint catch_up(self) except? -1
    cpdef DirectionSummary summary(self)
    cdef bint _is_awaited(self, long long sequence)
    cdef long long _first(self, long long sequence)
    cdef list[PacketRecords] _skip_missing(self, long long start, long long size, long long time)
    cdef list[PacketRecords] _read_placed(self, PlacedSegment placed)
    cdef bint _keep_bodies(self, long long frame, long long time)
    cdef list[PacketRecords] _read(self, bytes data, long long offset, long long frame, long long time)
    cdef list[Record] _cut(self, bytes data)
    cdef list[Record] _begin(self, bytes data, long long offset)
    cpdef bint mark_missing(self, long long start)
    cpdef bint is_whole(self, long long end)
    cpdef long long segments(self, long long start, long long end)


cdef bint _is_keep_alive(Segment first, Segment second)
