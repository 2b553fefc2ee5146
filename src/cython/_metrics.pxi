"""Sums over predictions and targets, for the metrics of training. Included by _core.pyx."""

cdef const double *sums_arguments(cnp.ndarray p, cnp.ndarray target, int type_number, int64_t n_targets, cnp.ndarray weight) except? NULL:
    """Return the weights, NULL if there are none, of predictions (n, n_out) and contiguous targets of that size and type."""
    float_array(p)
    if cnp.PyArray_NDIM(p) != 2:
        raise ValueError("p must have rows")
    if not cnp.PyArray_ISCARRAY_RO(target) or cnp.PyArray_TYPE(target) != type_number or cnp.PyArray_SIZE(target) != n_targets:
        raise ValueError("contiguous targets are expected, as many as there are predictions")
    return weights_of(weight, cnp.PyArray_DIM(p, 0))


def add_errors(cnp.ndarray p, cnp.ndarray y, cnp.ndarray weight, cnp.ndarray of_outputs, cnp.ndarray squared):
    """Add the squared errors of each output to `squared` (n_out,), and return the sum of all absolute errors.

    y is float64. Targets that are NaN add nothing. `of_outputs` has the weights of the absolute errors of each output.
    """
    cdef const double *w = sums_arguments(p, y, cnp.NPY_FLOAT64, cnp.PyArray_SIZE(p), weight)
    cdef int64_t n_rows = cnp.PyArray_DIM(p, 0), n_out = cnp.PyArray_DIM(p, 1)
    float_array(squared)
    if cnp.PyArray_TYPE(squared) != cnp.NPY_FLOAT64 or cnp.PyArray_SIZE(squared) != n_out:
        raise ValueError("squared must have one float64 per output")
    cdef const double *u = weights_of(of_outputs, n_out)
    cdef double *sums = <double *>cnp.PyArray_DATA(squared)
    cdef const double *targets = <const double *>cnp.PyArray_DATA(y)
    cdef const void *outputs = cnp.PyArray_DATA(p)
    cdef bint single = cnp.PyArray_TYPE(p) == cnp.NPY_FLOAT32
    cdef double absolute
    with nogil:
        if single:
            absolute = native_add_errors(<const float *>outputs, targets, w, u, n_rows, n_out, sums)
        else:
            absolute = native_add_errors(<const double *>outputs, targets, w, u, n_rows, n_out, sums)
    return absolute


def right_classes(cnp.ndarray p, cnp.ndarray classes, cnp.ndarray weight):
    """Return the weight of the rows whose largest output is that of their class (n,), int64."""
    cdef int64_t n_rows = cnp.PyArray_DIM(p, 0) if cnp.PyArray_NDIM(p) == 2 else 0
    cdef const double *w = sums_arguments(p, classes, cnp.NPY_INT64, n_rows, weight)
    cdef int64_t n_out = cnp.PyArray_DIM(p, 1)
    cdef const int64_t *targets = <const int64_t *>cnp.PyArray_DATA(classes)
    cdef const void *outputs = cnp.PyArray_DATA(p)
    cdef bint single = cnp.PyArray_TYPE(p) == cnp.NPY_FLOAT32
    cdef double right
    if n_out < 1:
        raise ValueError("p must have outputs")
    with nogil:
        if single:
            right = native_right_classes(<const float *>outputs, targets, w, n_rows, n_out)
        else:
            right = native_right_classes(<const double *>outputs, targets, w, n_rows, n_out)
    return right


def right_sides(cnp.ndarray p, cnp.ndarray sides, double threshold, cnp.ndarray weight, cnp.ndarray of_outputs):
    """Return the weighted number of outputs that are on the right side of the threshold.

    `sides` (n, n_out), uint8, is 1 where this is above it, 0 where it is not, and 2 where no side is right.
    """
    cdef const double *w = sums_arguments(p, sides, cnp.NPY_UINT8, cnp.PyArray_SIZE(p), weight)
    cdef int64_t n_rows = cnp.PyArray_DIM(p, 0), n_out = cnp.PyArray_DIM(p, 1)
    cdef const unsigned char *targets = <const unsigned char *>cnp.PyArray_DATA(sides)
    cdef const double *u = weights_of(of_outputs, n_out)
    cdef const void *outputs = cnp.PyArray_DATA(p)
    cdef bint single = cnp.PyArray_TYPE(p) == cnp.NPY_FLOAT32
    cdef double right
    with nogil:
        if single:
            right = native_right_sides(<const float *>outputs, targets, threshold, w, u, n_rows, n_out)
        else:
            right = native_right_sides(<const double *>outputs, targets, threshold, w, u, n_rows, n_out)
    return right
