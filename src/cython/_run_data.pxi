"""The data of runs and large steps, for arrays in place: checked at once, or by the engine. Included by _core.pyx.

The functions return None for other data, and for data with a fault that is seen: the careful way then converts it, or raises.
"""

# More columns than a tiny network has, which has no pass that checks numbers: kernels/per_isa/tiny_network.h.
cdef int64_t least_checked_columns = 16


cdef bint are_apart(Network network, cnp.ndarray x, cnp.ndarray y) except -1:
    """Return whether inputs and targets share memory neither with each other nor with the parameters, which training changes."""
    return is_apart(network, x, y, None, None, 0) and not spans_overlap(span_of(y), span_of(network.storage))


def quick_data(Stepper stepper, x, y):
    """Return data of a run by targets, of shape (n, columns), or by labels (n,): inputs, targets, and whether they are labels."""
    cdef Rows inputs, targets
    cdef int64_t n_rows
    cdef bint one
    cdef Network network = stepper.network
    if not stepper.targets_are_quick:
        return None
    cdef int64_t columns = stepper.native.training.loss.columns(network.layers[network.native.n_layers - 1].n_out)
    if not fill_quick(network, x, y, &n_rows, &one, &inputs, &targets, columns, &stepper.rules):
        return None
    if one or not are_apart(network, x, y):
        return None
    return x, y if targets.labels or cnp.PyArray_NDIM(y) == 2 else y[:, None], targets.labels


cdef bint takes_any_number(const TargetRules *rules) noexcept:
    """Return whether a target may be any number, but neither a label nor NaN."""
    return not (rules.labels or rules.may_be_missing or rules.n_heads) and rules.domain.low == -INFINITY


cdef bint has_plain_rows(Network network, object a, int64_t columns) except -1:
    """Return whether `a` is rows of the network's floats, side by side."""
    if not cnp.PyArray_CheckExact(a) or cnp.PyArray_NDIM(a) != 2 or type_of(a) < 0 or not cnp.PyArray_ISCARRAY_RO(a):
        return False
    return cnp.PyArray_TYPE(a) == network.dtype_number and cnp.PyArray_DIM(a, 1) == columns


def unchecked_data(Stepper stepper, x, y):
    """Return data like `quick_data`, so large that a run or a step should check its numbers itself, when it reads them.

    Labels have been checked.
    """
    cdef Network network = stepper.network
    if not stepper.targets_are_quick or network.native.stage != NULL or network.layers[0].scales_inputs or network.input_dropout:
        return None  # inputs that the pass does not read as they are
    if not has_plain_rows(network, x, network.n_in) or cnp.PyArray_SIZE(x) == 0:
        return None
    cdef int64_t n_rows = cnp.PyArray_DIM(x, 0)
    cdef int64_t columns = stepper.native.training.loss.columns(network.layers[network.native.n_layers - 1].n_out)
    cdef bint labels = stepper.rules.labels and are_quick_labels(network, y, n_rows)
    if not labels:
        if columns == 1 and cnp.PyArray_CheckExact(y) and cnp.PyArray_NDIM(y) == 1:
            y = y[:, None]
        if not (takes_any_number(&stepper.rules) and has_plain_rows(network, y, columns) and cnp.PyArray_DIM(y, 0) == n_rows):
            return None
    # A tiny network has no pass that checks. A small array is checked at once.
    if max(network.n_in, columns) < least_checked_columns or cnp.PyArray_SIZE(x) + cnp.PyArray_SIZE(y) <= most_quick:
        return None
    return (x, y, labels) if are_apart(network, x, y) else None
