"""Networks: predictions, losses and derivatives. Included by _core.pyx."""

@cython.final
cdef class Network(NetworkParameters):
    """A network in the engine's form: predictions, losses and derivatives."""

    cdef list bound  # the losses that the handle points to
    cdef cnp.ndarray addresses  # of these
    cdef dict objectives  # by the loss that a model was called with: those that the quick functions take

    def __cinit__(self, *_, **__):
        self.objectives = {}

    def bind(self, losses):
        """Put the built-in losses into the handle, unless it has them.

        losses(output activation, n_out) returns them in the native form and the order of LOSSES, None for those that don't suit.
        """
        if self.model.losses != NULL:
            return
        n_out = self.layers[self.native.n_layers - 1].n_out
        suitable = losses(self.activations[self.native.n_layers - 1], n_out)
        self.bound = [None if loss is None else Objective(loss, self.dtype, n_out) for loss in suitable]
        self.addresses = np.array([0 if loss is None else loss.address for loss in self.bound], np.uintp)
        self.model.losses = <const ModelLoss **>cnp.PyArray_DATA(self.addresses)
        self.model.own_loss = self.model.losses[<int>LOSSES.index("mse")]

    def with_loss(self, loss):
        """Return an object whose `address` is that of another handle, which computes this loss unless it is told another."""
        return ModelWithLoss(self, loss)

    @property
    def address(self):
        """Return the address of the model for native code. It is valid while this object exists."""
        return <uintptr_t>&self.model

    def blend(self, Network other, double tau):
        """Add tau times the difference from the other network's parameters to this one's; the two have the same layout."""
        if self.dtype_number != other.dtype_number or self.native.size != other.native.size:
            raise ValueError("two networks of the same layout are expected")
        cdef const Kernels *k = kernels(self.dtype_number)
        with nogil:
            k.blend(self.data, other.data, self.native.size, tau)

    cpdef predict(self, x, cnp.ndarray out=None, n_threads=None):
        """Return the outputs (n, n_out) of rows (n, n_in), or those of one row. A given out has that shape and is contiguous."""
        cdef bint sparse = type(x) is SparseRows
        cdef int ndim = 2 if sparse else cnp.PyArray_NDIM(x), one = ndim == 1
        # Arrays are checked in C: a tuple of Python's numbers would cost a tenth of a small network's prediction.
        if not 1 <= ndim <= 2 or (<cnp.npy_intp>x.shape[1] if sparse else cnp.PyArray_DIM(x, ndim - 1)) != self.n_in:
            raise ValueError(f"X: expected shape ({self.n_in},) or (n, {self.n_in}), got {x.shape}")
        cdef int64_t last = self.native.n_layers - 1
        cdef void *outputs[max_layers]
        cdef cnp.npy_intp shape[2]
        shape[0] = 1 if one else <cnp.npy_intp>len(x) if sparse else cnp.PyArray_DIM(x, 0)
        shape[1] = self.layers[last].n_out
        if out is None:
            out = cnp.PyArray_EMPTY(1 if one else 2, &shape[one], self.dtype_number, 0)
        elif not (cnp.PyArray_ISCARRAY(out) and cnp.PyArray_TYPE(out) == self.dtype_number
                  and cnp.PyArray_SIZE(out) == shape[0] * shape[1]):
            raise ValueError("out must be contiguous and of the network's shape and dtype")
        memset(outputs, 0, <size_t>last * sizeof(void *))
        outputs[last] = cnp.PyArray_DATA(out)
        self.run(x, shape[0], outputs, n_threads)
        return out

    def outputs(self, x, n_threads=None):
        """Return the activations of every layer for rows (n, n_in); (n, n_members, n_out) of hidden layers of shared ensembles."""
        cdef void *outputs[max_layers]
        cdef int64_t n_rows = self.count_rows(x)
        arrays = [np.empty((n_rows, size), self.dtype) for size in self.layer_sizes[1:]]
        if self.n_members > 1:
            arrays[:-1] = [np.empty((n_rows, self.n_members, size), self.dtype) for size in self.layer_sizes[1:-1]]
        for l, a in enumerate(arrays):
            outputs[l] = cnp.PyArray_DATA(a)
        self.run(x, n_rows, outputs, n_threads)
        return arrays

    cdef int run(self, x, int64_t n_rows, void **outputs, n_threads) except -1:
        cdef Rows rows
        cdef bint done
        self.fill_x(&rows, x, n_rows)
        cdef int team = threads_for(n_threads, self.operations(x) * n_rows)
        if is_one_dense_row(rows, n_rows, team):
            done = native_predict(self.model, rows, n_rows, outputs, team)
        else:
            with nogil:
                done = native_predict(self.model, rows, n_rows, outputs, team)
        if not done:
            raise MemoryError("there is no memory for the layers' outputs")
        return 0

    def gradient(self, loss, x, cnp.ndarray y, bint labels, cnp.ndarray sample_weight=None,
                 cnp.ndarray gradient=None, cnp.ndarray input_gradient=None, n_threads=None, list parameters=None):
        """Return the loss, and fill those of the arrays for results that are given.

        gradient is laid out like the storage; input_gradient is (n, n_in); parameters has an array for each in the order of
        `MLP.parameters`.
        """
        cdef Gradient call
        cdef void *arrays[max_layers * n_block_kinds]
        cdef void **to = NULL
        cdef bint done
        keep = self.fill_gradient(&call, loss, x, y, labels, sample_weight)
        call.gradient = self.output(gradient, self.native.size)
        call.input_gradient = self.output(input_gradient, call.n_rows * self.n_in)
        call.n_threads = wanted_threads(n_threads) or threads_for_gradient(
            self.operations(x), call.n_rows, gradient is not None or parameters is not None)
        if parameters is not None:
            if not self.fill_arrays(arrays, parameters):
                raise ValueError(f"contiguous {self.dtype} arrays like the parameters are expected")
            to = arrays
        if is_one_dense_row(call.x, call.n_rows, call.n_threads):
            done = native_gradient(self.model, call, to)
        else:
            with nogil:
                done = native_gradient(self.model, call, to)
        if not done:
            raise MemoryError("there is no memory for the gradient's workspace")
        return call.value

    def batch_gradient(self, loss, data, cnp.ndarray order, int64_t first, int64_t n_rows, cnp.ndarray gradient=None,
                       dropout_key=None, n_threads=None, double dropout_factor=1.0):
        """Return the loss of a batch and its total weight, and fill the gradient if one is given.

        The rows of the batch are order[first], order[first + 1], … of the data, or first, first + 1, … without an order. With
        the key of a batch, units are dropped as in training, with probabilities that are multiplied by a factor.
        """
        cdef Gradient call
        cdef uint64_t key = 0
        cdef bint done
        x, y, labels, sample_weight = data
        keep = self.fill_gradient(&call, loss, x, y, labels, sample_weight)
        cdef int64_t n_all = call.n_rows
        if first < 0 or n_rows < 1 or first > (n_all if order is None else cnp.PyArray_SIZE(order)) - n_rows:
            raise ValueError(f"expected a batch of rows of the data, got {n_rows} rows from {first} on")
        call.n_rows, call.first = n_rows, first
        if order is not None:
            call.order = order_of_batch(order, first, n_rows, n_all)
        call.gradient = self.output(gradient, self.native.size)
        call.n_threads = wanted_threads(n_threads) or threads_for_gradient(self.operations(x), n_rows, gradient is not None)
        if dropout_key is not None:
            key = dropout_key
            call.dropout_key = &key
            call.dropout_factor = dropout_factor
        with nogil:
            done = native_gradient(self.model, call, NULL)
        if not done:
            raise MemoryError("there is no memory for the gradient's workspace")
        return call.value, call.weight

    def evaluate(self, loss, data, int64_t begin, int64_t end, double total=0.0, cnp.ndarray out=None, n_threads=None,
                 cnp.ndarray gradient=None):
        """Return the share of the rows before `end` in the loss of all rows, and the total with which the next part continues.

        After the last part, the share is the loss that `Network.gradient` returns. `total` is that of the part before, and `begin` a
        multiple of `rows_at_once`. Either out gets the predictions for rows `begin` to `end`, of which those of weight 0 are
        undefined, or gradient gets that of all rows so far.
        """
        cdef Gradient call
        cdef bint done
        if out is not None and gradient is not None:
            raise ValueError("either predictions or a gradient are expected")  # deltas stand in the place of outputs
        x, y, labels, sample_weight = data
        keep = self.fill_gradient(&call, loss, x, y, labels, sample_weight)
        if not 0 <= begin < end <= call.n_rows or begin % self.rows_at_once or (end % self.rows_at_once and end < call.n_rows):
            raise ValueError(f"expected whole chunks of {self.rows_at_once} of the {call.n_rows} rows, got {begin} to {end}")
        call.begin, call.end, call.sum = begin, end, total
        call.outputs = self.output(out, (end - begin) * self.layers[self.native.n_layers - 1].n_out)
        call.gradient = self.output(gradient, self.native.size)
        call.n_threads = wanted_threads(n_threads) or threads_for_gradient(self.operations(x), end - begin, gradient is not None)
        with nogil:
            done = native_gradient(self.model, call, NULL)
        if not done:
            raise MemoryError("there is no memory for the workspace of a loss")
        return call.value, call.sum

    cdef object fill_gradient(self, Gradient *call, loss, x, cnp.ndarray y, bint labels, cnp.ndarray sample_weight):
        """Fill in a loss over all rows, without results. Returns what must be kept until the call has ended."""
        call.n_rows = self.count_rows(x)
        keep = fill_loss(&call.loss, loss, self.dtype, self.layers[self.native.n_layers - 1].n_out)
        self.fill_x(&call.x, x, call.n_rows)
        fill_rows(&call.y, y, "y", call.n_rows, self.n_targets(call.loss), labels)
        call.sample_weight = weights_of(sample_weight, call.n_rows)
        call.gradient = call.input_gradient = NULL
        call.dropout_key = NULL
        return keep

    @property
    def rows_at_once(self):
        """The number of rows in a chunk of a long evaluation."""
        return self.native.rows_at_once()

    def remember(self, loss, native):
        """Let the quick functions take a loss, given as users give it and in the native form, if its targets are plain."""
        if native.custom is not None and loss is not native.custom:
            return  # a name, which may soon be that of another loss
        if native.plain and len(self.objectives) < 64:
            self.objectives[loss] = Objective(native, self.dtype, self.layers[self.native.n_layers - 1].n_out)

    def jacobian(self, x, cnp.ndarray out, n_threads=None):
        """Fill out (n, n_out, n_in) with the derivatives of the outputs for rows (n, n_in)."""
        cdef Rows rows
        cdef int64_t n_rows = self.count_rows(x)
        self.fill_x(&rows, x, n_rows)
        cdef void *to = self.output(out, n_rows * self.layers[self.native.n_layers - 1].n_out * self.n_in)
        self.run_jacobian(rows, n_rows, to, n_threads)

    cdef int run_jacobian(self, Rows rows, int64_t n_rows, void *to, n_threads) except -1:
        cdef bint done
        cdef int team = wanted_threads(n_threads) or threads_for_jacobian(self.native, n_rows)
        if is_one_dense_row(rows, n_rows, team):
            done = native_jacobian(self.model, rows, n_rows, to, team)
        else:
            with nogil:
                done = native_jacobian(self.model, rows, n_rows, to, team)
        if not done:
            raise MemoryError("there is no memory for the Jacobian's workspace")
        return 0


@cython.final
cdef class ModelWithLoss:
    """Hold a handle of a network whose own loss is a given one."""

    cdef Model native
    cdef Network network
    cdef Objective loss

    def __init__(self, Network network, loss):
        self.network = network
        self.loss = Objective(loss, network.dtype, network.layers[network.native.n_layers - 1].n_out)
        self.native = network.model
        self.native.own_loss = &self.loss.native

    @property
    def address(self):
        """Return the address of the model for native code. It is valid while this object exists."""
        return <uintptr_t>&self.native
