"""The losses. Included by _core.pyx."""

cdef fill_loss(Loss_ *native, loss, dtype, int64_t n_out):
    """Return the objects that the native loss points to; they must live as long as it is in use."""
    name, native.parameter, native.from_logits, native.per_row, native.factor, native.value_factor, custom, native.signed_mean, _, targets = loss
    native.kind = LOSSES.index(name if custom is None else "mse")
    native.custom = NULL
    if custom is not None:
        native.custom = <CustomLoss><uintptr_t>custom.address(dtype)
    native.ignores_missing = targets.ignores_missing
    keep = [loss]
    native.output_weights = one_per_output(targets.output_weights, n_out, keep)
    return keep


cdef const double *one_per_output(values, int64_t n_out, list keep) except? NULL:
    """Return the address of numbers, one per output, in an array that is put into `keep`; null for None."""
    if values is None:
        return NULL
    cdef cnp.ndarray array = np.array(values, np.float64)
    if cnp.PyArray_SIZE(array) != n_out:
        raise ValueError(f"loss: expected {n_out} numbers, one per output, got {len(values)}")
    keep.append(array)
    return <const double *>cnp.PyArray_DATA(array)


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
