"""fastnn's elementary functions and activations of one number, for code that Numba compiles."""

from __future__ import annotations

from typing import Any

from fastnn._elementary import functions as _formulas
from fastnn.jit._llvm import scalar_function

# The functions for compiled code, under the names of their counterparts for arrays in fastnn.ops.
FUNCTIONS: dict[str, Any] = {
    formula.__name__: scalar_function(formula)
    for formula in (
        _formulas.exp,
        _formulas.expm1,
        _formulas.sigmoid,
        _formulas.tanh,
        _formulas.log,
        _formulas.log1p,
        _formulas.tanh_grad,
        _formulas.sigmoid_grad,
        _formulas.relu,
        _formulas.relu_grad,
        _formulas.leaky_relu,
        _formulas.leaky_relu_grad,
        _formulas.elu,
        _formulas.elu_grad,
        _formulas.softplus,
        _formulas.softplus_grad,
    )
}

# This function replaces math.atan, which would prevent the vectorization of loops.
ARCTAN = scalar_function(_formulas.arctan)
