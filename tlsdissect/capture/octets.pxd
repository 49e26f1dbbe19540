cpdef long long u16(bytes data, Py_ssize_t at) except? -1
cpdef long long u32(bytes data, Py_ssize_t at) except? -1
cpdef long long u16_little(bytes data, Py_ssize_t at) except? -1
cpdef long long u32_little(bytes data, Py_ssize_t at) except? -1
cpdef bytes cut(bytes data, Py_ssize_t start, Py_ssize_t end)
