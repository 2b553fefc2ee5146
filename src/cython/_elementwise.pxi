"""Functions on plain arrays. Included by _core.pyx."""

# Giving the lock away and taking it back costs more than so many operations.
cdef double WORK_WITH_THE_GIL = 1e5


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


def log_softmax(cnp.ndarray z):
    """z becomes the logarithm of its softmax, in place, over rows of its last axis."""
    float_array(z)
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(z))
    cdef int64_t n = z.shape[cnp.PyArray_NDIM(z) - 1] if cnp.PyArray_NDIM(z) else 1
    cdef int64_t rows = cnp.PyArray_SIZE(z) // n if n else 0
    cdef void *data = cnp.PyArray_DATA(z)
    with nogil:
        k.log_softmax(data, rows, n)


def prediction_loss(str name, cnp.ndarray p, cnp.ndarray y):
    """The sum of a loss's terms over predictions and targets, arrays of one size."""
    check_alike(p, y, "y must be like p")
    return kernels(cnp.PyArray_TYPE(p)).prediction_loss(PREDICTION_LOSSES.index(name), cnp.PyArray_DATA(p), cnp.PyArray_DATA(y),
                                                        cnp.PyArray_SIZE(p))


cdef check_alike(cnp.ndarray a, cnp.ndarray b, str message):
    float_array(a)
    float_array(b)
    if cnp.PyArray_SIZE(a) != cnp.PyArray_SIZE(b) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(b):
        raise ValueError(message)


def activation_derivative(str name, cnp.ndarray z, cnp.ndarray derivative):
    """z becomes its activation, derivative the derivative there. Not for softmax, whose derivative is a matrix."""
    check_alike(z, derivative, "derivative must be like z")
    cdef int32_t number = ACTIVATIONS.index(name)
    if not kernels(cnp.PyArray_TYPE(z)).activation_derivative(number, cnp.PyArray_DATA(z), cnp.PyArray_DATA(derivative), cnp.PyArray_SIZE(z)):
        raise ValueError(f"derivative must be like z: the derivative of {name} is a matrix")


def times_derivative(str name, cnp.ndarray delta, cnp.ndarray a):
    """delta *= the derivative that the output a tells, in place, over rows of the last axis."""
    check_alike(delta, a, "delta must be like a")
    cdef int64_t n = a.shape[cnp.PyArray_NDIM(a) - 1] if cnp.PyArray_NDIM(a) else 1
    cdef int64_t rows = cnp.PyArray_SIZE(a) // n if n else 0
    cdef int32_t number = ACTIVATIONS.index(name)
    if not kernels(cnp.PyArray_TYPE(a)).times_derivative(number, cnp.PyArray_DATA(delta), cnp.PyArray_DATA(a), rows, n):
        raise ValueError(f"delta must be like a: the derivative of {name} does not follow from its output")


cdef bint add_arrays(list to, arrays, Py_ssize_t n):
    """Append n arrays, if that is what there is: a list or a tuple of so many that the kernels read where they stand."""
    if not isinstance(arrays, (list, tuple)) or len(arrays) != n:
        return False
    for a in arrays:
        if not cnp.PyArray_CheckExact(a) or not cnp.PyArray_ISCARRAY_RO(a):
            return False
        if cnp.PyArray_TYPE(a) not in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64):
            return False
        to.append(a)
    return True


cdef struct Span:
    const char *begin
    const char *end


cdef inline Span span_of(cnp.ndarray a) noexcept:
    cdef Span span
    span.begin = <const char *>cnp.PyArray_DATA(a)
    span.end = span.begin + cnp.PyArray_NBYTES(a)
    return span


cdef inline bint meet(Span a, Span b) noexcept:
    return a.begin < b.end and b.begin < a.end


cdef bint can_update(list read, list written):
    """Whether parameters and moments fit the gradients and overlap none of them, and no moment overlaps what else is written."""
    cdef Py_ssize_t n = len(read), i, j
    cdef vector[Span] changed
    cdef Span span
    cdef cnp.ndarray gradient, array
    changed.reserve(len(written))
    for j in range(len(written)):
        array, gradient = written[j], read[j % n]
        if not cnp.PyArray_ISWRITEABLE(array) or cnp.PyArray_TYPE(array) != cnp.PyArray_TYPE(gradient):
            return False
        if not cnp.PyArray_SAMESHAPE(array, gradient):
            return False
        span = span_of(array)
        if j >= n:
            for i in range(j):
                if meet(span, changed[i]):
                    return False
        changed.push_back(span)
    for i in range(n):
        span = span_of(read[i])
        for j in range(<Py_ssize_t>changed.size()):
            if meet(span, changed[j]):
                return False
    return True


def update(dict optimizer, params, grads, moments, double rate, int64_t updates):
    """One step of an optimizer on lists of arrays, in place; `updates` have come before. Return whether it was made.

    It is if all are contiguous arrays, each with one shape and dtype, float32 or float64, with its gradient and its
    moments, if no gradient overlaps what is written, and if no moment overlaps a parameter or another moment. Otherwise nothing
    changes.
    """
    cdef Optimizer_ native
    fill_optimizer(&native, optimizer)
    if len(moments) != native.moments:
        raise ValueError(f"{optimizer['name']} has {native.moments} moments for each parameter")
    if not isinstance(params, (list, tuple)):
        return False
    cdef list read = [], written = []
    cdef Py_ssize_t n = len(params), i
    if not add_arrays(read, grads, n) or not add_arrays(written, params, n):
        return False
    for kept in moments:
        if not add_arrays(written, kept, n):
            return False
    if not can_update(read, written):
        return False
    cdef cnp.ndarray w
    cdef void *m = NULL
    cdef void *v = NULL
    for i in range(n):
        w = written[i]
        if native.moments > 0:
            m = cnp.PyArray_DATA(written[n + i])
        if native.moments > 1:
            v = cnp.PyArray_DATA(written[2 * n + i])
        kernels(cnp.PyArray_TYPE(w)).update(
            native, cnp.PyArray_DATA(w), cnp.PyArray_DATA(read[i]), m, v, cnp.PyArray_SIZE(w), rate, updates)
    return True


# ---- Quick ways of functions whose usual arguments need no preparation: None is returned for any other -------------------

cdef bint is_float_array(object a) noexcept:
    """Whether it is a contiguous writable array of float32 or float64, no subclass."""
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


def softmax(x, axis, out, bint logarithm):
    """The softmax of a contiguous array along its last axis, or its logarithm; in out, if that is such an array too."""
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
    cdef int32_t number = SOFTMAX
    if out is not x:
        memcpy(data, cnp.PyArray_DATA(x), cnp.PyArray_NBYTES(x))
    with nogil:
        if logarithm:
            k.log_softmax(data, rows, n)
        else:
            k.activate(number, data, rows, n)
    return out


cdef int32_t SOFTMAX = ACTIVATIONS.index("softmax")


def quick_prediction_loss(str name, y, p, bint probabilities):
    """The sum of a loss's terms over float64 arrays of one shape, p from 0 to 1 if that is asked for."""
    if not is_float_array(p) or not is_float_array(y) or cnp.PyArray_TYPE(p) != cnp.NPY_FLOAT64 or not have_one_shape(p, y):
        return None
    cdef const double *values = <const double *>cnp.PyArray_DATA(p)
    cdef int64_t n = cnp.PyArray_SIZE(p), i
    cdef bint inside = n > 0
    if probabilities:
        for i in range(n):
            inside = inside and not (values[i] < 0 or values[i] > 1)
    return prediction_loss(name, p, y) if inside else None


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
