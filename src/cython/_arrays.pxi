"""Arrays: types, memory, overlap. Included by _core.pyx."""

cdef int type_of(cnp.ndarray a) noexcept:
    """Return the kernels' number of the element type, -1 if they can't read it."""
    cdef int t = cnp.PyArray_TYPE(a)
    if not cnp.PyArray_ISNOTSWAPPED(a):
        return -1
    if t == cnp.NPY_FLOAT32:
        return <int>Type.float32
    if t == cnp.NPY_FLOAT64:
        return <int>Type.float64
    if t == cnp.NPY_BOOL:
        return <int>Type.boolean
    cdef int size = cnp.PyArray_ITEMSIZE(a)
    if cnp.PyTypeNum_ISSIGNED(t) and cnp.PyTypeNum_ISINTEGER(t):
        return <int>(Type.int8 if size == 1 else Type.int16 if size == 2 else Type.int32 if size == 4 else Type.int64)
    if cnp.PyTypeNum_ISUNSIGNED(t):
        return <int>(Type.uint8 if size == 1 else Type.uint16 if size == 2 else Type.uint32 if size == 4 else Type.uint64)
    return -1


def readable(cnp.ndarray a):
    """Return whether the kernels can read this array where it stands."""
    return type_of(a) >= 0


def aligned_zeros(shape, dtype):
    """Return zeros that begin at a multiple of 64 bytes."""
    cdef int64_t bytes = (shape if isinstance(shape, int) else prod(shape)) * np.dtype(dtype).itemsize
    try:
        raw = np.zeros(bytes + 64, np.uint8)
    except MemoryError:
        raise no_memory_for(bytes) from None
    cdef int64_t skip = -<int64_t><uintptr_t>cnp.PyArray_DATA(raw) % 64
    skip = skip + 64 if skip < 0 else skip
    return np.ndarray(shape, dtype, raw, skip)


cdef no_memory_for(int64_t bytes):
    return MemoryError(f"there is no memory for {bytes / 2**20:.0f} MiB of parameters or workspace")


cdef float_array(cnp.ndarray a):
    if not cnp.PyArray_ISCARRAY(a) or cnp.PyArray_TYPE(a) not in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64):
        raise TypeError("a writable contiguous float32 or float64 array is expected")


cdef bint is_float_array(object a) noexcept:
    """Return whether `a` is a contiguous writable array of float32 or float64, and no subclass."""
    return (cnp.PyArray_CheckExact(a) and cnp.PyArray_ISCARRAY(a)
            and (cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT32 or cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT64))


cdef bint have_one_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int i
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(b):
        return False
    for i in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(b, i):
            return False
    return True


cdef check_alike(cnp.ndarray a, cnp.ndarray b, str message):
    float_array(a)
    float_array(b)
    if cnp.PyArray_SIZE(a) != cnp.PyArray_SIZE(b) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(b):
        raise ValueError(message)


cdef struct Span:
    const char *begin
    const char *end


cdef Span span_of(cnp.ndarray a) noexcept:
    """Return the memory from an array's first byte up to the end of its last; an empty span for an empty array."""
    cdef Span span
    cdef int i
    cdef int64_t step
    span.begin = span.end = <const char *>cnp.PyArray_DATA(a)
    if cnp.PyArray_SIZE(a) == 0:
        return span
    span.end += cnp.PyArray_ITEMSIZE(a)
    for i in range(cnp.PyArray_NDIM(a)):
        step = (cnp.PyArray_DIM(a, i) - 1) * cnp.PyArray_STRIDE(a, i)
        if step < 0:
            span.begin += step
        else:
            span.end += step
    return span


cdef inline bint spans_overlap(Span a, Span b) noexcept:
    return a.begin < b.end and b.begin < a.end


cdef bint overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    return spans_overlap(span_of(a), span_of(b))


cdef int64_t row_length(cnp.ndarray a) noexcept:
    """Return the number of elements along the last axis; a scalar is a row of one."""
    cdef int ndim = cnp.PyArray_NDIM(a)
    return cnp.PyArray_DIM(a, ndim - 1) if ndim else 1


def first_not_finite(cnp.ndarray a):
    """Return the flat index of the first NaN or infinity of a C-contiguous aligned float array, -1 if there is none."""
    if not cnp.PyArray_ISCARRAY_RO(a) or cnp.PyArray_TYPE(a) not in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64) or type_of(a) < 0:
        raise TypeError("a contiguous and aligned float32 or float64 array is expected")
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(a))
    cdef const void *data = cnp.PyArray_DATA(a)
    cdef int64_t n = cnp.PyArray_SIZE(a), found
    with nogil:
        found = k.first_not_finite(data, n)
    return found
