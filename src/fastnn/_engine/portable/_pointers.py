"""Calls of functions by their addresses in compiled code: the caller need not be compiled again for another function."""

from __future__ import annotations

from typing import Any

from fastnn._engine.portable._compile import FOUND, formula

call = call_for_number = formula  # without Numba, there are no addresses

if FOUND:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    def _caller(result: Any) -> Any:
        """Return a function that calls an address with a tuple of arguments, and returns its result of a certain type.

        The types of the arguments must be those for which `pointer` compiled the function.
        """

        def caller(_: Any, address: Any, arguments: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                given = [context.get_value_type(each) for each in arguments.types]
                function = ir.FunctionType(context.get_value_type(result), given)
                passed = [builder.extract_value(values[1], i) for i in range(len(given))]
                called = builder.call(builder.inttoptr(values[0], function.as_pointer()), passed)
                return context.get_dummy_value() if result is types.void else called

            return result(address, arguments), generate

        return intrinsic(caller)

    call, call_for_number = _caller(types.void), _caller(types.float64)
