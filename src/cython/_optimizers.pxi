"""The optimizers' updates of arrays. Included by _core.pyx."""

cdef Scheduled scheduled_setting(str name) except *:
    """Return a setting that follows a schedule by the engine's name."""
    if name == "beta_1":
        return Scheduled.beta_1
    if name == "decay":
        return Scheduled.decay
    if name == "l2":
        return Scheduled.l2
    if name == "dropout_factor":
        return Scheduled.dropout_factor
    if name == "label_smoothing_factor":
        return Scheduled.label_smoothing_factor
    raise ValueError(f"expected beta_1, decay, l2 or a factor as scheduled settings, got {name!r}")


cdef int fill_rates(double *to, rates, const Optimizer_ &optimizer) except -1:
    """Copy the learning rate of a step and the values of scheduled settings: a float, or a vector if there are such settings."""
    cdef int i
    if optimizer.n_scheduled == 0:
        to[0] = rates
        return 0
    if len(rates) != 1 + optimizer.n_scheduled:
        raise ValueError(f"expected a learning rate and {optimizer.n_scheduled} scheduled settings, got {len(rates)} numbers")
    for i in range(1 + optimizer.n_scheduled):
        to[i] = rates[i]
    return 0


cdef fill_optimizer(Optimizer_ *native, dict optimizer):
    native.kind = OPTIMIZERS.index(optimizer["name"])
    native.moments = instruction_set().float64.optimizer_moments(native.kind)
    native.beta_1 = optimizer.get("beta_1", 0.0)
    native.beta_2 = optimizer.get("beta_2", 0.0)
    native.epsilon = optimizer.get("epsilon", 0.0)
    native.decay = optimizer.get("decay", 0.0)
    native.momentum = optimizer.get("momentum", 0.0)
    native.l1 = optimizer.get("l1", 0.0)
    native.l2 = optimizer.get("l2", 0.0)
    native.clip_value = optimizer.get("clip_value", float("inf"))
    native.clip_norm = optimizer.get("clip_norm", float("inf"))
    native.lazy = optimizer.get("lazy", False)
    native.epsilon_hat = optimizer.get("epsilon_hat", False)
    native.rate_in_velocity = optimizer.get("rate_in_velocity", False)
    native.penalty_per_weight = optimizer.get("penalty_per_weight", False)
    scheduled = optimizer.get("scheduled", ())
    if len(scheduled) > max_scheduled:
        raise ValueError(f"expected at most {max_scheduled} scheduled settings, got {len(scheduled)}")
    native.n_scheduled = len(scheduled)
    cdef int i
    for i in range(native.n_scheduled):
        native.scheduled[i] = scheduled_setting(scheduled[i])


cdef fill_block(Block *block, settings):
    """Give a block settings of its own."""
    block.has_settings = True
    block.learning_rate_factor = settings.learning_rate_factor
    block.epsilon_factor = settings.epsilon_factor
    block.decay_factor = settings.decay_factor
    block.l1 = -1.0 if settings.l1 is None else settings.l1
    block.l2 = -1.0 if settings.l2 is None else settings.l2
    block.is_frozen = settings.is_frozen


cdef fill_layers(OwnBlocks &own, Network_ *network, dict optimizer):
    """Give a network layers and embeddings of its own, with the settings of their blocks, if the optimizer has some.

    They stand in `own`.
    """
    cdef int64_t l, b
    cdef Block *block
    blocks = optimizer.get("blocks")
    if blocks is None:
        return
    cdef int64_t n_embeddings = own.take(network)
    if len(blocks.layers) != network.n_layers or len(blocks.embeddings) > n_embeddings:
        raise ValueError(f"expected the settings of {network.n_layers} layers, got {len(blocks.layers)}")
    for l in range(network.n_layers):
        for b in range(own.layers[l].n_blocks):
            block = &own.layers[l].blocks[b]
            fill_block(block, blocks.layers[l][BLOCK_KINDS[<int>block.kind]])
    for l in range(<int64_t>len(blocks.embeddings)):  # behind them stand the columns that pass
        fill_block(&own.embeddings[l].parameters, blocks.embeddings[l])


cdef bint add_arrays(list to, arrays, Py_ssize_t n):
    """Append n arrays, given a list or tuple of n that the kernels can read where they stand. Return whether it is one."""
    if not isinstance(arrays, (list, tuple)) or len(arrays) != n:
        return False
    for a in arrays:
        if not cnp.PyArray_CheckExact(a) or not cnp.PyArray_ISCARRAY_RO(a):
            return False
        if cnp.PyArray_TYPE(a) not in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64):
            return False
        to.append(a)
    return True


cdef bint can_update(list read, list written):
    """Return whether an update can write the parameters and moments.

    They must fit the gradients and overlap none of them, and no moment may overlap a parameter or another moment.
    """
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
                if spans_overlap(span, changed[i]):
                    return False
        changed.push_back(span)
    for i in range(n):
        span = span_of(read[i])
        for j in range(<Py_ssize_t>changed.size()):
            if spans_overlap(span, changed[j]):
                return False
    return True


def update(dict optimizer, params, grads, moments, double rate, int64_t updates):
    """Make one step of an optimizer on lists of arrays, in place, after `updates` earlier ones. Return whether it was made.

    It is made if all arrays are contiguous, if each parameter has one shape and dtype, float32 or float64, with its gradient and
    its moments, if no gradient overlaps an array that is written, and if no moment overlaps a parameter or another moment.
    Otherwise nothing changes.
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
