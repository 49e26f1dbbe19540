cpdef str text(bytes data)
