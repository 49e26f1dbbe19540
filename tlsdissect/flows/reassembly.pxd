from tlsdissect.flows.sequence cimport add, difference


cdef class PlacedSegment:
    cdef readonly long long offset
    cdef readonly bytes data
    cdef readonly long long size
    cdef readonly long long frame
    cdef readonly long long time


cdef class Assembler:
    cdef readonly bint started
    cdef readonly long long position
    cdef readonly long long held_bytes
    cdef long long _base
    cdef list[PlacedSegment] _held
    cdef long long _merged

    cpdef bint is_holding(self)
    cpdef object start(self, long long sequence)
    cpdef long long offset(self, long long sequence)
    cpdef long long sequence(self, long long offset) except? -1
    cpdef bint expects(self, long long sequence)
    cpdef bint advance(self, long long sequence, long long size) except? -1
    cpdef tuple[PlacedSegment, ...] feed(self, long long sequence, bytes data, long long size, long long frame, long long time)
    cpdef object merge(self)
    cpdef object skip(self, long long octets)
    cpdef object drop_held(self)
    cdef tuple[PlacedSegment, ...] _deliver(self, PlacedSegment placed)
    cdef PlacedSegment _piece(self, PlacedSegment one, PlacedSegment placed, bytes data, long long end)
    cdef PlacedSegment _take_first(self)
