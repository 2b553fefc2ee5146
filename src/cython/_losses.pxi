"""The losses. Included by _core.pyx."""

cdef fill_loss(Loss_ *native, loss, dtype):
    name, native.parameter, native.from_logits, native.per_row, native.factor, native.value_factor, custom, native.signed_mean, _ = loss
    native.kind = LOSSES.index(name if custom is None else "mse")
    native.custom = NULL
    if custom is not None:
        native.custom = <CustomLoss><uintptr_t>custom.address(dtype)


def prediction_loss(str name, cnp.ndarray p, cnp.ndarray y):
    """Return the sum of a loss's terms over predictions and targets, arrays of one size."""
    check_alike(p, y, "y must be like p")
    return kernels(cnp.PyArray_TYPE(p)).prediction_loss(PREDICTION_LOSSES.index(name), cnp.PyArray_DATA(p), cnp.PyArray_DATA(y),
                                                        cnp.PyArray_SIZE(p))


def quick_prediction_loss(str name, y, p, bint probabilities):
    """Return the sum of a loss's terms, or None for arguments that need a check or a conversion.

    The arrays are float64, of one shape. With `probabilities`, p is from 0 to 1.
    """
    if not is_float_array(p) or not is_float_array(y) or cnp.PyArray_TYPE(p) != cnp.NPY_FLOAT64 or not have_one_shape(p, y):
        return None
    cdef const double *values = <const double *>cnp.PyArray_DATA(p)
    cdef int64_t n = cnp.PyArray_SIZE(p), i
    cdef bint inside = n > 0
    if probabilities:
        for i in range(n):
            inside = inside and not (values[i] < 0 or values[i] > 1)
    return prediction_loss(name, p, y) if inside else None
