from tlsdissect.handshake.logged cimport LoggedHandshake

cdef object _inner_hello(LoggedHandshake log, object keys, bytes outer_random)
cdef object _reader(LoggedHandshake log, object keys, bytes random)
