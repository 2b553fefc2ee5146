"""Activations and their derivatives, element by element: NumPy ufuncs on the compiled kernels.

A derivative is a function of the activation's output if the output determines it, and otherwise of the input (gelu, silu,
mish).
"""

from __future__ import annotations

from fastnn.ops._ufuncs import ufunc

__all__ = [
    "elu",
    "elu_grad",
    "gelu",
    "gelu_grad",
    "leaky_relu",
    "leaky_relu_grad",
    "mish",
    "mish_grad",
    "relu",
    "relu_grad",
    "selu",
    "selu_grad",
    "sigmoid",
    "sigmoid_grad",
    "silu",
    "silu_grad",
    "softplus",
    "softplus_grad",
    "tanh",
    "tanh_grad",
]
__dir__ = __all__.copy

sigmoid = ufunc(
    "sigmoid",
    """Return the logistic function, 1 / (1 + exp(-x)), computed so that nothing overflows.

>>> sigmoid([0.0, -1000.0])
array([0.5, 0. ])
""",
)

sigmoid_grad = ufunc(
    "sigmoid_grad",
    """Return the derivative of `sigmoid` as a function of its output: x * (1 - x).

>>> sigmoid_grad([0.5, 1.0])
array([0.25, 0.  ])
""",
)

tanh = ufunc(
    "tanh",
    """Return the hyperbolic tangent, (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

>>> tanh([0.0, 1000.0])
array([0., 1.])
""",
)

tanh_grad = ufunc(
    "tanh_grad",
    """Return the derivative of `tanh` as a function of its output: 1 - x**2.

>>> tanh_grad([0.5, 1.0])
array([0.75, 0.  ])
""",
)

relu = ufunc(
    "relu",
    """Return the rectified linear unit, max(x, 0).

>>> relu([-1.0, 2.0])
array([0., 2.])
""",
)

relu_grad = ufunc(
    "relu_grad",
    """Return the derivative of `relu` as a function of its output: 1 if x > 0, else 0.

>>> relu_grad([0.0, 2.0])
array([0., 1.])
""",
)

leaky_relu = ufunc(
    "leaky_relu",
    """Return x if x > 0, else 0.01 * x.

>>> leaky_relu([-1.0, 2.0])
array([-0.01,  2.  ])
""",
)

leaky_relu_grad = ufunc(
    "leaky_relu_grad",
    """Return the derivative of `leaky_relu` as a function of its output: 1 if x > 0, else 0.01.

>>> leaky_relu_grad([-0.01, 2.0])
array([0.01, 1.  ])
""",
)

elu = ufunc(
    "elu",
    """Return the exponential linear unit, x if x > 0, else exp(x) - 1 (Clevert et al. 2016, arXiv:1511.07289).

>>> elu([0.0, 2.0])
array([0., 2.])
""",
)

elu_grad = ufunc(
    "elu_grad",
    """Return the derivative of `elu` as a function of its output: 1 if x > 0, else x + 1.

>>> elu_grad([-0.75, 2.0])
array([0.25, 1.  ])
""",
)

gelu = ufunc(
    "gelu",
    """Return x times the normal distribution function at x, exactly (Hendrycks & Gimpel 2016, arXiv:1606.08415).

That is x / 2 * (1 + erf(x / sqrt(2))), not its approximation by tanh.

>>> gelu([0.0, 50.0])
array([ 0., 50.])
""",
)

gelu_grad = ufunc(
    "gelu_grad",
    """Return the derivative of `gelu` as a function of its input: the normal distribution function plus x times its density.

>>> gelu_grad([0.0, 50.0])
array([0.5, 1. ])
""",
)

silu = ufunc(
    "silu",
    """Return x / (1 + exp(-x)), also called swish (Elfwing et al. 2018, arXiv:1702.03118).

>>> silu([0.0, 1000.0])
array([   0., 1000.])
""",
)

silu_grad = ufunc(
    "silu_grad",
    """Return the derivative of `silu` as a function of its input: s * (1 + x * (1 - s)) with s = sigmoid(x).

>>> silu_grad([0.0, 1000.0])
array([0.5, 1. ])
""",
)

selu = ufunc(
    "selu",
    """Return 1.0507 * (x if x > 0, else 1.6733 * (exp(x) - 1)) (Klambauer et al. 2017, arXiv:1706.02515).

The two constants, 1.0507009873554805 and 1.6732632423543772, keep mean 0 and variance 1 from layer to layer.

>>> selu([-1000.0, 0.0, 1.0])
array([-1.75809934,  0.        ,  1.05070099])
""",
)

selu_grad = ufunc(
    "selu_grad",
    """Return the derivative of `selu` as a function of its output: 1.0507 if x > 0, else x + 1.7581.

>>> selu_grad([0.0, 1.0])
array([1.75809934, 1.05070099])
""",
)

mish = ufunc(
    "mish",
    """Return x * tanh(log(1 + exp(x))) (Misra 2019, arXiv:1908.08681).

>>> mish([0.0, 1000.0])
array([   0., 1000.])
""",
)

mish_grad = ufunc(
    "mish_grad",
    """Return the derivative of `mish` as a function of its input.

With t = tanh(log(1 + exp(x))), it is t + x * (1 - t**2) * sigmoid(x).

>>> mish_grad([0.0, 1000.0])
array([0.6, 1. ])
""",
)

softplus = ufunc(
    "softplus",
    """Return log(1 + exp(x)), computed so that nothing overflows.

>>> softplus([-1000.0, 1000.0])
array([   0., 1000.])
""",
)

softplus_grad = ufunc(
    "softplus_grad",
    """Return the derivative of `softplus` as a function of its output: 1 - exp(-x).

>>> softplus_grad([0.0, 1000.0])
array([0., 1.])
""",
)
