"""Training runs: many epochs, in time slices. Included by _core.pyx."""

from contextlib import ExitStack

from fastnn._errors import DIVERGED_STEP, IN_USE, NOTHING_ACCUMULATED, WEIGHTLESS, DivergedError

# The number of losses that a run keeps until its caller reads them between two slices. No slice has more epochs. With as many
# seconds, they take half a MiB, which stays in the second-level cache.
cdef int64_t max_epochs = 1 << 15


cdef bint is_indices(cnp.ndarray a, int64_t n) except -1:
    """Return whether `a` is contiguous int64 from 0 to n - 1."""
    if not cnp.PyArray_ISCARRAY_RO(a) or cnp.PyArray_TYPE(a) != cnp.NPY_INT64 or cnp.PyArray_NDIM(a) != 1:
        return False
    return cnp.PyArray_SIZE(a) == 0 or (a.min() >= 0 and a.max() < n)


cdef bitgen_t *random_of(bit_generator) except NULL:
    return <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")


cdef double *epochs_of(cnp.ndarray a, int64_t count) except NULL:
    """Return the address of an array for at least that many epochs."""
    if not cnp.PyArray_ISCARRAY(a) or cnp.PyArray_TYPE(a) != cnp.NPY_FLOAT64 or cnp.PyArray_SIZE(a) < count:
        raise ValueError(f"a writable contiguous float64 array of {count} elements is expected")
    return <double *>cnp.PyArray_DATA(a)


cdef int fill_averaging(Averaging *native, averaging, Network network) except -1:
    """Fill in an average of fastnn._engine.run_settings, or none."""
    native.average = NULL
    if averaging is None:
        return 0
    cdef Network average = averaging.network
    cdef cnp.ndarray counts = averaging.counts
    if average.dtype_number != network.dtype_number or average.native.size != network.native.size or average is network:
        raise ValueError("a network of the same layout is expected for the average")
    if not cnp.PyArray_ISCARRAY(counts) or cnp.PyArray_TYPE(counts) != cnp.NPY_INT64 or cnp.PyArray_SIZE(counts) != 2:
        raise ValueError("counts: two writable int64 are expected")
    native.average, native.counts = average.data, <int64_t *>cnp.PyArray_DATA(counts)
    native.of_epochs, native.start = averaging.of_epochs, averaging.start
    native.decay, native.corrects_bias = averaging.decay, averaging.corrects_bias
    return 0


cdef object fill_settings(TrainingSettings *native, OwnBlocks &own_blocks, Network network, settings):
    """Fill in what single steps and runs have in common. Return an object to keep as long as that is in use."""
    cdef int i
    native.network = network.native
    native.parameters = network.data
    native.random = random_of(settings.bit_generator)
    loss = fill_loss(&native.loss, settings.loss, network.dtype, network.layers[network.native.n_layers - 1].n_out)
    fill_optimizer(&native.optimizer, settings.optimizer)
    fill_layers(own_blocks, &native.network, settings.optimizer)
    for i in range(native.optimizer.moments):
        native.moments[i] = network.output(settings.moments[i], network.native.size)
    fill_averaging(&native.averaging, settings.averaging, network)
    return loss


@cython.final
cdef class Run:
    """Train for many epochs, in time slices: call advance() until it returns a word other than "paused"."""

    cdef Training t
    cdef OwnBlocks own_blocks  # in place of the network's, if blocks have settings of their own
    cdef const Kernels *k
    cdef Stepper stepper  # of the trainer; None without one
    cdef KeptArray own_snapshot, own_workspace  # without a trainer
    cdef void *workspace
    cdef tuple keep  # the objects that the native side points to
    cdef object lock
    cdef cnp.ndarray order, rows
    cdef cnp.ndarray rates  # from the first step of the epoch rates_from on; None if `rate` is that of all steps
    cdef double rate[max_rates]
    cdef int64_t rates_from
    cdef readonly int64_t steps  # per epoch
    cdef readonly int64_t n_epochs
    cdef readonly int64_t first_epoch  # its loss and seconds stand first in the arrays
    cdef readonly cnp.ndarray epoch_loss, epoch_seconds  # of the last epochs

    def __init__(self, Network network, data, settings, int64_t n_epochs, int64_t updates, Stepper stepper=None):
        """Take settings of fastnn._engine.run_settings and data of fastnn._engine.training_data.

        The run uses the memory of a stepper, which must be held as long as the run advances.
        """
        x, y, labels, sample_weight = data
        loss = self.take_settings(network, settings, stepper)
        self.keep = (network, data, settings, loss)
        self.stepper = stepper
        cdef KeptArray *snapshot = &self.own_snapshot if stepper is None else &stepper.native.snapshot
        cdef KeptArray *workspace = &self.own_workspace if stepper is None else &stepper.native.workspace
        cdef Training *t = &self.t
        cdef int64_t batch_size = settings.batch_size
        cdef int64_t n_rows = network.count_rows(x)  # of the data
        self.k = kernels(network.dtype_number)
        network.fill_x(&t.x, x, n_rows)
        fill_rows(&t.y, y, "y", n_rows, network.n_targets(t.loss), labels)
        t.sample_weight = weights_of(sample_weight, n_rows)
        t.n_rows = n_rows
        if settings.rows is not None:
            self.take_rows(settings.rows, n_rows)
        if t.n_rows < 1 or batch_size < 1:
            raise ValueError("there must be rows to train on")
        t.batch_size = min(batch_size, t.n_rows)
        t.epoch_rows = t.n_rows // t.batch_size * t.batch_size if settings.drop_last else t.n_rows
        t.updates = updates
        t.snapshot_updates = -1
        cdef int64_t bytes = t.n_state_arrays() * t.network.size * network.dtype.itemsize
        if not snapshot.grow(bytes):
            raise no_memory_for(bytes)
        t.snapshot = snapshot.start()

        t.shuffle = settings.shuffle
        t.reshuffle = settings.order is not None
        t.loss_by_rows = settings.loss_by_rows
        self.lock = settings.bit_generator.lock
        if t.shuffle:
            self.order = self.order_of(t.n_rows, settings.order)
            t.order = <int64_t *>cnp.PyArray_DATA(self.order)

        self.steps = (t.epoch_rows + t.batch_size - 1) // t.batch_size
        t.learning_rates = &self.rate[0]
        self.n_epochs = n_epochs
        cdef cnp.npy_intp room = min(n_epochs, max_epochs)
        self.epoch_loss = cnp.PyArray_ZEROS(1, &room, cnp.NPY_FLOAT64, 0)
        self.epoch_seconds = cnp.PyArray_ZEROS(1, &room, cnp.NPY_FLOAT64, 0)
        t.epoch_loss = <double *>cnp.PyArray_DATA(self.epoch_loss)
        t.epoch_seconds = <double *>cnp.PyArray_DATA(self.epoch_seconds)

        choose_threads(t[0], network.type, wanted_threads(settings.n_threads), 3 * network.operations(x) * t.batch_size)
        if stepper is not None:
            stepper.native.change()
        bytes = self.k.training_bytes(t[0])
        if not workspace.lay_out(bytes, t.layout):
            raise no_memory_for(bytes)
        self.workspace = workspace.start()

    cdef object take_settings(self, Network network, settings, Stepper stepper):
        """Fill in what single steps have too, and return an object to keep. A stepper has it already."""
        cdef TrainingSettings *native = &self.t
        if stepper is None or "blocks" in settings.optimizer:  # a stepper's blocks change with its settings during the run
            loss = fill_settings(native, self.own_blocks, network, settings)
        else:
            native[0] = stepper.native.training
            _, loss = stepper.keep
        native.averaging.ends_epochs = True
        return loss

    cdef int take_rows(self, cnp.ndarray rows, int64_t n_rows) except -1:
        """Train on some of the n_rows rows, perhaps repeatedly on the same row."""
        if not is_indices(rows, n_rows):
            raise ValueError(f"rows must be contiguous int64 from 0 to {n_rows - 1}")
        self.rows = rows
        self.t.rows = <const int64_t *>cnp.PyArray_DATA(rows)
        self.t.n_rows = cnp.PyArray_SIZE(rows)
        x = self.keep[1][0]
        if isinstance(x, SparseRows):  # a chunk may have the longest row in all places
            self.t.x.max_entries = min(chunk_rows, self.t.n_rows) * (<SparseRows>x).longest
        return 0

    cdef cnp.ndarray order_of(self, int64_t n_rows, cnp.ndarray order):
        """Return the array with the order of the rows, after a check if it is given."""
        if order is None:
            return np.empty(n_rows, np.int64)
        if not cnp.PyArray_ISWRITEABLE(order) or not is_indices(order, n_rows) or cnp.PyArray_SIZE(order) != n_rows:
            raise ValueError(f"order must be a permutation of 0 to {n_rows - 1}")
        return order

    def set_rates(self, rates):
        """Set the learning rates from the next step on: one per step, for whole epochs, or one for all.

        With settings that follow schedules, each step has a row: the rate, and the values of the settings.
        """
        cdef cnp.ndarray each = None
        cdef int64_t n_scheduled = self.t.optimizer.n_scheduled
        if self.t.row:
            raise ValueError("rates change between epochs only")
        if isinstance(rates, float) and n_scheduled == 0:
            self.rate[0] = rates
        else:
            each = rates
            if not cnp.PyArray_ISCARRAY_RO(each) or cnp.PyArray_TYPE(each) != cnp.NPY_FLOAT64 or not cnp.PyArray_SIZE(each):
                raise ValueError("rates must be contiguous float64")
            if n_scheduled and (cnp.PyArray_NDIM(each) != 2 or cnp.PyArray_DIM(each, 1) != 1 + n_scheduled):
                raise ValueError(f"rates must be rows of {1 + n_scheduled} numbers")
        self.rates, self.rates_from = each, self.first_epoch + self.t.epoch
        self.t.learning_rates = <const double *>&self.rate[0] if each is None else <const double *>cnp.PyArray_DATA(each)
        self.t.learning_rate_stride = 0 if each is None or self.n_rates() == 1 else 1 + n_scheduled
        self.t.step = 0

    def check_numbers(self):
        """Make the first epoch diverge if a number of the data is not finite. Call this before the first slice.

        The data must come from `unchecked_data`, and each epoch must contain all rows.
        """
        self.t.checks_numbers = True

    def constant_rates(self):
        """Return an array of the learning rate that all steps share, once per epoch."""
        cdef cnp.npy_intp n = self.n_epochs, i
        cdef cnp.ndarray rates = cnp.PyArray_EMPTY(1, &n, cnp.NPY_FLOAT64, 0)
        for i in range(n):
            (<double *>cnp.PyArray_DATA(rates))[i] = self.rate[0]
        return rates

    cdef int64_t n_rates(self):
        """Return the number of steps that have rates of their own."""
        return cnp.PyArray_SIZE(self.rates) // (1 + self.t.optimizer.n_scheduled)

    def copy_epochs(self, int64_t first, int64_t place, cnp.ndarray loss, list rates, cnp.ndarray seconds):
        """Copy the values of the finished epochs from `first` on to arrays for a history, from `place` on.

        The learning rate of an epoch is that of its last step. `rates` has an array for it, and one for each setting that follows
        a schedule; arrays that are None are left out.
        """
        cdef int64_t count = self.epoch - first, start = first - self.first_epoch, step, i
        if count < 0 or start < 0 or place < 0 or first < self.rates_from:
            raise ValueError(f"epochs that are not in the run's arrays: from {first} on")
        cdef double *losses = epochs_of(loss, place + count) + place
        cdef double *times = epochs_of(seconds, place + count) + place
        for i in range(count):
            losses[i], times[i] = self.t.epoch_loss[start + i], self.t.epoch_seconds[start + i]
        cdef int64_t column
        cdef double *last_rates
        for column in range(min(<int64_t>len(rates), 1 + self.t.optimizer.n_scheduled)):
            if rates[column] is None:
                continue
            last_rates = epochs_of(rates[column], place + count) + place
            for i in range(count):
                step = (first + i - self.rates_from + 1) * self.steps - 1
                last_rates[i] = self.t.learning_rates[step * self.t.learning_rate_stride + column]
        return None

    def advance(self, double seconds, int64_t n_epochs):
        """Train for this number of epochs or of seconds, whichever ends first. Return "paused", "finished" or "diverged".

        Losses and seconds of earlier epochs may be overwritten: read them between two calls. Raise ZeroDivisionError if the
        weights of a batch sum to 0, where the loss divides by the sum.
        """
        cdef Status status
        cdef const Kernels *k = self.k
        self.begin_slice(n_epochs)
        self.t.seconds = seconds
        with self.lock:
            with nogil:
                status = k.train(self.t, self.workspace)
        word = self.outcome(status)
        if word == "weightless":
            raise ZeroDivisionError(WEIGHTLESS)
        return word

    cdef int begin_slice(self, int64_t n_epochs) except -1:
        """Allow this number of epochs in the next slice."""
        cdef int64_t room = cnp.PyArray_SIZE(self.epoch_loss), end = self.first_epoch + self.t.epoch
        cdef int64_t wanted = min(n_epochs, self.n_epochs - end)
        if self.t.epoch + wanted > room:  # the caller has read the arrays
            self.first_epoch += self.t.epoch
            self.t.epoch = self.t.epochs_stamped = 0
            self.t.checks_numbers = False
            wanted = min(wanted, room)
        end += wanted
        if self.t.learning_rate_stride and (end - self.rates_from) * self.steps > self.n_rates():
            raise ValueError("rates: expected one for each step of all epochs, got too few")
        self.t.n_epochs = self.t.epoch + wanted
        return 0

    cdef str outcome(self, Status status):
        """Give the trainer the number of updates, and return the word for the end of a slice."""
        if self.stepper is not None:  # not in Python, which Ctrl-C can interrupt before
            self.stepper.native.training.updates = self.t.updates
            if status == Status.diverged:
                self.stepper.native.forget()
        if status == Status.diverged:
            return "diverged"
        if status == Status.weightless:
            return "weightless"
        return "finished" if self.epoch == self.n_epochs else "paused"

    @property
    def epoch(self):
        """Return the number of epochs that have ended."""
        return self.first_epoch + self.t.epoch

    @property
    def is_between_epochs(self):
        return self.t.row == 0

    @property
    def updates(self):
        return self.t.updates

    @property
    def batch_loss(self):
        return self.t.batch_loss


def advance_many(list runs, list n_epochs, double seconds, n_threads):
    """Train several runs at once, each for its number of epochs, or of seconds in all. Return what `advance` returns of each.

    No two runs may have the same network or bit generator. "weightless" stands for a ZeroDivisionError.
    """
    cdef vector[Member] members
    cdef Member member
    cdef Run run
    cdef double work = 0
    for run, epochs in zip(runs, n_epochs, strict=True):
        run.begin_slice(epochs)
        work += run.t.step_work * <double>(run.steps * (run.t.n_epochs - run.t.epoch))
        member.kernels, member.training, member.workspace = run.k, &run.t, run.workspace
        members.push_back(member)
    cdef int64_t n = <int64_t>members.size()
    cdef int threads = wanted_threads(n_threads) or most_threads_for(work)
    with ExitStack() as stack:
        for lock in sorted(((<Run>each).lock for each in runs), key=id):  # one order for all callers, so that none waits for ever
            stack.enter_context(lock)
        with nogil:
            train_many(members.data(), n, threads, seconds)
    cdef int64_t i
    return [(<Run>runs[i]).outcome(members[i].status) for i in range(n)]
