from tlsdissect.handshake.logged cimport LoggedHandshake

cdef object _reader(LoggedHandshake log, object keys, bytes random)
