"""Activations of arrays, and their derivatives. Included by _core.pyx."""

def activate(str name, cnp.ndarray z):
    """Replace z by its activation, over rows of its last axis."""
    float_array(z)
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(z))
    cdef int32_t number = ACTIVATIONS.index(name)
    cdef int64_t n = row_length(z), rows = cnp.PyArray_SIZE(z) // n if n else 0
    cdef void *data = cnp.PyArray_DATA(z)
    with nogil:
        k.activate(number, data, rows, n)


def activation_derivative(str name, cnp.ndarray z, cnp.ndarray derivative):
    """Replace z by its activation, and fill derivative. Not for softmax, whose derivative is a matrix."""
    check_alike(z, derivative, "derivative must be like z")
    cdef int32_t number = ACTIVATIONS.index(name)
    if not kernels(cnp.PyArray_TYPE(z)).activation_derivative(number, cnp.PyArray_DATA(z), cnp.PyArray_DATA(derivative), cnp.PyArray_SIZE(z)):
        raise ValueError(f"derivative must be like z: the derivative of {name} is a matrix")


def times_derivative(str name, cnp.ndarray delta, cnp.ndarray a):
    """Multiply delta by the derivative, given the output a, over rows of the last axis."""
    check_alike(delta, a, "delta must be like a")
    cdef int64_t n = row_length(a), rows = cnp.PyArray_SIZE(a) // n if n else 0
    cdef int32_t number = ACTIVATIONS.index(name)
    if not kernels(cnp.PyArray_TYPE(a)).times_derivative(number, cnp.PyArray_DATA(delta), cnp.PyArray_DATA(a), rows, n):
        raise ValueError(f"delta must be like a: the derivative of {name} does not follow from its output")
