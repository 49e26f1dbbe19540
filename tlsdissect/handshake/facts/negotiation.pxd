from tlsdissect.handshake.facts.handshake cimport Handshake
from tlsdissect.handshake.facts.hello_extensions cimport Extensions

cdef long long _SERVER
