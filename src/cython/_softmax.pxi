"""Softmax and its logarithm. Included by _core.pyx."""

def log_softmax(cnp.ndarray z):
    """Replace z by the logarithm of its softmax, over rows of its last axis."""
    float_array(z)
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(z))
    cdef int64_t n = row_length(z), rows = cnp.PyArray_SIZE(z) // n if n else 0
    cdef void *data = cnp.PyArray_DATA(z)
    with nogil:
        k.log_softmax(data, rows, n)


def softmax(x, axis, out, bint logarithm):
    """Return the softmax of a contiguous array along its last axis, or its logarithm; in out, if that is such an array too.

    Return None for arguments that need a check or a conversion.
    """
    if not is_float_array(x) or cnp.PyArray_NDIM(x) == 0 or type(axis) is not int or cnp.PyArray_SIZE(x) == 0:
        return None
    cdef int last = cnp.PyArray_NDIM(x) - 1
    if axis != -1 and axis != last:
        return None
    if out is None:
        out = cnp.PyArray_EMPTY(last + 1, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)
    elif not is_float_array(out) or not have_one_shape(x, out) or (out is not x and overlap(x, out)):
        return None
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(x))
    cdef int64_t n = cnp.PyArray_DIM(x, last), rows = cnp.PyArray_SIZE(x) // n
    cdef void *data = cnp.PyArray_DATA(out)
    if out is not x:
        memcpy(data, cnp.PyArray_DATA(x), cnp.PyArray_NBYTES(x))
    with nogil:
        if logarithm:
            k.log_softmax(data, rows, n)
        else:
            k.activate(SOFTMAX, data, rows, n)
    return out
