"""Single steps of training. Included by _core.pyx."""

@cython.final
cdef class Stepper:
    """Make single steps of training, count all updates, and let one caller at a time hold the trainer."""

    cdef NativeStepper native
    cdef OwnBlocks own_blocks  # in place of the network's, if blocks have settings of their own
    cdef tuple keep  # the objects that the native side points to
    cdef object lock
    cdef bint steps_are_quick, targets_are_quick  # whether `quick_step` may take a step, and one by targets
    cdef TargetRules rules
    cdef vector[HeadRules] heads
    cdef readonly Network network
    cdef public bint in_run  # whether the holder of the trainer is making a run; the end of the hold resets it

    def __init__(self, Network network, settings, int64_t updates):
        self.network = network
        self.native.training.updates = updates
        self.native.model = &network.model
        self.native.type = network.type
        self.native.work_per_row = 3 * network.operations_per_row
        self.configure(settings)

    def configure(self, settings):
        """Use these settings from the next step on. Hold the trainer. After an exception, nothing has changed."""
        cdef TrainingSettings *present = &self.native.training
        cdef TrainingSettings wanted = present[0]
        cdef OwnBlocks own_blocks
        loss = fill_settings(&wanted, own_blocks, self.network, settings)
        wanted.averaging.ends_epochs = False
        cdef int n_threads = wanted_threads(settings.n_threads)
        cdef double rate = settings.rate
        self.rules = rules_of(settings.loss, &self.heads)
        present[0] = wanted
        self.own_blocks.swap(own_blocks)  # which moves no block in memory
        self.native.n_threads = n_threads
        self.native.learning_rates[0] = rate
        self.native.takes_labels = settings.loss.takes_labels
        self.native.forget()
        self.steps_are_quick = not isnan(rate) and not (any(self.network.dropout) or self.network.input_dropout)
        self.targets_are_quick = settings.loss.plain
        self.lock = settings.bit_generator.lock
        self.keep = (settings, loss)

    @property
    def address(self):
        """Return the address of the trainer for native code. It is valid while this object exists."""
        return <uintptr_t>&self.native

    @property
    def updates(self):
        """Return the number of updates so far."""
        return self.native.training.updates

    @updates.setter
    def updates(self, int64_t value):
        self.native.training.updates = value

    @property
    def settings(self):
        """Return the settings in use."""
        return self.keep[0]

    def hold(self):
        """Return a hold on the trainer. Raise RuntimeError if another caller has it."""
        cdef Hold hold = Hold.__new__(Hold)
        hold.stepper = self
        hold.holds = self.native.acquire()
        if not hold.holds:
            raise RuntimeError(IN_USE)
        return hold

    def new_run(self, data, settings, int64_t n_epochs):
        """Return a run of the network, which goes on from the updates so far. Hold the trainer.

        `settings` are those of the stepper, apart from those that single steps do not use. Each run uses the memory of the run
        before, which must not advance any more.
        """
        return Run(self.network, data, settings, n_epochs, self.native.training.updates, self)

    def step(self, data, rates, bint given=False, bint checks_numbers=False):
        """Make a step on a batch, and return the loss before it. Hold the trainer.

        `rates` is the learning rate, or a vector with it and the values of the settings that follow schedules.
        With `given`, the targets are the gradient of a loss with respect to the outputs, summed over rows. Return None,
        with nothing changed, if the loss or the update is not finite; with `checks_numbers`, which is for `unchecked_data`, also
        if a number of the batch is not.
        """
        cdef Rows inputs, targets
        cdef const double *weights
        cdef StepStatus status
        cdef int64_t n_rows = self.fill_batch(data, given, &inputs, &targets, &weights)
        cdef double native_rate = self.native.learning_rates[0]
        fill_rates(self.native.learning_rates, rates, self.native.training.optimizer)
        self.native.training.checks_numbers = checks_numbers
        with self.lock:
            with nogil:
                status = (self.native.step_gradient(inputs, targets, n_rows) if given
                          else self.native.step(inputs, targets, weights, n_rows))
        self.native.training.checks_numbers = False
        self.native.learning_rates[0] = native_rate
        return self.result(status)

    cdef int64_t fill_batch(self, data, bint given, Rows *inputs, Rows *targets, const double **weights) except -1:
        """Fill in a batch, and return the number of its rows."""
        x, y, labels, sample_weight = data
        cdef Network network = self.network
        cdef int64_t n_rows = network.count_rows(x)
        if n_rows < 1:
            raise ValueError("there must be rows to train on")
        network.fill_x(inputs, x, n_rows)
        cdef int64_t n_out = network.layers[network.native.n_layers - 1].n_out
        fill_rows(targets, y, "y", n_rows, n_out if given else network.n_targets(self.native.training.loss), labels)
        weights[0] = weights_of(sample_weight, n_rows)
        self.native.work_per_row = 3 * network.operations(x)
        return n_rows

    def accumulate(self, data, bint given=False, double dropout_factor=1.0, double label_smoothing_factor=1.0):
        """Add the gradient of a batch to those of earlier batches, and return its loss, or None if that is not finite.

        The arguments have the same meaning as those of `step`; the factors are those of the step. Hold the trainer.
        """
        cdef Rows inputs, targets
        cdef const double *weights
        cdef StepStatus status
        cdef int64_t n_rows = self.fill_batch(data, given, &inputs, &targets, &weights)
        self.native.dropout_factor, self.native.label_smoothing_factor = dropout_factor, label_smoothing_factor
        with self.lock:
            with nogil:
                status = (self.native.accumulate_gradient(inputs, targets, n_rows) if given
                          else self.native.accumulate(inputs, targets, weights, n_rows))
        return self.result(status)

    def apply(self, rates):
        """Make an update with the accumulated gradients, and discard them. Hold the trainer; return as `step`."""
        cdef StepStatus status
        cdef double native_rate = self.native.learning_rates[0]
        fill_rates(self.native.learning_rates, rates, self.native.training.optimizer)
        with nogil:
            status = self.native.apply()
        self.native.learning_rates[0] = native_rate
        return self.result(status)

    def apply_gradient(self, cnp.ndarray gradient, rates, bint ends_epoch=False, bint restores=True):
        """Make an update with a gradient like the storage, which changes, and return the penalty. Hold the trainer; return as `step`.

        `ends_epoch` says whether it is the last one of an epoch, for an average over epochs. Without `restores`, the state has
        changed even if the result is None.
        """
        cdef StepStatus status
        cdef double native_rate = self.native.learning_rates[0]
        cdef void *start = self.network.output(gradient, self.native.training.network.size)
        fill_rates(self.native.learning_rates, rates, self.native.training.optimizer)
        with nogil:
            status = self.native.apply_gradient(start, ends_epoch, restores)
        self.native.learning_rates[0] = native_rate
        return self.result(status)

    @property
    def accumulated(self):
        """Return copies of the accumulated gradients, or None if there are none.

        They are the gradient of the mean loss of all batches, the sum of the gradients that were added unscaled, both like
        the storage, and the total weight of the rows in the mean.
        """
        cdef cnp.ndarray mean = np.empty_like(self.network.storage), given = np.empty_like(self.network.storage)
        cdef double weight = 0
        if not self.native.accumulated.get(cnp.PyArray_DATA(mean), cnp.PyArray_DATA(given), &weight):
            return None
        return mean, given, weight

    @accumulated.setter
    def accumulated(self, value):
        cdef int64_t size = self.native.training.network.size
        mean, given, weight = value
        cdef const void *first = self.network.output(mean, size)
        cdef const void *second = self.network.output(given, size)
        if not self.native.accumulated.reserve(size, self.native.type):
            raise MemoryError("there is no memory for the accumulated gradients")
        self.native.accumulated.set(first, second, weight)

    cdef object result(self, StepStatus status):
        if status == StepStatus.no_memory:
            raise MemoryError("there is no memory for the step's workspace")
        if status == StepStatus.weightless:
            raise ZeroDivisionError(WEIGHTLESS)
        if status == StepStatus.nothing_accumulated:
            raise RuntimeError(NOTHING_ACCUMULATED)
        return self.native.training.batch_loss if status == StepStatus.done else None


@cython.final
@cython.no_gc_clear
cdef class Hold:
    """A stepper in the hands of one caller: until the end of a `with` block, or until this object dies.

    Ctrl-C can interrupt Python after any call, so that a call to acquire and one to release would leave the stepper taken if it came
    before the `try` of the caller, or before the second call. `with` calls native methods only.
    """

    cdef Stepper stepper
    cdef bint holds

    def __enter__(self):
        return self.stepper

    def __exit__(self, *error):
        self.end()

    def __dealloc__(self):
        self.end()

    cdef void end(self) noexcept:
        if self.holds:
            self.holds = self.stepper.in_run = False
            self.stepper.native.release()
