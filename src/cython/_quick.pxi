"""The quick way into predictions, losses, derivatives and steps, for arrays in place. Included by _core.pyx.

These functions return None for anything else, and for values that must not occur: the careful way of their callers then
converts the arguments, or raises an error that names the fault. Results go to `out` unless it is None.
"""

cdef TargetRules any_number = TargetRules(False, False, Interval(-INFINITY, INFINITY, False), NULL, 0)
# Larger arrays gain nothing, and would be checked while other threads wait for the GIL.
cdef int64_t most_quick = 1 << 15  # elements


cdef bint is_float(object a) noexcept:
    """Return whether an array is of float32 or float64."""
    return cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT32 or cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT64


cdef bint is_finite_in(int dtype_number, cnp.ndarray a) except -1:
    """Return whether all elements of a contiguous array are finite in float32 or float64."""
    cdef int64_t n = cnp.PyArray_SIZE(a), i
    cdef const double *doubles
    cdef float single
    cdef bint inside = True
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT64 and dtype_number == cnp.NPY_FLOAT32:
        doubles = <const double *>cnp.PyArray_DATA(a)
        for i in range(n):
            single = <float>doubles[i]
            inside = inside and -FLT_MAX <= single <= FLT_MAX
        return inside
    if not is_float(a):  # an integer, or a boolean
        return True
    return kernels(cnp.PyArray_TYPE(a)).first_not_finite(cnp.PyArray_DATA(a), n) < 0


cdef bint is_quick(Network network, object a, int64_t columns, int64_t *n_rows, bint *one) except -1:
    """Return whether `a` is rows, or one row, side by side and all finite; fill in which, and how many."""
    return has_quick_rows(a, columns, n_rows, one) and is_finite_in(network.dtype_number, a)


cdef bint has_quick_rows(object a, int64_t columns, int64_t *n_rows, bint *one) except -1:
    cdef cnp.ndarray rows
    cdef int ndim
    if not cnp.PyArray_CheckExact(a):
        return False
    rows = a
    ndim = cnp.PyArray_NDIM(rows)
    if not 1 <= ndim <= 2 or type_of(rows) < 0 or not cnp.PyArray_ISCARRAY_RO(rows):
        return False
    one[0] = ndim == 1
    n_rows[0] = 1 if ndim == 1 else cnp.PyArray_DIM(rows, 0)
    return cnp.PyArray_DIM(rows, ndim - 1) == columns and n_rows[0] >= 1 and n_rows[0] * columns <= most_quick


cdef bint are_quick_labels(Network network, object a, int64_t n_rows) except -1:
    """Return whether `a` is a label for each row, all in range."""
    cdef int64_t n_classes = network.layers[network.native.n_layers - 1].n_out, i
    cdef const int64_t *labels
    cdef bint fit = True
    if not cnp.PyArray_CheckExact(a) or cnp.PyArray_NDIM(a) != 1 or cnp.PyArray_DIM(a, 0) != n_rows or n_classes < 2:
        return False
    if cnp.PyArray_TYPE(a) != cnp.NPY_INT64 or not cnp.PyArray_ISCARRAY_RO(a):
        return False
    labels = <const int64_t *>cnp.PyArray_DATA(a)
    for i in range(n_rows):
        fit = fit and 0 <= labels[i] < n_classes
    return fit


cdef inline bint is_in(const Interval *domain, double y) noexcept nogil:
    return y == domain.low or y == domain.high if domain.only_ends else domain.low <= y <= domain.high


cdef bint in_heads(const TargetRules *rules, cnp.ndarray y):
    """Return whether the targets of all heads are valid."""
    cdef const float *singles = <const float *>cnp.PyArray_DATA(y)
    cdef const double *doubles = <const double *>cnp.PyArray_DATA(y)
    cdef bint single = cnp.PyArray_TYPE(y) == cnp.NPY_FLOAT32
    cdef int64_t columns = rules.heads[rules.n_heads - 1].end, first, h, j
    cdef double target
    for first in range(0, cnp.PyArray_SIZE(y), columns):
        for h in range(rules.n_heads):
            for j in range(first + rules.heads[h].first, first + rules.heads[h].end):
                target = singles[j] if single else doubles[j]
                if not is_in(&rules.heads[h].domain, target) or (rules.heads[h].whole and target != <double><int64_t>target):
                    return False
    return True


cdef bint in_domain(const TargetRules *rules, cnp.ndarray y):
    """Return whether all elements are valid targets, as far as that is known at once."""
    cdef int64_t n = cnp.PyArray_SIZE(y), i
    cdef const float *singles = <const float *>cnp.PyArray_DATA(y)
    cdef const double *doubles = <const double *>cnp.PyArray_DATA(y)
    cdef bint inside = True, single = cnp.PyArray_TYPE(y) == cnp.NPY_FLOAT32
    if rules.domain.low == -INFINITY and not rules.n_heads:
        return True
    if not is_float(y):
        return False
    if rules.n_heads:
        return in_heads(rules, y)
    for i in range(n):
        inside = inside and is_in(&rules.domain, singles[i] if single else doubles[i])
    return inside


cdef bint are_partly_observed(const TargetRules *rules, int dtype_number, cnp.ndarray y, int64_t columns):
    """Return whether all elements are NaN or valid targets, finite in float32 or float64, and all of one row are observed."""
    cdef const float *singles = <const float *>cnp.PyArray_DATA(y)
    cdef const double *doubles = <const double *>cnp.PyArray_DATA(y)
    cdef bint single = cnp.PyArray_TYPE(y) == cnp.NPY_FLOAT32, found = False, complete
    cdef double largest = FLT_MAX if dtype_number == cnp.NPY_FLOAT32 else DBL_MAX, target
    cdef int64_t i, j
    if not is_float(y):
        return in_domain(rules, y)
    for i in range(cnp.PyArray_SIZE(y) // columns):
        complete = True
        for j in range(i * columns, (i + 1) * columns):
            target = singles[j] if single else doubles[j]
            if target != target:
                complete = False
            elif not (-largest <= target <= largest and is_in(&rules.domain, target)):
                return False
        found = found or complete
    return found


cdef bint are_quick_targets(Network network, const TargetRules *rules, object a, int64_t columns, int64_t n_rows,
                            bint one) except -1:
    """Return whether `a` is valid targets of that many rows, or of one row; those of one column may be a vector."""
    cdef int64_t count
    cdef bint one_target
    if columns == 1 and not one and cnp.PyArray_CheckExact(a) and cnp.PyArray_NDIM(a) == 1:
        if not has_quick_rows(a, n_rows, &count, &one_target):
            return False
    elif not has_quick_rows(a, columns, &count, &one_target) or count != n_rows or one_target != one:
        return False
    if rules.may_be_missing:
        return are_partly_observed(rules, network.dtype_number, a, columns)
    return is_finite_in(network.dtype_number, a) and in_domain(rules, a)


cdef bint fill_quick(Network network, object x, object y, int64_t *n_rows, bint *one, Rows *inputs, Rows *targets,
                     int64_t columns, const TargetRules *rules) except -1:
    """Fill in rows of inputs, and of that many columns of targets or labels, if they are quick; return whether they are."""
    if not is_quick(network, x, network.n_in, n_rows, one):
        return False
    cdef bint are_labels = rules.labels and are_quick_labels(network, y, n_rows[0])
    if not are_labels and not are_quick_targets(network, rules, y, columns, n_rows[0], one[0]):
        return False
    if rules.labels and not are_labels and not is_float(y):  # perhaps labels that need a check of their own
        return False
    inputs[0], targets[0] = rows_of(x), rows_of(y)
    targets.labels = are_labels
    if not one[0] and cnp.PyArray_NDIM(y) == 1:
        targets.row_stride = targets.column_stride
    return True


cdef int run_gradient(Network network, Gradient *call, void **to) except -1:
    cdef bint done
    call.n_threads = threads_for_gradient(network.operations_per_row, call.n_rows, to != NULL)
    if is_one_dense_row(call.x, call.n_rows, call.n_threads):
        done = native_gradient(network.model, call[0], to)
    else:
        with nogil:
            done = native_gradient(network.model, call[0], to)
    if not done:
        raise MemoryError("there is no memory for the gradient's workspace")
    return 0


cdef bint fill_call(Network network, Gradient *call, bint *one, object loss, object x, object y) except -1:
    """Fill in a call for a loss, given as users give it; return whether all is quick."""
    cdef Objective objective
    try:
        objective = network.objectives.get(loss)
    except TypeError:  # the loss is not hashable
        return False
    if objective is None:
        return False
    if not fill_quick(network, x, y, &call.n_rows, one, &call.x, &call.y, objective.native.n_targets, &objective.rules):
        return False
    call.loss = objective.native.loss
    call.sample_weight = NULL
    call.gradient = call.input_gradient = NULL
    call.dropout_key = NULL
    return True


def quick_predict(Network network, x):
    """Return the outputs for rows, or for one row, of any type and layout that the kernels read."""
    if not cnp.PyArray_CheckExact(x) or type_of(x) < 0:
        return None
    cdef int ndim = cnp.PyArray_NDIM(x)
    if not 1 <= ndim <= 2 or cnp.PyArray_DIM(x, ndim - 1) != network.n_in:
        return None
    return network.predict(x)


def quick_loss(Network network, loss, x, y):
    """Return the loss."""
    cdef Gradient call
    cdef bint one
    if not fill_call(network, &call, &one, loss, x, y):
        return None
    run_gradient(network, &call, NULL)
    return call.value


cdef bint is_apart(Network network, cnp.ndarray a, cnp.ndarray x, y, list others, int64_t n_others) except -1:
    """Return whether an array for results shares no memory with the arguments, the parameters, and the first of others."""
    cdef Span span = span_of(a)
    cdef int64_t i
    if spans_overlap(span, span_of(x)) or spans_overlap(span, span_of(network.storage)):
        return False
    if y is not None and spans_overlap(span, span_of(y)):
        return False
    for i in range(n_others):
        if spans_overlap(span, span_of(others[i])):
            return False
    return True


cdef list results_like_parameters(Network network, void **arrays, x, y, out):
    """Return arrays for gradients, `out` if it is given, and fill in their addresses; None if `out` is not quick."""
    cdef int64_t i
    cdef list results = network.empty_parameters() if out is None else out if type(out) is list else None
    if results is None or not network.fill_arrays(arrays, results):
        return None
    if out is None:
        return results
    for i in range(len(results)):
        if not is_apart(network, results[i], x, y, results, i):
            return None
    return results


cdef cnp.ndarray result_of_shape(Network network, int ndim, cnp.npy_intp *shape, x, y, list others, out):
    """Return an array for a result, `out` if it is given; None if that is not quick."""
    cdef int i
    if out is None:
        return cnp.PyArray_EMPTY(ndim, shape, network.dtype_number, 0)
    if not is_float_array(out) or cnp.PyArray_TYPE(out) != network.dtype_number or cnp.PyArray_NDIM(out) != ndim:
        return None
    for i in range(ndim):
        if cnp.PyArray_DIM(out, i) != shape[i]:
            return None
    return out if is_apart(network, out, x, y, others, 0 if others is None else len(others)) else None


def quick_gradient(Network network, loss, x, y, out):
    """Return the loss and its gradients with respect to the parameters."""
    cdef Gradient call
    cdef bint one
    cdef void *arrays[max_layers * n_block_kinds]
    if not fill_call(network, &call, &one, loss, x, y):
        return None
    cdef list gradients = results_like_parameters(network, arrays, x, y, out)
    if gradients is None:
        return None
    keep = tuple(gradients)  # another thread may empty the list
    run_gradient(network, &call, arrays)
    return call.value, gradients


cdef bint fill_input_gradient(Network network, Gradient *call, bint one, x, y, list others, out, list result) except -1:
    """Append an array for the gradient with respect to the inputs to `result`, and let the call fill it.

    Return whether `out` is quick.
    """
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = call.n_rows, network.n_in
    array = result_of_shape(network, 1 if one else 2, &shape[one], x, y, others, out)
    if array is None:
        return False
    call.input_gradient = cnp.PyArray_DATA(array)
    result.append(array)
    return True


def quick_input_gradient(Network network, loss, x, y, out):
    """Return the gradient of the loss with respect to the inputs."""
    cdef Gradient call
    cdef bint one
    cdef list result = []
    if not fill_call(network, &call, &one, loss, x, y):
        return None
    if not fill_input_gradient(network, &call, one, x, y, None, out, result):
        return None
    run_gradient(network, &call, NULL)
    return result[0]


def quick_vjp(Network network, x, g, bint inputs, out):
    """Return the gradients with respect to the parameters.

    With `inputs`, return a tuple of these and the gradient with respect to the inputs.
    """
    cdef Gradient call
    cdef bint one
    cdef void *arrays[max_layers * n_block_kinds]
    cdef list by_input = []
    cdef object of_parameters = out, of_inputs = None
    if inputs and out is not None:
        if type(out) is not tuple or len(out) != 2:
            return None
        of_parameters, of_inputs = out
        if of_parameters is None or of_inputs is None:
            return None
    cdef int64_t n_out = network.layers[network.native.n_layers - 1].n_out
    if not fill_quick(network, x, g, &call.n_rows, &one, &call.x, &call.y, n_out, &any_number):
        return None
    call.loss = given_gradient()
    call.sample_weight = NULL
    call.gradient = call.input_gradient = NULL
    call.dropout_key = NULL
    cdef list gradients = results_like_parameters(network, arrays, x, g, of_parameters)
    if gradients is None or (inputs and not fill_input_gradient(network, &call, one, x, g, gradients, of_inputs, by_input)):
        return None
    keep = tuple(gradients)  # another thread may empty the list
    run_gradient(network, &call, arrays)
    if not inputs:
        return gradients
    return (gradients, by_input[0]) if out is None else out


def quick_jacobian(Network network, x, out):
    """Return the derivatives of the outputs with respect to the inputs."""
    cdef int64_t n_rows
    cdef bint one
    cdef cnp.npy_intp shape[3]
    if not is_quick(network, x, network.n_in, &n_rows, &one):
        return None
    shape[0], shape[1], shape[2] = n_rows, network.layers[network.native.n_layers - 1].n_out, network.n_in
    cdef cnp.ndarray result = result_of_shape(network, 2 if one else 3, &shape[one], x, None, None, out)
    if result is None:
        return None
    network.run_jacobian(rows_of(x), n_rows, cnp.PyArray_DATA(result), None)
    return result


def quick_step(Stepper stepper, x, y, bint given):
    """Make a step on a batch by targets, or by a gradient with `given`, and return the loss before it.

    Return None if the trainer is not free, if the learning rate follows a schedule, or if steps draw random numbers.
    """
    cdef Rows inputs, targets
    cdef int64_t n_rows
    cdef bint one
    cdef StepStatus status
    if not (stepper.steps_are_quick and (given or stepper.targets_are_quick)):
        return None
    cdef int64_t n_out = stepper.network.layers[stepper.network.native.n_layers - 1].n_out
    cdef int64_t columns = n_out if given else stepper.native.training.loss.columns(n_out)
    cdef const TargetRules *rules = &any_number if given else &stepper.rules
    if not fill_quick(stepper.network, x, y, &n_rows, &one, &inputs, &targets, columns, rules):
        return None
    if not stepper.native.acquire():
        return None
    stepper.native.work_per_row = 3 * stepper.network.operations_per_row
    if stepper.native.work_per_row * n_rows < WORK_WITH_THE_GIL:
        status = (stepper.native.step_gradient(inputs, targets, n_rows) if given
                  else stepper.native.step(inputs, targets, NULL, n_rows))
    else:
        with nogil:
            status = (stepper.native.step_gradient(inputs, targets, n_rows) if given
                      else stepper.native.step(inputs, targets, NULL, n_rows))
    stepper.native.release()
    if status == StepStatus.diverged:
        raise DivergedError(DIVERGED_STEP)
    return stepper.result(status)
