"""The layers of networks, which all networks of one kind share. Included by _core.pyx."""

# The floating-point operations of a sine and cosine.
cdef double wave_work = 40


@cython.final
cdef class Layout:
    """Hold the layers of all networks that have the same sizes, activations, dropout, dtype, normalizations and embeddings.

    Many networks of one kind then read the same few cache lines, and the address of the layers tells their kind.
    """

    cdef Layer layers[max_layers]
    cdef int64_t n_layers, size  # size: elements of the storage
    cdef double operations_per_row
    cdef InputStage stage
    cdef vector[Embedding] embeddings
    cdef vector[int64_t] columns  # of X, for all embeddings
    cdef object __weakref__

    def __init__(self, tuple layer_sizes, tuple activations, tuple dropout, dtype, tuple normalizations, tuple embeddings):
        cdef int l
        self.n_layers = len(activations)
        cdef int64_t n_inputs = self.set_embeddings(layer_sizes[0], embeddings) if embeddings else layer_sizes[0]
        for l in range(self.n_layers):
            self.layers[l].n_in = layer_sizes[l] if l else n_inputs
            self.layers[l].n_out = layer_sizes[l + 1]
            self.set_activation(l, activations[l], dtype)
            self.layers[l].dropout = dropout[l]
            if normalizations[l] is not None:
                name, place = normalizations[l]
                self.layers[l].normalization = 1 + NORMALIZATIONS.index(name)
                self.layers[l].normalizes_outputs = place == "after"
            self.operations_per_row += layer_work(1, self.layers[l].n_in, layer_sizes[l + 1])
        self.size = lay_out(self.layers, self.n_layers, dtype.itemsize, self.embeddings.data(), <int64_t>self.embeddings.size())

    cdef int64_t set_embeddings(self, int64_t n_in, tuple embeddings) except -1:
        """Set the input stage, and return the number of its outputs."""
        cdef int64_t first = 0, place = 0
        cdef Embedding own
        taken = {column for each in embeddings for column in each.columns}
        passed = [column for column in range(n_in) if column not in taken]
        lists = [each.columns for each in embeddings] + ([passed] if passed else [])
        if len(lists) > max_embeddings or sum(map(len, lists)) != n_in or (taken and not 0 <= min(taken) <= max(taken) < n_in):
            raise ValueError(f"embeddings: expected at most {max_embeddings - 1}, of different columns of X, got {embeddings}")
        for columns in lists:
            for column in columns:
                self.columns.push_back(column)
        for i, columns in enumerate(lists):
            own = Embedding()
            own.n_columns, own.columns, own.first, own.width = len(columns), &self.columns[place], first, 1
            if i < len(embeddings):
                self.describe(&own, embeddings[i])
            if not 1 <= own.width <= max_embedding_width:
                raise ValueError(f"embeddings[{i}]: expected 1 to {max_embedding_width} outputs per column, got {own.width}")
            first += own.n_columns * own.width
            place += own.n_columns
            self.embeddings.push_back(own)
        self.stage.n_in, self.stage.n_embeddings = n_in, <int64_t>self.embeddings.size()
        self.stage.embeddings = self.embeddings.data()
        return first

    cdef int describe(self, Embedding *own, embedding) except -1:
        own.kind = EMBEDDINGS.index(embedding.name)
        own.width = embedding.n_outputs
        own.n_frequencies = getattr(embedding, "n_frequencies", 0)
        if embedding.shape is not None:
            own.parameters.rows, own.parameters.columns = embedding.shape
            self.operations_per_row += 2.0 * own.n_columns * own.parameters.columns
        self.operations_per_row += own.n_columns * own.n_frequencies * wave_work
        return 0

    cdef set_activation(self, int l, activation, dtype):
        if isinstance(activation, str):
            self.layers[l].activation = LAYER_ACTIVATIONS.index(activation)
            return
        self.layers[l].activation = ACTIVATIONS.index("identity")
        self.layers[l].custom = <CustomActivation><uintptr_t>activation.address(dtype)


# The layouts of all networks that exist, by what determines them.
cdef object LAYOUTS = WeakValueDictionary()


cdef Layout layout_of(tuple layer_sizes, tuple activations, tuple dropout, dtype, tuple normalizations, tuple embeddings):
    key = layer_sizes, activations, dropout, dtype, normalizations, embeddings
    cdef Layout layout = LAYOUTS.get(key)
    if layout is None:
        layout = Layout(layer_sizes, activations, dropout, dtype, normalizations, embeddings)
        LAYOUTS[key] = layout
    return layout
