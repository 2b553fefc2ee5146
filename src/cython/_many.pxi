"""Many networks at once: predictions, parameters, and spreads over networks. Included by _core.pyx."""

def networks_of(models, kind):
    """Return the networks of a list or tuple of models, if each is exactly of that kind and they have the same inputs,
    outputs and dtype; None for anything else.

    It looks at every model each time: models may have been replaced in the list since.
    """
    cdef tuple owners, networks
    cdef Network network, first
    cdef object candidate
    cdef Py_ssize_t i
    if type(models) is list:
        owners = PyList_AsTuple(models)  # another thread may change the list
    elif type(models) is tuple:
        owners = models
    else:
        return None
    if len(owners) == 0:
        return None
    networks = PyTuple_New(len(owners))
    for i in range(len(owners)):
        if <PyObject *>Py_TYPE(<object>PyTuple_GET_ITEM(owners, i)) != <PyObject *>kind:
            return None
        candidate = (<object>PyTuple_GET_ITEM(owners, i))._network
        if type(candidate) is not Network:
            return None
        Py_INCREF(candidate)
        PyTuple_SET_ITEM(networks, i, candidate)
        network = <Network>candidate
        if i == 0:
            first = network
        elif network.layers != first.layers and not have_one_interface(network, first):
            return None
    return networks


cdef bint have_one_interface(Network a, Network b) noexcept:
    return (a.dtype_number == b.dtype_number and a.n_in == b.n_in
            and a.layers[a.native.n_layers - 1].n_out == b.layers[b.native.n_layers - 1].n_out)


cdef int fill_models(vector[const Model *] &models, tuple networks) except -1:
    """Fill in the addresses of models, after a second check that they have one interface."""
    cdef Network network, first = networks[0]
    cdef Py_ssize_t i
    models.resize(len(networks))
    for i in range(len(networks)):
        network = networks[i]
        if network.layers != first.layers and not have_one_interface(network, first):
            raise ValueError("networks with the same inputs, outputs and dtype are expected")
        models[i] = &network.model
    return 0


cdef bint is_apart_from(cnp.ndarray a, const vector[const Model *] &models, x) except -1:
    """Return whether an array for results shares no memory with the parameters of models, and with rows."""
    cdef Span span = span_of(a), other
    cdef size_t i
    for i in range(models.size()):
        other.begin = <const char *>models[i].parameters
        other.end = other.begin + models[i].network.size * cnp.PyArray_ITEMSIZE(a)
        if spans_overlap(span, other):
            return False
    return not spans_overlap(span, span_of((<SparseRows>x).values if type(x) is SparseRows else x))


cdef str takers_of_dense_rows(const vector[const Model *] &models):
    """Return which models take dense rows alone, or None if all take sparse ones."""
    cdef size_t i
    for i in range(models.size()):
        if models[i].network.stage != NULL:
            return "models with embeddings"
        if models[i].network.layers[0].n_members > 1:
            return "shared ensembles"
    return None


cdef bint any_adds_inputs(const vector[const Model *] &models) noexcept:
    cdef size_t i
    for i in range(models.size()):
        if models[i].network.has_residual_from(0):
            return True
    return False


cdef int fill_many_rows(ManyPredictions *call, Network network, x) except -1:
    """Fill in the rows: sparse ones, a vector (n_in,), or arrays (n, n_in) for all networks or (n_networks, n, n_in)."""
    cdef cnp.ndarray a
    cdef int ndim
    cdef int64_t n_in = network.n_in
    call.x_stride = 0
    if type(x) is SparseRows:
        call.n_rows = len(x)
        return fill_sparse_rows(&call.x, x, "X", network.dtype_number, call.n_rows, n_in)
    a = x
    ndim = cnp.PyArray_NDIM(a)
    if type_of(a) < 0:
        raise TypeError(f"X: arrays of {a.dtype} must be converted before")
    if not 1 <= ndim <= 3 or cnp.PyArray_DIM(a, ndim - 1) != n_in or (ndim == 3 and cnp.PyArray_DIM(a, 0) != call.n_models):
        raise ValueError(f"X: expected shape ({n_in},), (n, {n_in}) or ({call.n_models}, n, {n_in}), got {(<object>a).shape}")
    call.n_rows = 1 if ndim == 1 else cnp.PyArray_DIM(a, ndim - 2)
    call.x = dense_rows(cnp.PyArray_DATA(a), <Type>type_of(a), 0 if ndim == 1 else cnp.PyArray_STRIDE(a, ndim - 2),
                        cnp.PyArray_STRIDE(a, ndim - 1))
    if ndim == 3:
        call.x_stride = cnp.PyArray_STRIDE(a, 0)
    return 0


def predict_many(tuple networks, x, cnp.ndarray out=None, n_threads=None):
    """Return the outputs of networks with one interface: (n_networks, n, n_out), without n if x is one row (n_in,).

    A given out has that shape, and the networks' dtype.
    """
    cdef ManyPredictions call
    cdef vector[const Model *] models
    cdef Network first = networks[0]
    cdef cnp.npy_intp shape[3]
    cdef cnp.ndarray result = out
    cdef bint done, one = type(x) is not SparseRows and cnp.PyArray_NDIM(x) == 1
    fill_models(models, networks)
    if type(x) is SparseRows and (takers := takers_of_dense_rows(models)) is not None:
        raise TypeError(f"X: expected a dense array for {takers}, got a sparse matrix")
    if type(x) is SparseRows and any_adds_inputs(models):
        raise TypeError("X: expected a dense array for a residual connection from the inputs, got a sparse matrix")
    call.models, call.n_models = models.data(), models.size()
    fill_many_rows(&call, first, x)
    call.n_threads = wanted_threads(n_threads)
    cdef double work = choose_threads_for_many(call)
    shape[0], shape[1] = call.n_models, call.n_rows
    shape[2 - one] = first.layers[first.native.n_layers - 1].n_out
    if out is not None and (cnp.PyArray_TYPE(out) != first.dtype_number or not has_shape(out, 3 - one, shape)):
        raise ValueError("out must be of the networks' dtype and of the result's shape")
    if out is None or not cnp.PyArray_ISCARRAY(out) or not is_apart_from(out, models, x):
        result = cnp.PyArray_EMPTY(3 - one, shape, first.dtype_number, 0)
    call.out = cnp.PyArray_DATA(result)
    if work < WORK_WITH_THE_GIL and call.n_threads == 1:
        done = native_predict_many(call)
    else:
        with nogil:
            done = native_predict_many(call)
    if not done:
        raise MemoryError("there is no memory for the layers' outputs")
    if out is None or result is out:
        return result
    out[...] = result
    return out


cdef bint has_shape(cnp.ndarray a, int ndim, const cnp.npy_intp *shape) noexcept:
    cdef int i
    if cnp.PyArray_NDIM(a) != ndim:
        return False
    for i in range(ndim):
        if cnp.PyArray_DIM(a, i) != shape[i]:
            return False
    return True


def spread(cnp.ndarray values, double divisor, cnp.ndarray mean=None, cnp.ndarray deviation=None):
    """Fill in mean and standard deviation over the first axis of a contiguous array, where they are given.

    Sums run in float64, in the order of that axis. `divisor` is that of the sum of squares.
    """
    cdef int64_t n = cnp.PyArray_DIM(values, 0), size
    float_array(values)
    if n < 1:
        raise ValueError("values must have elements along the first axis")
    size = cnp.PyArray_SIZE(values) // n
    cdef int type_number = cnp.PyArray_TYPE(values)
    for result in (mean, deviation):
        if result is not None and not (is_float_array(result) and cnp.PyArray_TYPE(result) == type_number
                                       and cnp.PyArray_SIZE(result) == size):
            raise ValueError("results must be contiguous, and of the type and size of an element of values")
    cdef const void *data = cnp.PyArray_DATA(values)
    cdef void *to_mean = NULL if mean is None else cnp.PyArray_DATA(mean)
    cdef void *to_deviation = NULL if deviation is None else cnp.PyArray_DATA(deviation)
    if cnp.PyArray_SIZE(values) < SPREAD_WITH_THE_GIL:
        run_spread(type_number, data, n, size, divisor, to_mean, to_deviation)
    else:
        with nogil:
            run_spread(type_number, data, n, size, divisor, to_mean, to_deviation)


cdef int64_t SPREAD_WITH_THE_GIL = 1 << 14  # elements


cdef void run_spread(int type_number, const void *data, int64_t n, int64_t size, double divisor, void *mean,
                     void *deviation) noexcept nogil:
    if type_number == cnp.NPY_FLOAT32:
        spread_over_models(<const float *>data, n, size, divisor, <float *>mean, <float *>deviation)
    else:
        spread_over_models(<const double *>data, n, size, divisor, <double *>mean, <double *>deviation)


cdef int64_t parameters_of_each(const vector[const Model *] &models) except -1:
    """Return the number of parameters of each model, after a check that it is the same."""
    cdef int64_t n = fastnn_n_parameters(models[0])
    cdef size_t i
    for i in range(1, models.size()):
        if models[i].network.layers != models[0].network.layers and fastnn_n_parameters(models[i]) != n:
            raise ValueError("networks with the same number of parameters are expected")
    return n


def get_vectors(tuple networks):
    """Return the parameters of networks with one interface, (n_networks, n_parameters), in the order of `MLP.to_vector`."""
    cdef vector[const Model *] models
    cdef size_t i
    cdef cnp.npy_intp shape[2]
    fill_models(models, networks)
    shape[0], shape[1] = models.size(), parameters_of_each(models)
    cdef cnp.ndarray vectors = cnp.PyArray_EMPTY(2, shape, (<Network>networks[0]).dtype_number, 0)
    cdef char *row = <char *>cnp.PyArray_DATA(vectors)
    cdef int64_t bytes = shape[1] * cnp.PyArray_ITEMSIZE(vectors)
    with nogil:
        for i in range(models.size()):
            fastnn_get_parameters(models[i], row + i * bytes)
    return vectors


def set_vectors(tuple networks, cnp.ndarray vectors):
    """Set the parameters of networks from the rows of a contiguous array of their dtype, in the order of `MLP.to_vector`."""
    cdef vector[const Model *] models
    cdef size_t i
    cdef cnp.npy_intp shape[2]
    fill_models(models, networks)
    shape[0], shape[1] = models.size(), parameters_of_each(models)
    if (not cnp.PyArray_ISCARRAY_RO(vectors) or cnp.PyArray_TYPE(vectors) != (<Network>networks[0]).dtype_number
            or not has_shape(vectors, 2, shape)):
        raise ValueError("a contiguous array of the networks' dtype, with one row per network, is expected")
    if not is_apart_from(vectors, models, vectors[:0]):
        vectors = vectors.copy()
    cdef const char *row = <const char *>cnp.PyArray_DATA(vectors)
    cdef int64_t bytes = shape[1] * cnp.PyArray_ITEMSIZE(vectors)
    with nogil:
        for i in range(models.size()):
            fastnn_set_parameters(models[i], row + i * bytes)
