"""The losses. Included by _core.pyx."""

cdef list fill_loss(Loss_ *native, loss, dtype, int64_t n_out):
    """Fill in a loss for a network with that many outputs, and return the objects that it points to."""
    custom, options = loss.custom, loss.targets
    native.custom = NULL
    native.custom_rows = NULL
    native.given = loss.given
    # Where the kind has no meaning, it is any.
    native.kind = 0 if custom is not None or loss.heads or loss.given else LOSSES.index(loss.name)
    native.parameter, native.n_targets = loss.parameter, loss.n_targets
    native.from_logits, native.per_row, native.signed_mean = loss.from_logits, loss.per_row, loss.signed_mean
    native.factor, native.value_factor = loss.factor, loss.value_factor
    if custom is not None and custom.per_row:
        native.custom_rows = <CustomRowLoss><uintptr_t>custom.address(dtype, native.columns(n_out), n_out)
    elif custom is not None:
        native.custom = <CustomLoss><uintptr_t>custom.address(dtype)
    cdef list keep = []
    native.parameters = address_of(loss.parameters, keep) if loss.parameters else NULL
    native.n_parameters = len(loss.parameters)
    cdef cnp.ndarray memory
    cdef Head *heads = NULL
    if loss.heads:
        memory = np.zeros(len(loss.heads) * sizeof(Head), np.uint8)
        keep.append(memory)
        heads = <Head *>cnp.PyArray_DATA(memory)
    for h, head in enumerate(loss.heads):
        heads[h].first, heads[h].n_out, heads[h].first_target = head.first, head.n_out, head.first_target
        heads[h].labels, heads[h].weight = head.labels, head.weight
        keep += fill_loss(&heads[h].loss, head.loss, dtype, head.n_out)
    native.heads = heads
    native.n_heads = len(loss.heads)
    native.whole_rows, native.ignores_missing = options.whole_rows, options.ignores_missing
    native.output_weights = one_per_target(options.output_weights, native.columns(n_out), keep)
    native.pos_weight = one_per_target(options.pos_weight, native.columns(n_out), keep)
    native.label_smoothing = options.label_smoothing
    return keep


cdef const double *address_of(tuple values, list keep):
    """Return the address of numbers, in an array that is put into `keep`."""
    cdef cnp.ndarray array = np.array(values, np.float64)
    keep.append(array)
    return <const double *>cnp.PyArray_DATA(array)


cdef const double *one_per_target(values, int64_t n_targets, list keep) except? NULL:
    """Return the address of numbers, one per column of targets, in an array that is put into `keep`; null for None."""
    if values is None:
        return NULL
    if len(values) != n_targets:
        raise ValueError(f"loss: expected {n_targets} numbers, one per column of targets, got {len(values)}")
    return address_of(values, keep)


cdef struct Interval:
    double low, high
    bint only_ends  # only its two ends are valid


cdef struct HeadRules:
    int64_t first, end  # the columns of targets
    Interval domain
    bint whole  # only whole numbers are valid: labels


cdef struct TargetRules:
    bint labels  # targets may be labels
    bint may_be_missing  # NaN is a target that is not observed
    Interval domain
    const HeadRules *heads  # of Heads, whose own domain is any number
    int64_t n_heads


cdef Interval domain_of(loss):
    return Interval(loss.domain[0], loss.domain[1], loss.only_ends_of_domain)


cdef TargetRules rules_of(loss, vector[HeadRules] *heads):
    """Return the rules for the targets of a loss, which point to those of its heads."""
    cdef TargetRules rules
    cdef HeadRules own
    heads.clear()
    for head in loss.heads:
        own.first, own.whole = head.first_target, head.labels
        own.end = own.first + (1 if head.labels else head.loss.n_targets)
        own.domain = Interval(0, head.n_out - 1, False) if head.labels else domain_of(head.loss)
        heads.push_back(own)
    rules.labels = loss.takes_labels
    rules.may_be_missing = loss.targets.ignores_missing and not loss.heads
    rules.domain = domain_of(loss)
    rules.heads, rules.n_heads = heads.data(), heads.size()
    return rules


@cython.final
cdef class Objective:
    """Hold a loss in the kernels' form, with the checks that its targets need."""

    cdef ModelLoss native
    cdef TargetRules rules
    cdef vector[HeadRules] heads
    cdef list keep  # the objects that the native side points to

    def __init__(self, loss, dtype, int64_t n_out):
        self.keep = fill_loss(&self.native.loss, loss, dtype, n_out)
        self.native.n_targets = self.native.loss.columns(n_out)
        self.native.labels = 0 if not loss.takes_labels else 2 if loss.targets.ignores_missing else 1
        self.rules = rules_of(loss, &self.heads)

    @property
    def address(self):
        """Return the address of the loss for native code. It is valid while this object exists."""
        return <uintptr_t>&self.native


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
