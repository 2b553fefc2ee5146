"""Networks: sizes and parameters, predictions and gradients. Included by _core.pyx."""

cdef bint is_matrix_block(const Block &block):
    """Return whether a block of a layer is a matrix for users, rather than a vector with a number for each unit or input."""
    return block.kind == BlockKind.weights or block.kind == BlockKind.projections or block.rows > 1


@cython.final
cdef class Network:
    """Hold the sizes and parameters of one network.

    `storage` has the parameters, aligned and padded; all other arrays are views of it.
    """

    cdef Model model  # the handle for native code
    cdef Network_ native
    cdef Layer *layers  # of the layout
    cdef int dtype_number
    cdef Type type
    cdef double operations_per_row
    cdef void *data
    cdef Layout layout
    cdef KeptWorkspace kept
    cdef list bound  # the losses that the handle points to
    cdef cnp.ndarray addresses  # of these
    cdef dict objectives  # by the loss that a model was called with: those that the quick functions take
    cdef readonly cnp.ndarray storage
    cdef readonly object dtype
    cdef readonly tuple layer_sizes, activations, dropout, normalizations, parametric, embeddings, residual
    cdef readonly str residual_place
    cdef readonly bint input_scale
    cdef readonly double input_dropout
    cdef readonly int64_t n_members
    cdef readonly bint scales_members
    cdef int64_t n_in  # columns of X
    cdef readonly dict parameters

    def __init__(self, tuple layer_sizes, tuple activations, tuple dropout, dtype, tuple normalizations=None,
                 bint input_scale=False, double input_dropout=0.0, tuple parametric=None, tuple embeddings=(),
                 tuple residual=(), str residual_place="after", int64_t n_members=1,
                 bint scales_members=False):
        # normalizations: for each layer, None or (name, "before" or "after" the activation); the last layer has none.
        # parametric: for each layer, whether its activation is; the last layer's is not.
        # embeddings: objects of fastnn.embeddings whose columns are set.
        # residual: pairs of numbers of layers, where a connection begins and ends. Layer 0 is the inputs.
        # residual_place: whether its sum is that "before" or "after" the activation.
        # n_members: of a shared ensemble; 1 for a plain network.
        # scales_members: whether the members of an ensemble have scales and biases of their own in all hidden layers.
        cdef int n_layers = len(layer_sizes) - 1
        normalizations = (None,) * n_layers if normalizations is None else normalizations
        parametric = (False,) * n_layers if parametric is None else parametric
        if (not 1 <= n_layers <= max_layers or len(activations) != n_layers or len(dropout) != n_layers
                or len(normalizations) != n_layers or normalizations[n_layers - 1] is not None
                or len(parametric) != n_layers or parametric[n_layers - 1]):
            raise ValueError(f"a network has 1 to {max_layers} layers, got {n_layers}")
        if not 1 <= n_members <= max_members or (n_members > 1 and input_scale) or (n_members == 1 and scales_members):
            raise ValueError(f"a shared ensemble has 1 to {max_members} members with scales of their own, got {n_members}")
        if n_members > 1 and residual:
            raise ValueError(f"residual: a shared ensemble has no residual connections, got {residual}")
        self.layer_sizes, self.activations, self.dropout = layer_sizes, activations, dropout
        self.n_members, self.scales_members = n_members, scales_members
        self.normalizations, self.input_scale, self.input_dropout = normalizations, input_scale, input_dropout
        self.parametric, self.embeddings, self.dtype = parametric, embeddings, np.dtype(dtype)
        self.dtype_number = self.dtype.num
        self.type = Type.float32 if self.dtype_number == cnp.NPY_FLOAT32 else Type.float64
        self.layout = layout_of(layer_sizes, activations, dropout, self.dtype, normalizations, (input_scale, input_dropout),
                                parametric, embeddings, (residual, residual_place), (n_members, scales_members))
        self.residual, self.residual_place = residual, residual_place
        self.layers = self.layout.layers
        self.operations_per_row = self.layout.operations_per_row
        self.native.n_layers = n_layers
        self.native.layers = self.layers
        self.native.size = self.layout.size
        self.native.stage = &self.layout.stage if embeddings else NULL
        self.n_in = layer_sizes[0]
        self.storage = aligned_zeros(self.native.size, self.dtype)
        self.data = cnp.PyArray_DATA(self.storage)
        self.parameters = self.views(self.storage)
        self.model = model_of(self.native, self.data, self.type, self.operations_per_row, &self.kept)
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

    cdef int fill_x(self, Rows *rows, x, int64_t n_rows) except -1:
        if type(x) is SparseRows:
            if self.native.stage != NULL or self.n_members > 1:
                kind = "model with embeddings" if self.native.stage != NULL else "shared ensemble"
                raise TypeError(f"X: expected a dense array for a {kind}, got a sparse matrix")
            if self.native.has_residual_from(0):
                raise TypeError("X: expected a dense array for a residual connection from the inputs, got a sparse matrix")
            return fill_sparse_rows(rows, x, "X", self.dtype_number, n_rows, self.layers[0].n_in)
        return fill_rows(rows, x, "X", n_rows, self.n_in)

    cdef int64_t n_targets(self, const Loss_ &loss):
        """Return the number of columns of the targets."""
        return loss.columns(self.layers[self.native.n_layers - 1].n_out)

    cdef double operations(self, x):
        """Return the floating-point operations of the prediction of one row."""
        if type(x) is not SparseRows:
            return self.operations_per_row
        return self.operations_per_row - 2.0 * (self.layers[0].n_in - (<SparseRows>x).mean_entries()) * self.layers[0].n_out

    cdef int64_t count_rows(self, x) except -1:
        """Return the number of rows in an array (n, n_in) or in sparse rows."""
        if type(x) is not SparseRows and not (isinstance(x, np.ndarray) and x.ndim == 2):
            raise ValueError(f"X: expected shape (n, {self.n_in}), got {x.shape}")
        return len(x)

    def views(self, storage):
        """Return views of the parameters in an array with the storage's layout, by kind.

        Each kind has a tuple with one array per layer, or None for a layer without such parameters. Weights are (n_in, n_out),
        and projections (n_from, n_out), scales (n_in,), all other kinds (n_out,), but those of embeddings, which have one matrix
        per embedding, or None. Of shared ensembles, scales are (n_members, n_in), output scales (n_members, n_out), and biases
        beside them too. The n_out of the last layer's weights and biases counts the outputs of all members.
        """
        cdef Block block
        kinds = [[None] * self.native.n_layers for _ in range(n_block_kinds)]
        kinds[<int>BlockKind.embedding_parameters] = [self.embedding_view(storage, i) for i in range(len(self.embeddings))]
        for l in range(self.native.n_layers):
            for b in range(self.layers[l].n_blocks):
                block = self.layers[l].blocks[b]
                rows = storage[block.offset:block.end()].reshape(block.rows, block.row)[:, :block.columns]
                if not is_matrix_block(block):
                    rows = rows[0]
                elif self.layers[l].is_transposed(block):
                    rows = rows.T
                kinds[<int>block.kind][l] = rows
        return dict(zip(BLOCK_KINDS, map(tuple, kinds)))

    cdef embedding_view(self, storage, int i):
        cdef Block block = self.native.stage.embeddings[i].parameters
        return storage[block.offset:block.end()].reshape(block.rows, block.row)[:, :block.columns] if block.rows else None

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
        call.n_threads = threads_for(n_threads, 3 * self.operations(x) * min(call.n_rows, chunk_rows))
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
        call.n_threads = threads_for(n_threads, 3 * self.operations(x) * min(n_rows, chunk_rows))
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
        cdef int passes = 1 if gradient is None else 3
        call.n_threads = threads_for(n_threads, passes * self.operations(x) * min(end - begin, chunk_rows))
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

    cdef int64_t columns(self, int64_t l, int64_t b):
        """Return the number of columns of a layer's array for one of its blocks."""
        cdef Block block = self.layers[l].blocks[b]
        return block.rows if self.layers[l].is_transposed(block) else block.columns

    cdef int64_t rows(self, int64_t l, int64_t b):
        """Return the number of rows of a layer's array for one of its blocks."""
        cdef Block block = self.layers[l].blocks[b]
        return block.columns if self.layers[l].is_transposed(block) else block.rows

    cdef bint fill_arrays(self, void **arrays, list parameters) except -1:
        """Fill in the addresses of arrays like the parameters, and return whether all of them are."""
        cdef int64_t l, b, i = 0
        cdef cnp.ndarray a
        cdef bint matrix
        cdef const Block *own
        for l in range(self.native.stage.n_embeddings if self.native.stage != NULL else 0):
            own = &self.native.stage.embeddings[l].parameters
            if own.rows == 0:
                continue
            if i == len(parameters) or not is_float_array(parameters[i]):
                return False
            a = parameters[i]
            if (cnp.PyArray_TYPE(a) != self.dtype_number or cnp.PyArray_NDIM(a) != 2 or cnp.PyArray_DIM(a, 0) != own.rows
                    or cnp.PyArray_DIM(a, 1) != own.columns):
                return False
            arrays[i] = cnp.PyArray_DATA(a)
            i += 1
        for l in range(self.native.n_layers):
            for b in range(self.layers[l].n_blocks):
                if i == len(parameters) or not is_float_array(parameters[i]):
                    return False
                a = parameters[i]
                matrix = is_matrix_block(self.layers[l].blocks[b])
                if (cnp.PyArray_TYPE(a) != self.dtype_number or cnp.PyArray_NDIM(a) != 1 + matrix
                        or cnp.PyArray_DIM(a, matrix) != self.columns(l, b)
                        or (matrix and cnp.PyArray_DIM(a, 0) != self.rows(l, b))):
                    return False
                arrays[i] = cnp.PyArray_DATA(a)
                i += 1
        return i == len(parameters)

    def empty_parameters(self):
        """Return new arrays like the parameters, in the order of `MLP.parameters`, whose values are undefined."""
        cdef list arrays = []
        cdef int64_t l, b
        cdef bint matrix
        cdef cnp.npy_intp shape[2]
        cdef const Block *own
        for l in range(self.native.stage.n_embeddings if self.native.stage != NULL else 0):
            own = &self.native.stage.embeddings[l].parameters
            shape[0], shape[1] = own.rows, own.columns
            if own.rows > 0:
                arrays.append(cnp.PyArray_EMPTY(2, shape, self.dtype_number, 0))
        for l in range(self.native.n_layers):
            for b in range(self.layers[l].n_blocks):
                shape[0], shape[1] = self.rows(l, b), self.columns(l, b)
                matrix = is_matrix_block(self.layers[l].blocks[b])
                arrays.append(cnp.PyArray_EMPTY(1 + matrix, &shape[1 - matrix], self.dtype_number, 0))
        return arrays

    def jacobian(self, x, cnp.ndarray out, n_threads=None):
        """Fill out (n, n_out, n_in) with the derivatives of the outputs for rows (n, n_in)."""
        cdef Rows rows
        cdef int64_t n_rows = self.count_rows(x)
        self.fill_x(&rows, x, n_rows)
        cdef void *to = self.output(out, n_rows * self.layers[self.native.n_layers - 1].n_out * self.n_in)
        self.run_jacobian(rows, n_rows, to, n_threads)

    cdef int run_jacobian(self, Rows rows, int64_t n_rows, void *to, n_threads) except -1:
        cdef bint done
        cdef int team = threads_for(n_threads, jacobian_work(self.native) * n_rows)
        if is_one_dense_row(rows, n_rows, team):
            done = native_jacobian(self.model, rows, n_rows, to, team)
        else:
            with nogil:
                done = native_jacobian(self.model, rows, n_rows, to, team)
        if not done:
            raise MemoryError("there is no memory for the Jacobian's workspace")
        return 0

    cdef void *output(self, cnp.ndarray a, int64_t size) except? NULL:
        if a is None:
            return NULL
        if not cnp.PyArray_ISCARRAY(a) or cnp.PyArray_TYPE(a) != self.dtype_number or cnp.PyArray_SIZE(a) != size:
            raise ValueError(f"a contiguous {self.dtype} array of {size} elements is expected")
        return cnp.PyArray_DATA(a)


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
