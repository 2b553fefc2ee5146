"""Compilation of Python functions of numbers to native functions of blocks of numbers."""

from __future__ import annotations

import ctypes
import inspect
import threading
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any, TypeAlias

import numba
import numpy as np
from numba import types
from numba.core.ccallback import CFunc
from numba.core.errors import NumbaError
from numba.extending import intrinsic
from numpy.typing import NDArray

from fastnn.jit._cache import cache_of, fingerprint
from fastnn.jit._translate import translated

# Maps a type of numbers, a compiler, a function, its derivative, the argument of the derivative, and sizes of rows to the
# block function.
Template: TypeAlias = Callable[..., FunctionType]
_Array: TypeAlias = NDArray[np.float64]

# fastmath is off unless a user's function has it: NaN and the order of operations are the same as in Python, whatever the
# width of the vectors.
_OPTIONS = {"nopython": True, "error_model": "numpy"}

# All results of a block in which a function raised: a NaN that no operation gives.
RAISED = np.array(0x7FF8_0000_0000_0FA1, np.uint64).view(np.float64)[()]

_LOCK = threading.Lock()
_BLOCKS: dict[str, Block] = {}  # by fingerprint, so that no two blocks have the same name for the linker


def python_function(argument: str, function: object, *example: float, takes: str | None = None) -> FunctionType:
    """Return the Python function of a callable that takes arguments like `example`, even if Numba has compiled it.

    A function with ``fastmath`` is returned as it is. `takes` names the arguments in errors, if they are not numbers.
    """
    given, function = function, python_of(function)
    expected = f"expected a Python function of {takes or ('one number' if len(example) == 1 else 'two numbers')}"
    if not isinstance(function, FunctionType):
        raise TypeError(f"{argument}: {expected}, got {function!r}")
    signature = inspect.signature(function)
    try:
        signature.bind(*example)
    except TypeError:
        raise TypeError(f"{argument}: {expected}, got {function.__name__}{signature}") from None
    return given if fastmath_of(given) else function  # type: ignore[return-value]


def python_of(function: Any) -> Any:
    """Return the Python function that a user may have compiled."""
    return getattr(function, "py_func", function)


def fastmath_of(function: Any) -> Any:
    """Return the option `fastmath` with which a user has compiled a function, False for a Python function."""
    return getattr(function, "targetoptions", {}).get("fastmath", False)


def compiled(
    kind: type[Block],
    template: Template,
    functions: Mapping[str, FunctionType],
    uses: str,
    dtype: np.dtype[Any],
    *sizes: int,
) -> Block:
    """Return the C function for blocks of one dtype, and of rows of these sizes if the template takes rows.

    `functions` has the function and its derivative by argument name.
    """
    key = fingerprint(template.__name__, tuple(functions.values()), uses, dtype.name, sizes)
    with _LOCK:
        if key in _BLOCKS:
            return _BLOCKS[key]
        block = kind(template, functions, uses, types.float32 if dtype == np.float32 else types.float64, key, sizes)
        if key is not None:
            _BLOCKS[key] = block
        return block


class Block(CFunc):
    """A C function of arrays: the arguments, values and derivatives of the user's function, and the arrays' length.

    Raises
    ------
    TypeError
        If Numba can't compile a function.
    """

    n_counts = 1  # arguments of the C function after its arrays
    takes_arrays = False  # whether the user's functions do
    options_of_users: Mapping[str, bool] = MappingProxyType({})

    def __init__(
        self,
        template: Template,
        functions: Mapping[str, FunctionType],
        uses: str,
        number: Any,
        key: str | None,
        sizes: tuple[int, ...],
    ) -> None:
        if numba.config.DISABLE_JIT:
            raise RuntimeError("fastnn.jit: expected Numba's compiler, got NUMBA_DISABLE_JIT, which turns it off")
        tag = key or ""

        def jit(function: FunctionType, **options: Any) -> Any:
            function.__qualname__ += f"_{tag}"
            return numba.jit(**_OPTIONS, **options)(function)

        self._functions = {
            name: jit(
                translated(python_of(f), number, self.takes_arrays),
                fastmath=fastmath_of(f),
                **self.options_of_users,
            )
            for name, f in functions.items()
        }
        self._uses, self._number, self._sizes = uses, number, sizes
        block = template(number, jit, *self._functions.values(), uses, *sizes)
        block.__qualname__ += f"_{tag}"
        n_arrays = len(inspect.signature(block).parameters) - self.n_counts
        self._n_numbers = n_arrays - 2  # the user's functions lack the last two arguments
        signature = (*[types.CPointer(number)] * n_arrays, *[types.int64] * self.n_counts), types.void
        super().__init__(block, signature, locals={}, options=_OPTIONS)
        self._cache = cache_of(next(iter(functions.values())), key)
        self.compile()
        self._call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * n_arrays, *[ctypes.c_int64] * self.n_counts)(self.address)

    def evaluate(self, *points: _Array) -> tuple[_Array, _Array]:
        """Return values and derivatives in float64; an exception of the user's function passes through."""
        value, derivative = np.empty_like(points[0]), np.empty_like(points[0])
        self._call(*[array.ctypes.data for array in (*points, value, derivative)], value.size)
        if has_raised(value):
            self._raise(points)
        return value, derivative

    def _raise(self, points: tuple[_Array, ...]) -> None:
        function, derivative = self._functions.values()
        for point in zip(*points, strict=True):
            value = function(*point)
            derivative(*([value] if self._uses == "output" else point))

    def _compile_uncached(self) -> Any:
        for argument, function in self._functions.items():
            self._compile_alone(argument, function)
        return super()._compile_uncached()

    def _compile_alone(self, argument: str, function: Any) -> None:
        result = compile_alone(argument, function, (self._number,) * self._n_numbers, self._number)
        check_number(argument, function, result)


def has_raised(value: _Array) -> bool:
    """Return whether a function raised in the block with these values."""
    return bool(value.size > 0 and value.view(np.uint64)[0] == RAISED.view(np.uint64))


def compile_alone(argument: str, function: Any, arguments: tuple[Any, ...], shown: Any) -> Any:
    """Compile a user's function, and return the type of its result."""
    name = function.py_func.__name__
    defaults = [p.default for p in inspect.signature(function.py_func).parameters.values()][len(arguments) :]
    try:
        function.compile((*arguments, *(types.Omitted(default) for default in defaults)))
    except NumbaError as error:
        raise TypeError(f"{argument}: Numba can't compile {name} of a {shown}: {_reason(error)}") from error
    return function.nopython_signatures[0].return_type


def check_number(argument: str, function: Any, result: Any) -> None:
    """Raise TypeError unless a user's function returns a real number."""
    name = function.py_func.__name__
    if not isinstance(result, types.Float | types.Integer | types.Boolean):
        raise TypeError(f"{argument}: expected a real number, got {name}, which returns {result}")


def _reason(error: NumbaError) -> str:
    """Return the line of Numba's message that names the cause; the first line names only the compiler's step."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Failed in")]
    return lines[0] if lines else type(error).__name__


# ---- Templates on pointers, because arrays would compile to several times as much code ----


@intrinsic
def _address(_: Any, pointer: Any) -> Any:
    def call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(arguments[0], context.get_value_type(types.intp))

    return types.intp(pointer), call


def activation_block(number: Any, jit: Any, f: Any, derivative_of: Any, uses: str) -> Any:
    """Return the function that `CustomActivation.address` describes."""
    from_input = uses == "input"

    def value_and_derivative(a: Any, derivative: Any, n: Any) -> None:
        for i in range(n):
            z = a[i]
            value = number(f(z))
            a[i] = value
            derivative[i] = number(derivative_of(z if from_input else value))

    def value(a: Any, n: Any) -> None:
        for i in range(n):
            a[i] = number(f(a[i]))

    value_and_derivative, value = jit(value_and_derivative), jit(value)

    def block(z: Any, a: Any, derivative: Any, n: Any) -> None:
        # These loops work in place on one array: loops over two arrays that may be the same would not be vectorised.
        if _address(z) != _address(a):
            for i in range(n):
                a[i] = z[i]
        wants_derivative = _address(derivative) != 0
        try:
            if wants_derivative:
                value_and_derivative(a, derivative, n)
            else:
                value(a, n)
        except Exception:  # no caller could catch it
            for i in range(n):
                a[i] = RAISED
                if wants_derivative:
                    derivative[i] = RAISED

    return block


def loss_block(number: Any, jit: Any, f: Any, gradient_of: Any, uses: str) -> Any:
    """Return the function that `CustomLoss.address` describes."""

    def value_and_gradient(y: Any, p: Any, value: Any, gradient: Any, n: Any) -> None:
        for i in range(n):
            value[i] = number(f(y[i], p[i]))
            gradient[i] = number(gradient_of(y[i], p[i]))

    value_and_gradient = jit(value_and_gradient)

    def block(y: Any, p: Any, value: Any, gradient: Any, n: Any) -> None:
        try:
            value_and_gradient(y, p, value, gradient, n)
        except Exception:
            for i in range(n):
                value[i] = RAISED
                gradient[i] = RAISED

    return block
