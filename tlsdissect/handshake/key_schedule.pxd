cdef class Hmac:
    cdef object _hashed
    cdef bytes _inner
    cdef bytes _outer
    cpdef bytes of(self, bytes message)


cpdef list[bytes] hkdf_expand(bytes secret, tuple infos, str hash_name)
cpdef object traffic_keys(bytes secret, long long key_bytes, str hash_name, bytes prefix=*)
