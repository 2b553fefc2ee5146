"""Networks: sizes and parameters, predictions and gradients. Included by _core.pyx."""

cdef enum:
    STACK_BYTES = 16384

# Threads pay above about this many operations each, and in training, where what they take is measured, perhaps above a
# quarter of it.
cdef double WORK_PER_THREAD = 5e5
cdef double MOST_THREADS_FACTOR = 4
# The work of an activation, in operations of a product.
cdef double ACTIVATION_WORK = 20


cdef int threads_for(object wanted, double operations) except? -1:
    if wanted is not None:
        return max(1, min(wanted, 1024))
    cdef double most = operations / WORK_PER_THREAD
    cdef int available = max_threads()
    return 1 if most < 2 else available if most > available else <int>most


@cython.final
cdef class Network:
    """Sizes and parameters of one network. The parameters live in `storage`, aligned and padded; the rest are views."""

    cdef Network_ native
    cdef Layer layers[64]
    cdef int dtype_number
    cdef double operations_per_row
    cdef Pace pace  # of its training
    cdef void *data
    cdef readonly cnp.ndarray storage
    cdef readonly object dtype
    cdef readonly tuple layer_sizes, activations, dropout, weights, biases

    def __init__(self, tuple layer_sizes, tuple activations, tuple dropout, dtype):
        cdef int n_layers = len(layer_sizes) - 1
        cdef int l
        if not 1 <= n_layers <= 64 or len(activations) != n_layers or len(dropout) != n_layers:
            raise ValueError(f"a network has 1 to 64 layers, got {n_layers}")
        self.layer_sizes, self.activations, self.dropout = layer_sizes, activations, dropout
        self.dtype = np.dtype(dtype)
        self.dtype_number = self.dtype.num
        for l in range(n_layers):
            self.layers[l].n_in = layer_sizes[l]
            self.layers[l].n_out = layer_sizes[l + 1]
            self.layers[l].activation = ACTIVATIONS.index(activations[l])
            self.layers[l].dropout = dropout[l]
            self.operations_per_row += (2.0 * layer_sizes[l] + ACTIVATION_WORK) * layer_sizes[l + 1]
        self.native.n_layers = n_layers
        self.native.layers = self.layers
        self.native.size = lay_out(self.layers, n_layers, self.dtype.itemsize)
        self.storage = aligned_zeros(self.native.size, self.dtype)
        self.data = cnp.PyArray_DATA(self.storage)
        self.weights, self.biases = self.views(self.storage)

    def views(self, storage):
        """The weights (n_in, n_out) and biases (n_out,) within an array that is laid out like the storage."""
        weights, biases = [], []
        for l in range(self.native.n_layers):
            layer = &self.layers[l]
            rows, columns = (layer.n_out, layer.n_in) if layer.narrow else (layer.n_in, layer.n_out)
            w = storage[layer.weights:layer.weights + rows * layer.weights_row].reshape(rows, layer.weights_row)[:, :columns]
            weights.append(w.T if layer.narrow else w)
            biases.append(storage[layer.bias:layer.bias + layer.n_out])
        return tuple(weights), tuple(biases)

    def predict(self, cnp.ndarray x, cnp.ndarray out=None, n_threads=None):
        """The outputs (n, n_out) of rows (n, n_in), or those of one row. out, if given, is of that shape and contiguous."""
        cdef int ndim = cnp.PyArray_NDIM(x), one = ndim == 1
        if not 1 <= ndim <= 2 or x.shape[ndim - 1] != self.layers[0].n_in:
            raise ValueError(f"X: got shape {(<object>x).shape}, expected ({self.layers[0].n_in},) or (n, {self.layers[0].n_in})")
        cdef int64_t last = self.native.n_layers - 1
        cdef void *outputs[64]
        cdef cnp.npy_intp shape[2]
        shape[0] = 1 if one else x.shape[0]
        shape[1] = self.layers[last].n_out
        if out is None:
            out = cnp.PyArray_EMPTY(1 if one else 2, &shape[one], self.dtype_number, 0)
        elif not (cnp.PyArray_ISCARRAY(out) and cnp.PyArray_TYPE(out) == self.dtype_number
                  and cnp.PyArray_SIZE(out) == shape[0] * shape[1]):
            raise ValueError("out must be contiguous and of the network's shape and dtype")
        memset(outputs, 0, sizeof(outputs))
        outputs[last] = cnp.PyArray_DATA(out)
        self.run(x, shape[0], outputs, n_threads)
        return out

    def outputs(self, cnp.ndarray x, n_threads=None):
        """The activations of every layer for rows (n, n_in)."""
        cdef void *outputs[64]
        if cnp.PyArray_NDIM(x) != 2:
            raise ValueError(f"X: got shape {(<object>x).shape}, expected (n, {self.layers[0].n_in})")
        arrays = [np.empty((x.shape[0], size), self.dtype) for size in self.layer_sizes[1:]]
        for l, a in enumerate(arrays):
            outputs[l] = cnp.PyArray_DATA(a)
        self.run(x, x.shape[0], outputs, n_threads)
        return arrays

    cdef run(self, cnp.ndarray x, int64_t n_rows, void **outputs, n_threads):
        cdef Prediction call
        cdef char small[STACK_BYTES + 64]
        cdef const Kernels *k = kernels(self.dtype_number)
        cdef void *workspace
        call.network = self.native
        call.parameters = self.data
        fill_rows(&call.x, x, "X", n_rows, self.layers[0].n_in)
        call.n_rows = n_rows
        call.outputs = outputs
        call.n_threads = threads_for(n_threads, self.operations_per_row * n_rows)
        cdef int64_t bytes = k.prediction_bytes(call)
        if bytes <= STACK_BYTES:
            workspace = <void *>((<uintptr_t>small + 63) & ~<uintptr_t>63)
            memset(workspace, 0, bytes)
            if n_rows == 1:
                k.predict(call, workspace)
                return
        else:
            memory = aligned_zeros(bytes, np.uint8)
            workspace = cnp.PyArray_DATA(memory)
        with nogil:
            k.predict(call, workspace)

    def gradient(self, tuple loss, cnp.ndarray x, cnp.ndarray y, bint labels, cnp.ndarray sample_weight=None,
                 cnp.ndarray gradient=None, cnp.ndarray input_gradient=None, n_threads=None):
        """The loss; fills gradient, an array like the storage, and input_gradient (n, n_in) where they are given."""
        cdef Gradient call
        cdef const Kernels *k = kernels(self.dtype_number)
        if cnp.PyArray_NDIM(x) != 2:
            raise ValueError(f"X: got shape {(<object>x).shape}, expected (n, {self.layers[0].n_in})")
        call.network = self.native
        call.parameters = self.data
        fill_loss(&call.loss, loss)
        call.n_rows = x.shape[0]
        fill_rows(&call.x, x, "X", call.n_rows, self.layers[0].n_in)
        fill_rows(&call.y, y, "y", call.n_rows, self.layers[self.native.n_layers - 1].n_out, labels)
        call.sample_weight = weights_of(sample_weight, call.n_rows)
        call.gradient = self.output(gradient, self.native.size)
        call.input_gradient = self.output(input_gradient, call.n_rows * self.layers[0].n_in)
        call.n_threads = threads_for(n_threads, 3 * self.operations_per_row * min(call.n_rows, 512))
        memory = aligned_zeros(k.gradient_bytes(call), np.uint8)
        cdef void *workspace = cnp.PyArray_DATA(memory)
        with nogil:
            k.gradient(call, workspace)
        return call.value

    cdef void *output(self, cnp.ndarray a, int64_t size) except? NULL:
        if a is None:
            return NULL
        if not cnp.PyArray_ISCARRAY(a) or cnp.PyArray_TYPE(a) != self.dtype_number or cnp.PyArray_SIZE(a) != size:
            raise ValueError(f"a contiguous {self.dtype} array of {size} elements is expected")
        return cnp.PyArray_DATA(a)


cdef const double *weights_of(cnp.ndarray sample_weight, int64_t n_rows) except? NULL:
    if sample_weight is None:
        return NULL
    if (not cnp.PyArray_ISCARRAY_RO(sample_weight) or cnp.PyArray_TYPE(sample_weight) != cnp.NPY_FLOAT64
            or cnp.PyArray_SIZE(sample_weight) != n_rows):
        raise ValueError(f"sample_weight must be {n_rows} contiguous float64")
    return <const double *>cnp.PyArray_DATA(sample_weight)


cdef fill_loss(Loss_ *native, tuple loss):
    name, native.parameter, native.from_logits = loss
    native.kind = LOSSES.index(name)
    native.per_row = name == "cross_entropy"


cdef fill_optimizer(Optimizer_ *native, dict optimizer):
    native.kind = OPTIMIZERS.index(optimizer["name"])
    native.moments = optimizer["moments"]
    native.decay_1 = optimizer.get("decay_1", 0.0)
    native.decay_2 = optimizer.get("decay_2", 0.0)
    native.epsilon = optimizer.get("epsilon", 0.0)
    native.weight_decay = optimizer.get("weight_decay", 0.0)
    native.l1 = optimizer.get("l1", 0.0)
    native.l2 = optimizer.get("l2", 0.0)
    native.clip_value = optimizer.get("clip_value", float("inf"))
    native.clip_norm = optimizer.get("clip_norm", float("inf"))
