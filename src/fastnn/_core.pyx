# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The thin layer between NumPy and the kernels: arrays in, pointers down, nothing decided here.

Arguments were validated by the Python callers; what would read or write out of bounds is checked here once more.
"""
cimport cython
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.string cimport memset

import os

import numpy as np

cnp.import_array()

cdef extern from "numpy/random/bitgen.h":
    ctypedef struct bitgen_t:
        pass

cdef extern from "kernels/threads.h" namespace "fastnn" nogil:
    int max_threads()
    void set_max_threads(int n)
    const char *threads_decided_by()
    const char *threads_environment_error()

cdef extern from "kernels/table.h" namespace "fastnn" nogil:
    cdef enum class Type(int32_t):
        float32, float64, int8, uint8, int16, uint16, int32, uint32, int64, uint64, boolean

    cdef cppclass Rows:
        const char *data
        int64_t row_stride, column_stride
        Type type
        bint labels

    cdef cppclass Layer:
        int64_t n_in, n_out, weights, weights_row, bias, row
        int32_t activation
        bint narrow
        double dropout

    cdef cppclass Network_ "fastnn::Network":
        int64_t n_layers
        const Layer *layers
        int64_t size

    cdef cppclass Loss_ "fastnn::Loss":
        int32_t kind
        double parameter
        bint from_logits, per_row

    cdef cppclass Optimizer_ "fastnn::Optimizer":
        int32_t kind, moments
        double decay_1, decay_2, epsilon, weight_decay, l1, l2, clip_value, clip_norm

    cdef cppclass Prediction:
        Network_ network
        const void *parameters
        Rows x
        int64_t n_rows
        void **outputs
        int n_threads

    cdef cppclass Gradient:
        Network_ network
        const void *parameters
        Loss_ loss
        Rows x, y
        const double *sample_weight
        int64_t n_rows
        void *gradient
        void *input_gradient
        int n_threads
        double value

    cdef enum class Status(int32_t):
        paused, finished, diverged

    cdef cppclass Training:
        Network_ network
        void *parameters
        void *moments[2]
        void *snapshot
        Loss_ loss
        Optimizer_ optimizer
        Rows x, y
        const double *sample_weight
        int64_t n_rows, batch_size, n_epochs
        bint shuffle
        bitgen_t *random
        int64_t *order
        const double *rates
        int64_t rate_stride
        int n_threads
        double seconds
        int64_t epoch, row, step, updates
        double *epoch_loss
        double *epoch_seconds
        double batch_loss
        int64_t snapshot_updates

    cdef cppclass Kernels:
        int vector_bytes
        int64_t prediction_bytes(const Prediction &)
        void predict(const Prediction &, void *workspace)
        int64_t gradient_bytes(Gradient &)
        void gradient(Gradient &, void *workspace)
        int64_t training_bytes(Training &)
        Status train(Training &, void *workspace)
        void activate(int32_t activation, void *z, int64_t rows, int64_t n)
        void activation_slope(int32_t activation, void *z, void *slope, int64_t n)
        void times_slope(int32_t activation, void *delta, const void *a, int64_t rows, int64_t n)
        void update(const Optimizer_ &, void *w, const void *g, void *m, void *v, int64_t n, double rate, int64_t updates)
        int64_t first_not_finite(const void *values, int64_t n)

    cdef cppclass Level:
        const char *name
        bint supported()
        const Kernels *float32
        const Kernels *float64

    const Level *levels_ "fastnn::levels"()
    int n_levels()
    int64_t lay_out(Layer *layers, int64_t n_layers, int64_t element_size)
    const char **activation_names_ "fastnn::activation_names"()
    const char **loss_names_ "fastnn::loss_names"()
    const char **optimizer_names_ "fastnn::optimizer_names"()


# ---- Names and levels ------------------------------------------------------------------------------------------------

cdef tuple strings(const char *const *list):
    names = []
    cdef int i = 0
    while list[i]:
        names.append(list[i].decode())
        i += 1
    return tuple(names)


ACTIVATIONS = strings(<const char *const *>activation_names_())
LOSSES = strings(<const char *const *>loss_names_())
OPTIMIZERS = strings(<const char *const *>optimizer_names_())

cdef const Level *level = NULL


def built_levels():
    """The instruction-set levels in this build, best first."""
    return tuple(levels_()[i].name.decode() for i in range(n_levels()))


def levels():
    """Those of them that this machine can run."""
    return tuple(levels_()[i].name.decode() for i in range(n_levels()) if levels_()[i].supported())


def current_level():
    """The level in use, and the bytes of a vector as its code was compiled."""
    return level.name.decode(), level.float32.vector_bytes


cdef choose_level(str wanted):
    global level
    usable = levels()
    if wanted and wanted not in usable:
        raise ImportError(f"FASTNN_ISA={wanted!r} can't be used: this build has {', '.join(built_levels())}, "
                          f"of which this machine runs {', '.join(usable)}")
    for i in range(n_levels()):
        if levels_()[i].name.decode() == (wanted or usable[0]):
            level = &levels_()[i]


choose_level(os.environ.get("FASTNN_ISA", ""))


cdef inline const Kernels *kernels(int dtype) noexcept:
    return level.float32 if dtype == cnp.NPY_FLOAT32 else level.float64


def get_max_threads():
    return max_threads()


def set_max_threads_(int n):
    set_max_threads(n)


def threads_decided():
    """How the number of threads was found, and what is wrong with FASTNN_NUM_THREADS, or None."""
    error = threads_environment_error()
    return threads_decided_by().decode(), None if error is NULL else error.decode(errors="replace")


# ---- Arrays ----------------------------------------------------------------------------------------------------------

cdef int type_of(cnp.ndarray a) noexcept:
    """The kernels' number of the element type, -1 if they can't read it."""
    cdef int t = cnp.PyArray_TYPE(a)
    if not cnp.PyArray_ISNOTSWAPPED(a):
        return -1
    if t == cnp.NPY_FLOAT32:
        return <int>Type.float32
    if t == cnp.NPY_FLOAT64:
        return <int>Type.float64
    if t == cnp.NPY_BOOL:
        return <int>Type.boolean
    cdef int size = cnp.PyArray_ITEMSIZE(a)
    if cnp.PyTypeNum_ISSIGNED(t) and cnp.PyTypeNum_ISINTEGER(t):
        return <int>(Type.int8 if size == 1 else Type.int16 if size == 2 else Type.int32 if size == 4 else Type.int64)
    if cnp.PyTypeNum_ISUNSIGNED(t):
        return <int>(Type.uint8 if size == 1 else Type.uint16 if size == 2 else Type.uint32 if size == 4 else Type.uint64)
    return -1


def readable(cnp.ndarray a):
    """Whether the kernels can read this array where it stands."""
    return type_of(a) >= 0


cdef int fill_rows(Rows *rows, cnp.ndarray a, str argument, int64_t n_rows, int64_t n_columns,
                   bint labels=False) except -1:
    """Checks shape and type once more: from here on, only strides and bounds count."""
    cdef int t = type_of(a)
    if t < 0:
        raise TypeError(f"{argument}: arrays of {a.dtype} must be converted before")
    cdef int ndim = cnp.PyArray_NDIM(a)
    if labels:
        if ndim != 1 or a.shape[0] != n_rows or a.dtype.kind not in "iu":
            raise ValueError(f"{argument}: got {a.dtype} of shape {(<object>a).shape}, expected {n_rows} integer labels")
    elif ndim == 1:
        if n_rows != 1 or a.shape[0] != n_columns:
            raise ValueError(f"{argument}: got shape {(<object>a).shape}, expected ({n_columns},) or (n, {n_columns})")
    elif ndim != 2 or a.shape[0] != n_rows or a.shape[1] != n_columns:
        raise ValueError(f"{argument}: got shape {(<object>a).shape}, expected ({n_rows}, {n_columns})")
    rows.data = <const char *>cnp.PyArray_DATA(a)
    rows.type = <Type>t
    rows.labels = labels
    rows.row_stride = a.strides[0] if ndim == 2 or labels else 0
    rows.column_stride = cnp.PyArray_STRIDE(a, ndim - 1)
    return 0


def aligned_zeros(shape, dtype):
    """Zeros that begin at a multiple of 64 bytes."""
    cdef int64_t bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(bytes + 64, np.uint8)
    cdef int64_t skip = -<int64_t><uintptr_t>cnp.PyArray_DATA(raw) % 64
    skip = skip + 64 if skip < 0 else skip
    return raw[skip:skip + bytes].view(dtype).reshape(shape)


def first_not_finite(cnp.ndarray a):
    """The flat index of the first NaN or infinity of a C-contiguous float array, -1 if there is none."""
    if not cnp.PyArray_IS_C_CONTIGUOUS(a) or cnp.PyArray_TYPE(a) not in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64) or type_of(a) < 0:
        raise TypeError("a contiguous float32 or float64 array is expected")
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(a))
    cdef const void *data = cnp.PyArray_DATA(a)
    cdef int64_t n = cnp.PyArray_SIZE(a), found
    with nogil:
        found = k.first_not_finite(data, n)
    return found


# ---- Networks --------------------------------------------------------------------------------------------------------

cdef enum:
    STACK_BYTES = 16384

# Threads pay above about this many operations each.
cdef double WORK_PER_THREAD = 1e6


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
            self.operations_per_row += 2.0 * layer_sizes[l] * layer_sizes[l + 1]
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


# ---- Training --------------------------------------------------------------------------------------------------------

@cython.final
cdef class Run:
    """Many epochs of training, in slices of time: advance() until it says other than "paused"."""

    cdef Training t
    cdef const Kernels *k
    cdef void *workspace
    cdef tuple keep  # what the native side points to
    cdef object lock
    cdef cnp.ndarray rates
    cdef int64_t rates_from  # the epoch whose first step has rates[0]
    cdef readonly int64_t steps  # an epoch's
    cdef readonly cnp.ndarray epoch_loss, epoch_seconds

    def __init__(self, Network network, tuple loss, dict optimizer, cnp.ndarray moments, int64_t updates, cnp.ndarray x,
                 cnp.ndarray y, bint labels, cnp.ndarray sample_weight, int64_t batch_size, int64_t n_epochs, bint shuffle,
                 bit_generator, n_threads):
        cdef Training *t = &self.t
        if cnp.PyArray_NDIM(x) != 2:
            raise ValueError(f"X: got shape {(<object>x).shape}, expected (n, {network.layers[0].n_in})")
        self.k = kernels(network.dtype_number)
        t.network = network.native
        t.parameters = network.data
        fill_loss(&t.loss, loss)
        fill_optimizer(&t.optimizer, optimizer)
        t.n_rows = x.shape[0]
        if t.n_rows < 1 or batch_size < 1:
            raise ValueError("there must be rows to train on")
        fill_rows(&t.x, x, "X", t.n_rows, network.layers[0].n_in)
        fill_rows(&t.y, y, "y", t.n_rows, network.layers[t.network.n_layers - 1].n_out, labels)
        t.sample_weight = weights_of(sample_weight, t.n_rows)
        t.batch_size = min(batch_size, t.n_rows)
        t.n_epochs = n_epochs
        t.updates = updates
        t.snapshot_updates = -1

        cdef int i
        for i in range(t.optimizer.moments):
            t.moments[i] = network.output(moments[i], t.network.size)
        snapshot = aligned_zeros((1 + t.optimizer.moments) * t.network.size, network.dtype)
        t.snapshot = cnp.PyArray_DATA(snapshot)

        t.shuffle = shuffle
        t.random = <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
        self.lock = bit_generator.lock
        order = np.empty(t.n_rows if shuffle else 0, np.int64)
        t.order = <int64_t *>cnp.PyArray_DATA(order)

        self.steps = (t.n_rows + t.batch_size - 1) // t.batch_size
        self.set_rates(np.zeros(1))
        self.epoch_loss, self.epoch_seconds = np.zeros(n_epochs), np.zeros(n_epochs)
        t.epoch_loss = <double *>cnp.PyArray_DATA(self.epoch_loss)
        t.epoch_seconds = <double *>cnp.PyArray_DATA(self.epoch_seconds)

        t.n_threads = threads_for(n_threads, 3 * network.operations_per_row * t.batch_size)
        memory = aligned_zeros(self.k.training_bytes(t[0]), np.uint8)
        self.workspace = cnp.PyArray_DATA(memory)
        self.keep = (network, moments, snapshot, x, y, sample_weight, bit_generator, order, memory)

    def set_rates(self, cnp.ndarray rates):
        """Learning rates from the next step on: one a step of whole epochs, or a single one for all."""
        if not cnp.PyArray_ISCARRAY_RO(rates) or cnp.PyArray_TYPE(rates) != cnp.NPY_FLOAT64 or not cnp.PyArray_SIZE(rates):
            raise ValueError("rates must be contiguous float64")
        if self.t.row:
            raise ValueError("rates change between epochs only")
        self.rates, self.rates_from = rates, self.t.epoch
        self.t.rates = <const double *>cnp.PyArray_DATA(rates)
        self.t.rate_stride = 0 if cnp.PyArray_SIZE(rates) == 1 else 1
        self.t.step = 0

    def last_rates(self, int64_t epoch, int64_t end):
        """The rate of the last step of each epoch from `epoch` up to `end`."""
        if self.t.rate_stride == 0:
            return np.full(end - epoch, self.rates[0])
        return self.rates[(np.arange(epoch, end) - self.rates_from + 1) * self.steps - 1]

    def advance(self, double seconds, int64_t n_epochs):
        """Trains for so many epochs or seconds, whichever end first; "paused", "finished" or "diverged"."""
        cdef Status status
        cdef const Kernels *k = self.k
        cdef int64_t all_epochs = self.t.n_epochs, end = self.t.epoch + n_epochs
        if end < self.t.epoch or end > all_epochs:
            end = all_epochs
        if self.t.rate_stride and (end - self.rates_from) * self.steps > cnp.PyArray_SIZE(self.rates):
            raise ValueError("there are no learning rates for so many epochs")
        self.t.seconds = seconds
        with self.lock:
            self.t.n_epochs = end
            with nogil:
                status = k.train(self.t, self.workspace)
            self.t.n_epochs = all_epochs
        if status == Status.diverged:
            return "diverged"
        return "finished" if self.t.epoch == all_epochs else "paused"

    @property
    def epoch(self):
        """Epochs that have ended."""
        return self.t.epoch

    @property
    def updates(self):
        return self.t.updates

    @property
    def batch_loss(self):
        return self.t.batch_loss


# ---- Elementwise functions -------------------------------------------------------------------------------------------

cdef float_array(cnp.ndarray a):
    if not cnp.PyArray_ISCARRAY(a) or cnp.PyArray_TYPE(a) not in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64):
        raise TypeError("a writable contiguous float32 or float64 array is expected")


def activate(str name, cnp.ndarray z):
    """z becomes the activation of z, in place, over rows of its last axis."""
    float_array(z)
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(z))
    cdef int32_t number = ACTIVATIONS.index(name)
    cdef int64_t n = z.shape[cnp.PyArray_NDIM(z) - 1] if cnp.PyArray_NDIM(z) else 1
    cdef int64_t rows = cnp.PyArray_SIZE(z) // n if n else 0
    cdef void *data = cnp.PyArray_DATA(z)
    with nogil:
        k.activate(number, data, rows, n)


def activation_slope(str name, cnp.ndarray z, cnp.ndarray slope):
    """z becomes its activation, slope the derivative there. Not for softmax, whose derivative is a matrix."""
    float_array(z)
    float_array(slope)
    if name == "softmax" or cnp.PyArray_SIZE(z) != cnp.PyArray_SIZE(slope) or cnp.PyArray_TYPE(z) != cnp.PyArray_TYPE(slope):
        raise ValueError("slope must be like z")
    cdef int32_t number = ACTIVATIONS.index(name)
    kernels(cnp.PyArray_TYPE(z)).activation_slope(number, cnp.PyArray_DATA(z), cnp.PyArray_DATA(slope), cnp.PyArray_SIZE(z))


def times_slope(str name, cnp.ndarray delta, cnp.ndarray a):
    """delta *= the derivative that the output a tells, in place, over rows of the last axis."""
    float_array(delta)
    float_array(a)
    if name in ("gelu", "silu", "sin") or cnp.PyArray_SIZE(a) != cnp.PyArray_SIZE(delta) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(delta):
        raise ValueError("delta must be like a")
    cdef int64_t n = a.shape[cnp.PyArray_NDIM(a) - 1] if cnp.PyArray_NDIM(a) else 1
    cdef int32_t number = ACTIVATIONS.index(name)
    kernels(cnp.PyArray_TYPE(a)).times_slope(number, cnp.PyArray_DATA(delta), cnp.PyArray_DATA(a), cnp.PyArray_SIZE(a) // n if n else 0, n)


def update(dict optimizer, cnp.ndarray weights not None, cnp.ndarray gradient not None, cnp.ndarray m, cnp.ndarray v, double rate, int64_t updates):
    """One step of an optimizer on contiguous arrays of one size and dtype, in place; `updates` have come before."""
    cdef Optimizer_ native
    fill_optimizer(&native, optimizer)
    for a in (weights, gradient, m, v):
        if a is not None:
            float_array(a)
            if a.size != weights.size or a.dtype != weights.dtype:
                raise ValueError("the arrays must have one size and dtype")
    if (native.moments > 0 and m is None) or (native.moments > 1 and v is None):
        raise ValueError("the optimizer's moments are missing")
    kernels(cnp.PyArray_TYPE(weights)).update(
        native, cnp.PyArray_DATA(weights), cnp.PyArray_DATA(gradient), NULL if m is None else cnp.PyArray_DATA(m),
        NULL if v is None else cnp.PyArray_DATA(v), cnp.PyArray_SIZE(weights), rate, updates)
