"""The layers of networks, which all networks of one kind share. Included by _core.pyx."""

@cython.final
cdef class Layout:
    """Hold the layers of all networks that have the same sizes, activations, dropout, dtype, normalizations, parametric
    activations and changes of inputs.

    Many networks of one kind then read the same few cache lines, and the address of the layers tells their kind.
    """

    cdef Layer layers[max_layers]
    cdef int64_t n_layers, size  # size: elements of the storage
    cdef double operations_per_row
    cdef object __weakref__

    def __init__(self, tuple layer_sizes, tuple activations, tuple dropout, dtype, tuple normalizations, tuple inputs,
                 tuple parametric):
        cdef int l
        self.n_layers = len(activations)
        for l in range(self.n_layers):
            self.layers[l].n_in = layer_sizes[l]
            self.layers[l].n_out = layer_sizes[l + 1]
            self.set_activation(l, activations[l], dtype)
            self.layers[l].dropout = dropout[l]
            self.layers[l].is_parametric = parametric[l]
            if normalizations[l] is not None:
                name, place = normalizations[l]
                self.layers[l].normalization = 1 + NORMALIZATIONS.index(name)
                self.layers[l].normalizes_outputs = place == "after"
            if l == 0:
                self.layers[l].scales_inputs, self.layers[l].input_dropout = inputs
            self.operations_per_row += layer_work(1, layer_sizes[l], layer_sizes[l + 1])
        self.size = lay_out(self.layers, self.n_layers, dtype.itemsize)

    cdef set_activation(self, int l, activation, dtype):
        if isinstance(activation, str):
            self.layers[l].activation = LAYER_ACTIVATIONS.index(activation)
            return
        self.layers[l].activation = ACTIVATIONS.index("identity")
        self.layers[l].custom = <CustomActivation><uintptr_t>activation.address(dtype)


# The layouts of all networks that exist, by what determines them.
cdef object LAYOUTS = WeakValueDictionary()


cdef Layout layout_of(tuple layer_sizes, tuple activations, tuple dropout, dtype, tuple normalizations, tuple inputs,
                      tuple parametric):
    key = layer_sizes, activations, dropout, dtype, normalizations, inputs, parametric
    cdef Layout layout = LAYOUTS.get(key)
    if layout is None:
        layout = Layout(*key)
        LAYOUTS[key] = layout
    return layout
