# cython: language_level=3, boundscheck=False, wraparound=False
"""A user's extension, which trains, predicts and computes with fastnn's kernels in loops without the GIL."""
cimport fastnn
from fastnn cimport real
from libc.stdint cimport int64_t


def train(trainer, real[:, ::1] X, real[:, ::1] y, int64_t steps):
    """Return the losses of the first and the last of `steps` steps on one batch."""
    cdef fastnn.Trainer handle = fastnn.trainer_of(trainer)
    cdef double loss = 0, first = 0
    cdef int64_t i
    if X.shape[1] != handle.n_in or y.shape[1] != handle.n_out or X.shape[0] != y.shape[0]:
        raise ValueError("X and y don't fit the trainer's model")
    with nogil:
        for i in range(steps):
            loss = fastnn.train_step(handle, &X[0, 0], &y[0, 0], X.shape[0])
            if i == 0:
                first = loss
    return first, loss


def train_on_labels(trainer, real[:, ::1] X, int64_t[::1] labels, int64_t steps):
    cdef fastnn.Trainer handle = fastnn.trainer_of(trainer)
    cdef double loss = 0
    cdef int64_t i
    with nogil:
        for i in range(steps):
            loss = fastnn.train_step_on_labels(handle, &X[0, 0], &labels[0], X.shape[0])
    return loss


def simulate(policy, real[::1] state, int64_t steps):
    """Repeat state += policy(state)."""
    cdef fastnn.Model model = fastnn.model_of(policy)
    cdef real[16] change
    cdef int64_t i, j, n = state.shape[0]
    if model.n_in != n or model.n_out != n or n > 16:
        raise ValueError("the policy doesn't fit the state")
    with nogil:
        for i in range(steps):
            fastnn.predict(model, &state[0], &change[0], 1)
            for j in range(n):
                state[j] += change[j]


def derivatives(mlp, real[:, ::1] x, real[:, ::1] g, real[:, :, ::1] jacobian, real[::1] gradient, real[:, ::1] by_input):
    """Fill in the Jacobians of rows x, and the gradients of a function whose gradients with respect to the outputs are g."""
    cdef fastnn.Model model = fastnn.model_of(mlp)
    cdef int64_t n = x.shape[0]
    if x.shape[1] != model.n_in or g.shape[0] != n or g.shape[1] != model.n_out or gradient.shape[0] != model.n_parameters:
        raise ValueError("x, g or gradient doesn't fit the model")
    if by_input.shape[0] != n or by_input.shape[1] != model.n_in:
        raise ValueError("by_input doesn't fit x")
    if jacobian.shape[0] != n or jacobian.shape[1] != model.n_out or jacobian.shape[2] != model.n_in:
        raise ValueError("jacobian doesn't fit the model")
    with nogil:
        fastnn.jacobian(model, &x[0, 0], &jacobian[0, 0, 0], n)
        fastnn.vjp(model, &x[0, 0], &g[0, 0], &gradient[0], &by_input[0, 0], n)


def descend(mlp, str name, real[:, ::1] X, real[:, ::1] y, real[::1] gradient):
    """Return a loss twice, and fill in its gradient by the parameters."""
    cdef fastnn.Model model = fastnn.model_of(mlp)
    cdef fastnn.Loss loss = fastnn.loss_of(mlp, name)
    cdef double value, same
    if X.shape[1] != model.n_in or y.shape[1] != loss.n_targets or X.shape[0] != y.shape[0]:
        raise ValueError("X and y don't fit the model and the loss")
    if gradient.shape[0] != model.n_parameters:
        raise ValueError("gradient doesn't fit the model")
    with nogil:
        value = fastnn.loss(model, loss, &X[0, 0], &y[0, 0], X.shape[0])
        same = fastnn.gradient(model, loss, &X[0, 0], &y[0, 0], &gradient[0], <real *>NULL, X.shape[0])
    return value, same


def descend_on_labels(mlp, str name, real[:, ::1] X, int64_t[::1] labels, real[:, ::1] by_input):
    """Return a loss of labels twice, and fill in its gradient by the inputs, which has the shape of X."""
    cdef fastnn.Model model = fastnn.model_of(mlp)
    cdef fastnn.Loss loss = fastnn.loss_of(mlp, name)
    cdef double value, same
    with nogil:
        value = fastnn.loss_on_labels(model, loss, &X[0, 0], &labels[0], X.shape[0])
        same = fastnn.gradient_on_labels(model, loss, &X[0, 0], &labels[0], <real *>NULL, &by_input[0, 0], X.shape[0])
    return value, same


def step_by_gradient(trainer, real[:, ::1] X, real[:, ::1] G, int64_t steps):
    """Make steps by one gradient by the outputs."""
    cdef fastnn.Trainer handle = fastnn.trainer_of(trainer)
    cdef int64_t i
    with nogil:
        for i in range(steps):
            fastnn.train_step_gradient(handle, &X[0, 0], &G[0, 0], X.shape[0])


def train_in_parts(trainer, real[:, ::1] X, real[:, ::1] y, int64_t size):
    """Make one update with all rows, of which `size` at a time pass through the network. Return the mean loss."""
    cdef fastnn.Trainer handle = fastnn.trainer_of(trainer)
    cdef int64_t first = 0, n
    cdef double loss = 0
    if X.shape[1] != handle.n_in or y.shape[1] != handle.n_out or X.shape[0] != y.shape[0] or size < 1:
        raise ValueError("X and y don't fit the trainer's model")
    with nogil:
        while first < X.shape[0]:
            n = min(size, X.shape[0] - first)
            loss += fastnn.accumulate(handle, &X[first, 0], &y[first, 0], n) * n
            first += n
        fastnn.apply_accumulated(handle)
    return loss / X.shape[0]


def accumulate_on_labels(trainer, real[:, ::1] X, int64_t[::1] labels):
    cdef fastnn.Trainer handle = fastnn.trainer_of(trainer)
    with nogil:
        loss = fastnn.accumulate_on_labels(handle, &X[0, 0], &labels[0], X.shape[0])
    return loss


def accumulate_gradient(trainer, real[:, ::1] X, real[:, ::1] G):
    cdef fastnn.Trainer handle = fastnn.trainer_of(trainer)
    with nogil:
        fastnn.accumulate_gradient(handle, &X[0, 0], &G[0, 0], X.shape[0])


def apply_accumulated(trainer):
    fastnn.apply_accumulated(fastnn.trainer_of(trainer))


def layer(real[:, ::1] x, real[:, ::1] w, real[::1] b, real[:, ::1] out, str activation):
    cdef int64_t number = fastnn.activation(activation)
    with nogil:
        fastnn.linear(&x[0, 0], &w[0, 0], &b[0], number, &out[0, 0], x.shape[0], x.shape[1], w.shape[1])


def apply(str name, real[::1] x):
    cdef int64_t number = fastnn.function(name)
    with nogil:
        fastnn.apply(number, &x[0], &x[0], x.shape[0])


def softmax(real[:, ::1] z):
    cdef int64_t number = fastnn.activation("softmax")
    with nogil:
        fastnn.activate(number, &z[0, 0], z.shape[0], z.shape[1])


def optimize(str name, real[::1] w, real[::1] g, real[::1] m, real[::1] v, int64_t updates):
    """Make one update by the optimizer with that name and a learning rate of 0.1."""
    cdef int64_t n = w.shape[0]
    if name == "sgd":
        fastnn.sgd(&w[0], &g[0], n, 0.1)
    elif name == "momentum":
        fastnn.momentum(&w[0], &g[0], &m[0], n, 0.1, 0.9)
    elif name == "nesterov":
        fastnn.momentum(&w[0], &g[0], &m[0], n, 0.1, 0.9, True)
    elif name == "adagrad":
        fastnn.adagrad(&w[0], &g[0], &m[0], n, 0.1)
    elif name == "rmsprop":
        fastnn.rmsprop(&w[0], &g[0], &m[0], n, 0.1)
    elif name == "adam":
        fastnn.adam(&w[0], &g[0], &m[0], &v[0], n, updates, 0.1)
    elif name == "adamw":
        fastnn.adamw(&w[0], &g[0], &m[0], &v[0], n, updates, 0.1)
    elif name == "nadam":
        fastnn.nadam(&w[0], &g[0], &m[0], &v[0], n, updates, 0.1)
    elif name == "lion":
        fastnn.lion(&w[0], &g[0], &m[0], n, 0.1)
