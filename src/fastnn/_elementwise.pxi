"""Functions on plain arrays. Included by _core.pyx."""

cdef float_array(cnp.ndarray a):
    if not cnp.PyArray_ISCARRAY(a) or cnp.PyArray_TYPE(a) not in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64):
        raise TypeError("a writable contiguous float32 or float64 array is expected")


def activate(str name, cnp.ndarray z):
    """z becomes the activation of z, in place, over rows of its last axis."""
    float_array(z)
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(z))
    cdef int32_t number = ACTIVATIONS.index(name)
    cdef int64_t n = z.shape[cnp.PyArray_NDIM(z) - 1] if cnp.PyArray_NDIM(z) else 1
    cdef int64_t rows = cnp.PyArray_SIZE(z) // n if n else 0
    cdef void *data = cnp.PyArray_DATA(z)
    with nogil:
        k.activate(number, data, rows, n)


cdef check_alike(cnp.ndarray a, cnp.ndarray b, str message):
    float_array(a)
    float_array(b)
    if cnp.PyArray_SIZE(a) != cnp.PyArray_SIZE(b) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(b):
        raise ValueError(message)


def activation_slope(str name, cnp.ndarray z, cnp.ndarray slope):
    """z becomes its activation, slope the derivative there. Not for softmax, whose derivative is a matrix."""
    check_alike(z, slope, "slope must be like z")
    cdef int32_t number = ACTIVATIONS.index(name)
    if not kernels(cnp.PyArray_TYPE(z)).activation_slope(number, cnp.PyArray_DATA(z), cnp.PyArray_DATA(slope), cnp.PyArray_SIZE(z)):
        raise ValueError(f"slope must be like z: the derivative of {name} is a matrix")


def times_slope(str name, cnp.ndarray delta, cnp.ndarray a):
    """delta *= the derivative that the output a tells, in place, over rows of the last axis."""
    check_alike(delta, a, "delta must be like a")
    cdef int64_t n = a.shape[cnp.PyArray_NDIM(a) - 1] if cnp.PyArray_NDIM(a) else 1
    cdef int64_t rows = cnp.PyArray_SIZE(a) // n if n else 0
    cdef int32_t number = ACTIVATIONS.index(name)
    if not kernels(cnp.PyArray_TYPE(a)).times_slope(number, cnp.PyArray_DATA(delta), cnp.PyArray_DATA(a), rows, n):
        raise ValueError(f"delta must be like a: the derivative of {name} does not follow from its output")


def update(dict optimizer, cnp.ndarray weights not None, cnp.ndarray gradient not None, cnp.ndarray m, cnp.ndarray v, double rate, int64_t updates):
    """One step of an optimizer on contiguous arrays of one size and dtype, in place; `updates` have come before."""
    cdef Optimizer_ native
    fill_optimizer(&native, optimizer)
    for a in (gradient, m, v):
        if a is not None:
            check_alike(weights, a, "the arrays must have one size and dtype")
    if (native.moments > 0 and m is None) or (native.moments > 1 and v is None):
        raise ValueError("the optimizer's moments are missing")
    kernels(cnp.PyArray_TYPE(weights)).update(
        native, cnp.PyArray_DATA(weights), cnp.PyArray_DATA(gradient), NULL if m is None else cnp.PyArray_DATA(m),
        NULL if v is None else cnp.PyArray_DATA(v), cnp.PyArray_SIZE(weights), rate, updates)


# ---- What the machine can do: for benchmarks ---------------------------------------------------------------------------

def fma_chain(dtype, int64_t rounds):
    """Multiplies and adds in registers, without memory; the number of operations done."""
    cdef const Kernels *k = kernels(np.dtype(dtype).num)
    cdef double operations
    cdef double sum[8]
    with nogil:
        operations = k.multiply_add(rounds, sum)
    return operations


def copy_vectors(cnp.ndarray out, cnp.ndarray x):
    """out = x, vector by vector."""
    check_alike(out, x, "out must be like x")
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(x))
    cdef const void *source = cnp.PyArray_DATA(x)
    cdef void *to = cnp.PyArray_DATA(out)
    cdef int64_t n = cnp.PyArray_SIZE(x)
    with nogil:
        k.copy(source, to, n)
