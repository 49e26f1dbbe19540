from tlsdissect.capture.packet cimport Packet


cdef class Totals:
    cdef readonly bytes endpoints
    cdef readonly long long stream
    cdef readonly long long first_frame
    cdef readonly long long start
    cdef readonly long long end
    cdef readonly long long digits
    cdef readonly long long packets
    cdef readonly long long payload_bytes
    cpdef object begin(self, Packet packet)
    cpdef object add(self, Packet packet)
