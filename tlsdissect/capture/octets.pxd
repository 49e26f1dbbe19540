cpdef long long u16(bytes data, Py_ssize_t at)
cpdef long long u32(bytes data, Py_ssize_t at)
cpdef long long u16_little(bytes data, Py_ssize_t at)
cpdef long long u32_little(bytes data, Py_ssize_t at)
