"""Training runs: many epochs, in time slices. Included by _core.pyx."""

from fastnn._errors import DIVERGED_STEP, NOTHING_ACCUMULATED, WEIGHTLESS, DivergedError

# The number of losses that a run keeps until its caller reads them between two slices. No slice has more epochs.
cdef int64_t max_epochs = 1 << 20


# The learning rate of a run for which none has been set.
cdef cnp.ndarray no_rate = np.zeros(1)


cdef bitgen_t *random_of(bit_generator) except NULL:
    return <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")


@cython.final
cdef class Run:
    """Train for many epochs, in time slices: call advance() until it returns a word other than "paused"."""

    cdef Training t
    cdef const Kernels *k
    cdef void *snapshot
    cdef void *workspace
    cdef tuple keep  # the objects that the native side points to
    cdef object lock
    cdef cnp.ndarray order, rates
    cdef int64_t rates_from  # rates[0] is for the first step of this epoch
    cdef readonly int64_t steps  # per epoch
    cdef readonly int64_t n_epochs
    cdef readonly int64_t first_epoch  # its loss and seconds stand first in the arrays
    cdef readonly cnp.ndarray epoch_loss, epoch_seconds  # of the last epochs

    def __init__(self, Network network, data, settings, int64_t n_epochs, int64_t updates):
        """Take settings of fastnn._engine.run_settings and data of fastnn._engine.training_data."""
        x, y, labels, sample_weight = data
        cdef Training *t = &self.t
        cdef cnp.ndarray moments = settings.moments
        cdef int64_t batch_size = settings.batch_size
        t.n_rows = network.count_rows(x)
        self.k = kernels(network.dtype_number)
        t.network = network.native
        t.parameters = network.data
        loss = fill_loss(&t.loss, settings.loss, network.dtype, network.layers[t.network.n_layers - 1].n_out)
        fill_optimizer(&t.optimizer, settings.optimizer)
        if t.n_rows < 1 or batch_size < 1:
            raise ValueError("there must be rows to train on")
        network.fill_x(&t.x, x, t.n_rows)
        fill_rows(&t.y, y, "y", t.n_rows, network.n_targets(t.loss), labels)
        t.sample_weight = weights_of(sample_weight, t.n_rows)
        t.batch_size = min(batch_size, t.n_rows)
        t.updates = updates
        t.snapshot_updates = -1

        cdef int i
        for i in range(t.optimizer.moments):
            t.moments[i] = network.output(moments[i], t.network.size)
        self.snapshot = t.snapshot = zeros_for((1 + t.optimizer.moments) * t.network.size * network.dtype.itemsize)

        t.shuffle = settings.shuffle
        t.reshuffle = settings.order is not None
        t.loss_by_rows = settings.loss_by_rows
        t.random = random_of(settings.bit_generator)
        self.lock = settings.bit_generator.lock
        if t.shuffle:
            self.order = self.order_of(t.n_rows, settings.order)
            t.order = <int64_t *>cnp.PyArray_DATA(self.order)

        self.steps = (t.n_rows + t.batch_size - 1) // t.batch_size
        self.set_rates(no_rate)
        self.n_epochs = n_epochs
        cdef cnp.npy_intp room = min(n_epochs, max_epochs)
        self.epoch_loss = cnp.PyArray_ZEROS(1, &room, cnp.NPY_FLOAT64, 0)
        self.epoch_seconds = cnp.PyArray_ZEROS(1, &room, cnp.NPY_FLOAT64, 0)
        t.epoch_loss = <double *>cnp.PyArray_DATA(self.epoch_loss)
        t.epoch_seconds = <double *>cnp.PyArray_DATA(self.epoch_seconds)

        choose_threads(t[0], network.type, wanted_threads(settings.n_threads), 3 * network.operations(x) * t.batch_size)
        self.workspace = zeros_for(self.k.training_bytes(t[0]))
        self.keep = (network, data, settings, loss)

    def __dealloc__(self):
        free_zeros(self.snapshot)
        free_zeros(self.workspace)

    cdef cnp.ndarray order_of(self, int64_t n_rows, cnp.ndarray order):
        """Return the array with the order of the rows, after a check if it is given."""
        if order is None:
            return np.empty(n_rows, np.int64)
        fits = cnp.PyArray_ISCARRAY(order) and cnp.PyArray_TYPE(order) == cnp.NPY_INT64 and cnp.PyArray_SIZE(order) == n_rows
        if not fits or order.min() < 0 or order.max() >= n_rows:
            raise ValueError(f"order must be a permutation of 0 to {n_rows - 1}")
        return order

    def set_rates(self, cnp.ndarray rates):
        """Set the learning rates from the next step on: one per step, for whole epochs, or a single one for all."""
        if not cnp.PyArray_ISCARRAY_RO(rates) or cnp.PyArray_TYPE(rates) != cnp.NPY_FLOAT64 or not cnp.PyArray_SIZE(rates):
            raise ValueError("rates must be contiguous float64")
        if self.t.row:
            raise ValueError("rates change between epochs only")
        self.rates, self.rates_from = rates, self.first_epoch + self.t.epoch
        self.t.learning_rates = <const double *>cnp.PyArray_DATA(rates)
        self.t.learning_rate_stride = 0 if cnp.PyArray_SIZE(rates) == 1 else 1
        self.t.step = 0

    def last_rate(self, int64_t epoch):
        """Return the learning rate of the last step of an epoch."""
        return self.rates[0 if self.t.learning_rate_stride == 0 else (epoch - self.rates_from + 1) * self.steps - 1]

    def last_rates(self, int64_t epoch, int64_t end):
        """Return the learning rates of the last steps of the epochs from `epoch` up to `end`."""
        if self.t.learning_rate_stride == 0:
            return np.full(end - epoch, self.rates[0])
        return self.rates[(np.arange(epoch, end) - self.rates_from + 1) * self.steps - 1]

    def advance(self, double seconds, int64_t n_epochs):
        """Train for this number of epochs or of seconds, whichever ends first. Return "paused", "finished" or "diverged".

        Losses and seconds of earlier epochs may be overwritten: read them between two calls.
        """
        cdef Status status
        cdef const Kernels *k = self.k
        cdef int64_t room = cnp.PyArray_SIZE(self.epoch_loss), end = self.first_epoch + self.t.epoch
        cdef int64_t wanted = min(n_epochs, self.n_epochs - end)
        if self.t.epoch + wanted > room:  # the caller has read the arrays
            self.first_epoch += self.t.epoch
            self.t.epoch = self.t.epochs_stamped = 0
            wanted = min(wanted, room)
        end += wanted
        if self.t.learning_rate_stride and (end - self.rates_from) * self.steps > cnp.PyArray_SIZE(self.rates):
            raise ValueError("rates: expected one for each step of all epochs, got too few")
        self.t.seconds = seconds
        self.t.n_epochs = self.t.epoch + wanted
        with self.lock:
            with nogil:
                status = k.train(self.t, self.workspace)
        if status == Status.diverged:
            return "diverged"
        if status == Status.weightless:
            raise ZeroDivisionError(WEIGHTLESS)
        return "finished" if self.epoch == self.n_epochs else "paused"

    @property
    def epoch(self):
        """Return the number of epochs that have ended."""
        return self.first_epoch + self.t.epoch

    @property
    def updates(self):
        return self.t.updates

    @property
    def batch_loss(self):
        return self.t.batch_loss
