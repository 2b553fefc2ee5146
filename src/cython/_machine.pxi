"""Measurements of the machine, for benchmarks. Included by _core.pyx."""

def fma_chain(dtype, int64_t rounds):
    """Multiply and add in registers, without memory. Return the number of operations."""
    cdef const Kernels *k = kernels(np.dtype(dtype).num)
    cdef double operations
    cdef double sum[8]
    with nogil:
        operations = k.multiply_add(rounds, sum)
    return operations


def copy_vectors(cnp.ndarray out, cnp.ndarray x):
    """Copy x to out, vector by vector."""
    check_alike(out, x, "out must be like x")
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(x))
    cdef const void *source = cnp.PyArray_DATA(x)
    cdef void *to = cnp.PyArray_DATA(out)
    cdef int64_t n = cnp.PyArray_SIZE(x)
    with nogil:
        k.copy(source, to, n)
