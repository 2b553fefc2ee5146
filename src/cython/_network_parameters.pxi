"""Sizes and parameters of networks, and the checks of their arrays. Included by _core.pyx."""

cdef bint is_matrix_block(const Block &block):
    """Return whether a block of a layer is a matrix for users, rather than a vector with a number for each unit or input."""
    return block.kind == BlockKind.weights or block.kind == BlockKind.projections or block.rows > 1


cdef class NetworkParameters:
    """The sizes and parameters of one network, with its handle for native code, and the checks of its arrays.

    `storage` has the parameters, aligned and padded; all other arrays are views of it. Methods are final, so that calls need no
    table of methods.
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

    @cython.final
    cdef int fill_x(self, Rows *rows, x, int64_t n_rows) except -1:
        if type(x) is SparseRows:
            if self.native.stage != NULL or self.n_members > 1:
                kind = "model with embeddings" if self.native.stage != NULL else "shared ensemble"
                raise TypeError(f"X: expected a dense array for a {kind}, got a sparse matrix")
            if self.native.has_residual_from(0):
                raise TypeError("X: expected a dense array for a residual connection from the inputs, got a sparse matrix")
            return fill_sparse_rows(rows, x, "X", self.dtype_number, n_rows, self.layers[0].n_in)
        return fill_rows(rows, x, "X", n_rows, self.n_in)

    @cython.final
    cdef int64_t n_targets(self, const Loss_ &loss):
        """Return the number of columns of the targets."""
        return loss.columns(self.layers[self.native.n_layers - 1].n_out)

    @cython.final
    cdef double operations(self, x):
        """Return the floating-point operations of the prediction of one row."""
        if type(x) is not SparseRows:
            return self.operations_per_row
        return self.operations_per_row - 2.0 * (self.layers[0].n_in - (<SparseRows>x).mean_entries()) * self.layers[0].n_out

    @cython.final
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

    @cython.final
    cdef embedding_view(self, storage, int i):
        cdef Block block = self.native.stage.embeddings[i].parameters
        return storage[block.offset:block.end()].reshape(block.rows, block.row)[:, :block.columns] if block.rows else None

    @cython.final
    cdef int64_t columns(self, int64_t l, int64_t b):
        """Return the number of columns of a layer's array for one of its blocks."""
        cdef Block block = self.layers[l].blocks[b]
        return block.rows if self.layers[l].is_transposed(block) else block.columns

    @cython.final
    cdef int64_t rows(self, int64_t l, int64_t b):
        """Return the number of rows of a layer's array for one of its blocks."""
        cdef Block block = self.layers[l].blocks[b]
        return block.columns if self.layers[l].is_transposed(block) else block.rows

    @cython.final
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

    @cython.final
    cdef void *output(self, cnp.ndarray a, int64_t size) except? NULL:
        if a is None:
            return NULL
        if not cnp.PyArray_ISCARRAY(a) or cnp.PyArray_TYPE(a) != self.dtype_number or cnp.PyArray_SIZE(a) != size:
            raise ValueError(f"a contiguous {self.dtype} array of {size} elements is expected")
        return cnp.PyArray_DATA(a)
