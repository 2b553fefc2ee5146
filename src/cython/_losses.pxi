"""The losses. Included by _core.pyx."""

cdef fill_loss(Loss_ *native, loss, dtype):
    native.parameter, native.from_logits, native.per_row = loss.parameter, loss.from_logits, loss.per_row
    native.factor, native.value_factor, native.signed_mean = loss.factor, loss.value_factor, loss.signed_mean
    native.given = loss.given
    native.kind = LOSSES.index("mse" if loss.given or loss.custom is not None else loss.name)
    native.custom = NULL
    if loss.custom is not None:
        native.custom = <CustomLoss><uintptr_t>loss.custom.address(dtype)


@cython.final
cdef class Objective:
    """Hold a loss in the kernels' form, with the checks that its targets need."""

    cdef Loss_ native
    cdef bint takes_labels
    cdef double low, high
    cdef object loss

    def __init__(self, loss, dtype):
        fill_loss(&self.native, loss, dtype)
        self.loss, self.takes_labels = loss, loss.takes_labels
        self.low, self.high = loss.domain


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
