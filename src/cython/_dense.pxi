"""The dense layer on plain arrays: fastnn.ops.linear and its gradients. Included by _core.pyx."""

cdef Rows bias_of(cnp.ndarray b) noexcept:
    cdef Rows none
    return none if b is None else rows_of(b)


cdef int multiply(cnp.ndarray out, Rows x, int64_t n_rows, int64_t n_in, Rows w, int64_t n_out, Rows b, int32_t activation,
                  int n_threads) except -1:
    """Compute out = activation(x @ w + b), for arrays whose shapes fit."""
    if n_rows * n_out == 0:
        return 0
    cdef Linear call
    cdef bint done
    call.layer.n_in, call.layer.n_out, call.layer.activation = n_in, n_out, activation
    call.x, call.w, call.b, call.n_rows, call.out = x, w, b, n_rows, cnp.PyArray_DATA(out)
    cdef double work = layer_work(n_rows, n_in, n_out)
    call.n_threads = n_threads if n_threads > 0 else native_threads_for(work)
    cdef Type computed_in = Type.float32 if cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT32 else Type.float64
    if work < WORK_WITH_THE_GIL:
        done = native_linear(call, computed_in)
    else:
        with nogil:
            done = native_linear(call, computed_in)
    if not done:
        raise MemoryError("there is no memory for the layer's workspace")
    return 0


def linear(x, w, b, activation, out, n_threads):
    """Return activation(x @ w + b) for x (n, n_in) or (n_in,), w (n_in, n_out) and b (n_out,) or None, all of one type.

    The type is float32 or float64. A given out has it too, is contiguous, and shares no memory with the others. Return None for
    other arguments, which need a check or a conversion.
    """
    if not cnp.PyArray_CheckExact(w) or cnp.PyArray_NDIM(w) != 2 or type_of(w) < 0 or type(activation) is not str:
        return None
    cdef int64_t n_in = cnp.PyArray_DIM(w, 0), n_out = cnp.PyArray_DIM(w, 1)
    cdef int t = cnp.PyArray_TYPE(w)
    if not is_matrix(x, 2, n_in) or not (b is None or is_matrix(b, 1, n_out)) or activation not in ACTIVATION_NUMBERS:
        return None
    if (t != cnp.NPY_FLOAT32 and t != cnp.NPY_FLOAT64) or cnp.PyArray_TYPE(x) != t or (b is not None and cnp.PyArray_TYPE(b) != t):
        return None
    if n_threads is not None and (type(n_threads) is not int or not 1 <= n_threads <= thread_limit):
        return None
    cdef int ndim = cnp.PyArray_NDIM(x)
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = cnp.PyArray_DIM(x, 0) if ndim == 2 else 1, n_out
    if out is None:
        out = cnp.PyArray_EMPTY(ndim, &shape[2 - ndim], t, 0)
    elif not cnp.PyArray_CheckExact(out) or not cnp.PyArray_ISCARRAY(out) or cnp.PyArray_TYPE(out) != t:
        return None
    elif cnp.PyArray_NDIM(out) != ndim or cnp.PyArray_DIM(out, 0) != shape[2 - ndim] or cnp.PyArray_DIM(out, ndim - 1) != n_out:
        return None
    elif overlap(out, x) or overlap(out, w) or (b is not None and overlap(out, b)):
        return None
    multiply(out, rows_of(x), shape[0], n_in, rows_of(w), n_out, bias_of(b), ACTIVATION_NUMBERS[activation],
             0 if n_threads is None else n_threads)
    return out


def linear_into(cnp.ndarray out, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, str activation, int n_threads):
    """Compute the same in out (n, n_out) or (n_out,), in its type, float32 or float64; the others may have any type.

    With n_threads 0, the kernels choose the number of threads.
    """
    cdef int64_t n_in = cnp.PyArray_DIM(w, 0), n_out = cnp.PyArray_DIM(w, 1), n_rows = x.shape[0] if cnp.PyArray_NDIM(x) == 2 else 1
    fits = cnp.PyArray_NDIM(w) == 2 and is_matrix(x, 2, n_in) and is_matrix(w, 2, n_out) and (b is None or is_matrix(b, 1, n_out))
    if not fits or cnp.PyArray_SIZE(out) != n_rows * n_out:
        raise ValueError("the arrays of a dense layer don't fit together")
    float_array(out)
    multiply(out, rows_of(x), n_rows, n_in, rows_of(w), n_out, bias_of(b), ACTIVATION_NUMBERS[activation], n_threads)


cdef signed char ONE = 1  # with a stride of 0, it is a row of ones


cdef gradients(cnp.ndarray x, cnp.ndarray w, cnp.ndarray a, cnp.ndarray grad_a, int32_t activation):
    """Return the gradients of a layer, for arrays whose shapes fit; None if the output does not determine the derivative."""
    cdef int t = cnp.PyArray_TYPE(a), ndim = cnp.PyArray_NDIM(a)
    cdef cnp.npy_intp n_in = cnp.PyArray_DIM(w, 0), n_out = cnp.PyArray_DIM(w, 1), n_rows = a.shape[0] if ndim == 2 else 1
    cdef cnp.ndarray delta = cnp.PyArray_NewCopy(grad_a, cnp.NPY_CORDER)
    if not kernels(t).times_derivative(activation, cnp.PyArray_DATA(delta), cnp.PyArray_DATA(a), n_rows, n_out):
        return None
    cdef cnp.ndarray grad_x = cnp.PyArray_EMPTY(ndim, cnp.PyArray_DIMS(x), t, 0)
    cdef cnp.ndarray grad_w = cnp.PyArray_EMPTY(2, cnp.PyArray_DIMS(w), t, 0)
    cdef cnp.ndarray grad_b = cnp.PyArray_EMPTY(1, &n_out, t, 0)
    cdef Rows inputs = rows_of(x), deltas = rows_of(delta), none, ones
    multiply(grad_x, deltas, n_rows, n_out, transposed(rows_of(w)), n_in, none, IDENTITY, 0)
    multiply(grad_w, transposed(inputs), n_in, n_rows, deltas, n_out, none, IDENTITY, 0)
    ones.data, ones.type = <const char *>&ONE, Type.int8
    multiply(grad_b, ones, 1, n_rows, deltas, n_out, none, IDENTITY, 0)
    return grad_x, grad_w, grad_b


def linear_grad(x, w, a, grad_a, activation):
    """Return the gradients of a layer for contiguous arrays of one type.

    x is (n, n_in) or (n_in,), w is (n_in, n_out), and a and grad_a have one shape. Return None for other arguments, like `linear`.
    """
    if not is_float_array(x) or not is_float_array(w) or not is_float_array(a) or not is_float_array(grad_a):
        return None
    cdef int t = cnp.PyArray_TYPE(w), ndim = cnp.PyArray_NDIM(x)
    if cnp.PyArray_NDIM(w) != 2 or cnp.PyArray_TYPE(x) != t or cnp.PyArray_TYPE(a) != t:
        return None
    if type(activation) is not str or activation not in ACTIVATION_NUMBERS:
        return None
    if not is_matrix(x, 2, cnp.PyArray_DIM(w, 0)) or not is_matrix(a, 2, cnp.PyArray_DIM(w, 1)) or not have_one_shape(a, grad_a):
        return None
    if cnp.PyArray_NDIM(a) != ndim or (ndim == 2 and cnp.PyArray_DIM(a, 0) != cnp.PyArray_DIM(x, 0)):
        return None
    return gradients(x, w, a, grad_a, ACTIVATION_NUMBERS[activation])


def layer_gradients(cnp.ndarray x, cnp.ndarray w, cnp.ndarray a, cnp.ndarray grad_a, str activation):
    """Return the gradients by x, w and the bias, in the type of a and grad_a, float32 or float64, which are contiguous.

    x is (n, n_in) and a (n, n_out), or both are one row without the first dimension.
    """
    cdef int ndim = cnp.PyArray_NDIM(a)
    fits = cnp.PyArray_NDIM(w) == 2 and is_matrix(w, 2, w.shape[1]) and is_matrix(x, 2, w.shape[0]) and is_matrix(a, 2, w.shape[1])
    if not fits or cnp.PyArray_NDIM(x) != ndim or x.shape[0] != (a.shape[0] if ndim == 2 else w.shape[0]) or not have_one_shape(a, grad_a):
        raise ValueError("the arrays of a dense layer don't fit together")
    if cnp.PyArray_TYPE(a) not in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64) or not cnp.PyArray_ISCARRAY_RO(a):
        raise TypeError("a contiguous float32 or float64 array is expected")
    found = gradients(x, w, a, grad_a, ACTIVATION_NUMBERS[activation])
    if found is None:
        raise ValueError(f"the derivative of {activation} does not follow from its output")
    return found
