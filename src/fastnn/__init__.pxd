"""fastnn's kernels for code that runs without the GIL: ``cimport fastnn``. docs/cython.md has examples.

Pointers are to float or double elements side by side; a matrix is one row after the other. Shapes are the caller's to get
right: nothing here can check them. What else can go wrong raises Python's exceptions, for which the GIL is taken.
"""
from libc.stdint cimport int64_t

from fastnn._core cimport (
    c_accumulate,
    c_accumulate_gradient,
    c_activate_float32,
    c_activate_float64,
    c_adagrad,
    c_adam,
    c_adamw,
    c_apply_accumulated,
    c_function_float32,
    c_function_float64,
    c_gradient,
    c_jacobian,
    c_linear,
    c_lion,
    c_loss_labels,
    c_loss_targets,
    c_model_loss,
    c_momentum,
    c_n_parameters,
    c_nadam,
    c_nesterov,
    c_predict,
    c_rmsprop,
    c_sgd,
    c_train_step,
    c_train_step_gradient,
    c_trainer_outputs,
    c_update_float32,
    c_update_float64,
    c_vjp,
)

ctypedef fused real:
    float
    double


cdef inline int64_t type_number(real *_) noexcept nogil:
    """The kernels' number of the element type."""
    return 0 if real is float else 1


# ---- Names and their numbers for the functions below. These functions need the GIL -----------------------------------------

cdef inline int64_t function(str name) except -1:
    """An elementwise function of fastnn.ops: "tanh", "gelu_grad", "exp", …"""
    return _number("FUNCTIONS", name)


cdef inline int64_t activation(str name) except -1:
    """An activation of a layer: "identity", "tanh", "softmax", …"""
    return _number("ACTIVATIONS", name)


cdef inline int64_t _number(str names, str name) except -1:
    from fastnn import _core

    listed = getattr(_core, names)
    if name not in listed:
        raise ValueError(f"name: expected one of {', '.join(listed)}, got {name!r}")
    return listed.index(name)


# ---- Functions of arrays ---------------------------------------------------------------------------------------------------

cdef inline void apply(int64_t function, const real *x, real *y, int64_t n) noexcept nogil:
    """y = f(x) for n elements; y may be x."""
    if real is float:
        c_function_float32(function, x, y, n)
    else:
        c_function_float64(function, x, y, n)


cdef inline void activate(int64_t activation, real *z, int64_t n_rows, int64_t n) noexcept nogil:
    """z becomes its activation, rows of n elements: softmax, too."""
    if real is float:
        c_activate_float32(activation, z, n_rows, n)
    else:
        c_activate_float64(activation, z, n_rows, n)


cdef inline int linear(const real *x, const real *w, const real *b, int64_t activation, real *out, int64_t n_rows, int64_t n_in,
                       int64_t n_out, int64_t n_threads=0) except -1 nogil:
    """out = activation(x @ w + b), for x (n_rows, n_in), w (n_in, n_out), b (n_out,) or NULL, and out (n_rows, n_out) apart from them.

    n_threads 0: as many as pay.
    """
    cdef int64_t number = type_number(out), size = sizeof(real)
    if c_linear(number, n_rows, n_in, n_out, x, number, n_in * size, size, w, number, n_out * size, size, b, number, size,
                activation, out, n_threads) != 0:
        with gil:
            raise MemoryError("there is no memory for the layer's workspace")
    return 0


# ---- Optimizers: one update of n parameters, in place, after `updates` previous ones ---------------------------------------

cdef inline void _update(int64_t optimizer, real *w, const real *g, real *m, real *v, int64_t n, double learning_rate, double beta_1,
                         double beta_2, double epsilon, double decay, int64_t updates) noexcept nogil:
    if real is float:
        c_update_float32(optimizer, w, g, m, v, n, learning_rate, beta_1, beta_2, epsilon, decay, updates)
    else:
        c_update_float64(optimizer, w, g, m, v, n, learning_rate, beta_1, beta_2, epsilon, decay, updates)


cdef inline void sgd(real *w, const real *g, int64_t n, double learning_rate) noexcept nogil:
    _update(c_sgd, w, g, <real *>NULL, <real *>NULL, n, learning_rate, 0, 0, 0, 0, 0)


cdef inline void momentum(real *w, const real *g, real *velocity, int64_t n, double learning_rate, double momentum,
                          bint nesterov=False) noexcept nogil:
    _update(c_nesterov if nesterov else c_momentum, w, g, velocity, <real *>NULL, n, learning_rate, momentum, 0, 0, 0, 0)


cdef inline void adagrad(real *w, const real *g, real *sum, int64_t n, double learning_rate, double epsilon=1e-10) noexcept nogil:
    _update(c_adagrad, w, g, sum, <real *>NULL, n, learning_rate, 0, 0, epsilon, 0, 0)


cdef inline void rmsprop(real *w, const real *g, real *v, int64_t n, double learning_rate, double decay=0.99,
                         double epsilon=1e-8) noexcept nogil:
    _update(c_rmsprop, w, g, v, <real *>NULL, n, learning_rate, decay, 0, epsilon, 0, 0)


cdef inline void adam(real *w, const real *g, real *m, real *v, int64_t n, int64_t updates, double learning_rate=0.001,
                      double beta_1=0.9, double beta_2=0.999, double epsilon=1e-8) noexcept nogil:
    _update(c_adam, w, g, m, v, n, learning_rate, beta_1, beta_2, epsilon, 0, updates)


cdef inline void adamw(real *w, const real *g, real *m, real *v, int64_t n, int64_t updates, double learning_rate=0.001,
                       double beta_1=0.9, double beta_2=0.999, double epsilon=1e-8, double weight_decay=0.01) noexcept nogil:
    _update(c_adamw, w, g, m, v, n, learning_rate, beta_1, beta_2, epsilon, weight_decay, updates)


cdef inline void nadam(real *w, const real *g, real *m, real *v, int64_t n, int64_t updates, double learning_rate=0.002,
                       double beta_1=0.9, double beta_2=0.999, double epsilon=1e-8, double momentum_decay=0.004) noexcept nogil:
    _update(c_nadam, w, g, m, v, n, learning_rate, beta_1, beta_2, epsilon, momentum_decay, updates)


cdef inline void lion(real *w, const real *g, real *m, int64_t n, double learning_rate=0.0001, double beta_1=0.9,
                      double beta_2=0.99, double weight_decay=0.0) noexcept nogil:
    _update(c_lion, w, g, m, <real *>NULL, n, learning_rate, beta_1, beta_2, 0, weight_decay, 0)


# ---- Models and trainers ---------------------------------------------------------------------------------------------------

# Handles of a fastnn.MLP or a fastnn.Trainer for code without the GIL. Keep the object alive while you use its handle.
cdef struct Model:
    const void *address
    int64_t n_in, n_out, type, n_parameters

# A loss of one model, which must live as long. Targets have n_targets columns.
cdef struct Loss:
    const void *address
    int64_t n_targets, n_out, type
    bint takes_labels

cdef struct Trainer:
    void *address
    int64_t n_in, n_out, type
    bint takes_labels


cdef inline Model model_of(object mlp) except *:
    """The handle of a fastnn.MLP. With the GIL."""
    cdef Model model
    address, model.n_in, model.n_out = mlp._native_model
    model.address = <const void *><size_t>address
    model.type = mlp.dtype.itemsize == 8
    model.n_parameters = c_n_parameters(model.address)
    return model


cdef inline Loss loss_of(object mlp, str name) except *:
    """Return the handle of a built-in loss without options, for a fastnn.MLP. With the GIL."""
    cdef Model model = model_of(mlp)
    cdef Loss loss
    loss.address = c_model_loss(model.address, _number("LOSSES", name))
    if loss.address == NULL:
        raise ValueError(f"name: expected a loss that suits the model's output activation and outputs, got {name!r}")
    loss.n_targets, loss.n_out, loss.type = c_loss_targets(loss.address), model.n_out, model.type
    loss.takes_labels = c_loss_labels(loss.address) != 0
    return loss


cdef inline Trainer trainer_of(object trainer) except *:
    """The handle of a fastnn.Trainer; what is assigned to this later takes effect in steps by the handle, too. With the GIL."""
    cdef Trainer handle
    address, handle.n_in, handle.n_out, handle.takes_labels = trainer._native_trainer
    handle.address = <void *><size_t>address
    handle.type = trainer.model.dtype.itemsize == 8
    return handle


cdef inline int predict(Model model, const real *x, real *out, int64_t n_rows, int64_t n_threads=0) except -1 nogil:
    """The model's outputs (n_rows, n_out) for x (n_rows, n_in), both of its type."""
    cdef int64_t number = type_number(out), size = sizeof(real), status
    _check_type(model.type, number)
    status = c_predict(model.address, n_rows, x, number, model.n_in * size, size, out, n_threads)
    if status != 0:
        with gil:
            raise MemoryError("there is no memory for the layers' outputs")
    return 0


# ---- Derivatives: gradients with respect to the parameters are one vector in the order of MLP.to_vector -------------------

cdef inline int jacobian(Model model, const real *x, real *out, int64_t n_rows, int64_t n_threads=0) except -1 nogil:
    """Store the derivatives of the outputs with respect to the inputs, (n_rows, n_out, n_in) for x (n_rows, n_in)."""
    cdef int64_t number = type_number(out), size = sizeof(real)
    _check_type(model.type, number)
    return _check_memory(c_jacobian(model.address, n_rows, x, number, model.n_in * size, size, out, n_threads))


cdef inline int vjp(Model model, const real *x, const real *g, real *gradient, real *input_gradient, int64_t n_rows,
                    int64_t n_threads=0) except -1 nogil:
    """Store the products of g (n_rows, n_out) with the derivatives of the outputs: n_parameters, and (n_rows, n_in).

    Either result may be NULL.
    """
    cdef int64_t number = type_number(gradient), size = sizeof(real)
    _check_type(model.type, number)
    return _check_memory(c_vjp(model.address, n_rows, x, number, model.n_in * size, size, g, number, model.n_out * size, size,
                               gradient, input_gradient, n_threads))


cdef inline double loss(Model model, Loss of, const real *x, const real *y, int64_t n_rows) except? -1 nogil:
    """Return a loss for rows x (n_rows, n_in) and y (n_rows, n_targets)."""
    return gradient(model, of, x, y, <real *>NULL, <real *>NULL, n_rows)


cdef inline double loss_on_labels(Model model, Loss of, const real *x, const int64_t *labels, int64_t n_rows) except? -1 nogil:
    """Return the same for classes from 0 to n_out - 1, one per row."""
    return gradient_on_labels(model, of, x, labels, <real *>NULL, <real *>NULL, n_rows)


cdef inline double gradient(Model model, Loss of, const real *x, const real *y, real *gradient, real *input_gradient,
                            int64_t n_rows) except? -1 nogil:
    """Return the loss, and store its gradients: n_parameters, and (n_rows, n_in). Either may be NULL."""
    cdef int64_t number = type_number(gradient), size = sizeof(real)
    _check_type(model.type, number)
    return _gradient(model, of, n_rows, x, number, size, y, number, of.n_targets * size, size, False, gradient, input_gradient)


cdef inline double gradient_on_labels(Model model, Loss of, const real *x, const int64_t *labels, real *gradient,
                                      real *input_gradient, int64_t n_rows) except? -1 nogil:
    """Return and store the same for classes from 0 to n_out - 1, one per row."""
    cdef int64_t number = type_number(gradient)
    _check_type(model.type, number)
    _check_labels(of.takes_labels, of.n_out, labels, n_rows)
    return _gradient(model, of, n_rows, x, number, sizeof(real), labels, 8, sizeof(int64_t), sizeof(int64_t), True, gradient,
                     input_gradient)


cdef inline double _gradient(Model model, Loss of, int64_t n_rows, const void *x, int64_t x_type, int64_t x_size, const void *y,
                             int64_t y_type, int64_t y_row, int64_t y_column, bint labels, void *gradient,
                             void *input_gradient) except? -1 nogil:
    cdef double value = 0
    _check_rows(n_rows)
    _check_memory(c_gradient(model.address, of.address, n_rows, x, x_type, model.n_in * x_size, x_size, y, y_type, y_row,
                             y_column, labels, gradient, input_gradient, &value))
    return value


# ---- Steps -----------------------------------------------------------------------------------------------------------------

cdef inline double train_step(Trainer trainer, const real *x, const real *y, int64_t n_rows) except? -1 nogil:
    """One update on a batch of rows x (n_rows, n_in) and y (n_rows, n_out); the loss before it."""
    cdef int64_t number = 0 if real is float else 1, size = sizeof(real)
    return _step(trainer, n_rows, x, number, size, y, number, trainer.n_out * size, size, False)


cdef inline double train_step_on_labels(Trainer trainer, const real *x, const int64_t *labels, int64_t n_rows) except? -1 nogil:
    """The same for classes from 0 to n_out - 1, one a row; of a trainer with cross-entropy."""
    cdef int64_t number = 0 if real is float else 1
    _check_labels(trainer.takes_labels, trainer.n_out, labels, n_rows)
    return _step(trainer, n_rows, x, number, sizeof(real), labels, 8, sizeof(int64_t), sizeof(int64_t), True)


cdef inline double _step(Trainer trainer, int64_t n_rows, const void *x, int64_t x_type, int64_t x_size, const void *y, int64_t y_type,
                         int64_t y_row, int64_t y_column, bint labels) except? -1 nogil:
    cdef double loss = 0
    cdef int64_t status
    _check_rows(n_rows)
    status = c_train_step(trainer.address, n_rows, x, x_type, trainer.n_in * x_size, x_size, y, y_type, y_row, y_column, labels, &loss)
    _check_step(status)
    return loss


cdef inline int train_step_gradient(Trainer trainer, const real *x, const real *g, int64_t n_rows) except -1 nogil:
    """Make one update with the gradient of any loss with respect to the outputs, g (n_rows, outputs of the model)."""
    cdef int64_t number = 0 if real is float else 1, size = sizeof(real)
    _check_rows(n_rows)
    return _check_step(c_train_step_gradient(trainer.address, n_rows, x, number, trainer.n_in * size, size, g, number,
                                             c_trainer_outputs(trainer.address) * size, size))


# ---- Several batches in one step -------------------------------------------------------------------------------------------

cdef inline double accumulate(Trainer trainer, const real *x, const real *y, int64_t n_rows) except? -1 nogil:
    """Add the gradient of a batch to those of earlier batches, and return its loss without penalties."""
    cdef int64_t number = 0 if real is float else 1, size = sizeof(real)
    return _accumulate(trainer, n_rows, x, number, size, y, number, trainer.n_out * size, size, False)


cdef inline double accumulate_on_labels(Trainer trainer, const real *x, const int64_t *labels, int64_t n_rows) except? -1 nogil:
    """Do the same for classes from 0 to n_out - 1, one per row, of a trainer with cross-entropy."""
    cdef int64_t number = 0 if real is float else 1
    _check_labels(trainer.takes_labels, trainer.n_out, labels, n_rows)
    return _accumulate(trainer, n_rows, x, number, sizeof(real), labels, 8, sizeof(int64_t), sizeof(int64_t), True)


cdef inline double _accumulate(Trainer trainer, int64_t n_rows, const void *x, int64_t x_type, int64_t x_size, const void *y,
                               int64_t y_type, int64_t y_row, int64_t y_column, bint labels) except? -1 nogil:
    cdef double loss = 0
    _check_rows(n_rows)
    _check_step(c_accumulate(trainer.address, n_rows, x, x_type, trainer.n_in * x_size, x_size, y, y_type, y_row, y_column, labels,
                             &loss), _part)
    return loss


cdef inline int accumulate_gradient(Trainer trainer, const real *x, const real *g, int64_t n_rows) except -1 nogil:
    """Add the gradient of any loss, given its gradient with respect to the outputs, g (n_rows, outputs of the model), unscaled."""
    cdef int64_t number = 0 if real is float else 1, size = sizeof(real)
    _check_rows(n_rows)
    return _check_step(c_accumulate_gradient(trainer.address, n_rows, x, number, trainer.n_in * size, size, g, number,
                                             c_trainer_outputs(trainer.address) * size, size), _part)


cdef inline int apply_accumulated(Trainer trainer) except -1 nogil:
    """Make one update with the accumulated gradients, and discard them."""
    return _check_step(c_apply_accumulated(trainer.address), _accumulated)


# ---- Checks ----------------------------------------------------------------------------------------------------------------

cdef inline int _check_rows(int64_t n_rows) except -1 nogil:
    if n_rows < 1:
        with gil:
            raise ValueError(f"n_rows: expected at least 1, got {n_rows}")
    return 0


cdef inline int _check_labels(bint taken, int64_t n_out, const int64_t *labels, int64_t n_rows) except -1 nogil:
    cdef int64_t i
    if not taken:
        with gil:
            raise ValueError("labels: got them for another loss than cross_entropy")
    for i in range(n_rows):
        if labels[i] < 0 or labels[i] >= n_out:
            with gil:
                raise ValueError(f"labels: expected 0 to {n_out - 1}, got {labels[i]} at row {i}")
    return 0


cdef inline int _check_memory(int64_t status) except -1 nogil:
    if status != 0:
        with gil:
            raise MemoryError("there is no memory for a workspace")
    return 0


cdef enum _Call:
    _of_a_batch, _part, _accumulated


cdef inline int _check_step(int64_t status, _Call call=_of_a_batch) except -1 nogil:
    if status == 0:
        return 0
    with gil:
        from fastnn import DivergedError, _errors

        if status == 1:
            raise DivergedError((_errors.DIVERGED_STEP, _errors.DIVERGED_PART, _errors.DIVERGED_UPDATE)[<int>call])
        if status == 2:
            raise RuntimeError("this trainer is already running, in another thread")
        if status == 3:
            raise ValueError("labels: got them for another loss than cross_entropy, which the trainer has now")
        if status == 4:
            raise RuntimeError("apply_accumulated: nothing was accumulated; accumulate adds the gradient of a batch")
        raise MemoryError("there is no memory for the step's workspace")


cdef inline int _check_type(int64_t expected, int64_t got) except -1 nogil:
    if expected != got:
        with gil:
            names = "float", "double"
            raise TypeError(f"x, out: expected {names[expected]}, the model's type, got {names[got]}")
    return 0
