"""The layers of networks, which all networks of one kind share. Included by _core.pyx."""

# The floating-point operations of a sine and cosine.
cdef double wave_work = 40


@cython.final
cdef class Layout:
    """Hold the layers of all networks that have the same sizes, activations, dropout, dtype, normalizations, parametric
    activations, changes of inputs, embeddings, residual connections and members.

    Many networks of one kind then read the same few cache lines, and the address of the layers tells their kind.
    """

    cdef Layer layers[max_layers]
    cdef int64_t n_layers, size  # size: elements of the storage
    cdef double operations_per_row
    cdef InputStage stage
    cdef vector[Embedding] embeddings
    cdef vector[EmbeddedColumn] columns  # of all embeddings
    cdef vector[int64_t] n_categories
    cdef list edges  # arrays of the edges of bins
    cdef object __weakref__

    def __init__(self, tuple layer_sizes, tuple activations, tuple dropout, dtype, tuple normalizations, tuple inputs,
                 tuple parametric, tuple embeddings, tuple residual, tuple members):
        cdef int l
        cdef int64_t n_members = members[0]
        cdef bint scales_members = members[1]
        self.n_layers, self.edges = len(activations), []
        cdef int64_t n_inputs = self.set_embeddings(layer_sizes[0], embeddings) if embeddings else layer_sizes[0]
        for l in range(self.n_layers):
            self.layers[l].n_in = layer_sizes[l] if l else n_inputs
            self.layers[l].n_out = layer_sizes[l + 1]
            self.set_activation(l, activations[l], dtype)
            self.layers[l].dropout = dropout[l]
            self.layers[l].is_parametric = parametric[l]
            self.layers[l].residual_from = -1
            if normalizations[l] is not None:
                name, place = normalizations[l]
                self.layers[l].normalization = 1 + NORMALIZATIONS.index(name)
                self.layers[l].normalizes_outputs = place == "after"
            if l == 0:
                self.layers[l].scales_inputs, self.layers[l].input_dropout = inputs
            self.layers[l].n_members = n_members
            self.layers[l].scales_members = scales_members and l < self.n_layers - 1
            self.operations_per_row += layer_work(1, self.layers[l].n_in, layer_sizes[l + 1])
        self.set_residual(residual[0], residual[1])
        if n_members > 1:
            self.layers[0].scales_inputs = self.layers[self.n_layers - 1].is_separate = True
            self.operations_per_row *= n_members
        self.size = lay_out(self.layers, self.n_layers, dtype.itemsize, self.embeddings.data(), <int64_t>self.embeddings.size())

    cdef set_residual(self, tuple connections, str place):
        cdef int64_t n_from
        for begin, end in connections:
            if not 0 <= begin < end <= self.n_layers or self.layers[end - 1].residual_from >= 0:
                raise ValueError(f"residual: expected pairs of layers, each with another end, got {connections}")
            self.layers[end - 1].residual_from = begin
            self.layers[end - 1].adds_to_inputs = place == "before" or end == self.n_layers
            n_from = self.layers[begin - 1].n_out if begin else self.layers[0].n_in
            if n_from != self.layers[end - 1].n_out:
                self.operations_per_row += layer_work(1, n_from, self.layers[end - 1].n_out)

    cdef int64_t set_embeddings(self, int64_t n_in, tuple embeddings) except -1:
        """Set the input stage, and return the number of its outputs."""
        cdef Embedding own
        cdef int64_t first = 0, place = 0
        from fastnn.embeddings._columns import passed_columns  # only networks with embeddings load it

        passed = passed_columns(embeddings, n_in)
        if sum(len(each.columns) for each in embeddings) + len(passed) != n_in or len(embeddings) + bool(passed) > max_embeddings:
            raise ValueError(f"embeddings: expected at most {max_embeddings - 1}, of different columns of X, got {embeddings}")
        for each in embeddings:
            place = self.add_columns(each.columns, each.widths, each.first_rows, place)
            for number in each.categories:
                self.n_categories.push_back(number)
            for edges in each.edges:
                self.edges.append(np.array(edges, np.float64))
        place = self.add_columns(passed, (1,) * len(passed), (0,) * len(passed), place)
        cdef int64_t n_codes = 0, n_edges = 0
        for each in embeddings:
            own = Embedding()
            own.n_columns, own.columns = len(each.columns), &self.columns[first]
            own.kind, own.n_frequencies = EMBEDDINGS.index(each.name), each.frequencies
            if each.shape is not None:
                own.parameters.rows, own.parameters.columns = each.shape
            if each.categories:
                own.n_categories = &self.n_categories[n_codes]
                n_codes += len(each.categories)
            for k in range(len(each.edges)):
                self.columns[first + k].edges = <const double *>cnp.PyArray_DATA(self.edges[n_edges + k])
            n_edges += len(each.edges)
            first += own.n_columns
            self.embeddings.push_back(own)
            self.operations_per_row += own.n_columns * own.n_frequencies * wave_work
            if own.n_frequencies:
                self.operations_per_row += 2.0 * own.n_columns * own.parameters.columns
        if passed:
            own = Embedding()
            own.n_columns, own.columns = len(passed), &self.columns[first]
            self.embeddings.push_back(own)
        self.stage.n_in, self.stage.n_embeddings = n_in, <int64_t>self.embeddings.size()
        self.stage.embeddings = self.embeddings.data()
        return place

    cdef int64_t add_columns(self, columns, widths, first_rows, int64_t place) except -1:
        """Add columns of X, whose outputs begin at a place, and return the next place."""
        cdef EmbeddedColumn own
        for column, width, first_row in zip(columns, widths, first_rows, strict=True):
            own = EmbeddedColumn()
            own.of_x, own.place, own.width, own.first_row = column, place, width, first_row
            self.columns.push_back(own)
            place += width
        return place

    cdef set_activation(self, int l, activation, dtype):
        if isinstance(activation, str):
            self.layers[l].activation = LAYER_ACTIVATIONS.index(activation)
            return
        self.layers[l].activation = ACTIVATIONS.index("identity")
        self.layers[l].custom = <CustomActivation><uintptr_t>activation.address(dtype)


# The layouts of all networks that exist, by what determines them.
cdef object LAYOUTS = WeakValueDictionary()


cdef Layout layout_of(tuple layer_sizes, tuple activations, tuple dropout, dtype, tuple normalizations, tuple inputs,
                      tuple parametric, tuple embeddings, tuple residual, tuple members):
    key = layer_sizes, activations, dropout, dtype, normalizations, inputs, parametric, embeddings, residual, members
    cdef Layout layout = LAYOUTS.get(key)
    if layout is None:
        layout = Layout(*key)
        LAYOUTS[key] = layout
    return layout
